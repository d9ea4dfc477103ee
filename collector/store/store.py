"""The tables behind the views, and the one way in: links of the chain, all or none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from collector.compaction import DAY, Held
from collector.config import Config
from collector.delta import Stream
from collector.rollup import (
    SCORES,
    TRAFFIC,
    CallColumns,
    Shape,
    Summary,
    Thresholds,
    coarsen,
    fold_scores,
    fold_traffic,
    merge,
)
from collector.rollup.histogram import Ints
from collector.store import tables
from collector.store.arrays import call_columns, from_arrow, insert_sql, select_sql, to_arrow
from collector.store.calls import CallFiles
from collector.store.database import FILE, PACK_GROWTH_MAX, Database, fetch, insert, rows_of
from collector.store.tables import Applicable, Applied, Sums

RESOLUTIONS = {"minute": 60, "hour": 3_600, "day": 86_400}
SHAPES = {"scores": SCORES, "traffic": TRAFFIC}
_ADDITIVE = (
    *("records", "consumed", "calls", "scored", "unscored"),
    *("rejected", "dropped", "lost", "ahead", "late", "sketches"),
)


class Store:
    """The view's tables. Thread-safe; every method may raise StoreError, and then nothing has changed.

    ``root`` is where the chain's objects lie on this machine; None: as the configuration says, and where they are
    remote, copies are kept under ``<data>/calls``. ``path`` and ``thresholds`` replace the configuration's, for a
    second view beside the live one.
    """

    def __init__(
        self,
        config: Config,
        root: Path | None = None,
        *,
        path: Path | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.config = config
        self.thresholds = thresholds or Thresholds.of(config.signals.warn_at, config.signals.critical_at)
        self.database = Database(
            path or config.data / FILE,
            {"warn": str(self.thresholds.warn), "critical": str(self.thresholds.critical)},
            config.store.memory_limit,
        )
        if root is None and "://" not in config.chain_url:
            root = Path(config.chain_url).absolute()
        self.files = CallFiles(root, config.data / "calls")

    def cursors(self) -> dict[Stream, int]:
        """Where each stream goes on."""
        with self.database.read() as connection:
            found = rows_of(connection, "SELECT topic, epoch, partition, next FROM data.cursors")
        return {Stream(topic, epoch, partition): at for topic, epoch, partition, at in found}

    def cursor(self, stream: Stream) -> int | None:
        """Where ``stream`` goes on; None: nothing of it was applied."""
        return self.cursors().get(stream)

    def apply(self, links: Iterable[Applicable]) -> Applied:
        """Take links in; one that does not begin at its stream's cursor is left out."""
        with self.database.lock:
            cursors = self.cursors()
            taken: list[Applicable] = []
            for link in links:
                if link.start == cursors.get(link.stream, link.start):
                    cursors[link.stream] = link.next
                    taken.append(link)
            if not taken:
                return Applied(deltas=0, calls=0)
            return self._apply(taken, {link.stream: cursors[link.stream] for link in taken})

    def replace(self, link: Applicable) -> None:
        """Let a merged object stand for the deltas of its range, which this store has applied one by one.

        AssertionError when its counts are not theirs: then nothing may be deleted.
        """
        calls = call_columns(link.delta)
        row = tables.delta_row(link, self.files.keep(link), calls)
        stream = link.stream
        inside = "topic = ? AND epoch = ? AND partition = ? AND start >= ? AND start < ?"
        place = [*stream, link.start, link.next]
        with self.database.transaction() as connection:
            sums = ", ".join(f"coalesce(sum({name}), 0)::BIGINT" for name in _ADDITIVE)
            found = rows_of(connection, f"SELECT min(start), max(next), {sums} FROM data.deltas WHERE {inside}", place)  # noqa: S608
            expected = (link.start, link.next, *(row[name] for name in _ADDITIVE))
            if tuple(found[0]) != expected:
                raise AssertionError(f"{link.path} says {expected}, the deltas it replaces {found[0]}")
            for table in ("data.deltas", "data.outcomes"):
                connection.execute(f"DELETE FROM {table} WHERE {inside}", place)  # noqa: S608 - names are ours
            _insert_rows(connection, "data.deltas", [row], tables.DELTAS)
            _insert_rows(connection, "data.outcomes", tables.outcome_rows(link, calls), tables.OUTCOMES)

    def held(self, stream: Stream) -> list[Held]:
        """The objects that were applied and not retired, in order; without gaps from the first start to the cursor."""
        with self.database.read() as connection:
            found = rows_of(
                connection,
                "SELECT start, next, path, calls, coalesce(epoch_us(log_time), 0) FROM data.deltas "
                "WHERE topic = ? AND epoch = ? AND partition = ? ORDER BY start",
                stream,
            )
        return [
            Held(start=start, next=end, path=path, calls=calls, log_time=log_time / 1e6)
            for start, end, path, calls, log_time in found
        ]

    def close(self) -> None:
        """Safe twice."""
        self.database.close()

    def _reach(self, link: Applicable) -> float:
        """The time, in microseconds, from which on calls of a link are in no window."""
        log_time = link.delta.footer.resume_at
        return reach(self.config, log_time) * 1e6 if log_time > 0 else float("inf")

    def _within_reach(self, link: Applicable, calls: CallColumns) -> CallColumns:
        end = self._reach(link)
        return calls if not len(calls) or calls.time.max() < end else calls.before(end)

    def _sums_within_reach(self, link: Applicable) -> Sums:
        end = self._reach(link)
        return {key: sums for key, sums in tables.delta_sums(link.delta).items() if key[0] < end}

    def _apply(self, links: list[Applicable], cursors: dict[Stream, int]) -> Applied:
        scores, traffic, deltas, outcomes = [], [], [], []
        for link in links:
            calls = call_columns(link.delta)
            within = self._within_reach(link, calls)
            scores.append(fold_scores(within, RESOLUTIONS["minute"], self.thresholds))
            traffic.append(fold_traffic(within, RESOLUTIONS["minute"]))
            deltas.append(tables.delta_row(link, self.files.keep(link), calls))
            outcomes += tables.outcome_rows(link, calls)
        summaries = {"scores": merge(scores, SCORES), "traffic": merge(traffic, TRAFFIC)}
        sums = tables.add_sums([self._sums_within_reach(link) for link in links])
        with self.database.transaction() as connection:
            for resolution, seconds in RESOLUTIONS.items():
                for name, summary in summaries.items():
                    _add_summary(connection, f"data.{resolution}_{name}", SHAPES[name], coarsen(summary, seconds))
            _add_sums(connection, sums)
            _insert_rows(connection, "data.deltas", deltas, tables.DELTAS)
            _insert_rows(connection, "data.outcomes", outcomes, tables.OUTCOMES)
            suites = pa.Table.from_pylist(tables.suite_rows(links), schema=tables.SUITES)
            insert(connection, "data.suites", suites, "SELECT * FROM incoming EXCEPT SELECT * FROM data.suites")
            for stream, at in cursors.items():
                connection.execute(
                    "DELETE FROM data.cursors WHERE topic = ? AND epoch = ? AND partition = ?", list(stream)
                )
                connection.execute("INSERT INTO data.cursors VALUES (?, ?, ?, ?)", [*stream, at])
        self.database.vacuum(PACK_GROWTH_MAX)
        return Applied(deltas=len(links), calls=sum(row["calls"] for row in deltas))


