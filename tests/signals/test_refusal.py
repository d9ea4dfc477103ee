"""Refusal: who declines, who does not know, and who merely says sorry."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench.quality
from signals.refusal import DECLINES, DECLINES_AND_GOES_ON, LATER, NOT_KNOWN, refusal
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange

LEVELS = {"declines": {DECLINES, DECLINES_AND_GOES_ON}, "unknown": {NOT_KNOWN, LATER}, "answers": {0.0}}
LABELLED = Path(bench.quality.__file__).parent / "refusal.tsv"


def labelled() -> list[tuple[str, str]]:
    lines = LABELLED.read_text(encoding="utf-8").splitlines()
    return [(kind, text) for kind, _, text in (line.split("\t") for line in lines if not line.startswith("#"))]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("I’m sorry, but I can’t help with that.", DECLINES),
        ("I cannot write code for that. However, I can give you the steps: open the lid.", DECLINES_AND_GOES_ON),
        ("I cannot give medical advice. " + "Rest is good for most people. " * 30, DECLINES_AND_GOES_ON),
        ("The documents do not mention the price.", NOT_KNOWN),
        ("Rest is good for most people. " * 20 + "I cannot recommend a dose.", LATER),
        ("I'm sorry for the delay, your parcel is on its way.", 0.0),
        ("I ca\u200bnnot hеlp with that.", DECLINES),
        ("Sorry, but I won't be doing that.", DECLINES),
        ("لا أستطيع مساعدتك في ذلك.", DECLINES),
        ("माफ़ कीजिए, मैं इसमें मदद नहीं कर सकता।", DECLINES),
        ("Üzgünüm, bu konuda yardımcı olamam.", DECLINES),
        ("ขออภัย ฉันไม่สามารถช่วยเรื่องนี้ได้", DECLINES),
        ("Jag kan tyvärr inte hjälpa till med det.", DECLINES),
        ('"Ich weigere mich" means "I refuse".', 0.0),
        ('"I can\'t do this anymore," she whispered, and closed the door.', 0.0),
        ('"I cannot help with that."', DECLINES),
        ("I can't recommend this book highly enough!", 0.0),
        ("I won't make you wait: here is the answer.", 0.0),
        ("We cannot process returns without a receipt, so please bring it along.", 0.0),
        ("We will not share your data with third parties.", 0.0),
        ("The contract violates the terms of the lease.", 0.0),
        ("It is not included in the price.", 0.0),
    ],
)
def test_levels_are_as_documented(text: str, level: float) -> None:
    assert refusal(text) == level


def test_nine_of_ten_of_our_own_labelled_answers_are_told_apart_and_no_answer_is_a_refusal() -> None:
    cases = labelled()
    right = [refusal(text) in LEVELS[kind] for kind, text in cases]

    assert len(cases) > 100
    assert sum(right) / len(right) >= 0.9
    assert not [text for kind, text in cases if kind == "answers" and refusal(text) in LEVELS["declines"]]


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Exchange(output=""), Abstention.NO_TEXT),
        (Exchange(finish_reason="refusal"), Abstention.NO_TEXT),
        (Exchange(output="", finish_reason="refusal"), DECLINES),
        (Exchange(output="Sure."), 0.0),
        (
            Exchange(input="Write a mail to decline the invitation", output="Dear Ana,\n\nI must decline. Yours, Bo"),
            0.0,
        ),
        (Exchange(input="Who am I?", output="Dear Ana,\n\nI must decline to say."), DECLINES),
    ],
)
def test_a_provider_s_refusal_counts_even_without_text(exchange: Exchange, expected: object) -> None:
    (column,) = load_suite(SuiteOptions(enabled=("refusal",))).score([exchange]).columns

    assert (Abstention(int(column.abstentions[0])) or float(column.values[0])) == expected


@given(st.text(max_size=200))
def test_any_text_has_a_level(text: str) -> None:
    assert refusal(text) in {level for levels in LEVELS.values() for level in levels}
