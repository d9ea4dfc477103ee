"""A question about scores as queries over the rollups, each bounded in time by literals and asked once for all keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb

from collector.delta import KEYS
from collector.evidence import BINS, Point, Question, Slice, Totals
from collector.store.database import rows_of
from collector.store.views import MISSED

POINTS_MAX = 120
STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_LONGEST = {"minute": 6 * POINTS_MAX, "hour": 2 * POINTS_MAX}  # windows of a time that they may be read for
_SUMS = (
    "n",
    "exceed_warn",
    "exceed_critical",
    "score_zeros",
    "score_sum",
    *(f"unscored_{reason}" for reason in MISSED),
)
_SUM_TYPES = {"score_sum": "HUGEINT"}

Counts = dict[str, tuple[int, int]]
"""The values of a key, each with its scores, and how many of them are bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one pass over the rollups says of the time asked for, and of the time before it."""

    now: Totals
    before: Totals
    zeros: tuple[int, int]  # scores of 0 before, and now
    missed: tuple[tuple[str, int], ...]
    versions: tuple[tuple[str, int], ...]
    keys: dict[str, tuple[Counts, Counts]]  # key -> before, and now


class Asked:
    """Chooses windows that are fine enough and, by ``data.kept``, reach back far enough."""

    def __init__(self, question: Question, connection: duckdb.DuckDBPyConnection) -> None:
        self.question = question
        kept = dict(rows_of(connection, "SELECT name, begin_at FROM data.kept"))
        length = question.end - question.start
        reaching = (
            step
            for step, every in STEPS.items()
            if length / every <= _LONGEST.get(step, float("inf"))
            and kept.get(f"{step}_scores", datetime.min) <= question.before[0]  # noqa: DTZ901 - naive UTC, as the store's
        )
        self.step = next(reaching, "day")
        self.every = STEPS[self.step]
        self.where, self.values = slice_of(question, side=True)
        self.where += " AND signal = ?"
        self.values.append(question.signal)
        # whole windows, each of them on one side
        self.start, self.end = _floor(question.start, self.every), question.end
        self.before = _floor(question.before[0], self.every)

    @property
    def windows_end(self) -> datetime:
        """Where the last window ends, which the rollups count whole."""
        return _ceil(self.end, self.every)

    def tally(self, connection: duckdb.DuckDBPyConnection) -> Tally:
        """Totals and the values of every key; a key that the question fixes has none."""
        free = [key for key in KEYS if not (key in ("service", "model") and getattr(self.question, key))]
        sums = ", ".join(f"sum({name})::{_SUM_TYPES.get(name, 'BIGINT')} AS {name}" for name in _SUMS)
        names = [*free, "signal_version"]
        sets = ", ".join(f"(now, {name})" for name in names)
        source, values = self._source(", ".join((*names, *_SUMS)))
        found = rows_of(
            connection,
            f"WITH series AS MATERIALIZED (SELECT now, {', '.join(names)}, {sums} FROM ({source}) GROUP BY ALL) "  # noqa: S608 - names are ours
            f"SELECT grouping({', '.join(names)}) AS level, now, concat({', '.join(names)}) AS value, {sums} "
            f"FROM series GROUP BY GROUPING SETS ((now), {sets}) ORDER BY ALL",
            values,
        )
        every = (1 << len(names)) - 1
        levels = {every & ~(1 << place): name for place, name in enumerate(reversed(names))}
        totals = {now: dict.fromkeys(_SUMS, 0) for now in (False, True)}
        keys: dict[str, tuple[Counts, Counts]] = defaultdict(lambda: ({}, {}))
        for level, now, value, *row in found:
            counted = dict(zip(_SUMS, row, strict=True))
            if level == every:
                totals[now] = counted
            else:
                keys[levels[level]][now][value] = (counted["n"], counted["exceed_critical"])
        versions = keys.pop("signal_version", ({}, {}))[True]
        return Tally(
            now=_totals(totals[True]),
            before=_totals(totals[False]),
            zeros=(totals[False]["score_zeros"], totals[True]["score_zeros"]),
            missed=tuple((reason, n) for reason in MISSED if (n := totals[True][f"unscored_{reason}"])),
            versions=tuple(sorted(((name, n) for name, (n, _) in versions.items()), key=lambda one: (-one[1], one[0]))),
            keys=dict(keys),
        )

    def course(self, connection: duckdb.DuckDBPyConnection) -> tuple[Point, ...]:
        """The time before, and the time asked for, in equal windows."""
        windows = max(1, -(-int((self.end - self.before) / self.every) // POINTS_MAX))
        seconds = int(self.every.total_seconds()) * windows
        found = rows_of(
            connection,
            f"SELECT time_bucket(INTERVAL '{seconds} seconds', window_start) AS begin_at, sum(n)::BIGINT, "  # noqa: S608
            f"sum(exceed_critical)::BIGINT FROM data.{self.step}_scores "
            f"WHERE {self.where} AND {between(self.before, self.end)} GROUP BY begin_at ORDER BY begin_at",
            self.values,
        )
        return tuple(Point(at=begin, scored=n, bad=bad) for begin, n, bad in found)

    def distributions(
        self, connection: duckdb.DuckDBPyConnection, zeros: tuple[int, int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Counts in BINS equal parts of 0..1, before and now; a bucket of the histogram lies where its upper end is."""
        source, values = self._source("score_buckets, score_bucket_counts")
        found = rows_of(
            connection,
            "SELECT now, bucket, sum(number)::BIGINT FROM (SELECT now, unnest(score_buckets) AS bucket, "  # noqa: S608
            f"unnest(score_bucket_counts) AS number FROM ({source})) GROUP BY ALL",
            values,
        )
        counts = ([zeros[0], *[0] * (BINS - 1)], [zeros[1], *[0] * (BINS - 1)])
        for now, bucket, number in found:
            counts[now][min(BINS - 1, max(0, int(2 ** ((bucket - 0.5) / 16) * BINS)))] += number
        return tuple(counts[0]), tuple(counts[1])

    def _source(self, columns: str) -> tuple[str, list[Any]]:
        """Rows of both times with these columns and ``now``, out of as few windows as say the same."""
        pieces = [
            f"SELECT {now} AS now, {columns} FROM data.{step}_scores WHERE {self.where} AND {between(begin, end)}"  # noqa: S608 - names are ours
            for now, time in (("false", (self.before, self.start)), ("true", (self.start, self.end)))
            for step, begin, end in cover(*time, self.step)
        ]
        return " UNION ALL ".join(pieces), self.values * len(pieces)

    def sql(self) -> str:
        """What an analyst runs to see the same."""
        return (
            "SELECT model, model_version, prompt, tenant, service_version, sum(n) AS scored,\n"
            "       sum(exceed_critical) AS bad, sum(exceed_critical) / sum(n) AS share\n"
            f"FROM rollup_{self.step}\nWHERE {shown(self.where, self.values)}\n"
            f"  AND {between(self.start, self.end)}\n"
            "GROUP BY ALL HAVING sum(n) > 0 ORDER BY bad DESC LIMIT 50"
        )


