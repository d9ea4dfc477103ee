"""One measured number of the quality table, and how the table is printed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``who`` measured on ``on``: a signal of ours or, with ``baseline``, what a user would pick instead."""

    family: str  # the section: groundedness, toxicity, drift, …
    who: str
    on: str  # the labelled set, or the stream
    measure: str  # AUROC, AP, recall at 1% FP, false alarms, median delay, …
    value: float
    low: float = NAN  # 95 % interval
    high: float = NAN
    n: int = 0  # texts, pairs, streams
    target: float | None = None
    lower_is_better: bool = False
    baseline: bool = False

    @property
    def missed(self) -> bool:
        """Whether there is a target and the value falls short of it."""
        if self.target is None:
            return False
        return math.isnan(self.value) or (
            self.value > self.target if self.lower_is_better else self.value < self.target
        )


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """A Markdown table, a line at a time, so that a long run shows what it has."""
    yield "| family | who | on | n | measure | value | 95 % | target |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        who = f"*{row.who}*" if row.baseline else f"`{row.who}`"
        bounds = "" if math.isnan(row.low) else f"{_number(row.low)} – {_number(row.high)}"
        target = ""
        if row.target is not None:
            target = f"{'≤' if row.lower_is_better else '≥'} {_number(row.target)}{' MISSED' if row.missed else ''}"
        cells = (row.family, who, row.on, row.n, row.measure, _number(row.value), bounds, target)
        yield f"| {' | '.join(map(str, cells))} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.3f}"
