"""Builds export requests as an SDK would, so that tests speak of spans and the decoder sees bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.config import JoinConfig, LimitsConfig
from collector.decode.assemble import Assembler
from collector.decode.otlp import decode_logs, decode_traces
from collector.decode.spans import LogEvent, Span, Undecodable
from collector.records import Anchor, LLMCall, Partition, Settled

EPOCH = 1_700_000_000_000_000_000
SECOND = 10**9
LIMITS = LimitsConfig()
TOPIC = Partition("otlp_spans", 0)
RESOURCE = {"service.name": "shop", "service.instance.id": "process-1"}


@dataclass(frozen=True, kw_only=True)
class WireSpan:
    """A span as a test names it: small numbers for ids, seconds for times."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = "chat"
    trace: int = 1
    span: int = 1
    parent: int = 0
    start: float = 0.0
    end: float = 1.0
    scope: str = "opentelemetry.instrumentation.genai.openai"
    resource: Mapping[str, Any] = field(default_factory=lambda: RESOURCE)
    failed: bool = False
    message: str = ""
    events: Sequence[tuple[str, float, Mapping[str, Any]]] = ()
    dropped: int = 0

    def but(self, **changes: Any) -> WireSpan:
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class WireEvent:
    """A log record as a test names it."""

    name: str
    body: Any = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    trace: int = 1
    span: int = 1
    at: float = 0.5
    scope: str = "opentelemetry.instrumentation.genai.openai"
    resource: Mapping[str, Any] = field(default_factory=lambda: RESOURCE)
    name_as_attribute: bool = False


def put(target: AnyValue, value: Any) -> None:
    """Write a Python value as an AnyValue; None leaves it empty."""
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            put(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            put(target.kvlist_value.values.add(key=key).value, item)


def nanoseconds(seconds: float) -> int:
    return EPOCH + round(seconds * SECOND)


def traces_message(spans: Sequence[WireSpan]) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    for each in spans:
        group = message.resource_spans.add()
        for key, value in each.resource.items():
            put(group.resource.attributes.add(key=key).value, value)
        scoped = group.scope_spans.add()
        scoped.scope.name = each.scope
        span = scoped.spans.add(name=each.name, dropped_attributes_count=each.dropped)
        span.trace_id = each.trace.to_bytes(16, "big")
        span.span_id = each.span.to_bytes(8, "big")
        span.parent_span_id = each.parent.to_bytes(8, "big") if each.parent else b""
        span.start_time_unix_nano = nanoseconds(each.start)
        span.end_time_unix_nano = nanoseconds(each.end)
        span.status.code = 2 if each.failed else 0
        span.status.message = each.message
        for key, value in each.attributes.items():
            put(span.attributes.add(key=key).value, value)
        for name, at, attributes in each.events:
            event = span.events.add(name=name, time_unix_nano=nanoseconds(at))
            for key, value in attributes.items():
                put(event.attributes.add(key=key).value, value)
    return message


def logs_message(events: Sequence[WireEvent]) -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    for each in events:
        group = message.resource_logs.add()
        for key, value in each.resource.items():
            put(group.resource.attributes.add(key=key).value, value)
        scoped = group.scope_logs.add()
        scoped.scope.name = each.scope
        record = scoped.log_records.add(observed_time_unix_nano=nanoseconds(each.at))
        record.trace_id = each.trace.to_bytes(16, "big") if each.trace else b""
        record.span_id = each.span.to_bytes(8, "big") if each.span else b""
        if each.name_as_attribute:
            put(record.attributes.add(key="event.name").value, each.name)
        else:
            record.event_name = each.name
        put(record.body, each.body)
        for key, value in each.attributes.items():
            put(record.attributes.add(key=key).value, value)
    return message


def as_json(message: ExportTraceServiceRequest | ExportLogsServiceRequest) -> bytes:
    """The same request in OTLP/JSON: hex ids where protobuf's own JSON has base64."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: base64.b64decode(item).hex() if key in ("traceId", "spanId", "parentSpanId") else walk(item)
                for key, item in value.items()
            }
        return [walk(item) for item in value] if isinstance(value, list) else value

    return json.dumps(walk(MessageToDict(message))).encode()


def spans_of(*spans: WireSpan) -> list[Span]:
    decoded = decode_traces(traces_message(spans).SerializeToString(), LIMITS)
    assert not isinstance(decoded, Undecodable), decoded
    return decoded


def events_of(*events: WireEvent) -> list[LogEvent]:
    decoded = decode_logs(logs_message(events).SerializeToString(), LIMITS)
    assert not isinstance(decoded, Undecodable), decoded
    return decoded


def verdicts(*spans: WireSpan, events: Sequence[WireEvent] = ()) -> list[Settled]:
    """Everything in one moment, each span in a record of its own."""
    assembler = Assembler(JoinConfig(), LIMITS)
    registered = sum(
        assembler.add_spans(spans_of(span), anchor=Anchor(TOPIC, offset), now=0.0) for offset, span in enumerate(spans)
    )
    if events:
        assembler.add_events(events_of(*events), now=0.0)
    settled = assembler.flush()
    assert len(settled) == registered
    return settled


def calls(*spans: WireSpan, events: Sequence[WireEvent] = ()) -> list[LLMCall]:
    """The calls of ``verdicts``."""
    settled = verdicts(*spans, events=events)
    return [each.verdict for each in settled if isinstance(each.verdict, LLMCall)]


def call(*spans: WireSpan, events: Sequence[WireEvent] = ()) -> LLMCall:
    """The one call there must be."""
    found = calls(*spans, events=events)
    assert len(found) == 1, found
    return found[0]


def text_messages(*pairs: tuple[str, str]) -> str:
    """Messages of the GenAI conventions as JSON text."""
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in pairs])


CHAT = WireSpan(
    attributes={
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.id": "resp-1",
        "gen_ai.input.messages": text_messages(("user", "Where is Paris?")),
        "gen_ai.output.messages": text_messages(("assistant", "In France.")),
    }
)
BARE = CHAT.but(attributes={key: value for key, value in CHAT.attributes.items() if not key.endswith(".messages")})
