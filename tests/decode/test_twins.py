"""One request is told once: native SDK spans, wrappers, stacked instrumentations and records delivered again."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.records import DropReason, LLMCall, Settled
from tests.decode.wire import BARE, CHAT, WireSpan, call, calls, text_messages, verdicts

INSTRUMENTED = WireSpan(
    scope="opentelemetry.instrumentation.anthropic",
    name="anthropic.chat",
    start=0.0,
    end=1.0,
    attributes={
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.input.messages": text_messages(("user", "Where is Paris?")),
        "gen_ai.output.messages": text_messages(("assistant", "In France.")),
    },
)
NATIVE = WireSpan(
    scope="com.anthropic.sdk.python",
    name="anthropic.messages.create",
    span=2,
    start=0.01,
    end=0.99,
    attributes={
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-5",
        "gen_ai.response.id": "msg_1",
        "gen_ai.usage.input_tokens": 22,
        "anthropic.message.stop_reason": "end_turn",
    },
)
WITH_ID = INSTRUMENTED.but(attributes=INSTRUMENTED.attributes | {"gen_ai.response.id": "msg_1"})
PLACES = {
    "a child": {"parent": 1},
    "a sibling": {},
    "a root of another trace": {"trace": 9},
}


def kinds(settled: list[Settled]) -> list[str]:
    return [each.verdict.value if isinstance(each.verdict, DropReason) else "call" for each in settled]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("instrumented", [INSTRUMENTED, WITH_ID], ids=["without id", "with id"])
@pytest.mark.parametrize("native_first", [True, False])
def test_a_native_span_is_a_twin_wherever_it_hangs(place: str, instrumented: WireSpan, native_first: bool) -> None:
    native = NATIVE.but(**PLACES[place])
    spans = [native, instrumented] if native_first else [instrumented, native]

    settled = verdicts(*spans)

    assert kinds(settled) == (["twin", "call"] if native_first else ["call", "twin"])
    told = next(each.verdict for each in settled if isinstance(each.verdict, LLMCall))
    assert told.last_user_text == "Where is Paris?"
    assert (told.response_id, told.input_tokens) == ("msg_1", 22)  # what only the twin knew
    assert told.outputs[0].finish_reason == "stop"


@pytest.mark.parametrize("place", PLACES)
def test_twins_without_any_id_are_told_by_model_and_time(place: str) -> None:
    failed = {key: value for key, value in NATIVE.attributes.items() if "response" not in key and "usage" not in key}
    native = NATIVE.but(**PLACES[place], attributes=failed | {"error.type": "rate_limit_error"}, failed=True)

    settled = verdicts(native, INSTRUMENTED.but(failed=True))

    assert kinds(settled) == ["twin", "call"]


def test_a_native_span_alone_is_a_call_without_text() -> None:
    found = call(NATIVE)

    assert (found.response_id, found.outputs[0].text, found.outputs[0].finish_reason) == ("msg_1", None, "stop")


@pytest.mark.parametrize(
    "other",
    [
        NATIVE.but(resource={"service.name": "shop", "service.instance.id": "process-2"}),
        NATIVE.but(trace=9, start=100.0, end=101.0, attributes=NATIVE.attributes | {"gen_ai.response.id": "msg_2"}),
        NATIVE.but(trace=9, attributes=NATIVE.attributes | {"gen_ai.response.id": "msg_2"}),
    ],
    ids=["another process", "another time", "another id"],
)
def test_an_unrelated_native_span_is_a_call_of_its_own(other: WireSpan) -> None:
    assert len(calls(WITH_ID, other)) == 2


def test_a_native_span_of_another_model_at_the_same_time_is_a_call_of_its_own() -> None:
    other = NATIVE.but(trace=9, attributes=NATIVE.attributes | {"gen_ai.request.model": "claude-haiku-4-5"})

    assert len(calls(INSTRUMENTED, other)) == 2


@given(order=st.permutations(range(8)), together=st.booleans())
def test_concurrent_requests_are_matched_one_to_one(order: list[int], together: bool) -> None:
    spans = []
    for number in range(4):
        shift = 0.0 if together else number * 0.05
        spans.append(INSTRUMENTED.but(trace=10 + number, span=1, start=shift, end=1.0 + shift))
        ids = NATIVE.attributes | {"gen_ai.response.id": f"msg_{number}"}
        spans.append(NATIVE.but(trace=20 + number, start=shift + 0.01, end=0.99 + shift, attributes=ids))
    lonely = NATIVE.but(trace=30, start=50.0, end=51.0, attributes=NATIVE.attributes | {"gen_ai.response.id": "msg_9"})

    settled = verdicts(*(spans[index] for index in order), lonely)

    assert kinds(settled).count("call") == 5
    assert kinds(settled).count("twin") == 4


def test_the_innermost_llm_span_with_messages_is_the_call() -> None:
    predict = WireSpan(
        scope="openinference.instrumentation.llama_index",
        name="OpenAI.predict",
        attributes={"openinference.span.kind": "LLM", "input.value": "prompt", "output.value": "In France."},
    )
    chat = WireSpan(
        scope="openinference.instrumentation.llama_index",
        name="OpenAI.chat",
        span=2,
        parent=1,
        attributes={
            "openinference.span.kind": "LLM",
            "llm.model_name": "gpt-4o-mini",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": "Where is Paris?",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "In France.",
        },
    )

    for spans in itertools.permutations([predict, chat]):
        assert call(*spans).span_id == f"{2:016x}"


def test_a_vercel_call_is_told_once_though_three_spans_speak_of_it() -> None:
    inner = WireSpan(
        scope="ai",
        span=2,
        parent=1,
        attributes={"ai.operationId": "ai.streamText.doStream", "ai.model.id": "gpt-4o-mini", "ai.response.text": "x"},
    )
    outer = WireSpan(scope="ai", attributes={"ai.operationId": "ai.streamText", "ai.response.text": "x"})

    assert call(inner, outer).stream is True


def test_an_intermediate_span_does_not_hide_the_wrapper() -> None:
    between = WireSpan(scope="http", name="POST", span=3, parent=1)
    inner = CHAT.but(span=2, parent=3, scope="opentelemetry.instrumentation.openai_v2")

    for spans in itertools.permutations([CHAT, between, inner]):
        assert call(*spans).span_id == f"{2:016x}"


def test_the_report_with_text_wins_over_a_nested_one_without() -> None:
    inner = BARE.but(span=2, parent=1, scope="opentelemetry.instrumentation.openai_v2")

    settled = verdicts(inner, CHAT)

    assert kinds(settled) == ["twin", "call"]


def test_several_requests_under_one_span_make_it_a_wrapper_whatever_it_says() -> None:
    first = BARE.but(span=2, parent=1, start=0.0, end=0.4)
    second = BARE.but(span=3, parent=1, start=0.5, end=0.9, attributes=BARE.attributes | {"gen_ai.response.id": "r2"})

    settled = verdicts(first, second, CHAT)

    assert kinds(settled) == ["call", "call", "wrapper"]


def test_stacked_instrumentations_side_by_side_are_one_call() -> None:
    other = BARE.but(span=2, scope="opentelemetry.instrumentation.openai_v2")

    for spans in itertools.permutations([CHAT, other]):
        assert call(*spans).last_user_text == "Where is Paris?"


def test_one_instrumentation_never_reports_twice_side_by_side() -> None:
    assert len(calls(CHAT, CHAT.but(span=2))) == 2


def test_the_same_span_delivered_again_is_a_duplicate() -> None:
    assert kinds(verdicts(CHAT, CHAT, CHAT)) == ["call", "duplicate", "duplicate"]


def test_a_span_that_is_its_own_ancestor_is_still_a_call() -> None:
    loop = [CHAT.but(parent=1), CHAT.but(span=2, parent=3, scope="a"), CHAT.but(span=3, parent=2, scope="b")]

    assert len(verdicts(*loop)) == 3


TRACE: list[WireSpan] = [
    WireSpan(scope="app", span=100, parent=0, name="turn", end=9.0),
    CHAT.but(span=1, parent=100),
    NATIVE.but(span=2, parent=100, start=2.01, end=2.9),
    INSTRUMENTED.but(span=3, parent=100, start=2.0, end=3.0),
    CHAT.but(span=4, parent=100, start=4.0, end=5.0, attributes=CHAT.attributes | {"gen_ai.response.id": "r4"}),
    BARE.but(span=5, parent=4, start=4.1, end=4.9, scope="opentelemetry.instrumentation.openai_v2"),
    WireSpan(
        scope="openinference.instrumentation.langchain",
        span=6,
        parent=100,
        start=3.0,
        end=3.5,
        attributes={
            "openinference.span.kind": "RETRIEVER",
            "retrieval.documents.0.document.content": "Paris is the capital.",
        },
    ),
]


@given(order=st.permutations(range(len(TRACE))), again=st.lists(st.integers(0, len(TRACE) - 1), max_size=4))
def test_any_order_of_records_gives_the_same_calls(order: list[int], again: list[int]) -> None:
    expected = {each.call_id: _comparable(each) for each in calls(*TRACE)}

    found = {each.call_id: _comparable(each) for each in calls(*(TRACE[index] for index in [*order, *again]))}

    assert found == expected
    assert len(found) == 3


def _comparable(told: LLMCall) -> dict[str, Any]:
    return json.loads(json.dumps({name: str(getattr(told, name)) for name in told.__struct_fields__}))