def reach(config: Config, log_time: float) -> int:
    """The time from which on a call that was read at ``log_time`` is in no window; seconds since the epoch.

    What lies beyond, no chain could build again. It is the same for a whole day of the log, so that an object which
    compaction makes of a day's says what they said.
    """
    return (math.floor(log_time / DAY) + reach_days(config)) * DAY


def reach_days(config: Config) -> int:
    """From the beginning of a log's day to the end of its reach."""
    return config.store.calls_days + 1


def _add_summary(connection: duckdb.DuckDBPyConnection, table: str, shape: Shape, summary: Summary) -> None:
    """Merge into the windows that it touches, which are read, added to and written back whole."""
    if not len(summary):
        return
    where = _within(np.unique(summary.window) * 1_000_000)
    stored = from_arrow(fetch(connection, f"SELECT {select_sql(shape)} FROM {table} WHERE {where}"), shape)  # noqa: S608
    if len(stored):
        connection.execute(f"DELETE FROM {table} WHERE {where}")  # noqa: S608 - names are ours
    rows = to_arrow(merge([stored, summary], shape))
    insert(connection, table, rows, f"SELECT {insert_sql(shape)} FROM incoming")  # noqa: S608 - names are ours


def _add_sums(connection: duckdb.DuckDBPyConnection, sums: Sums) -> None:
    if not sums:
        return
    where = _within(np.unique(np.array([key[0] for key in sums], dtype=np.int64)))
    stored = tables.stored_sums(fetch(connection, f"SELECT * FROM data.embeddings WHERE {where}"))  # noqa: S608
    if stored:
        connection.execute(f"DELETE FROM data.embeddings WHERE {where}")  # noqa: S608 - a literal
    insert(connection, "data.embeddings", tables.sums_table(tables.add_sums([stored, sums])))


def _within(windows: Ints) -> str:
    """A condition on window_start (microseconds), as literals: bounds that a subquery hides prune nothing."""
    bounds = f"window_start >= make_timestamp({windows[0]}) AND window_start <= make_timestamp({windows[-1]})"
    listed = ", ".join(f"make_timestamp({at})" for at in windows.tolist())
    return bounds if len(windows) == 1 else f"{bounds} AND window_start IN ({listed})"


def _insert_rows(
    connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]], schema: pa.Schema
) -> None:
    if rows:
        insert(connection, table, pa.Table.from_pylist(rows, schema=schema))
