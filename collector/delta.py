"""The delta: one atomic truth about a range of offsets, as a Parquet object; knows its format and nothing of storage.

Rows are calls, one each, without text. The footer carries what must become true in the same instant: where the range
ends, what was rejected, dropped or lost in it, the suites that scored it, the labels in use, and the embedding sums.
A score is one integer: ``score * 1e6`` where it is a score, ``-Abstention`` where it is not. So sums are exact in any
order and a reason costs no second column. A text's embedding stays as a sketch of 64 bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from signals import sketch
from signals.types import ScoreSpec, Side

FORMAT = 1
SCORE_SCALE = 1_000_000
EMBEDDING_SCALE = 1 << 14  # a unit vector's component fits 15 bits, so an int32 sums 131,072 of them
EMBEDDING_WINDOW_SECONDS = 600
ROW_GROUP = 8_192  # calls that are compressed together: a reader of a minute, or of a sample, opens no more of them

KEYS = ("service", "environment", "model", "model_version", "prompt", "tenant", "service_version")
"""The dimensions of every rollup; their values are bounded per writer, ``""`` is unknown."""
LATER_FIELDS = {"service_version": "", "language": None}
"""Fields of CALL_FIELDS that deltas of earlier versions lack, and what a reader takes for them; FORMAT is the same."""

_WORD = pa.dictionary(pa.int32(), pa.string())

CALL_FIELDS: tuple[pa.Field, ...] = (
    pa.field("time", pa.timestamp("us"), nullable=False),  # the end of the span, UTC
    pa.field("offset", pa.int64(), nullable=False),
    pa.field("trace_id", pa.binary(16), nullable=False),
    pa.field("span_id", pa.binary(8), nullable=False),
    *(pa.field(key, _WORD, nullable=False) for key in KEYS),
    pa.field("provider", _WORD),
    pa.field("operation", _WORD),
    pa.field("dialect", _WORD, nullable=False),
    pa.field("conversation_id", pa.string()),
    pa.field("content", _WORD, nullable=False),
    pa.field("error", _WORD),
    pa.field("finish_reason", _WORD),
    pa.field("language", _WORD),  # of the input, ISO 639-1; null: too little of it to tell
    pa.field("stream", pa.bool_()),
    pa.field("input_tokens", pa.int64()),
    pa.field("output_tokens", pa.int64()),
    pa.field("cache_read_tokens", pa.int64()),
    pa.field("latency_us", pa.int64()),
    pa.field("ttft_us", pa.int64()),
    pa.field("unscored", _WORD),  # why no signal scored this call; null: at least one did
    pa.field("unjoined", pa.bool_(), nullable=False),
    pa.field("dropped_attributes", pa.int32(), nullable=False),
    pa.field("suite", _WORD, nullable=False),  # key into Footer.suites
)

OPTIONAL_FIELDS: tuple[pa.Field, ...] = (pa.field("response_id", pa.string()),)
"""Columns that only those deltas have whose writer was asked for them: ids do not compress."""

EMBEDDING_SCHEMA = pa.schema(
    [
        pa.field("window", pa.timestamp("us"), nullable=False),
        pa.field("service", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("side", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        pa.field("sum", pa.binary(), nullable=False),  # little-endian int32[d], unit vectors times EMBEDDING_SCALE
    ]
)


SKETCH_FIELDS: tuple[pa.Field, ...] = (
    *(pa.field(f"v_{side.value}", pa.binary(sketch.BYTES)) for side in Side),
    pa.field("v_version", _WORD),  # encoder and sketch; null: the row has neither sketch
)
"""What drift is told by: the sketch of each text's embedding. A delta has these columns or none; FORMAT is the same."""


def score_field(spec: ScoreSpec) -> pa.Field:
    """The row column that holds the scores of ``spec``."""
    return pa.field(f"s_{spec.column}", pa.int32())


class Stream(NamedTuple):
    """One partition of one incarnation of a topic: what a chain belongs to."""

    topic: str
    epoch: str
    partition: int

    @property
    def path(self) -> str:
        return f"{self.topic}@{self.epoch}/{self.partition}"


