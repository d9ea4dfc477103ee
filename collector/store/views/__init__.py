"""What analysts see, as data: each view with its columns, their types, their meaning and their SQL.

This is the contract: the tables of docs/sql.md are made of it, and a test compares it with the views themselves.
"""

from __future__ import annotations

from collections.abc import Iterable

from collector.store.views.calls import CALLS, SCORES
from collector.store.views.changes import CHANGES
from collector.store.views.drift import DRIFT, DRIFT_ALARMS, DRIFT_TOPICS, DRIFT_WINDOWS
from collector.store.views.health import COMPARISONS, COVERAGE, PARTITIONS, REJECTS
from collector.store.views.rollups import rollup, traffic
from collector.store.views.types import INELIGIBLE, MISSED, Column, View

__all__ = ["INELIGIBLE", "MISSED", "RESOLUTIONS", "VIEWS", "Column", "View", "column_table", "definitions"]

RESOLUTIONS = ("minute", "hour", "day")

VIEWS: dict[str, View] = {
    view.name: view
    for view in (
        CALLS,
        SCORES,
        *(rollup(resolution) for resolution in RESOLUTIONS),
        *(traffic(resolution) for resolution in RESOLUTIONS),
        COVERAGE,
        COMPARISONS,
        CHANGES,
        DRIFT,
        DRIFT_ALARMS,
        DRIFT_WINDOWS,
        DRIFT_TOPICS,
        REJECTS,
        PARTITIONS,
    )
}

HISTOGRAM_QUANTILE = """CREATE MACRO histogram_quantile(q, zeros, buckets, counts) AS (
    SELECT CASE WHEN n = 0 THEN NULL WHEN rank <= z THEN 0.0 ELSE (
        SELECT min(low + (high - low) * (rank - z - before) / c) FROM (
            SELECT floor(1e6 * pow(2, (b - 1) / 16.0)) / 1e6 AS low, floor(1e6 * pow(2, b / 16.0)) / 1e6 AS high, c,
                   sum(c) OVER (ORDER BY b) - c AS before
            FROM (SELECT b, sum(c) AS c FROM (SELECT unnest(buckets) AS b, unnest(counts) AS c) GROUP BY b)
        ) WHERE before < rank - z AND rank - z <= before + c) END
    FROM (SELECT zeros AS z, zeros + coalesce(list_sum(counts), 0) AS n,
                 ceil(q * (zeros + coalesce(list_sum(counts), 0))) AS rank))"""
"""A quantile over any rows of a rollup:
``histogram_quantile(0.95, sum(zeros), flatten(list(buckets)), flatten(list(bucket_counts)))``.
"""


def definitions() -> Iterable[str]:
    """The statements that make the views which a database file holds, and the macro."""
    yield HISTOGRAM_QUANTILE
    for view in VIEWS.values():
        if not view.per_session:
            yield f"CREATE VIEW {view.name} AS {view.sql}"


def column_table(view: View) -> str:
    """The view's columns as a Markdown table."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in view.columns]
    return "\n".join(lines)
