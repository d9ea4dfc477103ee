"""The assembler in time: when verdicts are due, what a restart or a lost partition means, how memory is bounded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config import JoinConfig
from collector.decode.assemble import Assembler
from collector.decode.twins import SAME_ID_MAX
from collector.records import Anchor, Content, DropReason, LLMCall, Partition, Settled
from tests.decode.test_twins import INSTRUMENTED, NATIVE, TRACE
from tests.decode.wire import BARE, CHAT, LIMITS, TOPIC, WireEvent, WireSpan, events_of, spans_of

JOIN = JoinConfig(settle_seconds=2.0, window_seconds=10.0, memory_seconds=60.0)
ANSWER = WireEvent(
    name="gen_ai.choice",
    body={"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "In France."}},
)
ASKED = WireEvent(name="gen_ai.user.message", body={"content": "Where is Paris?"}, at=0.1)
OTHER = Partition("otlp_spans", 1)


def assembler(**changes: float) -> Assembler:
    return Assembler(JOIN.model_copy(update=changes), LIMITS)


def add(
    target: Assembler,
    *spans: WireSpan,
    now: float = 0.0,
    offset: int = 0,
    partition: Partition = TOPIC,
    counted: frozenset[str] | None = None,
) -> int:
    return target.add_spans(spans_of(*spans), anchor=Anchor(partition, offset), now=now, counted=counted)


def ids(settled: Sequence[Settled]) -> list[str]:
    return [
        each.verdict.span_id.lstrip("0") if isinstance(each.verdict, LLMCall) else each.verdict.value
        for each in settled
    ]


def call_id(span: WireSpan) -> str:
    return f"{span.trace:032x}:{span.span:016x}"


def test_a_call_with_its_text_is_due_after_the_settle_time() -> None:
    target = assembler()

    assert add(target, CHAT, now=100.0) == 1
    assert target.waiting == 1
    assert target.settle(101.9) == []
    assert ids(target.settle(102.0)) == ["1"]
    assert target.waiting == 0
    assert target.settle(200.0) == []


def test_a_call_without_text_waits_for_the_whole_window() -> None:
    target = assembler()
    add(target, BARE, now=100.0)

    assert target.settle(109.9) == []
    assert ids(target.settle(110.0)) == ["1"]


def test_an_answer_that_comes_as_an_event_makes_its_call_due() -> None:
    target = assembler()
    add(target, BARE, now=100.0)
    target.add_events(events_of(ASKED), now=101.0)
    assert target.settle(103.5) == []

    target.add_events(events_of(ANSWER), now=104.0)

    assert target.settle(105.9) == []
    (settled,) = target.settle(106.0)
    assert isinstance(settled.verdict, LLMCall)
    assert (settled.verdict.last_user_text, settled.verdict.outputs[0].text) == ("Where is Paris?", "In France.")


def test_events_may_come_before_their_span() -> None:
    target = assembler()
    target.add_events(events_of(ANSWER, ASKED), now=99.0)
    add(target, BARE, now=100.0)

    (settled,) = target.settle(102.0)

    assert isinstance(settled.verdict, LLMCall)
    assert settled.verdict.content is Content.CAPTURED
    assert target.unjoined_events == 0


def test_events_delivered_twice_say_everything_once() -> None:
    target = assembler()
    target.add_events(events_of(ASKED, ANSWER, ASKED, ANSWER), now=99.0)
    add(target, BARE, now=100.0)

    (settled,) = target.flush()

    assert isinstance(settled.verdict, LLMCall)
    assert len(settled.verdict.input_messages) == len(settled.verdict.outputs) == 1


def test_events_that_are_read_again_are_remembered_from_then_on() -> None:
    target = assembler()
    target.add_events(events_of(ASKED, ANSWER), now=0.0)
    target.add_events(events_of(ASKED, ANSWER), now=55.0)
    target.settle(61.0)
    add(target, BARE, now=62.0)

    (settled,) = target.settle(64.0)

    assert isinstance(settled.verdict, LLMCall)
    assert settled.verdict.content is Content.CAPTURED
    assert target.settle(116.0) == []
    assert target._events._groups == {}


def test_events_whose_span_never_comes_are_counted() -> None:
    target = assembler()
    target.add_events(events_of(ASKED, ANSWER), now=100.0)

    target.settle(160.0)
    assert target.unjoined_events == 0
    target.settle(160.1)
    assert target.unjoined_events == 2


def test_events_after_the_verdict_are_late() -> None:
    target = assembler()
    add(target, BARE, now=100.0)
    target.settle(110.0)

    target.add_events(events_of(ANSWER), now=111.0)

    assert target.late_events == 1


def test_a_call_whose_sender_sends_events_is_unjoined_without_them() -> None:
    target = assembler()
    target.add_events(events_of(WireEvent(name="gen_ai.choice", body={"index": 0}, trace=7, span=7)), now=99.0)
    add(target, BARE, now=100.0)
    add(target, BARE.but(trace=2, scope="another", start=50.0, end=51.0), now=100.0, offset=1)

    unjoined = [each.verdict.unjoined for each in target.flush() if isinstance(each.verdict, LLMCall)]

    assert unjoined == [True, False]


def test_an_answer_without_ids_goes_to_the_call_that_ended_as_it_was_written() -> None:
    stream = BARE.but(scope="opentelemetry.instrumentation.openai.v1", end=1.0)
    earlier = stream.but(trace=2, end=0.5)
    orphan = WireEvent(name="gen_ai.choice", body=ANSWER.body, trace=0, span=0, at=0.9999, scope=stream.scope)
    target = assembler()
    add(target, earlier, stream)
    target.add_events(events_of(orphan), now=0.0)

    texts = {each.verdict.trace_id[-1]: each.verdict.content for each in target.flush() if _told(each)}

    assert texts == {"1": Content.CAPTURED, "2": Content.NONE}


def test_an_answer_without_ids_that_nobody_fits_is_counted() -> None:
    target = assembler()
    target.add_events(events_of(WireEvent(name="gen_ai.choice", trace=0, span=0)), now=0.0)

    target.settle(61.0)

    assert target.unjoined_events == 1


def test_verdicts_come_in_the_order_of_their_anchors() -> None:
    target = assembler()
    for number, (partition, offset) in enumerate([(OTHER, 1), (TOPIC, 9), (OTHER, 0), (TOPIC, 3)]):
        add(target, CHAT.but(trace=number + 1), offset=offset, partition=partition)

    anchors = [settled.anchor for settled in target.settle(2.0)]

    assert anchors == sorted(anchors)
    assert len(anchors) == 4


def test_the_first_report_that_was_told_stays() -> None:
    target = assembler()
    inner = CHAT.but(span=2, parent=1, scope="inner")
    add(target, inner, now=0.0)
    assert ids(target.settle(2.0)) == ["2"]

    add(target, CHAT, now=5.0, offset=1)

    assert ids(target.settle(7.0)) == ["wrapper"]


def test_a_late_native_twin_is_known_as_long_as_the_memory_lasts() -> None:
    target = assembler()
    add(target, INSTRUMENTED, now=0.0)
    assert ids(target.settle(2.0)) == ["1"]

    add(target, NATIVE.but(trace=9), now=49.0, offset=1)

    assert ids(target.settle(59.0)) == ["twin"]


def test_a_native_span_that_was_told_alone_makes_its_late_fellow_the_twin() -> None:
    target = assembler()
    add(target, NATIVE.but(trace=9), now=0.0)
    assert ids(target.settle(10.0)) == ["2"]

    add(target, INSTRUMENTED, now=11.0, offset=1)

    assert ids(target.settle(13.0)) == ["twin"]


def test_a_duplicate_is_known_as_long_as_the_memory_lasts() -> None:
    target = assembler()
    add(target, CHAT, now=0.0)
    target.settle(2.0)
    add(target, CHAT, now=60.0, offset=1)
    assert ids(target.settle(60.0)) == ["duplicate"]

    target.settle(121.0)
    add(target, CHAT, now=121.0, offset=2)

    assert ids(target.settle(123.0)) == ["1"]


def test_the_warm_up_settles_nothing_and_remembers_what_was_counted() -> None:
    target = assembler()
    counted = frozenset({call_id(CHAT)})

    assert add(target, CHAT, CHAT.but(trace=2), now=0.0, counted=counted) == 0
    assert target.waiting == 0
    assert target.flush() == []

    add(target, CHAT, now=1.0, offset=5)
    add(target, CHAT.but(span=9, scope="outer"), CHAT.but(trace=2), now=1.0, offset=6)
    assert ids(target.flush()) == ["duplicate", "twin", "duplicate"]


def test_the_warm_up_knows_twins_and_wrappers_of_counted_calls() -> None:
    target = assembler()
    inner = CHAT.but(span=2, parent=1, scope="inner")
    add(
        target,
        INSTRUMENTED.but(trace=5),
        inner,
        counted=frozenset({call_id(INSTRUMENTED.but(trace=5)), call_id(inner)}),
    )

    add(target, NATIVE.but(trace=9), CHAT, now=1.0, offset=5)

    assert ids(target.flush()) == ["twin", "wrapper"]


def test_what_the_warm_up_remembers_as_dropped_keeps_nothing_else_out() -> None:
    target = assembler()
    add(target, NATIVE, counted=frozenset())

    add(target, INSTRUMENTED, now=1.0, offset=5)

    assert ids(target.flush()) == ["1"]


def test_the_warm_up_of_one_partition_makes_a_waiting_copy_in_another_a_duplicate() -> None:
    target = assembler()
    add(target, CHAT, now=0.0, offset=3)

    add(target, CHAT, now=0.0, partition=OTHER, counted=frozenset({call_id(CHAT)}))

    assert ids(target.flush()) == ["duplicate"]


def test_a_forgotten_partition_takes_its_candidates_and_verdicts_along() -> None:
    target = assembler()
    add(target, CHAT, now=0.0)
    target.settle(2.0)
    add(target, CHAT.but(trace=2), CHAT.but(trace=2), now=2.0, offset=1)
    add(target, CHAT.but(trace=3), now=2.0, partition=OTHER)

    target.forget(TOPIC)

    assert target.waiting == 1
    assert ids(target.flush()) == ["1"]
    add(target, CHAT, CHAT.but(trace=2), now=3.0)  # read again: neither is a duplicate of what was forgotten
    assert ids(target.flush()) == ["1", "1"]


def test_events_and_documents_outlive_a_forgotten_partition() -> None:
    target = assembler()
    retriever = TRACE[-1].but(trace=1, span=6, parent=0, start=-2.0, end=-1.0)
    add(target, retriever, BARE.but(), now=0.0)
    target.add_events(events_of(ANSWER), now=0.0)
    target.settle(2.0)

    target.forget(TOPIC)
    add(target, BARE, now=3.0)

    (settled,) = target.flush()
    assert isinstance(settled.verdict, LLMCall)
    assert settled.verdict.outputs[0].text == "In France."
    assert settled.verdict.context_documents == ("Paris is the capital.",)


def test_beyond_the_bound_the_oldest_settle_early_and_are_counted() -> None:
    target = assembler(calls_max=3)
    for number in range(5):
        add(target, BARE.but(trace=number + 1), now=0.0, offset=number)

    settled = target.settle(0.0)

    assert [each.anchor.offset for each in settled] == [0, 1]
    assert (target.settled_early, target.waiting) == (2, 3)


def test_traces_are_forgotten_beyond_the_bound_and_that_is_counted() -> None:
    target = assembler(calls_max=2)
    for number in range(100):
        add(target, CHAT.but(trace=number + 1), now=float(number), offset=number)
        target.settle(number + 2.0)

    assert target.traces_evicted > 0
    assert len(target._traces) <= 21


def test_memory_is_empty_when_everything_is_old() -> None:
    target = assembler()
    target.add_events(events_of(ANSWER, WireEvent(name="gen_ai.choice", trace=0, span=0)), now=0.0)
    add(target, *TRACE, now=0.0)
    target.settle(10.0)

    target.settle(1_000.0)

    assert not target._traces
    assert not target._ages
    assert not target._due
    twins, events = target._twins, target._events
    assert [twins._by_id, twins._native, twins._instrumented] == [{}, {}, {}]
    assert [len(events._groups), len(events._ages), len(events._orphans), len(events._senders)] == [0, 0, 0, 0]


def test_a_trace_too_large_to_remember_whole_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.decode.assemble.SPANS_PER_TRACE_MAX", 3)
    target = assembler()
    add(target, *(WireSpan(span=number, parent=100, name="task") for number in range(1, 6)))

    assert target.spans_unremembered == 2


@given(
    cuts=st.lists(st.integers(0, len(TRACE)), max_size=4),
    pause=st.floats(0.0, 0.3),
    events_first=st.booleans(),
)
def test_every_candidate_gets_exactly_one_verdict(cuts: list[int], pause: float, events_first: bool) -> None:
    target = assembler()
    if events_first:
        target.add_events(events_of(ASKED, ANSWER), now=0.0)
    bounds = sorted({0, len(TRACE), *cuts})
    registered, settled, now = 0, [], 0.0
    for offset, (start, end) in enumerate(itertools.pairwise(bounds)):
        now += pause
        registered += add(target, *TRACE[start:end], now=now, offset=offset)
        settled += target.settle(now)
    settled += target.settle(now + 100.0)

    assert len(settled) == registered
    assert len({each.verdict.call_id for each in settled if isinstance(each.verdict, LLMCall)}) == 3
    assert target.waiting == 0


def _told(settled: Settled) -> bool:
    return not isinstance(settled.verdict, DropReason)


def test_ids_and_wrappers_that_everybody_shares_do_not_make_a_call_cost_more_and_more() -> None:
    target = assembler()
    for number in range(1, 200):
        add(target, replace(CHAT, trace=number, attributes={**CHAT.attributes, "gen_ai.response.id": "chatcmpl-1"}))

    (same,) = target._twins._by_id.values()

    assert isinstance(same, list)
    assert len(same) == SAME_ID_MAX
    assert len(target.settle(2.0)) == 199
