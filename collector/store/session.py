"""A connection to a snapshot with every view in it: the calls come from the chain's Parquet objects."""

from __future__ import annotations

import duckdb

from collector.delta import KEYS
from collector.rollup.fold import REASONS
from collector.store.calls import CallFile, calls_sql
from collector.store.database import rows_of
from collector.store.views import VIEWS


def make_views(connection: duckdb.DuckDBPyConnection, base: str = "", kind: str = "TEMP VIEW") -> None:
    """Make ``raw_calls`` (of ``kind``), and ``calls`` and ``scores`` over it.

    ``base`` is the folder of the objects, ending in a slash; "": the process is in it.
    """
    signals = score_columns(connection)
    files = [
        CallFile(path=base + path, columns=tuple(columns), first_time=first, last_time=last)
        for path, columns, first, last in rows_of(
            connection, "SELECT path, columns, first_time, last_time FROM data.deltas WHERE calls > 0"
        )
    ]
    over = "TEMP VIEW" if kind.startswith("TEMP") else "VIEW"
    connection.execute(f"CREATE {kind} raw_calls AS {calls_sql(files, sorted(signals))}")
    connection.execute(f"CREATE {over} raw_scores AS {_scores_sql(signals)}")
    scores = "".join(f", {_score(column)} AS {column.removeprefix('s_')}" for column in sorted(signals))
    connection.execute(f"CREATE {over} calls AS {VIEWS['calls'].sql.replace(' FROM ', f'{scores} FROM ')}")
    connection.execute(f"CREATE {over} scores AS {VIEWS['scores'].sql}")


def score_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
    """The score columns of the chain -> signal and side."""
    found = rows_of(connection, "SELECT DISTINCT signal, side FROM data.suites ORDER BY ALL")
    return {f"s_{signal}_{side}": (signal, side) for signal, side in found}


def _score(column: str) -> str:
    return f"CASE WHEN {_name(column)} >= 0 THEN {_name(column)} / 1e6 END"


def _scores_sql(signals: dict[str, tuple[str, str]]) -> str:
    reasons = " ".join(f"WHEN {-code} THEN '{reason}'" for code, reason in enumerate(REASONS, 1))
    plain = ", ".join(("time", "trace_id", "span_id", *KEYS))
    versions = "SELECT suite, if(weights = '', version, version || '+' || weights) AS signal_version FROM data.suites"
    branches = [
        f"SELECT {plain}, '{signal}' AS signal, '{side}' AS side, signal_version, {_score(column)} AS score, "  # noqa: S608
        f"CASE {_name(column)} {reasons} END AS reason "
        f"FROM raw_calls JOIN ({versions} WHERE signal = '{signal}' AND side = '{side}') USING (suite) "
        f"WHERE {_name(column)} IS NOT NULL"
        for column, (signal, side) in signals.items()
    ]
    nothing = (
        f"SELECT {plain}, '' AS signal, '' AS side, '' AS signal_version, 0.0::DOUBLE AS score, '' AS reason "  # noqa: S608
        "FROM raw_calls WHERE false"
    )
    return " UNION ALL ".join(branches or [nothing])


def _name(column: str) -> str:
    return f'"{column}"'
