"""What each board shows: a wall for the SRE, and for each question that an alert raises a board that answers it."""

from __future__ import annotations

from collections.abc import Sequence

from collector.catalog import SIGNALS, SignalEntry
from dashboards.boards import compare, cost, drift, overview, pipeline, quality, signals
from dashboards.panels import Page


def pages(entries: Sequence[SignalEntry] = SIGNALS) -> tuple[Page, ...]:
    """Every board; ``entries`` are the signals of the catalogue."""
    names = tuple(entry.name for entry in entries)
    return (
        overview.page(),
        quality.page(names),
        drift.page(),
        compare.page(names),
        cost.page(),
        signals.page(),
        pipeline.page(),
    )
