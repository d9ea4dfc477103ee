"""The calls of the chain as drift sees them: when, whose, and where their texts lie; read from Parquet, no scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from collector.drift.record import Slice
from signals import sketch
from signals.types import Side

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
_COLUMNS = ("time", "offset", "trace_id", "span_id", "service", "model", "conversation_id", "v_version")
_SIDES = {side.value: f"v_{side.value}" for side in Side}

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class File(NamedTuple):
    """One object of the chain that holds sketches."""

    stream: str  # its path
    start: int
    next: int
    path: str
    first_time: int  # of its calls, microseconds
    last_time: int
    log_time: float  # at its end, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Some calls, a column each; ``sketches`` and ``present`` by side."""

    time: Ints  # microseconds since the epoch
    late_by: Ints  # microseconds from the call's end to the log time of its object; negative: a clock ahead
    id: Hashes  # of trace and span id: independent of what the call says
    trace: Bytes  # (n, 16)
    span: Bytes  # (n, 8)
    conversation: Hashes  # of conversation (else trace) and slice
    group: Ints  # places in ``groups``
    groups: tuple[tuple[str, str, str], ...]  # service, model, version
    sketches: dict[str, Bytes]  # (n, sketch.BYTES)
    present: dict[str, Mask]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def hour(self) -> Ints:
        return self.time // HOUR_US

    @property
    def minute(self) -> Ints:
        """Of its hour."""
        return self.time % HOUR_US // MINUTE_US

    def take(self, rows: npt.NDArray[np.integer] | Mask) -> Calls:
        return Calls(
            time=self.time[rows],
            late_by=self.late_by[rows],
            id=self.id[rows],
            trace=self.trace[rows],
            span=self.span[rows],
            conversation=self.conversation[rows],
            group=self.group[rows],
            groups=self.groups,
            sketches={side: values[rows] for side, values in self.sketches.items()},
            present={side: values[rows] for side, values in self.present.items()},
        )

    def slices(self) -> Iterable[tuple[Slice, npt.NDArray[np.intp]]]:
        """Every slice with the rows that have a sketch of its side."""
        for code, (service, model, version) in enumerate(self.groups):
            mine = self.group == code
            for side, present in self.present.items():
                rows = np.flatnonzero(mine & present)
                if len(rows):
                    yield Slice(service, model, side, version), rows


def read(base: Path, files: Sequence[File], positions: dict[str, int], *, before: bool = False) -> Calls:
    """The calls of ``files`` at or after the streams' positions, or those ``before`` them.

    FileNotFoundError where an object was merged away meanwhile: ask the store for its files again.
    """
    parts = []
    for file in files:
        table = _table(base / file.path)
        at = positions.get(file.stream, 0)
        if file.start < at < file.next:
            offsets = table.column("offset").to_numpy()
            table = table.filter(pa.array(offsets < at if before else offsets >= at))
        elif (file.next <= at) != before:
            continue
        parts.append(_calls(table.filter(table.column("v_version").is_valid()), file.log_time))
    return _joined(parts)


def read_hour(base: Path, files: Sequence[File], hour: int, positions: dict[str, int] | None = None) -> Calls:
    """The calls that ended in an hour since the epoch; with ``positions`` only those that lie before them."""
    begin = hour * HOUR_US
    within = [file for file in files if file.first_time < begin + HOUR_US and file.last_time >= begin]
    everything = {file.stream: file.next for file in within}
    for file in within:
        everything[file.stream] = max(everything[file.stream], file.next)
    found = read(base, within, everything if positions is None else positions, before=True)
    return found.take(found.hour == hour)


def ids(trace: Bytes, span: Bytes) -> Hashes:
    """The hash of each call by which some are taken before others, of its trace ids (n, 16) and span ids (n, 8)."""
    return _mix(_of_trace(trace) ^ _mix(np.ascontiguousarray(span).view(">u8").astype(np.uint64)[:, 0]))


def _of_trace(trace: Bytes) -> Hashes:
    halves = np.ascontiguousarray(trace).view(">u8").astype(np.uint64)
    return _mix(halves[:, 0] ^ _mix(halves[:, 1]))


def _table(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read([*_COLUMNS, *_SIDES.values()]).combine_chunks()


def _calls(table: pa.Table, log_time: float) -> Calls:
    n = table.num_rows
    time = table.column("time").cast(pa.int64()).to_numpy()
    trace, span = _bytes(table.column("trace_id"), 16), _bytes(table.column("span_id"), 8)
    of_trace = _of_trace(trace)
    words = [table.column(name).cast(pa.string()).to_pylist() for name in ("service", "model", "v_version")]
    keys = list(zip(*words, strict=True))
    groups = {key: code for code, key in enumerate(sorted(set(keys)))}
    group = np.array([groups[key] for key in keys], dtype=np.int64)
    salt = np.array([_hash("\0".join(key)) for key in groups], dtype=np.uint64)
    conversations = table.column("conversation_id").to_pylist()
    known = {name: _hash(name) for name in set(conversations) if name is not None}
    conversation = np.array([known.get(name, 0) for name in conversations], dtype=np.uint64)
    alone = np.array([name is None for name in conversations], dtype=np.bool_)
    return Calls(
        time=time,
        late_by=round(log_time * 1e6) - time,
        id=ids(trace, span),
        trace=trace,
        span=span,
        conversation=_mix(np.where(alone, of_trace, conversation) ^ (salt[group] if n else np.empty(0, np.uint64))),
        group=group,
        groups=tuple(groups),
        sketches={side: _bytes(table.column(name), sketch.BYTES) for side, name in _SIDES.items()},
        present={side: table.column(name).is_valid().to_numpy() for side, name in _SIDES.items()},
    )


def _joined(parts: Sequence[Calls]) -> Calls:
    groups = {key: code for code, key in enumerate(sorted({key for part in parts for key in part.groups}))}
    recoded = [
        np.array([groups[key] for key in part.groups], dtype=np.int64)[part.group] if len(part) else part.group
        for part in parts
    ]

    def all_of(columns: Sequence[np.ndarray], kind: type, *shape: int) -> np.ndarray:
        return np.concatenate([np.empty((0, *shape), kind), *columns])

    return Calls(
        time=all_of([part.time for part in parts], np.int64),
        late_by=all_of([part.late_by for part in parts], np.int64),
        id=all_of([part.id for part in parts], np.uint64),
        trace=all_of([part.trace for part in parts], np.uint8, 16),
        span=all_of([part.span for part in parts], np.uint8, 8),
        conversation=all_of([part.conversation for part in parts], np.uint64),
        group=all_of(recoded, np.int64),
        groups=tuple(groups),
        sketches={side: all_of([part.sketches[side] for part in parts], np.uint8, sketch.BYTES) for side in _SIDES},
        present={side: all_of([part.present[side] for part in parts], np.bool_) for side in _SIDES},
    )


def _bytes(column: pa.ChunkedArray, width: int) -> Bytes:
    """Shape (n, width); zeros where null."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    data = np.frombuffer(array.buffers()[1] or b"", np.uint8)
    return data[array.offset * width : (array.offset + len(array)) * width].reshape(len(array), width)


def _mix(values: Hashes) -> Hashes:
    """The finaliser of splitmix64: every bit of the result depends on every bit of the value."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())
