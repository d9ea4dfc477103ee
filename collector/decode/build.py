"""One span, its events and what was joined to it, told as one call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from collector.config import LimitsConfig
from collector.decode import asked, dialects, values
from collector.decode.fields import Fields, dialect_of, error_of, provider_of
from collector.decode.messages import SYSTEM_ROLES, Turn
from collector.decode.shapes import shape_of
from collector.decode.spans import Attributes, LogEvent, Span, first_text
from collector.decode.text import Conversation, conversation_of, finish_reasons
from collector.records import Content, Document, LLMCall, Message, Output, ToolCall

_VARIABLE_KEYS = tuple((name, dialects.VARIABLES + name) for name in sorted(dialects.PROMPT_VARIABLES))
_TTFT_MAX_NANOSECONDS = 86_400 * 10**9


def build_call(
    span: Span,
    *,
    events: Sequence[LogEvent] = (),
    documents: Sequence[Document] = (),
    twins: Sequence[Span] = (),
    unjoined: bool = False,
    limits: LimitsConfig,
) -> LLMCall:
    """The call of ``span``. ``twins`` are other reports of the same request: they fill what this one leaves open."""
    fields = _fields(span, events)
    said = conversation_of(span, fields, events)
    cutter = _Cutter(limits.text_chars_max)
    request_model = _request_model(fields)
    provider = provider_of(fields, request_model)
    systems, inputs, last_user = _inputs(said, provider, cutter)
    outputs = _outputs(said, fields, cutter)
    documents = tuple(map(cutter.cut_document, documents))
    stream = _stream(span, fields)
    output_tokens = fields.count("output_tokens")
    source = span.source
    service = source.service
    if service == "unknown_service":
        service = first_text(fields.attributes, dialects.SPAN_SERVICE) or service
    asks = fields.shape.asks
    seconds = (span.ended_at - span.started_at) / 1e9 if span.ended_at >= span.started_at > 0 else None
    texts = tuple(dict.fromkeys(document.text for document in documents if document.text))
    variables = tuple(cutter.cut(text) or "" for text in _prompt_documents(fields, texts))
    said.truncated |= cutter.used
    call = LLMCall(
        call_id=f"{span.trace_id}:{span.span_id}",
        trace_id=span.trace_id,
        span_id=span.span_id,
        started_at=span.started_at,
        ended_at=span.ended_at or span.started_at,  # a span that was never ended is told when it began
        service=service,
        dialect=dialect_of(span),
        content=_content(span, fields, said, outputs, stream, output_tokens),
        operation=fields.word("operation"),
        provider=provider,
        request_model=request_model,
        response_model=_response_model(span, fields),
        response_id=fields.word("response_id"),
        conversation_id=fields.word("conversation"),
        environment=source.environment or first_text(fields.attributes, dialects.SPAN_ENVIRONMENT),
        service_version=source.service_version,
        tenant=fields.word("tenant") or source.tenant,
        prompt=_prompt(fields),
        system="\n".join(systems) or None,
        input_messages=inputs,
        last_user_text=last_user,
        outputs=outputs,
        input_tokens=fields.count("input_tokens"),
        output_tokens=output_tokens,
        cache_read_tokens=fields.count("cache_read_tokens"),
        error=error_of(span, fields),
        stream=stream,
        latency_seconds=seconds,
        ttft_seconds=_ttft(span, fields, stream),
        context_documents=(*variables, *texts),
        documents=documents,
        tool_definitions=asked.tool_definitions(fields, limits.text_chars_max) if asks else None,
        response_format=asked.response_format(fields, limits.text_chars_max) if asks else None,
        logprobs=asked.logprobs(fields) if asks else (),
        reference=asked.reference(fields, limits.text_chars_max) if "reference" in fields.shape.aliases else None,
        dropped_attributes=span.dropped,
        unjoined=unjoined and not said.captured,
    )
    return _filled(call, twins) if twins else call


class _Cutter:
    """Cuts texts to the limit and remembers that it had to."""

    __slots__ = ("chars_max", "used")

    def __init__(self, chars_max: int) -> None:
        self.chars_max = chars_max
        self.used = False

    def cut(self, text: str | None) -> str | None:
        if text is None or len(text) <= self.chars_max:
            return text
        self.used = True
        return text[: self.chars_max]

    def cut_document(self, document: Document) -> Document:
        if document.text is None or len(document.text) <= self.chars_max:
            return document
        return msgspec.structs.replace(document, text=self.cut(document.text))


def _fields(span: Span, events: Sequence[LogEvent]) -> Fields:
    """The span's attributes; what it lacks comes from its details event."""
    details = [event.attributes for event in events if event.name == dialects.DETAILS_EVENT]
    if not details:
        return Fields(span.attributes, span.shape)
    merged: Attributes = {}
    for attributes in (*reversed(details), span.attributes):
        merged.update((key, value) for key, value in attributes.items() if value is not None)
    return Fields(merged, shape_of(tuple(merged)))


def _filled(call: LLMCall, twins: Sequence[Span]) -> LLMCall:
    """``call`` with the metadata that only its twins tell."""
    for twin in twins:
        fields = Fields(twin.attributes, twin.shape)
        told: dict[str, Any] = {
            "request_model": _request_model(fields),
            "response_model": _response_model(twin, fields),
            "response_id": fields.word("response_id"),
            "conversation_id": fields.word("conversation"),
            "input_tokens": fields.count("input_tokens"),
            "output_tokens": fields.count("output_tokens"),
            "cache_read_tokens": fields.count("cache_read_tokens"),
            "stream": _stream(twin, fields),
            "error": error_of(twin, fields) if call.error is None else None,
            "ttft_seconds": _ttft(twin, fields, call.stream),
        }
        missing = {name: value for name, value in told.items() if value is not None and getattr(call, name) is None}
        if call.outputs and all(output.finish_reason is None for output in call.outputs):
            reasons = [*finish_reasons(fields), *[None] * len(call.outputs)]
            missing["outputs"] = tuple(
                msgspec.structs.replace(output, finish_reason=reason)
                for output, reason in zip(call.outputs, reasons, strict=False)
            )
        if missing:
            call = msgspec.structs.replace(call, **missing)
    return call


