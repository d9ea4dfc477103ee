"""What a view is, and the columns that several views share."""

from __future__ import annotations

from dataclasses import dataclass

from collector.delta import KEYS as KEY_NAMES
from collector.rollup.fold import REASONS

INELIGIBLE = ("no_text", "no_context", "not_applicable")
"""Reasons that say a signal has nothing to judge; the others are lost coverage."""
MISSED = tuple(reason for reason in REASONS if reason not in INELIGIBLE)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a view; ``sql`` is what it selects."""

    name: str
    type: str
    meaning: str
    sql: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One view; ``source`` is what follows its select list."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    source: str
    example: str  # a query that a test runs
    per_session: bool = False

    @property
    def sql(self) -> str:
        """The query of the view."""
        selected = (f"{column.sql or _quoted(column.name)} AS {_quoted(column.name)}" for column in self.columns)
        return f"SELECT {', '.join(selected)} {self.source}"


def _quoted(name: str) -> str:
    return f'"{name}"'


_KEY_MEANINGS = {
    "service": "the calling service",
    "environment": "deployment environment",
    "model": "the model that was asked for",
    "model_version": "the model that answered",
    "prompt": "name of the prompt template",
    "tenant": "tenant or customer",
    "service_version": "version of the calling service: its deployment",
}
KEYS = tuple(Column(key, "VARCHAR", f"{_KEY_MEANINGS[key]}; empty: unknown") for key in KEY_NAMES)
SERIES = Column(
    "series",
    "VARCHAR",
    "the known keys as one word, to group or label by",
    "concat_ws(' / ', " + ", ".join(f"nullif({key}, '')" for key in KEY_NAMES) + ")",
)
SIGNAL = (
    Column("signal", "VARCHAR", "the quality signal"),
    Column("side", "VARCHAR", "which text it judges: input or output"),
    Column("signal_version", "VARCHAR", "version of the signal and its weights; never compare two of these"),
)
WINDOW = Column("window_start", "TIMESTAMP", "begin of the window by event time, UTC; give bounds as literals")
