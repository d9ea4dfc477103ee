"""OTLP/JSON to spans and log events: hex ids, 64-bit integers as strings or numbers, any field absent or null."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

from collector.decode.dialects import (
    EVENT_NAME_KEYS,
    EVENTS,
    FIRST_CHUNK_EVENTS,
    RESOURCE_KEYS,
    SPAN_EVENT_KEYS,
    SPAN_EVENTS,
)
from collector.decode.routes import KEY_CHARS_MAX, route
from collector.decode.shapes import shape_of
from collector.decode.spans import (
    Attributes,
    BadRecordError,
    LogEvent,
    Source,
    Span,
    SpanEvent,
    nanoseconds,
    source_of,
)
from collector.records import RejectReason

LEVELS_ABOVE = 16  # brackets around an attribute's value
LEVELS_OF_A_VALUE = 4  # brackets of one list inside another
INT32_MAX = (1 << 31) - 1
_HEX = frozenset("0123456789abcdef")
_FAILED = (2, "2", "STATUS_CODE_ERROR")

Number = int | str | None


class _Json(msgspec.Struct, rename="camel", gc=False):
    pass


class _Pair(_Json):
    key: str | None = None
    value: _Value | None = None


class _Array(_Json):
    values: list[_Value | None] | None = None


class _Pairs(_Json):
    values: list[_Pair] | None = None


class _Value(_Json):
    string_value: str | None = None
    int_value: Number = None
    double_value: float | str | None = None
    bool_value: bool | None = None
    array_value: _Array | None = None
    kvlist_value: _Pairs | None = None
    bytes_value: str | None = None


class _Resource(_Json):
    attributes: list[_Pair] | None = None


class _Scope(_Json):
    name: str | None = None
    version: str | None = None


class _Status(_Json):
    code: Number = None
    message: str | None = None


class _Event(_Json):
    name: str | None = None
    time_unix_nano: Number = None
    attributes: list[_Pair] | None = None


class _Span(_Json):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    start_time_unix_nano: Number = None
    end_time_unix_nano: Number = None
    attributes: list[_Pair] | None = None
    dropped_attributes_count: Number = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _ScopeSpans(_Json):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class _ResourceSpans(_Json):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Traces(_Json):
    resource_spans: list[_ResourceSpans] | msgspec.UnsetType | None = msgspec.UNSET


class _Record(_Json):
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None
    time_unix_nano: Number = None
    observed_time_unix_nano: Number = None
    body: _Value | None = None
    attributes: list[_Pair] | None = None


class _ScopeLogs(_Json):
    scope: _Scope | None = None
    log_records: list[_Record] | None = None


class _ResourceLogs(_Json):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _Logs(_Json):
    resource_logs: list[_ResourceLogs] | msgspec.UnsetType | None = msgspec.UNSET


_TRACES = msgspec.json.Decoder(_Traces)
_LOGS = msgspec.json.Decoder(_Logs)


def spans(value: bytes, depth_max: int) -> list[Span]:
    """The spans of a request; raises what the border of the room turns into a reason."""
    groups = _TRACES.decode(value).resource_spans
    if groups is msgspec.UNSET:
        raise BadRecordError(RejectReason.BAD_JSON, "no resourceSpans")
    found: list[Span] = []
    for group in groups or ():
        resource = _resource(group.resource, depth_max)
        for scoped in group.scope_spans or ():
            source = _source(resource, scoped.scope)
            for item in scoped.spans or ():
                span = _span(item, source, depth_max)
                if span is not None:
                    found.append(span)
    return found


def events(value: bytes, depth_max: int) -> list[LogEvent]:
    """The log records of a request that speak of calls; raises as ``spans`` does."""
    groups = _LOGS.decode(value).resource_logs
    if groups is msgspec.UNSET:
        raise BadRecordError(RejectReason.BAD_JSON, "no resourceLogs")
    found: list[LogEvent] = []
    for group in groups or ():
        resource = _resource(group.resource, depth_max)
        for scoped in group.scope_logs or ():
            source = _source(resource, scoped.scope)
            for record in scoped.log_records or ():
                name = record.event_name or _event_name(record.attributes or ())
                if name not in EVENTS:
                    continue
                found.append(
                    LogEvent(
                        _identifier(record.trace_id, 32),
                        _identifier(record.span_id, 16),
                        name,
                        _time(record.time_unix_nano) or _time(record.observed_time_unix_nano),
                        source,
                        _value(record.body, depth_max),
                        _wanted(record.attributes or (), depth_max),
                    )
                )
    return found


def _span(item: _Span, source: Source, depth_max: int) -> Span | None:
    trace_id, span_id = _identifier(item.trace_id, 32), _identifier(item.span_id, 16)
    if not trace_id or not span_id:
        return None
    status = item.status or _Status()
    attributes = _wanted(item.attributes or (), depth_max)
    return Span(
        trace_id,
        span_id,
        _identifier(item.parent_span_id, 16),
        item.name or "",
        source,
        _time(item.start_time_unix_nano),
        _time(item.end_time_unix_nano),
        status.code in _FAILED,
        status.message or "",
        attributes,
        shape_of(tuple(attributes)),
        _span_events(item.events, depth_max) if item.events else (),
        min(_time(item.dropped_attributes_count), INT32_MAX),
    )


def _span_events(items: Iterable[_Event], depth_max: int) -> tuple[SpanEvent, ...]:
    found: list[SpanEvent] = []
    streaming = False
    for item in items:
        name = item.name or ""
        if name not in SPAN_EVENTS or (streaming and name in FIRST_CHUNK_EVENTS):
            continue
        streaming = streaming or name in FIRST_CHUNK_EVENTS
        pairs = item.attributes or ()
        attributes = {pair.key: _value(pair.value, depth_max) for pair in pairs if pair.key in SPAN_EVENT_KEYS}
        found.append(SpanEvent(name, _time(item.time_unix_nano), attributes))
    return tuple(found)


def _source(resource: Attributes, scope: _Scope | None) -> Source:
    scope = scope or _Scope()
    return source_of(resource, scope.name or "", scope.version or "")


def _resource(resource: _Resource | None, depth_max: int) -> Attributes:
    pairs = (resource.attributes or ()) if resource is not None else ()
    return {pair.key: _value(pair.value, depth_max) for pair in pairs if pair.key in RESOURCE_KEYS}


def _event_name(pairs: Iterable[_Pair]) -> str:
    for pair in pairs:
        if pair.key in EVENT_NAME_KEYS and pair.value is not None:
            return pair.value.string_value or ""
    return ""


def _wanted(pairs: Iterable[_Pair], depth_max: int) -> Attributes:
    attributes: Attributes = {}
    for pair in pairs:
        key = pair.key
        if key and len(key) <= KEY_CHARS_MAX and route(key) is not None:
            attributes[key] = _value(pair.value, depth_max)
    return attributes


def _value(value: _Value | None, depth: int) -> Any:
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.bool_value is not None:
        return value.bool_value
    if value.int_value is not None:
        return _integer(value.int_value)
    if value.double_value is not None:
        return _float(value.double_value)
    if value.array_value is not None:
        _check(depth)
        return [_value(item, depth - 1) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        _check(depth)
        return {pair.key or "": _value(pair.value, depth - 1) for pair in value.kvlist_value.values or ()}
    if value.bytes_value is not None:
        try:
            return binascii.a2b_base64(value.bytes_value)
        except (binascii.Error, ValueError):
            raise BadRecordError(RejectReason.WRONG_TYPE, "bytesValue is not base64") from None
    return None


def _check(depth: int) -> None:
    if depth <= 0:
        raise BadRecordError(RejectReason.TOO_DEEP, "nested attribute value")


def _identifier(text: str | None, size: int) -> str:
    if not text or len(text) != size:
        return ""
    text = text.lower()
    return text if _HEX.issuperset(text) and text.strip("0") else ""


def _integer(number: int | str) -> int:
    if isinstance(number, int):
        return number
    try:
        return int(number) if len(number) <= 20 else int(float(number[:40]))
    except (ValueError, OverflowError):
        raise BadRecordError(RejectReason.WRONG_TYPE, "not an integer") from None


def _float(number: float | str) -> float:
    try:
        return float(number)
    except ValueError:
        raise BadRecordError(RejectReason.WRONG_TYPE, "not a number") from None


def _time(number: Number) -> int:
    return 0 if number is None or number == "" else nanoseconds(_integer(number))
