"""Evidence out of the rollups and the chain's files: one question in, one report out, each query bounded in time.

Rollups answer everything but the worst calls. Those lie in the minutes with the highest scores: of CALLS_MAX minutes
that lead, each holds a call that is at least as bad as the best of any other minute, so no other file need be opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb

from collector.delta import KEYS
from collector.evidence import (
    BINS,
    Cell,
    Coverage,
    DriftAlarm,
    DriftReport,
    Point,
    Question,
    Report,
    Slice,
    Topic,
    Totals,
    WorstCall,
)
from collector.store.coverage import coverage
from collector.store.database import rows_of
from collector.store.store import Store
from collector.store.views import MISSED

CALLS_MAX = 20
SLICES_MAX = 15
POINTS_MAX = 120
TOPICS_MAX = 12
CELLS_MAX = 200
FILES_MAX = 500  # opened for the worst calls of a time whose minutes are forgotten: the newest
_STEPS = (("minute", timedelta(minutes=1)), ("hour", timedelta(hours=1)), ("day", timedelta(days=1)))
_NAMES_MAX = 500
_MISSED_SUM = " + ".join(f"unscored_{reason}" for reason in MISSED)
_OVERVIEW = timedelta(hours=1)
_OVERVIEW_POINTS = 20


class Findings:
    """Implements collector.evidence.Evidence over one store; methods may raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest(self) -> datetime | None:
        with self._store.database.read() as connection:
            found: datetime | None = rows_of(connection, "SELECT max(log_time) FROM data.deltas")[0][0]
        return found

    def names(self) -> dict[str, tuple[str, ...]]:
        with self._store.database.read() as connection:
            traffic = {
                key: tuple(
                    row[0]
                    for row in rows_of(
                        connection,
                        f"SELECT {key} FROM data.day_traffic WHERE {key} <> '' GROUP BY 1 ORDER BY sum(n) DESC, 1 "  # noqa: S608
                        f"LIMIT {_NAMES_MAX}",
                    )
                )
                for key in ("service", "model")
            }
            signals = rows_of(connection, "SELECT DISTINCT signal || ' ' || side FROM data.suites ORDER BY 1")
        return {**traffic, "signal": tuple(row[0] for row in signals)}

    def overview(self, end: datetime) -> tuple[Cell, ...]:
        start = end - _OVERVIEW
        before = start - _OVERVIEW
        step = int(_OVERVIEW.total_seconds()) // _OVERVIEW_POINTS
        query = f"""
            SELECT service, signal, side, floor(epoch(window_start - {_time(start)}) / {step})::INTEGER AS step,
                   sum(n)::BIGINT, sum(exceed_critical)::BIGINT
            FROM data.minute_scores WHERE window_start >= {_time(before)} AND window_start < {_time(end)}
            GROUP BY ALL ORDER BY ALL"""  # noqa: S608 - times are ours
        cells: dict[tuple[str, str, str], dict[int, tuple[int, int]]] = {}
        with self._store.database.read() as connection:
            for service, signal, side, at, scored, bad in rows_of(connection, query):
                cells.setdefault((service, signal, side), {})[at] = (scored, bad)
        found = [_cell(key, steps) for key, steps in cells.items()]
        found.sort(key=lambda cell: (-(cell.share or 0), -cell.scored, cell.service, cell.signal, cell.side))
        return tuple(found[:CELLS_MAX])

    def coverage(self, end: datetime) -> tuple[Coverage, ...]:
        return coverage(self._store, end)

    def report(self, question: Question) -> Report:
        asked = _Asked(question)
        with self._store.database.read() as connection:
            now, before = asked.totals(connection, *asked.now), asked.totals(connection, *asked.before)
            return Report(
                question=question,
                now=now,
                before=before,
                course=asked.course(connection),
                distribution=asked.distribution(connection, *asked.now),
                distribution_before=asked.distribution(connection, *asked.before),
                slices=asked.slices(connection, now, before),
                worst=self._worst(connection, asked),
                missed=asked.missed(connection),
                versions=asked.versions(connection),
                sql=asked.sql(),
            )

    def drift(self, question: Question) -> DriftReport:
        where, values = _slice_of(question, side=bool(question.side))
        bounds = f"window_end > {_time(question.start)} AND window_end <= {_time(question.end)}"
        alarms_sql = f"""SELECT alarms.*, drift.distance FROM drift_alarms AS alarms
            LEFT JOIN drift USING (service, model, side) WHERE {where.replace("service =", "alarms.service =")}
            ORDER BY log_evalue - threshold DESC"""  # noqa: S608 - names are ours
        with self._store.database.read() as connection:
            cursor = connection.execute(alarms_sql, values)
            names = [column[0] for column in cursor.description or ()]
            alarms = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            course = rows_of(
                connection,
                f"SELECT window_end, max(log_evalue) FROM drift_windows WHERE {where} AND {bounds} "  # noqa: S608
                "GROUP BY 1 ORDER BY 1",
                values,
            )
            topics = rows_of(
                connection,
                "SELECT service, model, side, share_before, share_after, change_low, change_high, "  # noqa: S608
                f"examples_before, examples_after FROM drift_topics WHERE {where} "
                f"ORDER BY service, model, side, topic LIMIT {TOPICS_MAX}",
                values,
            )
        return DriftReport(
            alarms=tuple(_alarm(row) for row in alarms),
            course=tuple(_thinned(course)),
            topics=tuple(_topic(row) for row in topics),
            sql=f"SELECT * FROM drift_windows\nWHERE {_shown(where, values)}\n  AND {bounds}\nORDER BY window_end",  # noqa: S608
        )

    def _worst(self, connection: duckdb.DuckDBPyConnection, asked: _Asked) -> tuple[WorstCall, ...]:
        column = f"s_{asked.question.signal}_{asked.question.side}"
        minutes = asked.worst_minutes(connection)
        times = " OR ".join(
            f"(time >= {_time(minute)} AND time < {_time(minute + timedelta(minutes=1))})" for minute in minutes
        )
        overlaps = " OR ".join(
            f"(first_time < {_time(minute + timedelta(minutes=1))} AND last_time >= {_time(minute)})"
            for minute in minutes
        )
        start, end = asked.now
        whole = f"first_time < {_time(end)} AND last_time >= {_time(start)}"
        files = rows_of(
            connection,
            f"SELECT path FROM data.deltas WHERE calls > 0 AND list_contains(columns, ?) AND ({overlaps or whole}) "  # noqa: S608
            f"ORDER BY last_time DESC LIMIT {FILES_MAX}",
            [column],
        )
        if not files:
            return ()
        paths = [str(self._store.files.base / path) for (path,) in files]
        where, values = _slice_of(asked.question, side=False)
        ids = "lower(hex(trace_id)), lower(hex(span_id))"
        query = (
            f"SELECT time, {ids}, service, model, model_version, prompt, tenant, {column} / 1e6 AS score "  # noqa: S608
            f"FROM read_parquet(?, union_by_name => true) WHERE {column} >= 0 AND {where} "
            f"AND time >= {_time(start)} AND time < {_time(end)} AND ({times or 'true'}) "
            f"ORDER BY score DESC, trace_id, time LIMIT {CALLS_MAX}"  # as collector.snippets.choosing ranks them
        )
        found = rows_of(connection, query, [paths, *values])
        names = ("time", "trace_id", "span_id", "service", "model", "model_version", "prompt", "tenant", "score")
        return tuple(WorstCall(**dict(zip(names, row, strict=True))) for row in found)


