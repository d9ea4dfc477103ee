"""What is made of a flagged call: its texts without what must not be kept, cut, with what the signal points at."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pytest

from collector.evidence import DRIFT, Said
from collector.records import Content, LLMCall, Message, Output, SnippetDrop
from collector.snippets.making import JUDGED_MAX, Pending
from collector.snippets.record import Snippet, decode, encode
from signals.marks import NOT_HELD, WORST, Of
from signals.types import Floats, ScoreSpec, Side
from tests.core.build import NOON, anchor, call
from tests.signals.test_pii import FINDS
from tests.snippets.build import Counts, asked, column, made, maker, snippet

SECRETS = " and ".join(secret for secret, _ in FINDS)


def texts(snippet: Snippet) -> dict[Of, str]:
    return {said.of: said.excerpt.text for said in snippet.said}


def one(calls: list[LLMCall], **columns: list[float]) -> Snippet:
    (pending,) = made(calls, **columns)
    return pending.snippet


def test_question_and_answer_are_kept_without_secrets_and_cut() -> None:
    kept = one([asked("Mail ana@shop.io, please", f"My key is {FINDS[5][0]} ok. " + "word " * 500)])

    assert texts(kept)[Of.QUESTION] == "Mail [EMAIL], please"
    assert texts(kept)[Of.ANSWER].startswith("My key is [TOKEN] ok. word")
    assert len(texts(kept)[Of.ANSWER]) <= 400
    assert kept.said[1].excerpt.cut_after


def test_nothing_of_any_secret_is_in_what_is_stored() -> None:
    stored = encode(one([asked(SECRETS, SECRETS)]))

    for secret, _ in FINDS:
        assert secret.encode() not in stored
        assert secret[4:12].encode() not in stored


def test_each_signal_keeps_its_own_piece_with_its_own_marks() -> None:
    context = "Documents:\nThe warranty of the kettle lasts two years."
    answer = "The warranty lasts two years. " * 30 + "It covers theft."
    calls = [asked("How long?", answer, input_messages=(Message(role="user", text=context),))]
    scores = [
        column([0.9], ScoreSpec(signal=name, side=Side.OUTPUT, version="1")) for name in ("toxicity", "context_novelty")
    ]

    toxicity, novelty = maker().make(calls, [context], [anchor(0)], scores, float(NOON))

    said = {pending.key.column: pending.snippet.said[1].excerpt for pending in (toxicity, novelty)}
    assert said["toxicity_output"].text.startswith("The warranty")
    found = said["context_novelty_output"]
    assert [(found.text[mark.start : mark.end], mark.why) for mark in found.marks] == [("covers theft", NOT_HELD)]


def rude(texts: Sequence[str]) -> Floats:
    """Judges texts by one word."""
    return np.array([0.9 if "idiot" in text else 0.1 for text in texts])


@pytest.mark.parametrize(("side", "marked"), [(Side.INPUT, Of.QUESTION), (Side.OUTPUT, Of.ANSWER)])
def test_the_excerpt_is_cut_around_the_part_of_the_judged_text_that_was_judged_worst(side: Side, marked: Of) -> None:
    text = "The parcel was sent on Monday. " * 50 + "Mail ana@shop.io, you poor idiot, today. " + "Bye. " * 200
    flagged = column([0.9], ScoreSpec(signal="toxicity", side=side, version="1"))

    (kept,) = maker(judges={"toxicity": rude}).make([asked(text, text)], [None], [anchor(0)], [flagged], float(NOON))

    for said in kept.snippet.said:
        found = [(said.excerpt.text[mark.start : mark.end], mark.why) for mark in said.excerpt.marks]
        assert found == ([("poor idiot, today.", WORST)] if said.of is marked else [])
        assert ("[EMAIL], you poor idiot" in said.excerpt.text) is (said.of is marked)


def test_a_model_that_fails_costs_the_mark_and_not_the_excerpt(caplog: pytest.LogCaptureFixture) -> None:
    def broken(texts: Sequence[str]) -> Floats:
        raise RuntimeError(texts[0])

    telemetry = Counts()
    making = maker(telemetry, {"toxicity": broken})
    with caplog.at_level(logging.DEBUG):
        kept = [
            *made([asked("Hi", "canary, you are an idiot.")], making),
            *made([asked("Hi", "Idiot.", trace_id="f" * 32)], making),
        ]

    assert [texts(pending.snippet)[Of.ANSWER] for pending in kept] == ["canary, you are an idiot.", "Idiot."]
    assert telemetry.dropped() == {}
    assert [record.message for record in caplog.records] == [
        "the worst part of a text could not be found: RuntimeError"
    ]


def test_a_batch_asks_the_model_about_few_texts_and_the_worst_first() -> None:
    calls = [asked("Hi", f"Dear {number}, idiot. So it is.", trace_id=f"{number:032x}") for number in range(50)]

    kept = made(
        calls, maker(judges={"toxicity": rude}, calls_per_minute_max=100),
        toxicity=[0.6 + number / 1_000 for number in range(50)],
    )  # fmt: skip

    marked = [pending.anchor.offset for pending in kept if pending.snippet.said[1].excerpt.marks]
    assert len(kept) == 50
    assert sorted(marked) == list(range(50 - JUDGED_MAX, 50))


@pytest.mark.parametrize("content", [Content.TRUNCATED, Content.PARTIAL])
def test_of_a_call_that_the_trace_cut_no_end_is_kept(content: Content) -> None:
    several = (Output(text="The first answer of two, and a card 4111 1111 11"), Output(text="The second one."))
    question = "лес " * 40 + "4111 1111 11"

    kept = one([call(last_user_text=question, outputs=several, content=content)])

    assert set(texts(kept)) == {Of.QUESTION}  # which of several answers was cut, nobody knows
    assert "4111" not in texts(kept)[Of.QUESTION]
    assert kept.said[0].excerpt.cut_after


def test_a_call_without_a_text_to_show_is_counted_and_has_none() -> None:
    telemetry = Counts()

    assert made([asked(" \u200b ", None)], maker(telemetry)) == ()
    assert telemetry.dropped() == {SnippetDrop.NO_TEXT: 1}


def test_a_text_that_breaks_it_is_counted_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    class Hostile(str):
        def isspace(self) -> bool:
            raise RecursionError(str(self))

    telemetry = Counts()
    with caplog.at_level(logging.DEBUG):
        kept = made([asked(Hostile("canary words"), "You idiot."), asked("Hi", "You idiot.")], maker(telemetry))

    assert [pending.key.trace_id for pending in kept] == [f"{1:032x}"]
    assert telemetry.dropped() == {SnippetDrop.FAILED: 1}
    assert "canary" not in caplog.text


def test_a_choosing_that_fails_costs_the_excerpts_of_its_batch_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = Counts()
    making = maker(telemetry)
    of_another_batch = column([0.1, 0.9], ScoreSpec(signal="toxicity", side=Side.OUTPUT, version="1"))

    kept = making.make([asked("Hi", "canary words")], [None], [anchor(0)], [of_another_batch], float(NOON))

    assert kept == ()
    assert telemetry.dropped() == {SnippetDrop.FAILED: 1}
    assert "canary" not in caplog.text
    assert made([asked("Hi", "You idiot.")], making)


def test_an_ordinary_call_for_the_drift_page_is_kept_without_secrets_and_without_marks() -> None:
    making = maker(judges={"toxicity": rude}, drift_calls_per_minute_max=1)

    (pending,) = made([asked(f"{SECRETS}, idiot", "Mail ana@shop.io, idiot")], making, toxicity=[0.1])

    assert pending.key.column == DRIFT
    assert texts(pending.snippet)[Of.ANSWER] == "Mail [EMAIL], idiot"
    assert not [said for said in pending.snippet.said if said.excerpt.marks]
    for secret, _ in FINDS:
        assert secret.encode() not in encode(pending.snippet)


def test_drops_of_the_choosing_are_counted_once() -> None:
    telemetry = Counts()
    making = maker(telemetry, per_minute_max=1)

    for _ in range(2):
        made([asked("Hi", "You idiot.", trace_id=f"{number:032x}") for number in range(3)], making)

    assert telemetry.dropped()[SnippetDrop.BUDGET] == 5


def test_a_snippet_reads_as_it_was_written_and_damage_is_none() -> None:
    kept: Pending = made([asked("Mail ana@shop.io", "You idiot.")])[0]

    assert decode(encode(kept.snippet)) == kept.snippet
    assert all(isinstance(said, Said) for said in decode(encode(kept.snippet)).said)  # type: ignore[union-attr]
    assert decode(encode(kept.snippet)[:-3]) is None
    assert decode(encode(Snippet(said=snippet().said, format=2))) is None
