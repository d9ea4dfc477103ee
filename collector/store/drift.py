"""Where the newest embeddings are, against those before them: a pure function of the embedding sums and log time."""

from __future__ import annotations

from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from collector.config import BaselineConfig
from collector.delta import EMBEDDING_WINDOW_SECONDS
from collector.store.database import fetch, insert, rows_of
from collector.store.store import Store
from collector.store.tables import stored_sums
from signals.embedding import centroid_distance

_WINDOW_US = EMBEDDING_WINDOW_SECONDS * 1_000_000
_SCHEMA = pa.schema(
    [
        ("as_of", pa.timestamp("us")),
        *((name, pa.string()) for name in ("service", "model", "side", "version")),
        ("distance", pa.float64()),
        *((name, pa.int64()) for name in ("n_current", "n_baseline")),
        *((name, pa.timestamp("us")) for name in ("current_start", "baseline_start")),
    ]
)


def refresh_drift(connection: duckdb.DuckDBPyConnection, baseline: BaselineConfig) -> pa.Table:
    """Write ``data.drift`` anew and return it; call it inside a transaction.

    The current window ends with the 10-minute window of the newest log time, not with the newest event: one client's
    wrong clock moves nothing.
    """
    newest = rows_of(connection, "SELECT epoch_us(max(log_time)) FROM data.deltas")[0][0]
    table = _SCHEMA.empty_table()
    if newest is not None:
        as_of = (newest // _WINDOW_US + 1) * _WINDOW_US
        current = as_of - baseline.current_minutes * 60_000_000
        begin = current - baseline.baseline_hours * 3_600_000_000
        where = f"window_start >= make_timestamp({begin}) AND window_start < make_timestamp({as_of})"
        sums = stored_sums(fetch(connection, f"SELECT * FROM data.embeddings WHERE {where}"))  # noqa: S608 - integers
        table = pa.Table.from_pylist(_rows(sums, as_of, current, begin, baseline.calls_min), schema=_SCHEMA)
    connection.execute("DELETE FROM data.drift")
    insert(connection, "data.drift", table)
    return table


def _rows(sums: dict[Any, tuple[int, np.ndarray]], as_of: int, current: int, begin: int, calls_min: int) -> list[Any]:
    totals: dict[tuple[Any, ...], list[tuple[int, np.ndarray]]] = {}
    for (window, *names), (n, vector) in sums.items():
        nothing = (0, np.zeros_like(vector))
        sides = totals.setdefault(tuple(names), [nothing, nothing])
        side = int(window >= current)
        sides[side] = (sides[side][0] + n, sides[side][1] + vector)
    return [
        {
            **dict(zip(_SCHEMA.names[1:5], names, strict=True)),
            "as_of": as_of,
            "distance": _distance(before, now, calls_min),
            "n_current": now[0],
            "n_baseline": before[0],
            "current_start": current,
            "baseline_start": begin,
        }
        for names, (before, now) in sorted(totals.items())
    ]


def _distance(before: tuple[int, np.ndarray], now: tuple[int, np.ndarray], calls_min: int) -> float | None:
    if min(before[0], now[0]) < calls_min:
        return None
    distance = centroid_distance(before[1], before[0], now[1], now[0])
    return None if np.isnan(distance) else distance


class Drift(NamedTuple):
    """How far the current window lies from the baseline; nan where one of them holds too few calls."""

    service: str
    model: str
    side: str
    distance: float


def current_drift(store: Store) -> list[Drift]:
    """What the last ``refresh_drift`` found, for the exporter; of two encoder versions the newer speaks."""
    query = """SELECT service, model, side, coalesce(max_by(distance, n_current), 'nan'::DOUBLE)
        FROM data.drift GROUP BY ALL ORDER BY ALL"""
    with store.database.read() as connection:
        return [Drift(*row) for row in rows_of(connection, query)]
