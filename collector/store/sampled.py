"""Slices by what no rollup knows, the language and the topic of a text: out of a bounded sample of the chain's rows.

The rows of a time are thought of as one line, ordered by object; points evenly along it choose the groups of rows that
are read, so every call is as likely to be looked at. Counts are estimates of those of all calls, and exact where all
were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collector.delta import ROW_GROUP
from collector.evidence import Question, Slice
from collector.store.asked import Asked, Counts, Tally, at, slices
from collector.store.database import rows_of
from signals.drift.topics import nearness
from signals.sketch import BYTES, unsketch

CALLS_MAX = 32_768  # rows that are read of a time, about
POINTS_MAX = 40  # and groups of them, each of which costs an opened file
TOPIC_CALLS_MAX = 500  # of a time
TOPICS_MAX = 12

Floats = npt.NDArray[np.float64]

_NOTHING = pa.schema(
    [
        ("score", pa.int32()),
        ("language", pa.string()),
        ("trace_id", pa.binary(16)),
        ("sketch", pa.binary(BYTES)),
        ("version", pa.string()),
    ]
).empty_table()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Slices by estimated counts, and how many scores they were estimated from, before and now."""

    slices: tuple[Slice, ...] = ()
    looked_at: tuple[int, int] = (0, 0)


class _Object(NamedTuple):
    path: str
    calls: int
    sketched: bool


class _Rows(NamedTuple):
    """Scores of a sample, a row each."""

    table: pa.Table  # as _NOTHING
    bad: npt.NDArray[np.bool_]
    weight: Floats  # how many scores it stands for

    def take(self, places: npt.NDArray[np.int64]) -> _Rows:
        """Some of the rows, which stand for all."""
        weight = self.weight[places]
        return _Rows(self.table.take(places), self.bad[places], weight * (self.weight.sum() / max(weight.sum(), 1e-9)))


def sampled(connection: duckdb.DuckDBPyConnection, base: Path, asked: Asked, tally: Tally, critical: int) -> Sampled:
    """Languages of the inputs, and topics of the side's texts; above ``critical`` (millionths) a score is bad."""
    if not tally.now.scored or not tally.before.scored:
        return Sampled()
    times = (((asked.before, asked.start), tally.before.scored), ((asked.start, asked.windows_end), tally.now.scored))
    before, now = (
        _sample(_objects(connection, asked.question, *time), base, asked.question, time, n, critical)
        for time, n in times
    )
    if not len(before.bad) or not len(now.bad):
        return Sampled()
    languages = ("language", _counts(_languages(before), before), _counts(_languages(now), now))
    keys = [languages, *_topics(before, now)]
    return Sampled(
        slices=tuple(slices(keys, tally.now.scored, tally.before.scored)),
        looked_at=(len(before.bad), len(now.bad)),
    )


def _objects(
    connection: duckdb.DuckDBPyConnection, question: Question, start: datetime, end: datetime
) -> list[_Object]:
    """What may hold such calls and tells their language, by time."""
    column = f"s_{question.signal}_{question.side}"
    found = rows_of(
        connection,
        "SELECT path, calls, sketches > 0 FROM data.deltas WHERE peaks[list_position(columns, ?)] >= 0 "  # noqa: S608
        f"AND list_contains(columns, 'language') AND first_time < {at(end)} AND last_time >= {at(start)} "
        "ORDER BY first_time, path",
        [column],
    )
    return [_Object(*row) for row in found]


def _sample(
    objects: Sequence[_Object],
    base: Path,
    question: Question,
    time: tuple[datetime, datetime],
    scored: int,
    critical: int,
) -> _Rows:
    """Rows of a time that stand for its ``scored`` scores."""
    parts, weights = [], []
    for (place, group), points in sorted(_chosen(objects).items()):
        rows, read = _read(base / objects[place].path, group, question, time, sketched=objects[place].sketched)
        parts.append(rows)
        weights.append(np.full(len(rows), points / read))
    table = pa.concat_tables([_NOTHING, *parts])
    weight = np.concatenate([np.empty(0), *weights])
    return _Rows(
        table,
        table.column("score").to_numpy() > critical,
        weight * (scored / weight.sum()) if len(weight) else weight,
    )


