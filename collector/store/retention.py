"""Retention: which windows and which objects of the chain are old enough to go, given the time; whole ones only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from collector.compaction import DAY
from collector.config import Config
from collector.delta import EMBEDDING_WINDOW_SECONDS
from collector.store.database import rows_of
from collector.store.store import RESOLUTIONS, SHAPES, Store, reach, reach_days

_DRIFT = ("drift_windows", "drift_topics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Windows of ``table`` that begin in [begin, end), in seconds since the epoch, stay."""

    table: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What an application of retention removed from the view."""

    windows: int  # rows of rollups and embedding sums
    objects: int  # objects of the chain that no view needs any more: Housekeeper.sweep deletes them
    at: float  # the present that ages were told by, seconds since the epoch


def kept(config: Config, now: float) -> list[Kept]:
    """What stays at ``now``. A window goes when all of it is too old.

    A window that begins further ahead of the clock than calls are put into windows goes as well.
    """
    store, end = config.store, reach(config, now)
    days = {"minute": store.minute_days, "hour": store.hour_days, "day": store.day_days}
    embeddings = max(store.minute_days, config.baseline.baseline_hours / 24 + 1)
    rollups = [
        Kept(table=f"{resolution}_{name}", begin=_begin(now, days[resolution], seconds), end=end)
        for resolution, seconds in RESOLUTIONS.items()
        for name in SHAPES
    ]
    return [
        *rollups,
        Kept(table="embeddings", begin=_begin(now, embeddings, EMBEDDING_WINDOW_SECONDS), end=end),
        *(Kept(table=table, begin=_begin(now, store.minute_days, RESOLUTIONS["hour"]), end=end) for table in _DRIFT),
    ]


def retire(store: Store, now: float) -> Retired:
    """Apply ``kept`` to the view.

    Ages are told by ``now``, but at most by a day after the newest log time: what a clock that leapt ahead calls old
    would be gone for good. So of a chain that nothing is added to, the last days stay.

    Objects of the chain go from the front, as long as all their calls are older than anything kept. A chain's last
    object stays, for it says where to go on. Raises StoreError.
    """
    now = min(now, _newest(store) + DAY)
    every = kept(store.config, now)
    calls_begin = _begin(now, store.config.store.calls_days, DAY)
    oldest = min([calls_begin, *(item.begin for item in every)])
    with store.database.transaction() as connection:
        windows = 0
        for item in every:
            outside = f"window_start < {_timestamp(item.begin)} OR window_start >= {_timestamp(item.end)}"
            windows += rows_of(connection, f"SELECT count(*) FROM data.{item.table} WHERE {outside}")[0][0]  # noqa: S608
            connection.execute(f"DELETE FROM data.{item.table} WHERE {outside}")  # noqa: S608 - names are ours
        connection.execute("DELETE FROM data.kept")
        for item in every:
            connection.execute(
                f"INSERT INTO data.kept VALUES (?, {_timestamp(item.begin)}, {_timestamp(item.end)})",  # noqa: S608
                [item.table],
            )
        # a call stamped beyond the reach of windows does not hold the whole chain back
        end = f"date_trunc('day', log_time) + INTERVAL {reach_days(store.config)} DAY"
        age = f"coalesce(if(last_time > {end}, {end}, last_time), log_time, TIMESTAMP '1970-01-01')"
        staying = rows_of(
            connection,
            f"SELECT topic, epoch, partition, min(start) FILTER ({age} >= {_timestamp(oldest)}), max(start) "  # noqa: S608
            "FROM data.deltas GROUP BY ALL",
        )
        objects = 0
        for topic, epoch, partition, first, last in staying:
            before = "topic = ? AND epoch = ? AND partition = ? AND start < ?"
            place = [topic, epoch, partition, last if first is None else first]
            objects += rows_of(connection, f"SELECT count(*) FROM data.deltas WHERE {before}", place)[0][0]  # noqa: S608
            for table in ("deltas", "outcomes"):
                connection.execute(f"DELETE FROM data.{table} WHERE {before}", place)  # noqa: S608 - names are ours
    return Retired(windows=windows, objects=objects, at=now)


def _newest(store: Store) -> float:
    """The newest log time that the view knows; inf where it knows none."""
    with store.database.read() as connection:
        newest = rows_of(connection, "SELECT epoch_us(max(log_time)) FROM data.deltas")[0][0]
    return math.inf if newest is None else newest / 1e6


def _begin(now: float, days: float, seconds: int) -> int:
    return math.floor((now - days * DAY) / seconds) * seconds


def _timestamp(seconds: int) -> str:
    return f"make_timestamp({seconds * 1_000_000})"
