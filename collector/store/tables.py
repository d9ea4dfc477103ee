"""What a delta changes in the tables other than rollups: its own row, its outcomes, its embedding sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.compaction import off_clock
from collector.delta import LATER_FIELDS, OPTIONAL_FIELDS, Delta, Stream
from collector.rollup.fold import REASONS, CallColumns

_NOT_IN_ALL = frozenset((*LATER_FIELDS, *(field.name for field in OPTIONAL_FIELDS)))
_NARROW_BELOW = 1 << 17  # so many int16 components of a unit vector times 16384 fit an int32

_TEXT, _INT, _TIME = pa.string(), pa.int64(), pa.timestamp("us")
_PLACE = [("topic", _TEXT), ("epoch", _TEXT), ("partition", pa.int32()), ("start", _INT)]
DELTAS = pa.schema(
    [
        *_PLACE,
        ("next", _INT),
        ("path", _TEXT),
        ("columns", pa.list_(_TEXT)),
        ("peaks", pa.list_(_INT)),
        *((name, _INT) for name in ("records", "consumed", "calls", "scored", "unscored")),
        *((name, _INT) for name in ("rejected", "dropped", "lost", "ahead", "late")),
        ("sketches", _INT),
        *((name, _TIME) for name in ("first_time", "last_time", "log_time")),
    ]
)
OUTCOMES = pa.schema([*_PLACE, ("kind", _TEXT), ("reason", _TEXT), ("n", _INT)])
SUITES = pa.schema([(name, _TEXT) for name in ("suite", "signal", "side", "version", "weights")])
EMBEDDINGS = pa.schema(
    [
        ("window_start", _TIME),
        *((name, _TEXT) for name in ("service", "model", "side", "version")),
        ("n", _INT),
        ("sum", pa.binary()),
    ]
)
Sums = dict[tuple[Any, ...], tuple[int, np.ndarray]]


class Applicable(Protocol):
    """A link of a chain as the store needs it; collector.chain.Link is one."""

    @property
    def stream(self) -> Stream: ...
    @property
    def start(self) -> int: ...
    @property
    def next(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def delta(self) -> Delta: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a store took in at once."""

    deltas: int
    calls: int


def delta_row(link: Applicable, path: str, calls: CallColumns) -> dict[str, Any]:
    """The row of ``data.deltas`` for a link whose object lies at ``path``."""
    footer = link.delta.footer
    n = len(calls)
    log_time = round(footer.resume_at * 1_000_000)
    ahead, late = off_clock(link.delta)
    unscored = int(np.count_nonzero(calls.unscored))
    columns = [n for n in link.delta.calls.column_names if n.startswith("s_") or n in _NOT_IN_ALL]
    return {
        **_place(link),
        "next": footer.next,
        "path": path,
        "columns": columns,
        "peaks": [_peak(link.delta.calls.column(name)) for name in columns],
        "records": footer.records,
        "consumed": footer.consumed,
        "calls": n,
        "scored": n - unscored,
        "unscored": unscored,
        "rejected": sum(footer.rejected.values()),
        "dropped": sum(footer.dropped.values()),
        "lost": footer.lost,
        "ahead": ahead,
        "late": late,
        "sketches": sketches(link.delta),
        "first_time": int(calls.time.min()) if n else None,
        "last_time": int(calls.time.max()) if n else None,
        "log_time": log_time if log_time > 0 else None,
    }


def sketches(delta: Delta) -> int:
    """How many calls tell drift something; older deltas have no such column."""
    calls = delta.calls
    return calls.num_rows - calls.column("v_version").null_count if "v_version" in calls.column_names else 0


def outcome_rows(link: Applicable, calls: CallColumns) -> list[dict[str, Any]]:
    """Rows of ``data.outcomes``: why things were not scored, not calls, or not readable."""
    footer = link.delta.footer
    codes = np.bincount(calls.unscored, minlength=len(REASONS) + 1)[1:].tolist()
    counts = {
        "rejected": footer.rejected,
        "dropped": footer.dropped,
        "unscored": dict(zip(REASONS, codes, strict=True)),
    }
    return [
        {**_place(link), "kind": kind, "reason": reason, "n": n}
        for kind, reasons in counts.items()
        for reason, n in sorted(reasons.items())
        if n
    ]


def suite_rows(links: Iterable[Applicable]) -> list[dict[str, Any]]:
    """Rows of ``data.suites``."""
    found = {
        (name, entry.signal, entry.side, entry.version, entry.weights)
        for link in links
        for name, entries in link.delta.footer.suites.items()
        for entry in entries
    }
    return [dict(zip(SUITES.names, row, strict=True)) for row in sorted(found)]


def delta_sums(delta: Delta) -> Sums:
    """The embedding sums of a delta by window (microseconds), service, model, side and version."""
    table = delta.embeddings
    windows = table.column("window").cast(pa.int64()).to_pylist()
    keys = zip(windows, *(table.column(name).to_pylist() for name in EMBEDDINGS.names[1:5]), strict=True)
    values = zip(table.column("n").to_pylist(), table.column("sum").to_pylist(), strict=True)
    return {key: (n, np.frombuffer(raw, "<i4").astype(np.int64)) for key, (n, raw) in zip(keys, values, strict=True)}


def stored_sums(table: pa.Table) -> Sums:
    """The rows of ``data.embeddings``."""
    windows = table.column("window_start").cast(pa.int64()).to_pylist()
    keys = zip(windows, *(table.column(name).to_pylist() for name in EMBEDDINGS.names[1:5]), strict=True)
    values = zip(table.column("n").to_pylist(), table.column("sum").to_pylist(), strict=True)
    return {key: (n, unpack_sum(n, raw)) for key, (n, raw) in zip(keys, values, strict=True)}


def unpack_sum(n: int, raw: bytes) -> np.ndarray:
    """The integer sum of ``n`` vectors as it is stored."""
    return np.frombuffer(raw, "<i4" if n < _NARROW_BELOW else "<i8").astype(np.int64)


def add_sums(parts: Sequence[Sums]) -> Sums:
    """Sums of equal keys added; exact in any order."""
    total: Sums = {}
    for part in parts:
        for key, (n, values) in part.items():
            old = total.get(key)
            total[key] = (n, values) if old is None else (old[0] + n, old[1] + values)
    return total


def sums_table(sums: Sums) -> pa.Table:
    """Rows of ``data.embeddings`` in the order of their keys."""
    rows = [
        dict(
            zip(
                EMBEDDINGS.names, (*key, n, values.astype("<i4" if n < _NARROW_BELOW else "<i8").tobytes()), strict=True
            )
        )
        for key, (n, values) in sorted(sums.items(), key=lambda item: item[0])
    ]
    return pa.Table.from_pylist(rows, schema=EMBEDDINGS)


def _peak(column: pa.ChunkedArray) -> int | None:
    """The highest score; None where there is none, or the column holds no scores."""
    highest = pc.max(column).as_py() if pa.types.is_integer(column.type) else None
    return highest if highest is not None and highest >= 0 else None


def _place(link: Applicable) -> dict[str, Any]:
    stream = link.stream
    return {"topic": stream.topic, "epoch": stream.epoch, "partition": stream.partition, "start": link.start}
