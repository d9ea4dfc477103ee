"""From the daemon's metrics to what the terminal shows: totals of one moment, and the means between two of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple, Protocol

from collector import catalog

WINDOW_SECONDS = 30.0
"""Over how long the means of the board go."""

CHANGE_MIN: Mapping[str, float] = {
    "toxicity_input": 0.1,
    "toxicity_output": 0.1,
    "context_novelty": 0.15,
    "centroid_distance": 0.1,
    "degeneration": 0.1,
}
"""From how much more than before the incident a value is marked."""


class Sample(Protocol):
    """One line of an exposition, as prometheus_client holds it."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def value(self) -> float: ...


class Series(NamedTuple):
    service: str
    model: str


class Sum(NamedTuple):
    """The two numbers of a histogram that a mean needs."""

    total: float = 0.0
    n: float = 0.0


@dataclass(slots=True)
class Totals:
    """What the metrics say at one moment; everything but the gauges only grows."""

    at: float  # seconds of a monotonic clock
    calls: dict[Series, float] = field(default_factory=dict)
    scored: dict[Series, float] = field(default_factory=dict)
    scores: dict[tuple[str, Series], Sum] = field(default_factory=dict)  # by column, such as toxicity_input
    distances: dict[Series, float] = field(default_factory=dict)
    drifted: set[Series] = field(default_factory=set)
    lag: float = 0.0
    waiting: float = 0.0
    rejected: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One service and model. Scores are means of the window, 0 good .. 1 bad; None: nothing was scored in it."""

    series: Series
    calls: int  # since the start of this process
    toxicity_input: float | None
    toxicity_output: float | None
    context_novelty: float | None
    centroid_distance: float | None
    degeneration: float | None
    coverage: float | None  # scored calls over all calls of the window
    drift_alarm: bool = False  # whether what its users ask or what it answers has drifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the terminal shows."""

    calls: int
    calls_per_second: float
    lag: int  # records
    waiting: int  # calls on their way
    rejected: int
    rows: tuple[Row, ...]


def read_totals(samples: Iterable[Sample], at: float) -> Totals:
    """Pick from an exposition what the board needs."""
    totals = Totals(at)
    columns = {f"{signal.metric}_sum": signal.name for signal in catalog.SIGNALS}
    counts = {f"{signal.metric}_count": signal.name for signal in catalog.SIGNALS}
    for sample in samples:
        name, labels, value = sample.name, sample.labels, sample.value
        if name == catalog.LAG.name:
            totals.lag += value
        elif name == catalog.WAITING.name:
            totals.waiting += value if labels["place"] in ("join", "rows") else 0.0  # the others are not calls
        elif name == catalog.RECORDS_REJECTED.name:
            totals.rejected += value
        elif name in columns or name in counts:
            signal = columns.get(name) or counts[name]
            key = (f"{signal}_{labels['side']}", Series(labels["service"], labels["model"]))
            total, n = totals.scores.get(key, Sum())
            totals.scores[key] = Sum(value, n) if name in columns else Sum(total, value)
        elif name == catalog.CALLS.name:
            series = Series(labels["service"], labels["model"])
            totals.calls[series] = totals.calls.get(series, 0.0) + value
            if labels["outcome"] == "scored":
                totals.scored[series] = value
        elif name == catalog.CENTROID_DISTANCE.name:
            series = Series(labels["service"], labels["model"])
            totals.distances[series] = max(value, totals.distances.get(series, 0.0))
        elif name == catalog.DRIFT_ALARM.name and value > 0:
            totals.drifted.add(Series(labels["service"], labels["model"]))
    return totals


def compare(old: Totals, new: Totals) -> Board:
    """The board between two moments."""
    seconds = max(new.at - old.at, 1e-9)
    calls = sum(new.calls.values())
    return Board(
        calls=int(calls),
        calls_per_second=(calls - sum(old.calls.values())) / seconds,
        lag=int(new.lag),
        waiting=int(new.waiting),
        rejected=int(new.rejected),
        rows=tuple(_row(series, old, new) for series in sorted(new.calls)),
    )


def changed(before: Row | None, now: Row) -> frozenset[str]:
    """The columns of a row that got worse by more than CHANGE_MIN since ``before``."""
    if before is None:
        return frozenset()
    worse = set()
    for column, least in CHANGE_MIN.items():
        was, is_ = getattr(before, column), getattr(now, column)
        if was is not None and is_ is not None and is_ - was >= least:
            worse.add(column)
    return frozenset(worse)


class History:
    """Totals of the last WINDOW_SECONDS, and the rows as they were before the incident."""

    def __init__(self) -> None:
        self._totals: deque[Totals] = deque()
        self._before: dict[Series, Row] = {}

    def add(self, totals: Totals, *, incident: bool) -> Board:
        """The board of now. The rows of the last board without the incident are what later ones are held against."""
        self._totals.append(totals)
        while len(self._totals) > 2 and totals.at - self._totals[1].at >= WINDOW_SECONDS:
            self._totals.popleft()
        board = compare(self._totals[0], totals)
        if not incident:
            self._before |= {row.series: _latest(self._before.get(row.series), row) for row in board.rows}
        return board

    def changed(self, row: Row) -> frozenset[str]:
        """What of a row got worse with the incident."""
        return changed(self._before.get(row.series), row)


def _row(series: Series, old: Totals, new: Totals) -> Row:
    def mean(column: str) -> float | None:
        now, was = new.scores.get((column, series), Sum()), old.scores.get((column, series), Sum())
        n = now.n - was.n
        return (now.total - was.total) / n if n > 0 else None

    calls = new.calls[series] - old.calls.get(series, 0.0)
    scored = new.scored.get(series, 0.0) - old.scored.get(series, 0.0)
    return Row(
        series=series,
        calls=int(new.calls[series]),
        toxicity_input=mean("toxicity_input"),
        toxicity_output=mean("toxicity_output"),
        context_novelty=mean("context_novelty_output"),
        centroid_distance=new.distances.get(series),
        degeneration=mean("degeneration_output"),
        coverage=scored / calls if calls else None,
        drift_alarm=series in new.drifted,
    )


def _latest(old: Row | None, new: Row) -> Row:
    """``new``, with what it does not know taken from ``old``: a quiet window says nothing against what was seen."""
    if old is None:
        return new
    known = {
        column.name: value if (value := getattr(new, column.name)) is not None else getattr(old, column.name)
        for column in fields(Row)
    }
    return Row(**known)
