"""The example calls of topics as the chain has them: which signals warn of a call; read by time, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from collector.evidence import Named
from collector.store.asked import at
from collector.store.database import rows_of

FILES_MAX = 100  # opened: the newest that may hold one of the calls
FLAGGED_MAX = 3  # signals told of a call, those with the highest scores


def flagged(
    connection: duckdb.DuckDBPyConnection, base: Path, calls: Sequence[Named], warn: int
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Signals and sides with a score above ``warn`` (millionths), the highest first, by trace and span id.

    ``base`` is where the objects lie.
    """
    times = sorted({call.time for call in calls})
    files = rows_of(
        connection,
        "SELECT path, columns FROM data.deltas WHERE calls > 0 AND "  # noqa: S608 - times are the store's
        f"({' OR '.join(f'{at(time)} BETWEEN first_time AND last_time' for time in times) or 'false'}) "
        f"ORDER BY last_time DESC LIMIT {FILES_MAX}",
    )
    columns = sorted({name for _, names in files for name in names if name.startswith("s_")})
    if not columns:
        return {}
    found = rows_of(
        connection,
        f"SELECT lower(hex(trace_id)), lower(hex(span_id)), {', '.join(columns)} "  # noqa: S608 - names are ours
        f"FROM read_parquet(?, union_by_name = true) WHERE time IN ({', '.join(map(at, times))})",
        [[str(base / path) for path, _ in files]],
    )
    return {(trace, span): _above(dict(zip(columns, scores, strict=True)), warn) for trace, span, *scores in found}


def _above(scores: dict[str, int | None], warn: int) -> tuple[str, ...]:
    ranked = sorted((-score, name) for name, score in scores.items() if score is not None and score > warn)
    return tuple(name.removeprefix("s_") for _, name in ranked[:FLAGGED_MAX])
