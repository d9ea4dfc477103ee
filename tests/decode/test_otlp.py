"""Bytes from outside: whatever arrives, the decoder answers with spans or with one reason, and never raises."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector.config import JoinConfig, LimitsConfig
from collector.decode.assemble import Assembler
from collector.decode.context import context_text
from collector.decode.dialects import WANTED
from collector.decode.otlp import decode_logs, decode_traces
from collector.decode.printed import printed
from collector.decode.spans import Span, Undecodable
from collector.records import Anchor, LLMCall, RejectReason
from tests.decode.test_dialects import SPELLINGS
from tests.decode.wire import (
    CHAT,
    EPOCH,
    LIMITS,
    SECOND,
    TOPIC,
    WireEvent,
    WireSpan,
    as_json,
    calls,
    logs_message,
    put,
    traces_message,
)

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "otlp"
REQUEST = traces_message([CHAT, CHAT.but(trace=2)])
PROTOBUF = REQUEST.SerializeToString()
JSON = as_json(REQUEST)


def reason(value: bytes | None, limits: LimitsConfig = LIMITS) -> RejectReason:
    decoded = decode_traces(value, limits)
    assert isinstance(decoded, Undecodable), decoded
    return decoded.reason


def decoded(value: bytes, limits: LimitsConfig = LIMITS) -> list[Span]:
    spans = decode_traces(value, limits)
    assert not isinstance(spans, Undecodable), spans
    return spans


def swallow(value: bytes | None) -> None:
    """Everything the pipeline would do with a value; an answer of either kind is fine, an exception is not."""
    spans = decode_traces(value, LIMITS)
    events = decode_logs(value, LIMITS)
    assembler = Assembler(JoinConfig(), LIMITS)
    registered = 0
    if not isinstance(spans, Undecodable):
        registered = assembler.add_spans(spans, anchor=Anchor(TOPIC, 0), now=0.0)
    if not isinstance(events, Undecodable):
        assembler.add_events(events, now=0.0)
    settled = assembler.flush()
    assert len(settled) == registered
    for each in settled:
        if isinstance(each.verdict, LLMCall):
            json.loads(printed(each.verdict))
            context_text(each.verdict)


@pytest.mark.parametrize("value", [PROTOBUF, JSON, b"\xef\xbb\xbf" + JSON, b"  \n" + JSON, b"\n" + JSON])
def test_protobuf_and_json_are_told_apart(value: bytes) -> None:
    assert decoded(value) == decoded(PROTOBUF)


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.compress, lambda value: gzip.compress(value[:9]) + gzip.compress(value[9:])]
)
@pytest.mark.parametrize("value", [PROTOBUF, JSON])
def test_compressed_values_are_unpacked(pack: Any, value: bytes) -> None:
    assert decoded(pack(value)) == decoded(PROTOBUF)


def test_a_request_whose_first_length_looks_like_a_brace_is_protobuf() -> None:
    for size in range(200):
        value = traces_message([WireSpan(name="x" * size, resource={}, scope="")]).SerializeToString()
        if value[1] == ord("{"):
            assert len(decoded(value)) == 1
            return
    pytest.fail("no request of the right length")


@pytest.mark.parametrize("value", [None, b""])
def test_no_value_is_empty(value: bytes | None) -> None:
    assert reason(value) is RejectReason.EMPTY


def test_giant_records_are_too_large() -> None:
    assert reason(b"x" * (LIMITS.record_bytes_max + 1)) is RejectReason.TOO_LARGE


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_bombs_are_not_unpacked(pack: Any) -> None:
    assert reason(pack(b"\0" * (LIMITS.decompressed_bytes_max + 1))) is RejectReason.BOMB
    assert reason(pack(b"\0" * 1_000_000)) is RejectReason.BOMB  # small enough, but at a ratio that nobody needs


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_broken_compression_has_its_reason(pack: Any) -> None:
    packed = pack(PROTOBUF * 3)

    assert reason(packed[: len(packed) // 2]) is RejectReason.BAD_COMPRESSION
    assert reason(packed[:4] + b"\xff" * 40) is RejectReason.BAD_COMPRESSION


@pytest.mark.parametrize("value", [b"hello", b"\xff" * 50, b"\x0a\xff\xff\xff\x7f", b"\x08\x01", PROTOBUF[:-3]])
def test_what_is_no_request_is_bad_protobuf(value: bytes) -> None:
    assert reason(value) is RejectReason.BAD_PROTOBUF


@pytest.mark.parametrize("value", [b"{", b'{"resourceSpans":[}', JSON[:-5], b'{"data": []}', b'{"a":"\xff"}', b"{} {}"])
def test_what_is_no_json_request_is_bad_json(value: bytes) -> None:
    assert reason(value) is RejectReason.BAD_JSON


@pytest.mark.parametrize(
    "body",
    [
        {"resourceSpans": 5},
        {"resourceSpans": [5]},
        {"resourceSpans": [{"scopeSpans": {"a": 1}}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 7}]}]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": 1}]}]}]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": "a", "value": {"stringValue": 1}}]}]}]}]},
    ],
)
def test_wrong_types_in_json_have_their_reason(body: Any) -> None:
    assert reason(json.dumps(body).encode()) is RejectReason.WRONG_TYPE


@pytest.mark.parametrize(("field", "value"), [("startTimeUnixNano", "soon"), ("startTimeUnixNano", {})])
def test_a_time_that_is_none_has_its_reason(field: str, value: Any) -> None:
    body = json.loads(JSON)
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0][field] = value

    assert reason(json.dumps(body).encode()) is RejectReason.WRONG_TYPE


def nested(levels: int, leaf: Any = "x") -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize("key", ["gen_ai.input.messages", "nobody.reads.this"])
@pytest.mark.parametrize("levels", [60, 400, 5_000])
def test_deep_nesting_in_protobuf_is_a_counted_reason(key: str, levels: int) -> None:
    inner = b"\x0a\x01x"  # string_value
    for _ in range(levels):
        array = b"\x0a" + _size(inner) + inner
        inner = b"\x2a" + _size(array) + array
    pair = b"\x0a" + _size(key.encode()) + key.encode() + b"\x12" + _size(inner) + inner
    value = pair
    for tag in (b"\x4a", b"\x12", b"\x12", b"\x0a"):
        value = tag + _size(value) + value

    assert reason(value) is RejectReason.TOO_DEEP


def _size(value: bytes) -> bytes:
    number, out = len(value), b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def test_nesting_within_the_limit_is_read() -> None:
    span = CHAT.but(attributes=CHAT.attributes | {"gen_ai.input.messages": nested(30)})

    assert len(decoded(traces_message([span]).SerializeToString())) == 1
    assert reason(traces_message([span]).SerializeToString(), LIMITS.model_copy(update={"nesting_depth_max": 20})) is (
        RejectReason.TOO_DEEP
    )


@pytest.mark.parametrize("levels", [100, 1_000, 100_000])
@pytest.mark.parametrize("where", ["attribute", "unknown field", "open end"])
def test_deep_nesting_in_json_is_a_counted_reason(levels: int, where: str) -> None:
    if where == "attribute":
        opening, closing = b'{"arrayValue":{"values":[', b"]}}"
        head, _, tail = JSON.partition(b'{"stringValue": "openai"}')
        value = head + opening * levels + b'{"stringValue":"x"}' + closing * levels + tail
    elif where == "unknown field":
        value = b'{"x":' + b"[" * (4 * levels) + b"]" * (4 * levels) + b',"resourceSpans":[]}'
    else:
        value = b'{"resourceSpans":' + b"[" * (4 * levels)

    assert reason(value[: LIMITS.record_bytes_max]) is RejectReason.TOO_DEEP


def test_brackets_inside_strings_are_no_nesting() -> None:
    span = CHAT.but(attributes={**CHAT.attributes, "gen_ai.request.model": '{[\\"' * 5_000})

    assert len(decoded(as_json(traces_message([span])))) == 1


def test_deeply_nested_json_inside_an_attribute_is_text_that_nobody_can_read() -> None:
    swallow(
        traces_message(
            [CHAT.but(attributes=CHAT.attributes | {"gen_ai.input.messages": "[{" + "[" * 100_000})]
        ).SerializeToString()
    )
    swallow(
        traces_message(
            [CHAT.but(attributes=CHAT.attributes | {"gen_ai.input.messages": '[{"a":' * 50_000})]
        ).SerializeToString()
    )


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [(b"", b""), (b"\0" * 16, b"\1" * 8), (b"\1" * 16, b"\0" * 8), (b"\1" * 8, b"\1" * 8), (b"\1" * 16, b"\1" * 16)],
)
def test_spans_without_valid_ids_are_no_calls_and_spare_their_neighbours(trace_id: bytes, span_id: bytes) -> None:
    message = traces_message([CHAT, CHAT.but(trace=2)])
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.span_id = trace_id, span_id

    assert [each.trace_id[-1] for each in decoded(message.SerializeToString())] == ["2"]


def test_ids_in_json_are_hex_of_any_case() -> None:
    body = json.loads(JSON)
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["traceId"], span["spanId"] = "ABCDEF0123456789" * 2, "ABCDEF0123456789"
    other = body["resourceSpans"][1]["scopeSpans"][0]["spans"][0]
    other["traceId"] = "not hexadecimal at all, 32 chars"

    (found,) = decoded(json.dumps(body).encode())

    assert (found.trace_id, found.span_id) == ("abcdef0123456789" * 2, "abcdef0123456789")


def test_json_of_every_exporter_is_read() -> None:
    body = json.loads(JSON)
    span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span |= {"events": [], "status": {"code": 0}, "droppedAttributesCount": 0, "links": [], "kind": 3, "flags": 257}
    span["startTimeUnixNano"] = int(span["startTimeUnixNano"])
    span["attributes"] += [
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": 9}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "3"}},
        {"key": "gen_ai.response.time_to_first_chunk", "value": {"doubleValue": 1}},
        {"key": "gen_ai.request.stream", "value": {"boolValue": True}},
        {"key": "gen_ai.prompt.name", "value": {}},
        {"key": "gen_ai.prompt.version", "value": None},
        {"key": "session.id", "value": {"bytesValue": "aGk="}},
        {"key": "tenant", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {}}}]}}},
    ]
    body["resourceSpans"].append({"resource": None, "scopeSpans": None, "schemaUrl": "x"})

    first, *_ = decoded(json.dumps(body).encode())

    assert first.attributes["gen_ai.usage.input_tokens"] == 9
    assert first.attributes["gen_ai.usage.output_tokens"] == 3
    assert first.attributes["gen_ai.response.time_to_first_chunk"] == 1.0
    assert first.attributes["gen_ai.request.stream"] is True
    assert first.attributes["gen_ai.prompt.name"] is None
    assert first.attributes["session.id"] == b"hi"
    assert first.attributes["tenant"] == {"a": []}


def test_times_beyond_63_bits_are_held_at_the_edge() -> None:
    message = traces_message([CHAT])
    message.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = (1 << 64) - 1

    assert decoded(message.SerializeToString())[0].ended_at == (1 << 63) - 1


def test_a_span_without_an_end_is_told_when_it_began_and_has_no_duration() -> None:
    (call,) = calls(CHAT.but(start=5.0, end=-EPOCH / SECOND))

    assert call.ended_at == call.started_at == EPOCH + 5 * SECOND
    assert call.latency_seconds is None


def test_only_events_that_speak_of_calls_are_kept() -> None:
    events = decode_logs(
        logs_message(
            [WireEvent(name="gen_ai.choice"), WireEvent(name="order.placed"), WireEvent(name="")]
        ).SerializeToString(),
        LIMITS,
    )

    assert not isinstance(events, Undecodable)
    assert [event.name for event in events] == ["gen_ai.choice"]


def test_text_longer_than_the_limit_is_cut_and_said_to_be() -> None:
    limits = LIMITS.model_copy(update={"text_chars_max": 5})
    assembler = Assembler(JoinConfig(), limits)
    assembler.add_spans(decoded(PROTOBUF), anchor=Anchor(TOPIC, 0), now=0.0)

    call = assembler.flush()[0].verdict

    assert isinstance(call, LLMCall)
    assert (call.last_user_text, call.outputs[0].text, call.content.value) == ("Where", "In Fr", "truncated")


@given(st.binary(max_size=400))
def test_random_bytes_never_raise(value: bytes) -> None:
    swallow(value)


@given(st.text(max_size=200))
def test_random_text_behind_a_brace_never_raises(text: str) -> None:
    swallow(b"{" + text.encode(errors="replace"))


requests = st.sampled_from(
    [
        PROTOBUF,
        JSON,
        logs_message([WireEvent(name="gen_ai.choice", body={"message": {"content": "x"}})]).SerializeToString(),
    ]
    + [traces_message([span]).SerializeToString() for span in SPELLINGS.values()]
    + [as_json(traces_message([span])) for span in SPELLINGS.values()]
)


@given(value=requests, cut=st.integers(0, 4_000))
def test_truncated_requests_never_raise(value: bytes, cut: int) -> None:
    swallow(value[: len(value) - cut % len(value)])


@given(value=requests, flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 7)), min_size=1, max_size=8))
def test_bit_flipped_requests_never_raise(value: bytes, flips: list[tuple[int, int]]) -> None:
    flipped = bytearray(value)
    for place, bit in flips:
        flipped[place % len(value)] ^= 1 << bit
    swallow(bytes(flipped))


@given(packed=requests.map(gzip.compress), cut=st.integers(0, 1_000), flip=st.integers(0, 1 << 16))
def test_damaged_compression_never_raises(packed: bytes, cut: int, flip: int) -> None:
    damaged = bytearray(packed)
    damaged[flip % len(damaged)] ^= 0xFF
    swallow(bytes(damaged[: max(1, len(damaged) - cut)]))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 62), 1 << 62)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
INDEXED = (
    "llm.input_messages.0.message.content",
    "llm.input_messages.0.message.role",
    "llm.output_messages.1.message.tool_calls.0.tool_call.function.arguments",
    "gen_ai.prompt.0.content",
    "gen_ai.completion.0.finish_reason",
    "retrieval.documents.0.document.content",
    "gen_ai.prompt.variable.context",
)


@given(
    spelling=st.sampled_from(sorted(SPELLINGS)),
    wrong=st.dictionaries(st.sampled_from(sorted(WANTED) + list(INDEXED)), json_values, max_size=6),
)
def test_wrong_types_in_any_attribute_never_raise(spelling: str, wrong: dict[str, Any]) -> None:
    span = SPELLINGS[spelling]
    attributes = {key: value for key, value in (span.attributes | wrong).items() if value is not None}
    retriever = span.but(span=2, start=-2, end=-1, attributes=wrong | {"openinference.span.kind": "RETRIEVER"})

    swallow(traces_message([retriever, span.but(attributes=attributes)]).SerializeToString())


WRONG = (True, -1, 1 << 60, 1.5, "", "[", "{", '"', "[{}]", "{}", b"\xff", [], [[]], {}, {"a": 1})


@pytest.mark.parametrize("key", [*sorted(WANTED), *INDEXED])
def test_each_attribute_survives_every_wrong_value(key: str) -> None:
    for wrong in WRONG:
        spans = enumerate(SPELLINGS.values())
        spoilt = [span.but(attributes=span.attributes | {key: wrong}, span=index + 1) for index, span in spans]
        swallow(traces_message(spoilt).SerializeToString())


SHAPE_WORDS = (
    *("role", "parts", "content", "type", "text", "tool_calls", "function", "name", "arguments", "choices", "message"),
    *("output", "kwargs", "generations", "finish_reason", "event.name", "response", "input", "documents", "status"),
)


@given(
    key=st.sampled_from(
        [
            "gen_ai.input.messages",
            "gen_ai.output.messages",
            "langfuse.observation.output",
            "mlflow.spanOutputs",
            "output.value",
            "ai.prompt.messages",
            "ai.response.toolCalls",
            "events",
            "gen_ai.system_instructions",
            "traceloop.entity.output",
        ]
    ),
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.sampled_from(["user", "tool_call", "text", "assistant"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(SHAPE_WORDS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ),
    structured=st.booleans(),
)
def test_messages_of_any_shape_never_raise(key: str, value: Any, structured: bool) -> None:
    message = traces_message([CHAT.but(attributes={"gen_ai.operation.name": "chat"}), TRACELOOP_RETRIEVER])
    for group in message.resource_spans:
        pair = group.scope_spans[0].spans[0].attributes.add(key=key)
        put(pair.value, _small(value) if structured else json.dumps(value))

    swallow(message.SerializeToString())


TRACELOOP_RETRIEVER = WireSpan(span=2, start=-2, end=-1, attributes={"gen_ai.operation.name": "vector_db_retrieve"})


def _small(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | list | dict):
        return value
    if isinstance(value, int):
        return max(min(value, 1 << 60), -(1 << 60))
    return [_small(item) for item in value] if isinstance(value, list) else {k: _small(v) for k, v in value.items()}


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="the captured telemetry (../shared/fixtures) is not here")
def test_every_captured_request_cut_anywhere_never_raises() -> None:
    for path in sorted(FIXTURES.glob("*/*.chat.*"))[::3]:
        value = path.read_bytes()
        for size in range(0, len(value), max(1, len(value) // 40)):
            swallow(value[:size])
            swallow(zlib.compress(value[:size]))
