"""Deltas built column by column, with defaults for whatever a test does not speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from collector.delta import CALL_FIELDS, Delta, Footer, empty_embeddings

SECOND = 1_000_000  # microseconds
START = 1_760_000_000 * SECOND

_DEFAULTS: dict[str, Any] = {
    "service": "chat",
    "environment": "",
    "model": "m-1",
    "model_version": "",
    "prompt": "",
    "tenant": "",
    "service_version": "",
    "dialect": "otel",
    "content": "captured",
    "unjoined": False,
    "dropped_attributes": 0,
    "suite": "s",
}


def trace_id(number: int) -> str:
    return f"{number:032x}"


def delta(
    calls: Sequence[Mapping[str, Any]],
    scores: Sequence[str] = ("toxicity_output",),
    *,
    number_from: int = 0,
    **footer: Any,
) -> Delta:
    """A delta of these calls; ``scores`` are the score columns, as ``<signal>_<side>``, in fixed point."""
    rows = [
        {
            "time": START + (number_from + index) * SECOND,
            "offset": number_from + index,
            "trace_id": bytes.fromhex(trace_id(number_from + index)),
            "span_id": bytes(8),
            **_DEFAULTS,
            **call,
        }
        for index, call in enumerate(calls)
    ]
    fields = [*CALL_FIELDS, *(pa.field(f"s_{score}", pa.int32()) for score in scores)]
    arrays = [_array([row.get(field.name) for row in rows], field.type) for field in fields]
    facts = {
        "topic": "otlp_spans", "epoch": "0", "partition": 0, "start": 0, "next": len(rows),
        "records": len(rows), "consumed": len(rows),
    } | footer  # fmt: skip
    return Delta(
        footer=Footer(**facts),
        calls=pa.Table.from_arrays(arrays, schema=pa.schema(fields)),
        embeddings=empty_embeddings(),
    )


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    return pa.array(values, kind)
