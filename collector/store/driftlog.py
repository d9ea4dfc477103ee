"""Drift in the view: the objects that hold sketches out of it, the records that were decided about them into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from collector.delta import Stream
from collector.drift.calls import File
from collector.drift.record import PHASES, SKIPS, Record, Slice
from collector.store.database import insert, rows_of
from collector.store.store import Store

_TEXT, _INT, _TIME, _REAL = pa.string(), pa.int64(), pa.timestamp("us"), pa.float64()
_SLICE = [(name, _TEXT) for name in Slice._fields]
WINDOWS = pa.schema(
    [
        ("number", _INT),
        *((name, _TIME) for name in ("window_start", "window_end")),
        *_SLICE,
        *((name, _INT) for name in ("calls", "pairs", *SKIPS, *PHASES)),
        *((name, _REAL) for name in ("log_increment", "log_evalue")),
        ("pairs_total", _INT),
        ("alpha", _REAL),
        ("alarm_since", _TIME),
    ]
)
EXAMPLES = tuple(f"{what}_{when}" for what in ("examples", "spans", "times") for when in ("before", "after"))
"""Of a topic: its example calls."""
TOPICS = pa.schema(
    [
        ("window_start", _TIME),
        *_SLICE,
        ("topic", _INT),
        *((name, _REAL) for name in ("share_before", "share_after", "change_low", "change_high")),
        *((name, pa.list_(_TEXT)) for name in ("examples_before", "examples_after", "spans_before", "spans_after")),
        *((name, pa.list_(_TIME)) for name in ("times_before", "times_after")),
        *((name, _INT) for name in ("n_before", "n_after")),
    ]
)


def drift_files(store: Store) -> list[File]:
    """Every object with sketches that the view holds."""
    with store.database.read() as connection:
        found = rows_of(
            connection,
            "SELECT topic, epoch, partition, start, next, path, epoch_us(first_time), epoch_us(last_time), "
            "coalesce(epoch_us(log_time), epoch_us(last_time)) / 1e6 FROM data.deltas WHERE sketches > 0 ORDER BY ALL",
        )
    return [File(Stream(*row[:3]).path, *row[3:]) for row in found]


def drift_position(store: Store) -> int:
    """The number of the first record that the view does not hold."""
    with store.database.read() as connection:
        return max((at for (at,) in rows_of(connection, "SELECT next FROM data.drift_position")), default=0)


def apply_records(store: Store, records: Sequence[Record]) -> None:
    """Take records in, in their order; those that the view holds are left out. All or none."""
    with store.database.lock:
        position = drift_position(store)
        taken = [record for record in records if record.number >= position]
        if not taken:
            return
        with store.database.transaction() as connection:
            insert(connection, "data.drift_windows", _table([row for one in taken for row in _windows(one)], WINDOWS))
            for record in taken:
                for found in record.topics:
                    where = " AND ".join(f"{name} = ?" for name in Slice._fields)
                    connection.execute(f"DELETE FROM data.drift_topics WHERE {where}", list(found.slice))  # noqa: S608
                insert(connection, "data.drift_topics", _table(_topics(record), TOPICS))
            connection.execute("DELETE FROM data.drift_position")
            connection.execute("INSERT INTO data.drift_position VALUES (?)", [taken[-1].number + 1])


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def _windows(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "number": record.number,
            "window_start": _micros(record.begin),
            "window_end": _micros(record.end),
            **row.slice._asdict(),
            "calls": row.calls,
            "pairs": row.pairs,
            **{reason: row.skipped.get(reason, 0) for reason in SKIPS},
            **{phase: row.phases.get(phase, 0) for phase in PHASES},
            "log_increment": row.log_increment,
            "log_evalue": row.log_e,
            "pairs_total": row.pairs_total,
            "alpha": record.alpha,
            "alarm_since": None if row.alarm_since is None else _micros(row.alarm_since),
        }
        for row in record.rows
    ]


def _topics(record: Record) -> list[dict[str, Any]]:
    return [
        {
            "window_start": _micros(record.begin),
            **found.slice._asdict(),
            "topic": number,
            "share_before": topic.share_before,
            "share_after": topic.share_after,
            "change_low": topic.change_low,
            "change_high": topic.change_high,
            **{name: list(getattr(topic, name)) for name in EXAMPLES},
            "n_before": found.n_before,
            "n_after": found.n_after,
        }
        for found in record.topics
        for number, topic in enumerate(found.topics, 1)
    ]


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
