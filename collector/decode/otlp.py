"""OTLP bytes to spans and log events; whatever arrives, the answer is a value: what was in it, or why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from google.protobuf.internal import api_implementation
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.config import LimitsConfig
from collector.decode import otlpjson
from collector.decode.compression import unpack
from collector.decode.dialects import (
    EVENT_NAME_KEYS,
    EVENTS,
    FIRST_CHUNK_EVENTS,
    RESOURCE_KEYS,
    SPAN_EVENT_KEYS,
    SPAN_EVENTS,
    WANTED,
)
from collector.decode.nesting import json_too_deep, protobuf_too_deep
from collector.decode.routes import KEY_CHARS_MAX, route
from collector.decode.shapes import NO_SHAPE, shape_of
from collector.decode.spans import (
    Attributes,
    BadRecordError,
    LogEvent,
    Source,
    Span,
    SpanEvent,
    Undecodable,
    nanoseconds,
    source_of,
)
from collector.records import RejectReason

if api_implementation.Type() == "python":  # far slower, and it recurses without a bound
    raise ImportError("protobuf runs in pure Python here; Assay needs the compiled runtime of the protobuf wheel")

INT32_MAX = (1 << 31) - 1
_NO_TRACE = b"\0" * 16
_NO_SPAN = b"\0" * 8
_FAILED = 2  # STATUS_CODE_ERROR
_T = TypeVar("_T")


def decode_traces(value: bytes | None, limits: LimitsConfig) -> list[Span] | Undecodable:
    """The spans of one ``ExportTraceServiceRequest``, protobuf or JSON, plain or compressed. Never raises.

    Spans whose ids are missing, zero or of the wrong length are passed over: they can be no call.
    """
    return _decode(value, limits, _protobuf_spans, otlpjson.spans)


def decode_logs(value: bytes | None, limits: LimitsConfig) -> list[LogEvent] | Undecodable:
    """The records of one ``ExportLogsServiceRequest`` that speak of calls; others are passed over. Never raises."""
    return _decode(value, limits, _protobuf_events, otlpjson.events)


def _decode(
    value: bytes | None,
    limits: LimitsConfig,
    protobuf: Callable[[bytes, int], list[_T]],
    json: Callable[[bytes, int], list[_T]],
) -> list[_T] | Undecodable:
    if not value:
        return Undecodable(RejectReason.EMPTY, "no value")
    if len(value) > limits.record_bytes_max:
        return Undecodable(RejectReason.TOO_LARGE, f"{len(value)} bytes")
    unpacked = unpack(value, limits)
    if isinstance(unpacked, Undecodable):
        return unpacked
    depth_max = limits.nesting_depth_max
    looks_json = unpacked[:64].lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{")
    if looks_json and unpacked[0] == 0x0A:  # a line feed, or the first field of a request of 123 bytes
        decoded = _attempt(protobuf, unpacked, depth_max)
        return _attempt(_parse_json(json), unpacked, depth_max) if isinstance(decoded, Undecodable) else decoded
    return _attempt(_parse_json(json) if looks_json else protobuf, unpacked, depth_max)


def _attempt(decode: Callable[[bytes, int], list[_T]], value: bytes, depth_max: int) -> list[_T] | Undecodable:
    try:
        return decode(value, depth_max)
    except BadRecordError as error:
        return Undecodable(error.reason, error.detail)
    except DecodeError:
        deep = protobuf_too_deep(value)
        if deep:
            return Undecodable(RejectReason.TOO_DEEP, "nested messages")
        return Undecodable(RejectReason.BAD_PROTOBUF, "neither an OTLP request in protobuf nor an object of JSON")
    except msgspec.ValidationError as error:
        return Undecodable(RejectReason.WRONG_TYPE, str(error)[:200])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Undecodable(RejectReason.BAD_JSON, str(error)[:200])
    except RecursionError:
        return Undecodable(RejectReason.TOO_DEEP, "nested JSON")


def _parse_json(json: Callable[[bytes, int], list[_T]]) -> Callable[[bytes, int], list[_T]]:
    def parse(value: bytes, depth_max: int) -> list[_T]:
        value = value.removeprefix(b"\xef\xbb\xbf")
        if json_too_deep(value, otlpjson.LEVELS_OF_A_VALUE * depth_max + otlpjson.LEVELS_ABOVE):
            raise BadRecordError(RejectReason.TOO_DEEP, "nested JSON")
        return json(value, depth_max)

    return parse


def _protobuf_spans(value: bytes, depth_max: int) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(value)
    if not request.resource_spans:
        raise BadRecordError(RejectReason.BAD_PROTOBUF, "no resource spans")
    spans: list[Span] = []
    for group in request.resource_spans:
        resource = _resource(group.resource.attributes, depth_max)
        for scoped in group.scope_spans:
            source = source_of(resource, scoped.scope.name, scoped.scope.version)
            for item in scoped.spans:
                span = _span(item, source, depth_max)
                if span is not None:
                    spans.append(span)
    return spans


def _span(item: Any, source: Source, depth_max: int) -> Span | None:
    trace_id, span_id = item.trace_id, item.span_id
    if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    parent_id = item.parent_span_id
    status = item.status
    events = item.events
    attributes = _wanted(item.attributes, depth_max)
    return Span(
        trace_id.hex(),
        span_id.hex(),
        "" if parent_id == _NO_SPAN else parent_id.hex(),
        item.name,
        source,
        nanoseconds(item.start_time_unix_nano),
        nanoseconds(item.end_time_unix_nano),
        status.code == _FAILED,
        status.message,
        attributes,
        shape_of(tuple(attributes)) if attributes else NO_SHAPE,
        _span_events(events, depth_max) if events else (),
        min(item.dropped_attributes_count, INT32_MAX),
    )


def _span_events(items: Iterable[Any], depth_max: int) -> tuple[SpanEvent, ...]:
    events: list[SpanEvent] = []
    streaming = False
    for item in items:
        name = item.name
        if name not in SPAN_EVENTS or (streaming and name in FIRST_CHUNK_EVENTS):
            continue
        streaming = streaming or name in FIRST_CHUNK_EVENTS
        attributes = {
            pair.key: _value(pair.value, depth_max) for pair in item.attributes if pair.key in SPAN_EVENT_KEYS
        }
        events.append(SpanEvent(name, nanoseconds(item.time_unix_nano), attributes))
    return tuple(events)


def _protobuf_events(value: bytes, depth_max: int) -> list[LogEvent]:
    request = ExportLogsServiceRequest.FromString(value)
    if not request.resource_logs:
        raise BadRecordError(RejectReason.BAD_PROTOBUF, "no resource logs")
    events: list[LogEvent] = []
    for group in request.resource_logs:
        resource = _resource(group.resource.attributes, depth_max)
        for scoped in group.scope_logs:
            source = source_of(resource, scoped.scope.name, scoped.scope.version)
            for record in scoped.log_records:
                name = record.event_name or _event_name(record.attributes)
                if name not in EVENTS:
                    continue
                trace_id, span_id = record.trace_id, record.span_id
                events.append(
                    LogEvent(
                        trace_id.hex() if len(trace_id) == 16 and trace_id != _NO_TRACE else "",
                        span_id.hex() if len(span_id) == 8 and span_id != _NO_SPAN else "",
                        name,
                        nanoseconds(record.time_unix_nano or record.observed_time_unix_nano),
                        source,
                        _value(record.body, depth_max),
                        _wanted(record.attributes, depth_max),
                    )
                )
    return events


def _event_name(attributes: Iterable[Any]) -> str:
    for pair in attributes:
        if pair.key in EVENT_NAME_KEYS:
            name: str = pair.value.string_value
            return name
    return ""


def _resource(items: Iterable[Any], depth_max: int) -> Attributes:
    return {pair.key: _value(pair.value, depth_max) for pair in items if pair.key in RESOURCE_KEYS}


def _wanted(items: Iterable[Any], depth_max: int) -> Attributes:
    attributes: Attributes = {}
    for pair in items:
        key = pair.key
        if key in WANTED or (len(key) <= KEY_CHARS_MAX and route(key) is not None):
            value = pair.value  # nearly all are strings or numbers, and asking which costs more than looking
            attributes[key] = value.string_value or value.int_value or _value(value, depth_max)
    return attributes


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        if depth <= 0:
            raise BadRecordError(RejectReason.TOO_DEEP, "nested attribute value")
        return [_value(item, depth - 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        if depth <= 0:
            raise BadRecordError(RejectReason.TOO_DEEP, "nested attribute value")
        return {pair.key: _value(pair.value, depth - 1) for pair in value.kvlist_value.values}
    return getattr(value, kind)
