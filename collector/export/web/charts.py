"""Charts as numbers for a template: coordinates in a box of WIDTH by HEIGHT, computed here and drawn as SVG there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

WIDTH, HEIGHT = 720, 160
SPARK_WIDTH, SPARK_HEIGHT = 96, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A course: ``paths`` of points, broken where there is nothing; ``mark`` is where the asked time begins."""

    paths: tuple[str, ...]
    highest: float
    mark: float | None = None
    bound: float | None = None  # y of a threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One part of a distribution, then and now: heights as shares of the box."""

    low: float
    high: float
    x: float
    width: float
    now: float
    before: float
    n: int
    n_before: int


def line(
    points: Sequence[tuple[datetime, float | None]],
    *,
    start: datetime,
    end: datetime,
    since: datetime | None = None,
    bound: float | None = None,
    least: float = 0.0,
) -> Line:
    """``least`` is the smallest height of the axis, so that noise near zero does not fill the box."""
    span = max((end - start).total_seconds(), 1.0)
    highest = (
        max([least, *(value for _, value in points if value is not None), *([bound * 1.1] if bound else [])]) or 1.0
    )

    def x(at: datetime) -> float:
        return round((at - start).total_seconds() / span * WIDTH, 1)

    def y(value: float) -> float:
        return round(HEIGHT - max(value, 0.0) / highest * HEIGHT, 1)

    runs = (list(run) for known, run in groupby(points, key=lambda point: point[1] is not None) if known)
    return Line(
        paths=tuple(" ".join(f"{x(at)},{y(value or 0.0)}" for at, value in run) for run in runs),
        highest=highest,
        mark=x(since) if since is not None else None,
        bound=y(bound) if bound is not None else None,
    )


def spark(values: Sequence[float | None], highest: float) -> tuple[str, ...]:
    """Paths of a small course, all on one axis."""
    step = SPARK_WIDTH / max(len(values) - 1, 1)
    runs = (list(run) for known, run in groupby(enumerate(values), key=lambda item: item[1] is not None) if known)
    top = max(highest, 1e-9)
    return tuple(
        " ".join(f"{at * step:.1f},{SPARK_HEIGHT - (value or 0.0) / top * SPARK_HEIGHT:.1f}" for at, value in run)
        for run in runs
    )


def bars(now: Sequence[int], before: Sequence[int]) -> tuple[Bar, ...]:
    """Shares of each time's own total, on one axis."""
    total, total_before = max(sum(now), 1), max(sum(before), 1)
    top = max([n / total for n in now] + [n / total_before for n in before] + [1e-9])
    width = WIDTH / len(now)
    return tuple(
        Bar(
            low=place / len(now),
            high=(place + 1) / len(now),
            x=round(place * width, 1),
            width=round(width * 0.42, 1),
            now=round(n / total / top * HEIGHT, 1),
            before=round(m / total_before / top * HEIGHT, 1),
            n=n,
            n_before=m,
        )
        for place, (n, m) in enumerate(zip(now, before, strict=True))
    )
