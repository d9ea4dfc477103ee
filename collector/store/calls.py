"""The calls in SQL: the chain's own Parquet objects, or copies of them where the chain is remote."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from collector import delta as deltas
from collector.delta import CALL_FIELDS, LATER_FIELDS, OPTIONAL_FIELDS
from collector.store.database import StoreError
from collector.store.tables import Applicable

FINE_HOURS = 48  # so long the calls are pruned by the hour, before that by the day
_TEMPORARY = ".part"


class CallFiles:
    """Where the objects of the applied deltas lie on this machine; every path is relative to ``base``."""

    def __init__(self, root: Path | None, cache: Path) -> None:
        self.base = root if root is not None else cache.absolute()
        self._copies = root is None

    def keep(self, link: Applicable) -> str:
        """The path of the link's object, which is copied here first if the chain is remote: StoreError if it cannot."""
        if self._copies:
            path = self.base / link.path
            part = path.with_name(path.name + _TEMPORARY)
            try:
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    part.write_bytes(deltas.encode(link.delta))
                    part.replace(path)
            except OSError as error:
                raise StoreError(f"the calls cannot be copied to {self.base}: {error.strerror}") from error
        return link.path

    def sweep(self, keep: Collection[str]) -> int:
        """Remove copies of objects that the view no longer holds; returns how many. The chain itself is not touched."""
        if not self._copies:
            return 0
        kept, removed = set(keep), 0
        for folder, _, names in os.walk(self.base):
            for name in names:
                path = Path(folder, name)
                if str(path.relative_to(self.base)) not in kept:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFile:
    """One object as the snapshot's ``data.deltas`` tells it."""

    path: str
    columns: tuple[str, ...]  # the score columns, and the fields that not every object has, that it has
    first_time: datetime
    last_time: datetime


def calls_sql(files: Iterable[CallFile], signals: Sequence[str]) -> str:
    """The query of ``raw_calls``: one branch a run of time, so that a bound on ``time`` opens only the files it needs.

    ``signals`` are the score columns of all suites; a file made before a signal existed has NULL there.
    """
    every = list(files)
    if not every:
        return f"SELECT {', '.join([*_NOTHING, *map(_absent, [*_OPTIONAL, *signals])])} WHERE false"
    newest = max(file.last_time for file in every)
    groups: dict[tuple[datetime, tuple[str, ...]], list[CallFile]] = defaultdict(list)
    for file in every:
        begin = file.first_time.replace(minute=0, second=0, microsecond=0)
        fine = newest - begin < timedelta(hours=FINE_HOURS)
        groups[begin if fine else begin.replace(hour=0), file.columns].append(file)
    return " UNION ALL ".join(_branch(group, columns, signals) for (_, columns), group in sorted(groups.items()))


def _branch(group: list[CallFile], columns: tuple[str, ...], signals: Sequence[str]) -> str:
    paths = ", ".join(_quoted(file.path) for file in sorted(group, key=lambda file: file.path))
    first, last = min(file.first_time for file in group), max(file.last_time for file in group)
    scores = [f'"{column}"' if column in columns else _absent(column) for column in [*_OPTIONAL, *signals]]
    plain = [
        _unknown(field.name) if field.name in LATER_FIELDS and field.name not in columns else _plain(field.name)
        for field in CALL_FIELDS
    ]
    return (
        f"SELECT {', '.join([*plain, *scores])} FROM read_parquet([{paths}]) "  # noqa: S608 - quoted
        f"WHERE time >= TIMESTAMP '{first}' AND time <= TIMESTAMP '{last}'"
    )


def _absent(column: str) -> str:
    return f'NULL::{_OPTIONAL.get(column, "INTEGER")} AS "{column}"'


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


_OPTIONAL = {field.name: "VARCHAR" for field in OPTIONAL_FIELDS}
_SQL_KINDS = {"timestamp[us]": "TIMESTAMP", "int64": "BIGINT", "int32": "INTEGER", "bool": "BOOLEAN"}
_HEX = ("trace_id", "span_id")
_SECONDS = {"latency_us": "latency_seconds", "ttft_us": "ttft_seconds"}


def _plain(name: str) -> str:
    if name in _HEX:
        return f"lower(hex({name})) AS {name}"
    if name in _SECONDS:
        return f"{name} / 1e6 AS {_SECONDS[name]}"
    return f'"{name}"'


def _unknown(name: str) -> str:
    known = LATER_FIELDS[name]
    return f'{"NULL" if known is None else _quoted(known)}::VARCHAR AS "{name}"'


def _nothing(name: str, kind: str) -> str:
    return f'NULL::{"DOUBLE" if name in _SECONDS else _SQL_KINDS.get(kind, "VARCHAR")} AS "{_SECONDS.get(name, name)}"'


_NOTHING = tuple(_nothing(field.name, str(field.type)) for field in CALL_FIELDS)
