"""Does everything add up: the chain by itself, and the view against one that is built from the chain anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import duckdb

from collector.config import Config
from collector.delta import DeltaError, Stream
from collector.drift import log as drift
from collector.rollup import Thresholds
from collector.store.database import FORMAT, OFFLINE, StoreError, explained, rows_of
from collector.store.driftlog import apply_records
from collector.store.materialise import Objects, batches
from collector.store.store import Store
from collector.store.tables import Applicable

_PLACE = "topic, epoch, partition"
_COMPARED = {
    # sums, not rows: the view may still hold the deltas that compaction has merged
    "partitions": "SELECT * FROM {db}.partitions",
    "outcomes": "SELECT topic, epoch, partition, kind, reason, sum(n) FROM {db}.data.outcomes GROUP BY ALL",
    "cursors": "SELECT * FROM {db}.data.cursors",
    "drift_position": "SELECT * FROM {db}.data.drift_position",
}


@dataclass(slots=True)
class Balance:
    """The books of one stream, added up from the objects of its chain."""

    stream: Stream
    objects: int = 0
    first: int = 0
    next: int = 0
    records: int = 0
    consumed: int = 0
    scored: int = 0
    unscored: int = 0
    rejected: int = 0
    lost: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, link: Applicable) -> None:
        """Count one more object; tells what does not add up."""
        footer, calls = link.delta.footer, link.delta.calls
        scored = calls.column("unscored").null_count
        rejected = sum(footer.rejected.values())
        if self.objects == 0:
            self.first = link.start
        elif link.start != self.next:
            self.problems.append(f"{link.path} begins at {link.start}, not at {self.next}")
        became = calls.num_rows + rejected + footer.lost
        if footer.consumed != became:
            self.problems.append(f"{link.path} consumed {footer.consumed}, which became {became}")
        self.objects, self.next = self.objects + 1, footer.next
        self.records += footer.records
        self.consumed += footer.consumed
        self.scored += scored
        self.unscored += calls.num_rows - scored
        self.rejected += rejected
        self.lost += footer.lost
        self.dropped.update(footer.dropped)

    def line(self) -> str:
        """The balance as a sentence."""
        dropped = ", ".join(f"{reason} {n}" for reason, n in sorted(self.dropped.items())) or "none"
        sign = "=" if self.consumed == self.scored + self.unscored + self.rejected + self.lost else "≠"
        return (
            f"{self.stream.path} {self.first}..{self.next} in {self.objects} objects: consumed {self.consumed} {sign} "
            f"scored {self.scored} + unscored {self.unscored} + rejected {self.rejected} + lost {self.lost}"
            f"; records {self.records}; dropped: {dropped}"
        )


@dataclass(slots=True)
class Report:
    """What verification found; all is well when ``problems`` is empty."""

    balances: list[Balance] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)  # table -> rows that both views were compared by
    problems: list[str] = field(default_factory=list)


class Verifiable(Objects, drift.Objects, Protocol):
    """What is verified; collector.chain.Chain is one."""


def verify(chain: Verifiable, config: Config, view: Path | None, scratch: Path) -> Report:
    """Walk every chain, then rebuild in ``scratch`` what the snapshot ``view`` holds, and compare; None: only walk.

    Errors of the object store pass through; a damaged object is a problem of the report. StoreError for a snapshot
    that cannot be read or is of another version.
    """
    with explained(), duckdb.connect(config=dict(OFFLINE)) as connection:
        return _verify(chain, config, _Live.read(connection, view) if view else None, scratch, connection)


def _verify(
    chain: Verifiable, config: Config, live: _Live | None, scratch: Path, connection: duckdb.DuckDBPyConnection
) -> Report:
    report = Report()
    rebuilt = Store(config, path=scratch / "rebuilt.duckdb", thresholds=live.thresholds if live else None)
    try:
        for stream in chain.streams():
            balance = Balance(stream=stream)
            report.balances.append(balance)
            try:
                for batch in batches(_counted(chain, balance)):
                    if live is not None:
                        rebuilt.apply(live.part(stream, batch, balance))
            except DeltaError as error:
                balance.problems.append(str(error))
            beyond = [item for item in chain.objects(stream, balance.next) if (item.next or item.start) >= balance.next]
            if beyond and beyond[0].start > balance.next:  # else it was written meanwhile
                balance.problems.append(f"nothing begins at {balance.next}, and yet {beyond[0].path} exists: a gap")
            if live is not None and live.cursors.get(stream, 0) > balance.next:
                balance.problems.append(f"the view is at {live.cursors[stream]}, the chain ends at {balance.next}")
            report.problems += [f"{stream.path}: {problem}" for problem in balance.problems]
        rebuilt.cursors()  # makes the file even for an empty chain
        try:
            records = list(drift.DriftLog(chain).records(0))  # also walks them
            if live is not None:
                apply_records(rebuilt, [record for record in records if record.number < live.drift])
        except DeltaError as error:
            report.problems.append(str(error))
    finally:
        rebuilt.close()
    if live is not None:
        _compare(connection, rebuilt.database.path, report)
    return report


@dataclass(frozen=True, slots=True)
class _Live:
    """The view, attached as ``live`` until the end, by which newer snapshots may have taken its file's place."""

    cursors: dict[Stream, int]
    firsts: dict[Stream, int]
    thresholds: Thresholds
    drift: int  # number of the first record that it does not hold

    @classmethod
    def read(cls, connection: duckdb.DuckDBPyConnection, view: Path) -> _Live:
        _attach(connection, "live", view)
        meta = dict(rows_of(connection, "SELECT name, value FROM live.data.meta"))
        if meta["format"] != FORMAT:
            raise StoreError(f"{view} was made by another version: let the daemon publish a newer snapshot first")
        cursors = rows_of(connection, f"SELECT {_PLACE}, next FROM live.data.cursors")  # noqa: S608 - names are ours
        (drift,) = rows_of(connection, "SELECT coalesce(max(next), 0) FROM live.data.drift_position")[0]
        firsts = rows_of(connection, f"SELECT {_PLACE}, min(start) FROM live.data.deltas GROUP BY ALL")  # noqa: S608
        return cls(
            {Stream(*place): at for *place, at in cursors},
            {Stream(*place): at for *place, at in firsts},
            Thresholds(int(meta["warn"]), int(meta["critical"])),
            drift,
        )

    def part(self, stream: Stream, links: list[Applicable], balance: Balance) -> list[Applicable]:
        """Those that the view has applied and not retired."""
        cursor, first = self.cursors.get(stream, 0), self.firsts.get(stream, 0)
        for link in links:
            for at in (first, cursor):
                if link.start < at < link.next:
                    balance.problems.append(f"{link.path} was merged after the view was published: publish a newer one")
        return [link for link in links if link.start >= first and link.next <= cursor]


