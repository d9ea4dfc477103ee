"""What an alert points to, as plain values: a question about some scores, and the report that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from signals.excerpts import Excerpt
from signals.marks import Of

BINS = 20
"""Of a distribution: equal parts of 0..1."""
DRIFT = "drift"
"""Stands for a signal's side where excerpts are of calls as they come, whatever the signals say of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Scores of a signal's side, of one service and model or all (``""``), from ``start`` to ``end`` (UTC, naive)."""

    signal: str
    side: str
    start: datetime
    end: datetime
    service: str = ""
    model: str = ""

    @property
    def before(self) -> tuple[datetime, datetime]:
        """What it is compared with: as long a time right before it, at least an hour."""
        return self.start - max(self.end - self.start, timedelta(hours=1)), self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Of all scores in a time."""

    scored: int = 0
    missed: int = 0  # texts that should have been scored
    warned: int = 0  # scores above signals.warn_at
    bad: int = 0  # … and above signals.critical_at
    mean: float | None = None

    @property
    def bad_share(self) -> float | None:
        return self.bad / self.scored if self.scored else None

    @property
    def coverage(self) -> float | None:
        eligible = self.scored + self.missed
        return self.scored / eligible if eligible else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One window of the course."""

    at: datetime
    scored: int
    bad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Calls with one value of one key. Contributions of a key's values add up to the change of the share.

    Of ``language`` (of the input, ISO 639-1) and ``topic`` (named by the trace id of a call that is like the others)
    the counts are estimates: see ``Report.looked_at``.
    """

    key: str
    value: str
    scored: int
    bad: int
    scored_before: int
    bad_before: int
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstCall:
    """One call, no text."""

    time: datetime
    trace_id: str
    span_id: str
    service: str
    model: str
    model_version: str
    prompt: str
    tenant: str
    score: float


class Named(NamedTuple):
    """A call, and when it ended."""

    time: datetime
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is kept of one text of a call, redacted."""

    of: Of
    excerpt: Excerpt


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer to a question."""

    question: Question
    now: Totals
    before: Totals
    course: tuple[Point, ...]
    distribution: tuple[int, ...]  # BINS counts
    distribution_before: tuple[int, ...]
    slices: tuple[Slice, ...]
    looked_at: tuple[int, int]  # scores that languages and topics were estimated from, before and now
    worst: tuple[WorstCall, ...]
    missed: tuple[tuple[str, int], ...]  # reason -> texts
    versions: tuple[tuple[str, int], ...]  # signal version -> scores
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One service and signal of the overview: its share of bad scores, then and now, and its course."""

    service: str
    signal: str
    side: str
    scored: int
    bad: int
    scored_before: int
    bad_before: int
    course: tuple[float | None, ...]  # share of bad scores a window; None: no scores

    @property
    def share(self) -> float | None:
        return self.bad / self.scored if self.scored else None

    @property
    def share_before(self) -> float | None:
        return self.bad_before / self.scored_before if self.scored_before else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Of one service's texts that a signal should judge: those judged and missed, then and now."""

    service: str
    scored: int
    missed: int
    scored_before: int
    missed_before: int

    @property
    def share(self) -> float | None:
        return _share(self.scored, self.missed)

    @property
    def share_before(self) -> float | None:
        return _share(self.scored_before, self.missed_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftAlarm:
    """How surely the texts of one service, model and side have changed."""

    service: str
    model: str
    side: str
    version: str
    as_of: datetime
    alarm_since: datetime | None
    log_evalue: float
    threshold: float
    false_alarm_pairs: float
    pairs: int
    phase: str | None
    distance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call of a topic, no text."""

    trace_id: str
    span_id: str = ""  # it and the time are unknown of what an earlier version wrote
    time: datetime | None = None
    flagged: tuple[str, ...] = ()  # signals and sides that warn of it, as toxicity_output


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A cluster of texts that grew or shrank."""

    service: str
    model: str
    side: str
    share_before: float
    share_after: float
    change_low: float
    change_high: float
    examples_before: tuple[Example, ...]
    examples_after: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What is known of drift in the chosen slices."""

    alarms: tuple[DriftAlarm, ...]
    course: tuple[tuple[datetime, float], ...]  # end of a window, the greatest log e-value
    topics: tuple[Topic, ...]
    sql: str


class Evidence(Protocol):
    """Where the pages get it from; collector.store.evidence.Findings is one. Times are UTC, naive."""

    def names(self) -> dict[str, tuple[str, ...]]:
        """What can be asked for: ``service``, ``model``, ``signal`` (as ``signal side``)."""
        ...

    def overview(self, end: datetime, service: str = "") -> tuple[Cell, ...]:
        """Every signal of every service, or of one, over the hour before ``end``, the worst first."""
        ...

    def coverage(self, end: datetime, service: str = "") -> tuple[Coverage, ...]:
        """Every service, or one, over the hour before ``end``, whose texts are judged least first."""
        ...

    def report(self, question: Question) -> Report: ...

    def drift(self, question: Question) -> DriftReport:
        """Drift in the question's service and model; its signal is not looked at, "" means both sides."""
        ...

    def latest(self) -> datetime | None:
        """The log's time as far as it is counted; None: nothing was."""
        ...


class Excerpts(Protocol):
    """Where the pages get texts from, if any are kept; collector.snippets.shelf.Shelf is one."""

    def said(self, calls: Sequence[Named], column: str) -> Mapping[tuple[str, str], tuple[Said, ...]]:
        """What is kept of these calls for a signal's side (``toxicity_output``) or for DRIFT, by trace and span id; may
        raise."""
        ...


def _share(scored: int, missed: int) -> float | None:
    return scored / (scored + missed) if scored + missed else None
