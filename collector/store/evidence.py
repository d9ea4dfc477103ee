"""Evidence out of the rollups and the chain's files: one question in, one report out, each query bounded in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from collector.evidence import Cell, Coverage, DriftAlarm, DriftReport, Example, Named, Question, Report, Slice, Topic
from collector.store.asked import POINTS_MAX, Asked, at, between, shown, slice_of, slices
from collector.store.coverage import coverage
from collector.store.database import rows_of
from collector.store.driftlog import EXAMPLES
from collector.store.examples import flagged
from collector.store.sampled import sampled
from collector.store.store import Store
from collector.store.worst import worst_calls

SLICES_MAX = 15
VALUES_MAX = 5  # of one key: what has many values, as a topic, would hide the others
TOPICS_MAX = 12
CELLS_MAX = 200
_NAMES_MAX = 500
_OVERVIEW = timedelta(hours=1)
_OVERVIEW_POINTS = 20


class Findings:
    """Implements collector.evidence.Evidence over one store; methods may raise StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def latest(self) -> datetime | None:
        with self._store.database.look() as connection:
            found: datetime | None = rows_of(connection, "SELECT max(log_time) FROM data.deltas")[0][0]
        return found

    def names(self) -> dict[str, tuple[str, ...]]:
        with self._store.database.look() as connection:
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

    def overview(self, end: datetime, service: str = "") -> tuple[Cell, ...]:
        start = end - _OVERVIEW
        before = start - _OVERVIEW
        step = int(_OVERVIEW.total_seconds()) // _OVERVIEW_POINTS
        query = f"""
            SELECT service, signal, side, floor(epoch(window_start - {at(start)}) / {step})::INTEGER AS step,
                   sum(n)::BIGINT, sum(exceed_critical)::BIGINT
            FROM data.minute_scores WHERE {between(before, end)} AND (service = $1 OR $1 = '')
            GROUP BY ALL ORDER BY ALL"""  # noqa: S608 - times are ours
        cells: dict[tuple[str, str, str], dict[int, tuple[int, int]]] = {}
        with self._store.database.look() as connection:
            for name, signal, side, place, scored, bad in rows_of(connection, query, [service]):
                cells.setdefault((name, signal, side), {})[place] = (scored, bad)
        found = [_cell(key, steps) for key, steps in cells.items()]
        found.sort(key=lambda cell: (-(cell.share or 0), -cell.scored, cell.service, cell.signal, cell.side))
        return tuple(found[:CELLS_MAX])

    def coverage(self, end: datetime, service: str = "") -> tuple[Coverage, ...]:
        return coverage(self._store, end, service)

    def report(self, question: Question) -> Report:
        base, critical = self._store.files.base, self._store.thresholds.critical
        with self._store.database.look() as connection:
            asked = Asked(question, connection)
            tally = asked.tally(connection)
            before, now = asked.distributions(connection, tally.zeros)
            keys = [(key, *counts) for key, counts in tally.keys.items()]
            guessed = sampled(connection, base, asked, tally, critical)
            found = sorted(
                [*slices(keys, tally.now.scored, tally.before.scored), *guessed.slices],
                key=lambda part: (-abs(part.contribution), part.key, part.value),
            )
            return Report(
                question=question,
                now=tally.now,
                before=tally.before,
                course=asked.course(connection),
                distribution=now,
                distribution_before=before,
                slices=_foremost(found),
                looked_at=guessed.looked_at,
                worst=worst_calls(connection, base, asked),
                missed=tally.missed,
                versions=tally.versions,
                sql=asked.sql(),
            )

    def drift(self, question: Question) -> DriftReport:
        where, values = slice_of(question, side=bool(question.side))
        bounds = f"window_end > {at(question.start)} AND window_end <= {at(question.end)}"
        alarms_sql = f"""SELECT alarms.*, drift.distance FROM drift_alarms AS alarms
            LEFT JOIN drift USING (service, model, side) WHERE {where.replace("service =", "alarms.service =")}
            ORDER BY log_evalue - threshold DESC"""  # noqa: S608 - names are ours
        with self._store.database.look() as connection:
            cursor = connection.execute(alarms_sql, values)
            names = [column[0] for column in cursor.description or ()]
            alarms = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            course = rows_of(
                connection,
                f"SELECT window_end, max(log_evalue) FROM drift_windows WHERE {where} AND {bounds} "  # noqa: S608
                "GROUP BY 1 ORDER BY 1",
                values,
            )
            found = rows_of(
                connection,
                "SELECT service, model, side, share_before, share_after, change_low, change_high, "  # noqa: S608
                f"{', '.join(EXAMPLES)} FROM drift_topics WHERE {where} "
                f"ORDER BY service, model, side, topic LIMIT {TOPICS_MAX}",
                values,
            )
            topics = tuple(map(_topic, found))
            flags = flagged(connection, self._store.files.base, _named(topics), self._store.thresholds.warn)
        return DriftReport(
            alarms=tuple(_alarm(row) for row in alarms),
            course=tuple(_thinned(course)),
            topics=tuple(_flagged(topic, flags) for topic in topics),
            sql=f"SELECT * FROM drift_windows\nWHERE {shown(where, values)}\n  AND {bounds}\nORDER BY window_end",  # noqa: S608
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


def _foremost(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """The first of each key, in the order given."""
    seen = Counter[str]()
    kept = []
    for part in slices:
        seen[part.key] += 1
        if seen[part.key] <= VALUES_MAX:
            kept.append(part)
    return tuple(kept[:SLICES_MAX])


def _alarm(row: dict[str, Any]) -> DriftAlarm:
    names = ("service", "model", "side", "version", "as_of", "alarm_since", "log_evalue", "threshold")
    chosen = {name: row[name] for name in (*names, "false_alarm_pairs", "phase", "distance")}
    return DriftAlarm(**chosen, pairs=row["pairs_total"])


def _topic(row: Sequence[Any]) -> Topic:
    service, model, side, before, after, low, high, *examples = row
    return Topic(
        service=service,
        model=model,
        side=side,
        share_before=before,
        share_after=after,
        change_low=low,
        change_high=high,
        examples_before=_examples(*examples[0::2]),
        examples_after=_examples(*examples[1::2]),
    )


def _examples(traces: list[str] | None, spans: list[str] | None, times: list[datetime] | None) -> tuple[Example, ...]:
    rows = zip_longest(traces or (), spans or (), times or ())
    return tuple(Example(trace_id=trace, span_id=span or "", time=time) for trace, span, time in rows)


def _named(topics: Sequence[Topic]) -> list[Named]:
    """Their examples whose time is known."""
    examples = (call for topic in topics for call in (*topic.examples_before, *topic.examples_after))
    return [Named(call.time, call.trace_id, call.span_id) for call in examples if call.time is not None]


def _flagged(topic: Topic, flags: Mapping[tuple[str, str], tuple[str, ...]]) -> Topic:
    def told(calls: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(replace(call, flagged=flags.get((call.trace_id, call.span_id), ())) for call in calls)

    return replace(topic, examples_before=told(topic.examples_before), examples_after=told(topic.examples_after))


def _thinned(course: Sequence[Any]) -> list[tuple[datetime, float]]:
    every = -(-len(course) // POINTS_MAX) or 1
    return [(row[0], row[1]) for row in course[::-1][::every][::-1]]  # the newest is always among them
