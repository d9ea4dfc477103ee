"""Recent version changes for the exporter: a pure function of the minute rollups and log time."""

from __future__ import annotations

from typing import NamedTuple

from collector.store.database import rows_of
from collector.store.store import Store
from collector.store.views.changes import changes_sql

RECENT_HOURS = 24
CHANGES_MAX = 200  # the newest ones


class Change(NamedTuple):
    """A row of the view ``changes``; ``time`` in seconds since the epoch."""

    time: float
    service: str
    kind: str
    subject: str
    before: str
    after: str


def recent_changes(store: Store) -> list[Change]:
    """The changes of the last day of log time, the newest first."""
    with store.database.read() as connection:
        newest = rows_of(connection, "SELECT epoch_us(max(log_time)) FROM data.deltas")[0][0]
        if newest is None:
            return []
        since = f"make_timestamp({newest - RECENT_HOURS * 3_600_000_000})"
        columns = "epoch_us(time) / 1e6, service, kind, subject, before, after"
        query = f"SELECT {columns} FROM ({changes_sql(since)}) ORDER BY ALL DESC LIMIT {CHANGES_MAX}"  # noqa: S608 - ours
        return [Change(*row) for row in rows_of(connection, query)]
