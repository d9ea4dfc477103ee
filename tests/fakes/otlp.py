"""Export requests of OTel GenAI telemetry, built by number, so that a test knows what must come out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SCOPE = "opentelemetry.instrumentation.openai_v2"
START = 1_790_000_000  # seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCall:
    """A call by its number; the number is in every text, so a score of the text is a score of the number."""

    number: int
    trace: int | None = None  # None: a trace of its own
    parent: int | None = None  # number of the parent span
    service: str = "shop"
    model: str = "gpt-4o"
    at: float = START
    seconds: float = 0.5
    content: bool = True
    operation: str = "chat"
    scope: str = SCOPE
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trace_id(self) -> bytes:
        return (10**6 + (self.number if self.trace is None else self.trace)).to_bytes(16, "big")

    @property
    def span_id(self) -> bytes:
        return _span_id(self.number)

    @property
    def call_id(self) -> str:
        return f"{self.trace_id.hex()}:{self.span_id.hex()}"

    @property
    def question(self) -> str:
        return f"Question number {self.number}: where is my parcel?"

    @property
    def answer(self) -> str:
        return f"Answer number {self.number}: it is on its way."

    def messages(self) -> dict[str, str]:
        question = [{"role": "user", "parts": [{"type": "text", "content": self.question}]}]
        answer = [{"role": "assistant", "parts": [{"type": "text", "content": self.answer}], "finish_reason": "stop"}]
        return {"gen_ai.input.messages": json.dumps(question), "gen_ai.output.messages": json.dumps(answer)}

    def span(self) -> Span:
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": self.operation,
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": self.model,
            "gen_ai.response.model": f"{self.model}-2026-01-01",
            "gen_ai.response.id": f"resp-{self.number}",
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 7,
            **(self.messages() if self.content else {}),
            **self.attributes,
        }
        return Span(
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_span_id=b"" if self.parent is None else _span_id(self.parent),
            name=f"{self.operation} {self.model}",
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=int(self.at * 1e9),
            end_time_unix_nano=int((self.at + self.seconds) * 1e9),
            attributes=[_attribute(key, value) for key, value in attributes.items()],
            status=Status(code=Status.STATUS_CODE_UNSET),
        )

    def event(self) -> LogRecord:
        return LogRecord(
            time_unix_nano=int((self.at + self.seconds) * 1e9),
            event_name="gen_ai.client.inference.operation.details",
            trace_id=self.trace_id,
            span_id=self.span_id,
            attributes=[_attribute(key, json.loads(value)) for key, value in self.messages().items()],
        )


def traces(calls: Iterable[FakeCall]) -> bytes:
    """One record of the traces topic, as a Collector's batch processor packs it: many traces, many services."""
    request = ExportTraceServiceRequest()
    for service, members in _by_service(calls).items():
        resource = request.resource_spans.add()
        resource.resource.attributes.append(_attribute("service.name", service))
        for scope, spans in members.items():
            scoped = resource.scope_spans.add()
            scoped.scope.name = scope
            scoped.spans.extend(call.span() for call in spans)
    return request.SerializeToString()


def logs(calls: Iterable[FakeCall]) -> bytes:
    """One record of the logs topic: the details event of each call."""
    request = ExportLogsServiceRequest()
    for service, members in _by_service(calls).items():
        resource = request.resource_logs.add()
        resource.resource.attributes.append(_attribute("service.name", service))
        for scope, events in members.items():
            scoped = resource.scope_logs.add()
            scoped.scope.name = scope
            scoped.log_records.extend(call.event() for call in events)
    return request.SerializeToString()


def _by_service(calls: Iterable[FakeCall]) -> dict[str, dict[str, list[FakeCall]]]:
    grouped: dict[str, dict[str, list[FakeCall]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        grouped[call.service][call.scope].append(call)
    return grouped


def _span_id(number: int) -> bytes:
    return (number + 1).to_bytes(8, "big")


def _attribute(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=any_value(value))


def any_value(value: Any) -> AnyValue:
    """A Python value as OTLP carries it."""
    made = AnyValue()
    if isinstance(value, bool):
        made.bool_value = value
    elif isinstance(value, int):
        made.int_value = value
    elif isinstance(value, float):
        made.double_value = value
    elif isinstance(value, Mapping):
        made.kvlist_value.values.extend(_attribute(key, item) for key, item in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        made.array_value.values.extend(any_value(item) for item in value)
    elif value is not None:
        made.string_value = str(value)
    return made
