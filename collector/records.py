"""The types that flow between the rooms; every one is immutable and knows nothing of where it goes next."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec


class Partition(NamedTuple):
    """One ordered log: a Kafka topic-partition, or partition 0 of a local log."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class Kind(StrEnum):
    """What the records of a topic hold."""

    TRACES = "traces"
    LOGS = "logs"


class RejectReason(StrEnum):
    """Why a record could not be decoded; the value is a Prometheus label."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BAD_COMPRESSION = "bad_compression"
    BOMB = "decompression_bomb"
    BAD_PROTOBUF = "bad_protobuf"
    BAD_JSON = "bad_json"
    TOO_DEEP = "too_deep"
    WRONG_TYPE = "wrong_type"
    CORRUPT_BATCH = "corrupt_batch"


class Content(StrEnum):
    """What of a call's text arrived (facts of the payload, not a judgement)."""

    CAPTURED = "captured"
    NONE = "none"
    REDACTED = "redacted"
    BY_REFERENCE = "by_reference"
    TRUNCATED = "truncated"
    PARTIAL = "partial"


class DropReason(StrEnum):
    """Why a span that looked like a call is not one."""

    TWIN = "twin"  # another instrumentation reported the same request
    WRAPPER = "wrapper"  # a span around the span of the request
    DUPLICATE = "duplicate"  # the same span delivered again


class DriftSkip(StrEnum):
    """Why no drift detector saw a text; the value is a Prometheus label."""

    NO_REFERENCE = "no_reference"  # no earlier call of the same phase was left to pair it with
    THINNED = "thinned"  # its conversation had its turn in this hour
    CAPPED = "capped"  # the window had enough pairs
    OFF_CLOCK = "off_clock"  # stamped ahead of its log's time
    SLICES = "slices"  # there were too many slices


class SnippetDrop(StrEnum):
    """Why a call that was chosen for it has no snippet; the value is a Prometheus label."""

    BUDGET = "budget"  # this process has kept enough in this minute
    OFF_CLOCK = "off_clock"  # stamped ahead of the clock: nobody knows when its time would be over
    EXPIRED = "expired"  # older than a snippet is kept
    NO_TEXT = "no_text"  # nothing of its texts was left to show
    FAILED = "failed"  # making it failed
    NOT_OURS = "not_ours"  # another writer counted the call
    QUEUE = "queue"  # the store takes them too slowly
    STORE = "store"  # the store did not take it
    TAKEN = "taken"  # the store holds another of the same call


class RawRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record as the source delivered it; nobody has looked inside ``value``."""

    partition: Partition
    offset: int
    timestamp: float  # seconds since the epoch, as the log stamped it
    kind: Kind
    value: bytes | None
    key: bytes | None = None


class Rejected(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record that could not be decoded, with its reason; it goes to the dead letters whole."""

    record: RawRecord
    reason: RejectReason
    detail: str  # for a person; never holds text of the payload


class Anchor(NamedTuple):
    """Where the span of a call lies: the call is counted with this offset."""

    partition: Partition
    offset: int


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    name: str | None
    arguments: str | None  # JSON text as far as it arrived


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    role: str
    text: str | None


class Output(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    text: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None  # stop, length, content_filter, tool_call, error …


class Document(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What retrieval brought back, with the names by which an answer may cite it; each may be unknown."""

    text: str | None
    id: str | None = None
    title: str | None = None
    url: str | None = None  # an address, or the path of a file
    score: float | None = None  # of the retriever: a similarity, or a distance


class LLMCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One finished request to a model. Unknown values are None; an absent text is never ``""``."""

    call_id: str  # "<trace_id>:<span_id>", hex
    trace_id: str
    span_id: str
    started_at: int  # nanoseconds since the epoch
    ended_at: int  # nanoseconds since the epoch; the call's event time
    service: str  # "unknown_service" where the resource names none (the OTel SDK's own word)
    dialect: str
    content: Content
    operation: str | None = None
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    conversation_id: str | None = None
    environment: str | None = None
    service_version: str | None = None
    tenant: str | None = None
    prompt: str | None = None  # "name" or "name:version" of the prompt template
    system: str | None = None
    input_messages: tuple[Message, ...] = ()
    last_user_text: str | None = None
    outputs: tuple[Output, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    error: str | None = None  # class of the error: rate_limit, timeout, server …
    stream: bool | None = None
    latency_seconds: float | None = None
    ttft_seconds: float | None = None
    context_documents: tuple[str, ...] = ()  # texts: of prompt variables that hold some, then of ``documents``
    documents: tuple[Document, ...] = ()  # what was retrieved, in the order in which it came back
    tool_definitions: str | None = None  # the tools that the request offered: JSON text in its provider's shape
    response_format: str | None = None  # "json", or JSON text of the format object or schema that was asked for
    logprobs: tuple[float, ...] = ()  # natural logarithms, one a token of the first answer
    reference: str | None = None  # a gold answer; JSON text where it is not a text
    dropped_attributes: int = 0
    unjoined: bool = False  # waited for events that a table of its dialect promised, and none came


class Settled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The verdict on one candidate span: a call, or the reason why it is none."""

    anchor: Anchor
    verdict: LLMCall | DropReason