def cover(start: datetime, end: datetime, step: str) -> list[tuple[str, datetime, datetime]]:
    """A time as runs of windows: days as far as they fit, hours around them, and ``step`` at the edges.

    ``start`` is the begin of a window of ``step``; windows count that begin before ``end``.
    """
    coarser = list(STEPS)[list(STEPS).index(step) + 1 :]
    if not coarser:
        return [(step, start, end)]
    every = STEPS[coarser[0]]
    first, last = _ceil(start, every), _floor(end, every)
    if first >= last:
        return [(step, start, end)]
    pieces = [(step, start, first), *cover(first, last, coarser[0]), (step, last, end)]
    return [piece for piece in pieces if piece[1] < piece[2]]


def slices(keys: Iterable[tuple[str, Counts, Counts]], now: int, before: int) -> list[Slice]:
    """Values of each key (with its counts before, and now) by what they add to the change of the bad share.

    ``now`` and ``before`` are the scores of all values. A key with one value explains nothing; a model's version is
    shown all the same.
    """
    found = []
    for key, then, today in keys:
        values = {value for counts in (then, today) for value, (n, _) in counts.items() if n}
        if len(values) > 1 or key == "model_version":
            found += [_slice(key, value, then, today, now, before) for value in values]
    return sorted(found, key=lambda part: (-abs(part.contribution), part.key, part.value))


def slice_of(question: Question, *, side: bool) -> tuple[str, list[Any]]:
    """The condition on a question's service and model, and its side, with the values of its placeholders."""
    chosen = {"service": question.service, "model": question.model, **({"side": question.side} if side else {})}
    kept = {name: value for name, value in chosen.items() if value}
    return " AND ".join(f"{name} = ?" for name in kept) or "true", list(kept.values())


def at(time: datetime) -> str:
    """A time as a literal."""
    return f"TIMESTAMP '{time:%Y-%m-%d %H:%M:%S.%f}'"


def between(start: datetime, end: datetime, column: str = "window_start") -> str:
    """The condition on a half-open time, with literals: bounds that a subquery hides prune nothing."""
    return f"{column} >= {at(start)} AND {column} < {at(end)}"


def shown(where: str, values: Sequence[Any]) -> str:
    """The condition with its values in it, for people."""
    for value in values:
        where = where.replace("?", "'" + str(value).replace("'", "''") + "'", 1)
    return where


def _totals(sums: dict[str, int]) -> Totals:
    n = sums["n"]
    return Totals(
        scored=n,
        missed=sum(sums[f"unscored_{reason}"] for reason in MISSED),
        warned=sums["exceed_warn"],
        bad=sums["exceed_critical"],
        mean=sums["score_sum"] / 1e6 / n if n else None,
    )


def _slice(key: str, value: str, then: Counts, today: Counts, now: int, before: int) -> Slice:
    scored, bad = today.get(value, (0, 0))
    scored_before, bad_before = then.get(value, (0, 0))
    return Slice(
        key=key,
        value=value,
        scored=scored,
        bad=bad,
        scored_before=scored_before,
        bad_before=bad_before,
        contribution=(bad / now if now else 0.0) - (bad_before / before if before else 0.0),
    )


def _floor(time: datetime, step: timedelta) -> datetime:
    return time - (time - datetime.min) % step  # noqa: DTZ901 - the store's times are naive UTC


def _ceil(time: datetime, step: timedelta) -> datetime:
    floor = _floor(time, step)
    return floor if floor == time else floor + step
