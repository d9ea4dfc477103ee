"""Scored calls as the rows of a delta: columns of a batch in, an Arrow table and embedding sums out; no text passes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from collector.delta import (
    CALL_FIELDS,
    EMBEDDING_SCALE,
    EMBEDDING_WINDOW_SECONDS,
    OPTIONAL_FIELDS,
    SCORE_SCALE,
    SKETCH_FIELDS,
    SuiteEntry,
    embedding_table,
    empty_embeddings,
    score_field,
)
from collector.labels import Labels
from collector.records import LLMCall
from signals import sketch
from signals.types import Abstention, Embeddings, ScoreColumn, ScoreSpec, Side, SuiteScores

UNKNOWN_MODEL = "unknown"
_FIELDS = {field.name: field for field in CALL_FIELDS}
_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """The embeddings of one side, as integers, so that sums are exact."""

    side: str
    version: str
    scaled: npt.NDArray[np.int16]  # shape (n, d); zeros where absent
    present: npt.NDArray[np.bool_]  # shape (n,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows that wait for their range to close; all of one partition."""

    calls: pa.Table
    offsets: npt.NDArray[np.int64]
    vectors: tuple[Vectors, ...]

    def take(self, mask: npt.NDArray[np.bool_]) -> Rows:
        return Rows(
            calls=self.calls.filter(pa.array(mask)),
            offsets=self.offsets[mask],
            vectors=tuple(
                Vectors(side=side.side, version=side.version, scaled=side.scaled[mask], present=side.present[mask])
                for side in self.vectors
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteId:
    """The suite that scored a batch, as the footer names it."""

    id: str
    entries: tuple[SuiteEntry, ...]

    @classmethod
    def of(cls, specs: Sequence[ScoreSpec]) -> SuiteId:
        entries = tuple(SuiteEntry.of(spec) for spec in specs)
        return cls(id=hashlib.blake2b(msgspec.json.encode(entries), digest_size=6).hexdigest(), entries=entries)


def build(
    calls: Sequence[LLMCall],
    offsets: Sequence[int],
    scores: SuiteScores,
    suite: SuiteId,
    labels: Labels,
    now: float,
    *,
    optional: bool = False,
    sketched: bool = True,
) -> Rows:
    """One row a call, in the given order; ``now`` is log time in seconds.

    ``optional``: with the optional fields; ``sketched``: with SKETCH_FIELDS.
    """
    admitted = {
        "service": labels.admit("service", (call.service for call in calls), now),
        "environment": labels.admit("environment", (call.environment for call in calls), now),
        "model": labels.admit(
            "model", (call.request_model or call.response_model or UNKNOWN_MODEL for call in calls), now
        ),
        "model_version": labels.admit("model_version", (call.response_model for call in calls), now),
        "prompt": labels.admit("prompt", (call.prompt for call in calls), now),
        "tenant": labels.admit("tenant", (call.tenant for call in calls), now),
        "service_version": labels.admit("service_version", (call.service_version for call in calls), now),
    }
    columns: dict[str, Any] = {
        "time": [call.ended_at // 1_000 for call in calls],
        "offset": offsets,
        "trace_id": [bytes.fromhex(call.trace_id) for call in calls],
        "span_id": [bytes.fromhex(call.span_id) for call in calls],
        **admitted,
        "provider": [_word(call.provider) for call in calls],
        "operation": [_word(call.operation) for call in calls],
        "dialect": [call.dialect for call in calls],
        "conversation_id": [_word(call.conversation_id) for call in calls],
        "content": [call.content.value for call in calls],
        "error": [_word(call.error) for call in calls],
        "finish_reason": [_word(call.outputs[0].finish_reason) if call.outputs else None for call in calls],
        "language": scores.languages or [None] * len(calls),
        "stream": [call.stream for call in calls],
        "input_tokens": [_count(call.input_tokens) for call in calls],
        "output_tokens": [_count(call.output_tokens) for call in calls],
        "cache_read_tokens": [_count(call.cache_read_tokens) for call in calls],
        "latency_us": [_microseconds(call.latency_seconds) for call in calls],
        "ttft_us": [_microseconds(call.ttft_seconds) for call in calls],
        "unscored": unscored(scores.columns, len(calls)),
        "unjoined": [call.unjoined for call in calls],
        "dropped_attributes": [min(call.dropped_attributes, 2**31 - 1) for call in calls],
        "suite": [suite.id] * len(calls),
    }
    arrays = [_array(columns[name], field.type) for name, field in _FIELDS.items()]
    fields = list(CALL_FIELDS)
    if optional:
        (field,) = OPTIONAL_FIELDS
        fields.append(field)
        arrays.append(_array([_word(call.response_id) for call in calls], field.type))
    for column in scores.columns:
        fields.append(score_field(column.spec))
        arrays.append(pa.array(fixed_point(column), pa.int32()))
    if sketched:
        fields += SKETCH_FIELDS
        arrays += _sketches(scores.embeddings, len(calls))
    return Rows(
        calls=pa.Table.from_arrays(arrays, schema=pa.schema(fields)),
        offsets=np.asarray(offsets, dtype=np.int64),
        vectors=tuple(
            Vectors(
                side=side.side.value,
                version=side.version,
                scaled=np.rint(side.vectors * EMBEDDING_SCALE).astype(np.int16),
                present=side.present,
            )
            for side in scores.embeddings
        ),
    )


def fixed_point(column: ScoreColumn) -> npt.NDArray[np.int32]:
    """``score * 1e6`` rounded, or ``-Abstention``; AssertionError for a score outside 0..1."""
    scored = column.abstentions == Abstention.NONE
    values = np.where(scored, column.values, 0.0)
    if not ((values >= 0) & (values <= 1)).all():  # NaN fails too
        raise AssertionError(f"{column.spec.column}: a score is not in 0..1")
    exact = np.rint(values.astype(np.float64) * SCORE_SCALE).astype(np.int32)
    return np.where(scored, exact, -column.abstentions.astype(np.int32)).astype(np.int32)


def unscored(columns: Sequence[ScoreColumn], n: int) -> list[str | None]:
    """Per call None if any signal scored it, else the reason in words: the gravest one wins."""
    grave = (
        Abstention.FAILED,
        Abstention.SHED,
        Abstention.REDACTED,
        Abstention.BY_REFERENCE,
        Abstention.NOT_CAPTURED,
        Abstention.NO_TEXT,
        Abstention.NO_CONTEXT,
        Abstention.NOT_APPLICABLE,
    )
    reasons: list[str | None] = [Abstention.NOT_APPLICABLE.name.lower()] * n
    if not columns:
        return reasons
    codes = np.stack([column.abstentions for column in columns])
    for reason in reversed(grave):
        for index in np.flatnonzero((codes == reason).any(axis=0)):
            reasons[index] = reason.name.lower()
    for index in np.flatnonzero((codes == Abstention.NONE).any(axis=0)):
        reasons[index] = None
    return reasons


def table(parts: Sequence[Rows]) -> pa.Table:
    """The calls of several batches as one table in the order of their offsets; suites may differ between them."""
    joined = pa.concat_tables([part.calls for part in parts], promote_options="default").unify_dictionaries()
    order = np.argsort(np.concatenate([part.offsets for part in parts]), kind="stable")
    return joined.take(pa.array(order)).combine_chunks()


def embedding_sums(parts: Sequence[Rows]) -> pa.Table:
    """Sums of the vectors by 10-minute window, service, model, side and version."""
    sums: dict[tuple[object, ...], tuple[int, np.ndarray]] = {}
    for part in parts:
        micros = part.calls.column("time").cast(pa.int64()).to_numpy()
        window = micros // (EMBEDDING_WINDOW_SECONDS * _MICROSECONDS)
        services, service = _codes(part.calls.column("service"))
        models, model = _codes(part.calls.column("model"))
        group = (window * len(services) + service) * len(models) + model
        for side in part.vectors:
            rows = np.flatnonzero(side.present)
            if not len(rows):
                continue
            rows = rows[np.argsort(group[rows], kind="stable")]
            keys, starts, counts = np.unique(group[rows], return_index=True, return_counts=True)
            totals = np.add.reduceat(side.scaled[rows], starts, axis=0, dtype=np.int64)
            for key, n, total in zip(keys.tolist(), counts.tolist(), totals, strict=True):
                above, m = divmod(key, len(models))
                w, s = divmod(above, len(services))
                at = w * EMBEDDING_WINDOW_SECONDS * _MICROSECONDS
                name = (at, services[s], models[m], side.side, side.version)
                old_n, old_total = sums.get(name, (0, 0))
                sums[name] = (old_n + n, old_total + total)
    return embedding_table(sums) if sums else empty_embeddings()


def _sketches(embeddings: Sequence[Embeddings], n: int) -> list[pa.Array]:
    """The arrays of SKETCH_FIELDS; an encoder of another width than the shipped one's leaves them empty."""
    known = {side.side: side for side in embeddings if side.vectors.shape[1] == sketch.SOURCE_DIMENSIONS}
    versions = {f"{side.version}/{sketch.VERSION}" for side in known.values()}
    if len(versions) > 1:
        raise AssertionError(f"two encoders in one batch: {sorted(versions)}")
    arrays, sketched = [], np.zeros(n, dtype=np.bool_)
    for side, field in zip(Side, SKETCH_FIELDS, strict=False):
        if side not in known:
            arrays.append(pa.nulls(n, field.type))
            continue
        arrays.append(_bytes(sketch.sketch(known[side].vectors), known[side].present, field.type))
        sketched |= known[side].present
    version = next(iter(versions), None)
    return [*arrays, _array([version if each else None for each in sketched], SKETCH_FIELDS[-1].type)]


def _bytes(rows: npt.NDArray[np.uint8], present: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    """Rows of ``kind``'s width, null where not ``present``."""
    valid = pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    data = pa.py_buffer(np.ascontiguousarray(rows).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [valid, data])


def _codes(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = pc.dictionary_encode(encoded)
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _word(value: str | None) -> str | None:
    return value[:200] if value else None


def _count(value: int | None) -> int | None:
    return None if value is None else max(0, min(value, 2**53))


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(0, min(round(seconds * _MICROSECONDS), 2**53))
