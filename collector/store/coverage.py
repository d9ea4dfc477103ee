"""How much of what should be judged is judged, by service: what Assay knows of its own blindness."""

from __future__ import annotations

from datetime import datetime, timedelta

from collector.evidence import Coverage
from collector.store.database import rows_of
from collector.store.store import Store
from collector.store.views import MISSED

SERVICES_MAX = 200
_HOUR = timedelta(hours=1)


def coverage(store: Store, end: datetime, service: str = "") -> tuple[Coverage, ...]:
    """Of the hour before ``end`` (UTC, naive) and the one before it, of every service or of one; the least first."""
    start, before = end - _HOUR, end - 2 * _HOUR
    missed = " + ".join(f"unscored_{reason}" for reason in MISSED)
    now = f"window_start >= TIMESTAMP '{start.isoformat(sep=' ')}'"
    query = f"""
        SELECT service,
               coalesce(sum(n) FILTER ({now}), 0)::BIGINT AS scored,
               coalesce(sum({missed}) FILTER ({now}), 0)::BIGINT AS missed,
               coalesce(sum(n) FILTER (NOT {now}), 0)::BIGINT,
               coalesce(sum({missed}) FILTER (NOT {now}), 0)::BIGINT
        FROM data.minute_scores
        WHERE window_start >= TIMESTAMP '{before.isoformat(sep=" ")}'
          AND window_start < TIMESTAMP '{end.isoformat(sep=" ")}'
          AND (service = $1 OR $1 = '')
        GROUP BY service ORDER BY scored / nullif(scored + missed, 0) NULLS LAST, service LIMIT {SERVICES_MAX}"""  # noqa: S608 - names and times are ours
    with store.database.look() as connection:
        return tuple(
            Coverage(service=name, scored=n, missed=left_out, scored_before=n_before, missed_before=left_out_before)
            for name, n, left_out, n_before, left_out_before in rows_of(connection, query, [service])
        )