def _counted(chain: Objects, balance: Balance) -> Iterator[Applicable]:
    for link in chain.walk(balance.stream):
        balance.add(link)
        yield link


def _attach(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS {name} (READ_ONLY)")


def _compare(connection: duckdb.DuckDBPyConnection, rebuilt: Path, report: Report) -> None:
    _attach(connection, "rebuilt", rebuilt)
    for name, query in {**_COMPARED, **_windows(connection)}.items():
        sides = {db: query.format(db=db) for db in ("live", "rebuilt")}
        missing = _count(connection, f"({sides['rebuilt']}) EXCEPT ALL ({sides['live']})")
        extra = _count(connection, f"({sides['live']}) EXCEPT ALL ({sides['rebuilt']})")
        report.rows[name] = _count(connection, sides["live"])
        if missing or extra:
            report.problems.append(f"{name}: {missing} rows of the chain are not in the view, {extra} only there")


def _windows(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Every table of windows with what retention has left of it."""
    bounds = {name: (begin, end) for name, begin, end in rows_of(connection, "SELECT * FROM live.data.kept")}
    tables = [name for (name,) in rows_of(connection, _WINDOWED)]
    found = {}
    for table in tables:
        where = ""
        if table in bounds:
            begin, end = bounds[table]
            where = f" WHERE window_start >= TIMESTAMP '{begin}' AND window_start < TIMESTAMP '{end}'"
        found[table] = f"SELECT * FROM {{db}}.data.{table}{where}"  # noqa: S608 - names are ours
    return found


_WINDOWED = (
    "SELECT table_name FROM duckdb_columns() WHERE database_name = 'live' AND schema_name = 'data' "
    "AND column_name = 'window_start' ORDER BY table_name"
)


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(rows_of(connection, f"SELECT count(*) FROM ({query})")[0][0])  # noqa: S608 - names are ours