class _Asked:
    """A question as queries over the rollups."""

    def __init__(self, question: Question) -> None:
        self.question = question
        length = question.end - question.start
        self.step, self.every = next(
            (step for step in _STEPS if length / step[1] <= POINTS_MAX * (6 if step[0] == "minute" else 2)), _STEPS[-1]
        )
        self.table = f"data.{self.step}_scores"
        self.where, self.values = _slice_of(question, side=True)
        self.where += " AND signal = ?"
        self.values.append(question.signal)
        # whole windows, each of them on one side
        self.now = (_floor(question.start, self.every), question.end)
        self.before = (_floor(question.before[0], self.every), self.now[0])

    def rows(self, connection: duckdb.DuckDBPyConnection, select: str, start: datetime, end: datetime) -> list[Any]:
        bounds = f"window_start >= {_time(start)} AND window_start < {_time(end)}"
        head, _, tail = select.partition("…")
        return rows_of(connection, f"{head} FROM {self.table} WHERE {self.where} AND {bounds} {tail}", self.values)

    def totals(self, connection: duckdb.DuckDBPyConnection, start: datetime, end: datetime) -> Totals:
        select = f"""SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum({_MISSED_SUM}), 0)::BIGINT,
            coalesce(sum(exceed_warn), 0)::BIGINT, coalesce(sum(exceed_critical), 0)::BIGINT,
            (sum(score_sum) / 1e6 / nullif(sum(n), 0))::DOUBLE"""
        scored, missed, warned, bad, mean = self.rows(connection, select, start, end)[0]
        return Totals(scored=scored, missed=missed, warned=warned, bad=bad, mean=mean)

    def course(self, connection: duckdb.DuckDBPyConnection) -> tuple[Point, ...]:
        """The time before, and the time asked for, in equal windows."""
        start, end = self.before[0], self.question.end
        windows = max(1, -(-int((end - start) / self.every) // POINTS_MAX))
        seconds = int(self.every.total_seconds()) * windows
        select = f"""SELECT time_bucket(INTERVAL '{seconds} seconds', window_start) AS begin_at, sum(n)::BIGINT,
            sum(exceed_critical)::BIGINT … GROUP BY begin_at ORDER BY begin_at"""
        return tuple(Point(at=at, scored=n, bad=bad) for at, n, bad in self.rows(connection, select, start, end))

    def distribution(self, connection: duckdb.DuckDBPyConnection, start: datetime, end: datetime) -> tuple[int, ...]:
        """Counts in BINS equal parts of 0..1; a bucket of the histogram lies where its upper end lies."""
        counts = [0] * BINS
        zeros = self.rows(connection, "SELECT coalesce(sum(score_zeros), 0)::BIGINT", start, end)[0][0]
        counts[0] += zeros
        select = """SELECT bucket, sum(number)::BIGINT FROM (SELECT unnest(score_buckets) AS bucket,
            unnest(score_bucket_counts) AS number … ) GROUP BY bucket"""
        for bucket, number in self.rows(connection, select, start, end):
            counts[min(BINS - 1, max(0, int(2 ** ((bucket - 0.5) / 16) * BINS)))] += number
        return tuple(counts)

    def slices(self, connection: duckdb.DuckDBPyConnection, now: Totals, before: Totals) -> tuple[Slice, ...]:
        """Values of each key that is not fixed by the question, by what they add to the change of the bad share."""
        found = []
        for key in KEYS:
            if (key == "service" and self.question.service) or (key == "model" and self.question.model):
                continue
            select = f"SELECT {key}, sum(n)::BIGINT, sum(exceed_critical)::BIGINT … GROUP BY {key}"
            then = {value: (n, bad) for value, n, bad in self.rows(connection, select, *self.before)}
            today = {value: (n, bad) for value, n, bad in self.rows(connection, select, *self.now)}
            values = {value for counts in (then, today) for value, (n, _) in counts.items() if n}
            if len(values) > 1 or key == "model_version":
                found += [_slice(key, value, today, then, now, before) for value in values]
        found.sort(key=lambda part: (-abs(part.contribution), part.key, part.value))
        return tuple(found[:SLICES_MAX])

    def missed(self, connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, int], ...]:
        sums = ", ".join(f"coalesce(sum(unscored_{reason}), 0)::BIGINT" for reason in MISSED)
        row = self.rows(connection, f"SELECT {sums}", *self.now)[0]
        return tuple((reason, n) for reason, n in zip(MISSED, row, strict=True) if n)

    def versions(self, connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, int], ...]:
        select = "SELECT signal_version, sum(n)::BIGINT AS n … GROUP BY 1 ORDER BY n DESC, 1"
        return tuple((version, n) for version, n in self.rows(connection, select, *self.now))

    def worst_minutes(self, connection: duckdb.DuckDBPyConnection) -> list[datetime]:
        """The CALLS_MAX minutes with the highest scores, where minutes are still kept."""
        start, end = self.now
        found = rows_of(
            connection,
            f"SELECT window_start FROM data.minute_scores WHERE {self.where} AND n > 0 "  # noqa: S608 - names are ours
            f"AND window_start >= {_time(start)} AND window_start < {_time(end)} "
            f"GROUP BY 1 ORDER BY max(score_most) DESC, 1 DESC LIMIT {CALLS_MAX}",
            self.values,
        )
        return [row[0] for row in found]

    def sql(self) -> str:
        """What an analyst runs to see the same."""
        question = self.question
        of = _shown(self.where, self.values)
        return (
            "SELECT model, model_version, prompt, tenant, sum(n) AS scored, sum(exceed_critical) AS bad,\n"
            "       sum(exceed_critical) / sum(n) AS share\n"
            f"FROM rollup_{self.step}\nWHERE {of}\n"
            f"  AND window_start >= {_time(self.now[0])} AND window_start < {_time(question.end)}\n"
            "GROUP BY ALL HAVING sum(n) > 0 ORDER BY bad DESC LIMIT 50"
        )