def _chosen(objects: Sequence[_Object]) -> Counter[tuple[int, int]]:
    """Place of an object and number of its row group -> how much of the line it stands for."""
    sizes = np.array([one.calls for one in objects], dtype=np.int64)
    total = int(sizes.sum())
    groups = int((-(-sizes // ROW_GROUP)).sum())
    if groups <= POINTS_MAX and total <= CALLS_MAX:
        return Counter(
            {
                (place, group): min(ROW_GROUP, one.calls - group * ROW_GROUP)
                for place, one in enumerate(objects)
                for group in range(-(-one.calls // ROW_GROUP))
            }
        )
    each = float((sizes / total * np.minimum(sizes, ROW_GROUP)).sum())  # rows that a point has read, on average
    points = int(np.clip(CALLS_MAX / each, 2, POINTS_MAX))
    line = (np.arange(points) + 0.5) * total / points
    ends = np.cumsum(sizes)
    places = np.searchsorted(ends, line, side="right")
    within = (line - (ends - sizes)[places]) // ROW_GROUP
    return Counter(zip(places.tolist(), within.astype(np.int64).tolist(), strict=True))


def _read(
    path: Path, group: int, question: Question, time: tuple[datetime, datetime], *, sketched: bool
) -> tuple[pa.Table, int]:
    """The question's rows of one group as _NOTHING has them, and how many were read."""
    score, sketch = f"s_{question.signal}_{question.side}", f"v_{question.side}"
    names = ["time", "service", "model", "trace_id", "language", score, *([sketch, "v_version"] if sketched else [])]
    with pq.ParquetFile(path) as file:
        whole = file.num_row_groups == 1  # written before groups had a size, or small
        table = file.read_row_group(0 if whole else group, columns=names)
    if whole:
        table = table.slice(group * ROW_GROUP, ROW_GROUP)
    read = len(table)
    kept = pc.and_(pc.greater_equal(table.column("time"), time[0]), pc.less(table.column("time"), time[1]))
    kept = pc.and_(kept, pc.fill_null(pc.greater_equal(table.column(score), 0), fill_value=False))
    for name, value in (("service", question.service), ("model", question.model)):
        if value:
            kept = pc.and_(kept, pc.equal(table.column(name).cast(pa.string()), value))
    table = table.filter(kept)
    nothing = pa.nulls(len(table))
    columns = {
        "score": table.column(score),
        "language": table.column("language"),
        "trace_id": table.column("trace_id"),
        "sketch": table.column(sketch) if sketched else nothing,
        "version": table.column("v_version") if sketched else nothing,
    }
    return pa.table({field.name: columns[field.name].cast(field.type) for field in _NOTHING.schema}), read


def _counts(values: Sequence[str], rows: _Rows) -> Counts:
    """Estimated scores of each value, and the bad ones among them."""
    names, codes = np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)
    scored = np.bincount(codes, weights=rows.weight)
    bad = np.bincount(codes, weights=np.where(rows.bad, rows.weight, 0.0))
    return {name: (round(n), round(b)) for name, n, b in zip(names.tolist(), scored, bad, strict=True)}


def _languages(rows: _Rows) -> list[str]:
    found: list[str] = rows.table.column("language").fill_null("").to_pylist()
    return found


def _topics(before: _Rows, now: _Rows) -> list[tuple[str, Counts, Counts]]:
    """The key ``topic``, whose values are the trace id of the call nearest to each centre; none without sketches."""
    versions = {one["values"]: one["counts"] for one in pc.value_counts(now.table.column("version")).to_pylist()}
    versions.pop(None, None)
    if not versions:
        return []
    parts = [_thinned(rows, max(versions, key=versions.__getitem__)) for rows in (before, now)]
    if not all(len(rows.bad) for rows in parts):
        return []
    every = b"".join(sketch for rows in parts for sketch in rows.table.column("sketch").to_pylist())
    near = nearness(unsketch(np.frombuffer(every, np.uint8).reshape(-1, BYTES)), most=TOPICS_MAX)
    traces = [trace.hex() for rows in parts for trace in rows.table.column("trace_id").to_pylist()]
    names = [traces[int(nearest)] for nearest in near.argmax(axis=0)]
    values = [names[topic] for topic in near.argmax(axis=1).tolist()]
    split = len(parts[0].bad)
    return [("topic", _counts(values[:split], parts[0]), _counts(values[split:], parts[1]))]


def _thinned(rows: _Rows, version: str) -> _Rows:
    """Up to TOPIC_CALLS_MAX rows with a sketch of this version, evenly."""
    known = pc.and_(rows.table.column("sketch").is_valid(), pc.equal(rows.table.column("version"), version))
    places = np.flatnonzero(known.fill_null(fill_value=False).to_numpy())
    return rows.take(places[np.linspace(0, len(places) - 1, min(len(places), TOPIC_CALLS_MAX)).astype(np.int64)])