class SuiteEntry(msgspec.Struct, frozen=True, kw_only=True):
    """ScoreSpec as it is stored."""

    signal: str
    side: str
    version: str
    weights: str

    @classmethod
    def of(cls, spec: ScoreSpec) -> SuiteEntry:
        return cls(signal=spec.signal, side=spec.side.value, version=spec.version, weights=spec.weights)

    def spec(self) -> ScoreSpec:
        return ScoreSpec(signal=self.signal, side=Side(self.side), version=self.version, weights=self.weights)


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """What a range of offsets amounted to, beside its rows."""

    topic: str
    epoch: str
    partition: int
    start: int
    next: int
    records: int = 0  # records delivered in [start, next); offsets may have holes
    consumed: int = 0  # calls found while decoding + rejected + lost: what the rows must add up to
    dropped: dict[str, int] = {}  # DropReason -> spans that looked like a call and are none; not in consumed
    rejected: dict[str, int] = {}  # RejectReason -> records
    lost: int = 0  # offsets that the log no longer held when they were due
    ahead: int | None = None  # calls ahead of their log time; told by a merged delta, else derived from the rows
    late: int | None = None  # as ahead, calls behind it
    suites: dict[str, tuple[SuiteEntry, ...]] = {}
    labels: dict[str, dict[str, int]] = {}  # key -> value -> last seen, seconds since the epoch
    resume_at: float = 0.0  # log time of the newest record before next; the warm-up begins memory_seconds earlier
    written_by: str = ""
    format: int = FORMAT

    @property
    def stream(self) -> Stream:
        return Stream(self.topic, self.epoch, self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One link of a chain: a footer, its calls and its embedding sums."""

    footer: Footer
    calls: pa.Table
    embeddings: pa.Table


class DeltaError(Exception):
    """An object of the chain is damaged or from a newer version; nothing may be counted from it."""


def encode(delta: Delta) -> bytes:
    """The Parquet object of a delta."""
    sums = io.BytesIO()
    with pa.ipc.new_stream(sums, EMBEDDING_SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(_with_sums(delta.embeddings, _planes))
    footer, embeddings = msgspec.json.encode(delta.footer), base64.b64encode(sums.getvalue())
    buffer = io.BytesIO()
    schema = delta.calls.schema
    with pq.ParquetWriter(
        buffer,
        schema,
        compression="zstd",
        use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
        write_statistics=_told_apart(schema),
        write_page_checksum=True,
    ) as rows:
        rows.add_key_value_metadata(
            {
                "assay": footer.decode(),
                "assay.embeddings": embeddings.decode(),  # Parquet's key-value metadata is text
                "assay.digest": _digest(footer, embeddings, schema, delta.calls.num_rows),
            }
        )
        rows.write_table(delta.calls, row_group_size=ROW_GROUP)
    return buffer.getvalue()


def _told_apart(schema: pa.Schema) -> list[str]:
    """The columns whose least and highest value each row group tells: who asks for a time or for the worst scores reads
    few groups."""
    return ["time", *(name for name in schema.names if name.startswith("s_"))]


def decode(data: bytes) -> Delta:
    """The delta of a Parquet object; DeltaError when it is not one or is damaged."""
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        metadata = file.metadata.metadata or {}
        calls = file.read().replace_schema_metadata(None)
        digest = _digest(metadata[b"assay"], metadata[b"assay.embeddings"], calls.schema, calls.num_rows)
        if digest != metadata[b"assay.digest"].decode("ascii"):
            raise DeltaError("damaged: the footer's digest differs")
        footer = msgspec.json.decode(metadata[b"assay"], type=Footer)
        if footer.format != FORMAT:
            raise DeltaError(f"delta format {footer.format}, this version reads {FORMAT}")
        packed = pa.ipc.open_stream(base64.b64decode(metadata[b"assay.embeddings"], validate=True)).read_all()
        embeddings = _with_sums(packed, _numbers)
    except (pa.ArrowException, OSError, KeyError, ValueError, msgspec.DecodeError) as error:
        raise DeltaError(f"not a delta: {type(error).__name__}: {error}") from error
    return Delta(footer=footer, calls=calls, embeddings=embeddings)


def _with_sums(table: pa.Table, change: Callable[[bytes], bytes]) -> pa.Table:
    sums = [change(each) for each in table.column("sum").to_pylist()]
    place = EMBEDDING_SCHEMA.get_field_index("sum")
    return table.set_column(place, EMBEDDING_SCHEMA.field(place), pa.array(sums, pa.binary()))


def _planes(sums: bytes) -> bytes:
    """The lowest bytes of all numbers, then the next ones: the upper planes of a small sum compress to nothing."""
    return np.frombuffer(sums, np.uint8).reshape(-1, 4).T.tobytes()


def _numbers(planes: bytes) -> bytes:
    return np.frombuffer(planes, np.uint8).reshape(4, -1).T.tobytes()


def _digest(footer: bytes, embeddings: bytes, schema: pa.Schema, rows: int) -> str:
    """Covers what Parquet's page checksums do not."""
    names = "|".join(f"{field.name}:{field.type}" for field in schema)
    return hashlib.blake2b(
        b"\0".join((footer, embeddings, names.encode(), str(rows).encode())), digest_size=16
    ).hexdigest()


def empty_calls() -> pa.Table:
    """A table of no calls, for ranges that held none."""
    return pa.schema(CALL_FIELDS).empty_table()


def empty_embeddings() -> pa.Table:
    return EMBEDDING_SCHEMA.empty_table()


def completed(calls: pa.Table) -> pa.Table:
    """Calls of an earlier version with the fields that this one writes."""
    for field in CALL_FIELDS:
        if field.name in LATER_FIELDS and field.name not in calls.column_names:
            missing = pa.array([LATER_FIELDS[field.name]] * calls.num_rows, pa.string()).dictionary_encode()
            calls = calls.append_column(field, missing.cast(field.type))
    return calls


def merge_embeddings(tables: list[pa.Table]) -> pa.Table:
    """Add embedding sums of equal keys; exact, so any order and grouping gives the same table."""
    sums: dict[tuple[object, ...], tuple[int, np.ndarray]] = {}
    for table in tables:
        for row in table.to_pylist():
            key = tuple(row[name] for name in EMBEDDING_SCHEMA.names[:5])
            n, total = sums.get(key, (0, 0))
            sums[key] = (n + row["n"], total + np.frombuffer(row["sum"], dtype="<i4").astype(np.int64))
    return embedding_table(sums)


def embedding_table(sums: dict[tuple[object, ...], tuple[int, np.ndarray]]) -> pa.Table:
    """(window, service, model, side, version) -> (n, integer sum) as a table, in the order of the keys."""
    rows = [
        dict(zip(EMBEDDING_SCHEMA.names, (*key, n, _narrow(total).tobytes()), strict=True))
        for key, (n, total) in sorted(sums.items(), key=lambda item: tuple(map(str, item[0])))
    ]
    return pa.Table.from_pylist(rows, schema=EMBEDDING_SCHEMA)


def _narrow(total: np.ndarray) -> np.ndarray:
    """As little-endian int32; AssertionError for what does not fit, since nobody could tell a sum that wrapped."""
    narrow = total.astype("<i4")
    if (narrow != total).any():
        raise AssertionError(f"an embedding sum of {np.abs(total).max()} does not fit 32 bits")
    return narrow