def _slice_of(question: Question, *, side: bool) -> tuple[str, list[Any]]:
    chosen = {"service": question.service, "model": question.model, **({"side": question.side} if side else {})}
    kept = {name: value for name, value in chosen.items() if value}
    return " AND ".join(f"{name} = ?" for name in kept) or "true", list(kept.values())


def _slice(
    key: str,
    value: str,
    today: dict[str, tuple[int, int]],
    then: dict[str, tuple[int, int]],
    now: Totals,
    before: Totals,
) -> Slice:
    scored, bad = today.get(value, (0, 0))
    scored_before, bad_before = then.get(value, (0, 0))
    part = bad / now.scored if now.scored else 0.0
    part_before = bad_before / before.scored if before.scored else 0.0
    return Slice(
        key=key,
        value=value,
        scored=scored,
        bad=bad,
        scored_before=scored_before,
        bad_before=bad_before,
        contribution=part - part_before,
    )


def _cell(key: tuple[str, str, str], steps: dict[int, tuple[int, int]]) -> Cell:
    now = [steps.get(step, (0, 0)) for step in range(_OVERVIEW_POINTS)]
    before = [counts for step, counts in steps.items() if step < 0]
    return Cell(
        service=key[0],
        signal=key[1],
        side=key[2],
        scored=sum(n for n, _ in now),
        bad=sum(bad for _, bad in now),
        scored_before=sum(n for n, _ in before),
        bad_before=sum(bad for _, bad in before),
        course=tuple(bad / n if n else None for n, bad in now),
    )


