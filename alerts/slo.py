"""Quality objectives a signal, and the burn rates at which their budget is spent too fast.

A score beyond its objective's threshold is a *bad* score. The budget is the share of bad scores that users put up with
over 30 days. A pair of windows burns when both spend ``factor`` times the budget: the long one says that it matters,
the short one that it still goes on. Factors, windows and waits: Google's SRE Workbook, chapter 5, table 5-8 (2 %, 5 %,
10 % and 10 % of a month's budget).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alerts.model import Severity
from collector.catalog import CRITICAL_AT, SIGNALS, WARN_AT, SignalEntry
from signals.types import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Of the scores of a signal's side, at most ``budget`` (a share) lie above ``threshold``."""

    signal: str
    side: Side
    threshold: float
    budget: float

    @property
    def metric(self) -> str:
        return f"assay_{self.signal}_score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """A pair of windows."""

    long: str
    short: str
    factor: float
    for_seconds: int
    severity: Severity
    long_seconds: int


BURNS = (
    Burn(long="1h", short="5m", factor=14.4, for_seconds=120, severity=Severity.CRITICAL, long_seconds=3_600),
    Burn(long="6h", short="30m", factor=6, for_seconds=900, severity=Severity.CRITICAL, long_seconds=21_600),
    Burn(long="1d", short="2h", factor=3, for_seconds=3_600, severity=Severity.WARNING, long_seconds=86_400),
    Burn(long="3d", short="6h", factor=1, for_seconds=10_800, severity=Severity.WARNING, long_seconds=259_200),
)
WINDOWS = ("1m", "5m", "30m", "1h", "2h", "6h", "1d", "3d")
SLOW_WINDOWS = frozenset({"2h", "6h", "1d", "3d"})
BAD_MIN = 10
"""Fewer bad scores in the long window are no evidence of anything."""

BUDGET = 0.05
"""Of a signal that has no entry below."""

_CHOSEN: dict[tuple[str, Side], tuple[float, float]] = {
    ("toxicity", Side.OUTPUT): (CRITICAL_AT, 0.001),
    ("toxicity", Side.INPUT): (CRITICAL_AT, 0.02),
    ("pii", Side.OUTPUT): (CRITICAL_AT, 0.005),
    ("injection", Side.INPUT): (CRITICAL_AT, 0.02),
    ("context_injection", Side.INPUT): (CRITICAL_AT, 0.01),
    ("degeneration", Side.OUTPUT): (WARN_AT, 0.01),
    ("format", Side.OUTPUT): (WARN_AT, 0.02),
    ("language", Side.OUTPUT): (WARN_AT, 0.02),
}


def objectives(
    signals: tuple[SignalEntry, ...] = SIGNALS, warn_at: float = WARN_AT, critical_at: float = CRITICAL_AT
) -> Iterator[Objective]:
    """One for each side of each signal that is no mere cue; thresholds lie on the histograms' edges."""
    moved = {WARN_AT: warn_at, CRITICAL_AT: critical_at}
    for signal in (signal for signal in signals if not signal.cue):
        for side in signal.sides:
            threshold, budget = _CHOSEN.get((signal.name, side), (CRITICAL_AT, BUDGET))
            yield Objective(signal=signal.name, side=side, threshold=moved[threshold], budget=budget)
