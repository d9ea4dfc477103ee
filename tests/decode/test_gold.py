"""The gold answer of an experiment's item reaches the call that gave the item's answer, though it comes after it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.config import JoinConfig
from collector.decode.assemble import Assembler
from collector.records import Anchor, LLMCall, Settled
from tests.decode.wire import CHAT, LIMITS, TOPIC, WireSpan, call, calls, spans_of, text_messages

ROOT, CALL = 9, 1
SETTLE, WINDOW = JoinConfig().settle_seconds, JoinConfig().window_seconds
EXPECTED = "langfuse.experiment.item.expected_output"
NAMED = {"langfuse.experiment.item.root_observation_id": f"{ROOT:016x}"}


def root(**attributes: Any) -> WireSpan:
    """The item's own span, as Langfuse's SDK ends it: around everything, with what came out."""
    told = {EXPECTED: '"In France, in the north."', "langfuse.observation.output": '"In France."', **NAMED}
    return WireSpan(
        span=ROOT,
        name="experiment-item-run",
        scope="langfuse-sdk",
        start=-1.0,
        end=9.0,
        attributes={"langfuse.observation.type": "span"} | told | attributes,
    )


def step(answer: str, *, span: int = CALL, start: float = 0.0, parent: int = ROOT) -> WireSpan:
    said = {"gen_ai.output.messages": text_messages(("assistant", answer)), "gen_ai.response.id": f"r{span}"}
    return CHAT.but(span=span, parent=parent, start=start, end=start + 0.5, attributes=CHAT.attributes | said | NAMED)


def test_the_only_call_of_an_item_has_the_item_s_gold_answer() -> None:
    assert call(step("In France."), root()).reference == "In France, in the north."
    assert call(step("Somewhere else."), root()).reference == "In France, in the north."


@pytest.mark.parametrize(
    "above",
    [
        root(),
        root(**{"langfuse.observation.output": json.dumps({"answer": {"text": "In France."}, "steps": 2})}),
        WireSpan(span=ROOT, start=-1, end=9, attributes={"braintrust.expected": '"In France, in the north."',
                                                         "braintrust.output_json": '"In France."'}),
        WireSpan(span=ROOT, start=-1, end=9, attributes={"assay.reference": "In France, in the north.",
                                                         "output.value": "In France."}),
    ],
)  # fmt: skip
def test_of_several_calls_the_one_that_gave_the_item_s_answer_has_it(above: WireSpan) -> None:
    search, answer, judge = step("Paris location"), step("In France.", span=2, start=2), step("Good.", span=3, start=4)

    found = calls(search, answer, judge, above)

    assert [each.reference for each in found] == [None, "In France, in the north.", None]


def test_which_of_several_calls_answered_is_not_guessed() -> None:
    silent = root(**{"langfuse.observation.output": ""})

    assert [each.reference for each in calls(step("A."), step("B.", span=2, start=2), silent)] == [None, None]
    assert call(step("A."), silent).reference == "In France, in the north."


def test_the_nearest_gold_answer_above_a_call_counts_and_its_own_before_all() -> None:
    inner = WireSpan(span=7, parent=ROOT, start=-0.5, end=8, name="task", attributes={"assay.reference": "Near."})
    deep = CHAT.but(parent=7)

    assert call(deep, inner, root()).reference == "Near."
    own = deep.but(attributes=CHAT.attributes | {"assay.reference": "Own."})
    assert call(own, inner, root()).reference == "Own."


def test_a_gold_answer_beside_a_call_is_not_its_own() -> None:
    beside = WireSpan(span=7, parent=100, start=-0.5, end=8, attributes={"assay.reference": "Beside."})

    assert call(CHAT.but(parent=101), beside).reference is None


def settled_at(*arrivals: tuple[float, WireSpan], until: float) -> list[tuple[float, Settled]]:
    """When each verdict was reached, in steps of half a second."""
    assembler = Assembler(JoinConfig(), LIMITS)
    told: list[tuple[float, Settled]] = []
    left = list(arrivals)
    for tick in range(int(2 * until) + 1):
        now = tick / 2
        while left and left[0][0] <= now:
            _, span = left.pop(0)
            assembler.add_spans(spans_of(span), anchor=Anchor(TOPIC, len(left)), now=now)
        told += [(now, verdict) for verdict in assembler.settle(now)]
    return told


def test_a_call_of_an_experiment_waits_for_its_item_and_no_longer() -> None:
    ((at, settled),) = settled_at((0, step("In France.")), (5, root()), until=WINDOW + 2)

    assert at == 5 + SETTLE
    assert isinstance(settled.verdict, LLMCall)
    assert settled.verdict.reference == "In France, in the north."


def test_an_item_that_never_ends_holds_its_call_for_the_window_alone() -> None:
    ((at, settled),) = settled_at((0, step("In France.")), until=WINDOW + 2)

    assert at == WINDOW
    assert isinstance(settled.verdict, LLMCall)
    assert settled.verdict.reference is None


def test_a_call_whose_item_is_told_already_and_one_of_no_experiment_wait_as_any_other() -> None:
    told = settled_at((0, root()), (1, step("In France.")), (1, CHAT.but(trace=2)), until=WINDOW)

    assert [at for at, _ in told] == [1 + SETTLE, 1 + SETTLE]