def _alarm(row: dict[str, Any]) -> DriftAlarm:
    names = ("service", "model", "side", "version", "as_of", "alarm_since", "log_evalue", "threshold")
    chosen = {name: row[name] for name in (*names, "false_alarm_pairs", "phase", "distance")}
    return DriftAlarm(**chosen, pairs=row["pairs_total"])


def _topic(row: Sequence[Any]) -> Topic:
    service, model, side, before, after, low, high, examples_before, examples_after = row
    return Topic(
        service=service,
        model=model,
        side=side,
        share_before=before,
        share_after=after,
        change_low=low,
        change_high=high,
        examples_before=tuple(examples_before or ()),
        examples_after=tuple(examples_after or ()),
    )


def _thinned(course: Sequence[Any]) -> list[tuple[datetime, float]]:
    every = -(-len(course) // POINTS_MAX) or 1
    return [(row[0], row[1]) for row in course[::-1][::every][::-1]]  # the newest is always among them


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - datetime.min) % step  # noqa: DTZ901 - the store's times are naive UTC


def _time(at: datetime) -> str:
    return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S.%f}'"


def _shown(where: str, values: Sequence[Any]) -> str:
    """The condition with its values in it, for people."""
    for value in values:
        where = where.replace("?", "'" + str(value).replace("'", "''") + "'", 1)
    return where
