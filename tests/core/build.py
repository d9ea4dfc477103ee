"""Valid values to change one thing of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from collector.chain import Chain
from collector.delta import Delta, Footer, Stream, empty_embeddings
from collector.labels import Labels
from collector.records import Anchor, Content, Kind, LLMCall, Output, Partition, RawRecord, Rejected, RejectReason
from collector.rows import Rows, SuiteId, build, embedding_sums, table
from signals.types import Abstention, Embeddings, ScoreColumn, ScoreSpec, Side, SuiteScores

STREAM = Stream("otlp_spans", "e1", 0)
PARTITION = Partition("otlp_spans", 0)
TOXICITY = ScoreSpec(signal="toxicity", side=Side.OUTPUT, version="1")
NOON = 1_790_000_000


def call(number: int = 0, **changes: object) -> LLMCall:
    fields: dict[str, object] = {
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "started_at": NOON * 10**9,
        "ended_at": (NOON + number) * 10**9,
        "service": "shop",
        "dialect": "otel_genai",
        "content": Content.CAPTURED,
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2026-01-01",
        "last_user_text": "Where is my parcel?",
        "outputs": (Output(text="On its way.", finish_reason="stop"),),
        "latency_seconds": 0.5,
    } | changes
    return LLMCall(call_id=f"{fields['trace_id']}:{fields['span_id']}", **fields)  # type: ignore[arg-type]


def scores(n: int, *, values: Sequence[float] | None = None, dimensions: int = 4) -> SuiteScores:
    given = np.asarray(values if values is not None else np.linspace(0, 1, max(n, 1))[:n], dtype=np.float32)
    vectors = np.zeros((n, dimensions), dtype=np.float32)
    vectors[:, 0] = 1.0
    return SuiteScores(
        columns=(
            ScoreColumn(
                spec=TOXICITY,
                values=given,
                abstentions=np.where(np.isnan(given), Abstention.NO_TEXT, Abstention.NONE).astype(np.uint8),
            ),
        ),
        embeddings=(Embeddings(side=Side.OUTPUT, version="m1", vectors=vectors, present=np.ones(n, dtype=np.bool_)),),
    )


def rows(offsets: Sequence[int], *, values: Sequence[float] | None = None, calls: Sequence[LLMCall] = ()) -> Rows:
    made = calls or [call(offset) for offset in offsets]
    labels = Labels(values_max=10, chars_max=50)
    return build(made, offsets, scores(len(offsets), values=values), SuiteId.of([TOXICITY]), labels, NOON)


def delta(start: int, end: int, *, stream: Stream = STREAM, at: float = NOON) -> Delta:
    """Offsets [start, end), one call each."""
    part = rows(range(start, end))
    footer = Footer(
        topic=stream.topic,
        epoch=stream.epoch,
        partition=stream.partition,
        start=start,
        next=end,
        records=end - start,
        consumed=end - start,
        suites={SuiteId.of([TOXICITY]).id: SuiteId.of([TOXICITY]).entries},
        resume_at=at,
    )
    return Delta(footer=footer, calls=table([part]), embeddings=embedding_sums([part]))


def bare_delta(start: int, end: int, stream: Stream = STREAM) -> Delta:
    whole = delta(start, end, stream=stream)
    return Delta(footer=whole.footer, calls=whole.calls, embeddings=empty_embeddings())


def record(offset: int = 0, value: bytes | None = b"x", kind: Kind = Kind.TRACES) -> RawRecord:
    return RawRecord(partition=PARTITION, offset=offset, timestamp=float(NOON + offset), kind=kind, value=value)


def reject(offset: int) -> Rejected:
    return Rejected(record=record(offset), reason=RejectReason.BAD_PROTOBUF, detail="bad")


def anchor(offset: int) -> Anchor:
    return Anchor(PARTITION, offset)


def counted(chain: Chain) -> int:
    """Calls that the chain holds."""
    return sum(link.delta.calls.num_rows for stream in chain.streams() for link in chain.walk(stream))


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what threads do; fails after 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