def _inputs(
    said: Conversation, provider: str | None, cutter: _Cutter
) -> tuple[list[str], tuple[Message, ...], str | None]:
    systems: list[str] = []
    messages: list[Message] = []
    last_user = None
    user_roles = ("user", "tool") if provider in values.TOOL_RESULTS_ARE_USER_TEXT else ("user",)
    for text in said.systems:
        if text not in systems:
            systems.append(cutter.cut(text) or "")
    for turn in said.inputs:
        spoken = cutter.cut(turn.text) if turn.text else None
        if turn.role in SYSTEM_ROLES:
            if spoken and spoken not in systems:
                systems.append(spoken)
            continue
        messages.append(Message(role=turn.role, text=spoken))
        if spoken and turn.role in user_roles:
            last_user = spoken
    return systems, tuple(messages), last_user


def _outputs(said: Conversation, fields: Fields, cutter: _Cutter) -> tuple[Output, ...]:
    outputs = tuple(
        Output(text=cutter.cut(turn.text), tool_calls=_cut_calls(turn, cutter), finish_reason=turn.finish_reason)
        for turn in said.outputs
        if turn.text or turn.tool_calls or turn.finish_reason
    )
    if outputs or said.captured:
        return outputs
    return tuple(Output(text=None, finish_reason=reason) for reason in finish_reasons(fields) if reason)


def _cut_calls(turn: Turn, cutter: _Cutter) -> tuple[ToolCall, ...]:
    if not any(len(call.arguments or "") > cutter.chars_max for call in turn.tool_calls):
        return turn.tool_calls
    return tuple(ToolCall(name=call.name, arguments=cutter.cut(call.arguments)) for call in turn.tool_calls)


def _content(
    span: Span,
    fields: Fields,
    said: Conversation,
    outputs: tuple[Output, ...],
    stream: bool | None,
    output_tokens: int | None,
) -> Content:
    if said.redacted:
        return Content.REDACTED
    if not said.captured:
        referenced = any(key in fields.attributes for key in dialects.REFERENCES)
        return Content.BY_REFERENCE if referenced else Content.NONE
    for output in outputs:
        if output.text and (output.finish_reason == "error" or _aborted(output, stream, output_tokens)):
            return Content.PARTIAL
    if said.truncated or (span.dropped and not said.inputs):
        return Content.TRUNCATED
    return Content.CAPTURED


def _aborted(output: Output, stream: bool | None, output_tokens: int | None) -> bool:
    return bool(stream) and output.finish_reason is None and output_tokens is None


def _request_model(fields: Fields) -> str | None:
    named = fields.word("request_model")
    if named is None:
        named = fields.word("any_model")
        if named is not None and len(named) > 11 and _is_date(named[-11:]):
            named = named[:-11]
    return named


def _is_date(suffix: str) -> bool:
    return suffix[0] == suffix[5] == suffix[8] == "-" and suffix.replace("-", "").isdigit()


def _response_model(span: Span, fields: Fields) -> str | None:
    named = fields.word("response_model")
    return named if named is not None or span.failed else fields.word("any_model")


def _stream(span: Span, fields: Fields) -> bool | None:
    if not span.events and not fields.shape.tells_streaming:
        return None
    if span.events and any(event.name in dialects.FIRST_CHUNK_EVENTS for event in span.events):
        return True
    flag = fields.flag("stream")
    if flag is None:
        for key, suffix in dialects.STREAM_OPERATIONS.items():
            value = fields.attributes.get(key)
            if isinstance(value, str):
                return value.endswith(suffix)
    return flag


def _ttft(span: Span, fields: Fields, stream: bool | None) -> float | None:
    if not span.events and not fields.shape.tells_streaming:
        return None
    seconds = fields.seconds("ttft_seconds")
    if seconds is None and stream:
        seconds = fields.seconds("ttft_seconds_if_stream")
    if seconds is not None:
        return seconds
    milliseconds = fields.seconds("ttft_milliseconds")
    if milliseconds is not None:
        return milliseconds / 1e3
    at = next((event.at for event in span.events if event.name in dialects.FIRST_CHUNK_EVENTS), None) or _instant(
        fields
    )
    if at is None or not 0 <= at - span.started_at <= _TTFT_MAX_NANOSECONDS:
        return None
    return (at - span.started_at) / 1e9


def _instant(fields: Fields) -> int | None:
    text = fields.word("ttft_at")
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(at.timestamp() * 1e9) if at.tzinfo is not None else None


def _prompt(fields: Fields) -> str | None:
    name = fields.word("prompt_name")
    version = fields.word("prompt_version") if name else None
    return f"{name}:{version}" if version else name


def _prompt_documents(fields: Fields, documents: Sequence[str]) -> list[str]:
    """Prompt variables that carry retrieved text, unless the texts of the joined documents already say it."""
    if not fields.shape.variables:
        return []
    attributes = fields.attributes
    found: list[Any] = [attributes[key] for _, key in _VARIABLE_KEYS if key in attributes]
    for key in dialects.VARIABLE_SETS:
        if key in attributes:
            variables = fields.json(key)
            if isinstance(variables, dict):
                found.extend(variables[name] for name, _ in _VARIABLE_KEYS if name in variables)
    texts = [text for text in found if isinstance(text, str) and text]
    return [text for text in texts if not (documents and all(document in text for document in documents))]
