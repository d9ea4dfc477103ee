"""The worst calls of a question, out of as few of the chain's objects as the rollups allow.

The calls lie in the windows with the highest scores: of CALLS_MAX windows that lead, each holds a call that is at least
as bad as the best of any other window. The worst calls that the rollups of these windows remember give a score that no
call of the answer lies below, and what the view knows of an object is when its calls were and its highest scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from collector.evidence import WorstCall
from collector.store.asked import STEPS, Asked, at, between, slice_of
from collector.store.database import rows_of

CALLS_MAX = 20
FILES_MAX = 500  # opened where no rollup tells the windows any more: the newest
_FIELDS = ("time", "trace_id", "span_id", "service", "model", "model_version", "prompt", "tenant", "score")
_HEX = {name: f"lower(hex({name}))" for name in ("trace_id", "span_id")}


class _Window(NamedTuple):
    begin: datetime
    step: str
    n: int  # scores in it

    @property
    def end(self) -> datetime:
        return self.begin + STEPS[self.step]


def worst_calls(connection: duckdb.DuckDBPyConnection, base: Path, asked: Asked) -> tuple[WorstCall, ...]:
    """The CALLS_MAX highest scores, then the newest; ``base`` is where the objects lie."""
    column = f"s_{asked.question.signal}_{asked.question.side}"
    windows = _leading(connection, asked)
    least = _least(connection, asked, windows)
    overlaps = " OR ".join(f"(first_time < {at(one.end)} AND last_time >= {at(one.begin)})" for one in windows)
    paths = rows_of(
        connection,
        f"SELECT path FROM data.deltas WHERE calls > 0 AND peaks[list_position(columns, ?)] >= ? "  # noqa: S608 - times
        f"AND first_time < {at(asked.end)} AND last_time >= {at(asked.start)} AND ({overlaps or 'true'}) "
        f"ORDER BY last_time DESC LIMIT {FILES_MAX}",
        [column, least],
    )
    if not paths:
        return ()
    where, values = slice_of(asked.question, side=False)
    selected = ", ".join(_HEX.get(name, name) for name in _FIELDS[:-1])
    found = rows_of(
        connection,
        f"SELECT {selected}, {column} / 1e6 AS score FROM read_parquet(?) WHERE {column} >= {least} AND {where} "  # noqa: S608
        f"AND {between(asked.start, asked.end, 'time')} ORDER BY score DESC, trace_id, time LIMIT {CALLS_MAX}",
        [[str(base / path) for (path,) in paths], *values],
    )
    return tuple(WorstCall(**dict(zip(_FIELDS, row, strict=True))) for row in found)


def _leading(connection: duckdb.DuckDBPyConnection, asked: Asked) -> list[_Window]:
    """The windows that lead: minutes, or hours where minutes would be too many or are not kept."""
    if asked.step == "minute":
        return _highest(connection, asked, "minute")[:CALLS_MAX]
    hours = _highest(connection, asked, "hour")[:CALLS_MAX]
    minutes = _highest(connection, asked, "minute", [hour.begin for hour in hours]) if hours else []
    scores = Counter[datetime]()
    for minute in minutes:
        scores[_hour(minute)] += minute.n
    fine = {hour.begin for hour in hours if scores[hour.begin] == hour.n}  # the others' minutes are no longer kept
    leading = [minute for minute in minutes if _hour(minute) in fine][:CALLS_MAX]
    return [*leading, *(hour for hour in hours if hour.begin not in fine)]


def _highest(
    connection: duckdb.DuckDBPyConnection, asked: Asked, step: str, hours: Sequence[datetime] = ()
) -> list[_Window]:
    """The windows by their highest score, of all the time asked for or of these hours of it."""
    within = " OR ".join(f"({between(hour, hour + STEPS['hour'])})" for hour in hours)
    first, last = (min(hours), max(hours) + STEPS["hour"]) if hours else (asked.start, asked.end)
    found = rows_of(
        connection,
        f"SELECT window_start, sum(n)::BIGINT FROM data.{step}_scores WHERE {asked.where} AND n > 0 "  # noqa: S608
        f"AND {between(max(first, asked.start), min(last, asked.end))} AND ({within or 'true'}) "
        "GROUP BY 1 ORDER BY max(score_most) DESC, 1 DESC",
        asked.values,
    )
    return [_Window(begin, step, n) for begin, n in found]


def _hour(window: _Window) -> datetime:
    return window.begin.replace(minute=0)


def _least(connection: duckdb.DuckDBPyConnection, asked: Asked, windows: list[_Window]) -> int:
    """A score, in millionths, that none of the worst calls lies below."""
    known: list[int] = []
    for step in sorted({window.step for window in windows}):
        begins = [window.begin for window in windows if window.step == step and window.end <= asked.end]
        if not begins:
            continue
        found = rows_of(
            connection,
            f"SELECT score FROM (SELECT unnest(exemplar_scores) AS score FROM data.{step}_scores WHERE {asked.where} "  # noqa: S608
            f"AND {between(min(begins), max(begins) + STEPS[step])} "
            f"AND window_start IN ({', '.join(map(at, begins))})) "
            f"ORDER BY score DESC LIMIT {CALLS_MAX}",
            asked.values,
        )
        known += [score for (score,) in found]
    known.sort(reverse=True)
    return known[CALLS_MAX - 1] if len(known) >= CALLS_MAX else 0
