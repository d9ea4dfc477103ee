"""Cues in claims: numbers, negations and names that do not agree with the context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.groundedness.names import entity_mismatch
from signals.groundedness.negation import negation_flip
from signals.groundedness.numbers import number_mismatch
from signals.groundedness.reading import Reading
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange

NOTHING = Reading("")


def numbers(answer: str, context: str, question: str = "") -> float | None:
    return number_mismatch(Reading(answer), Reading(context), Reading(question))


def names(answer: str, context: str, question: str = "") -> float | None:
    return entity_mismatch(Reading(answer), Reading(context), Reading(question))


def flipped(answer: str, context: str) -> float | None:
    return negation_flip(Reading(answer), Reading(context))


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        ("1,000 people", "1000 people"),
        ("1000 people", "one thousand people"),
        ("two hundred and five", "205"),
        ("twenty-one cats", "21 cats"),
        ("3 million", "3,000,000"),
        ("$2.5bn", "2,500,000,000 dollars"),
        ("40k", "forty thousand"),
        ("1.000,50 Euro", "1000.5 euros"),
        ("1 000 000 francs", "1,000,000 francs"),
        ("1'000'000 francs", "1000000 francs"),
        ("50 percent", "50%"),
        ("2021-03-05", "March 5, 2021"),
        ("from 1990 to 1995", "1990–95"),
        ("1995", "1990-95"),
        ("the 3rd", "the third"),
        ("12", "a dozen"),
        ("２年", "保証は二年"),
        ("十二个 12", "十二"),
        ("3万", "30000"),
        ("٢٥", "25"),
        ("5 and 6", "5, 6"),
    ],
)
def test_a_number_is_the_same_however_it_is_written(answer: str, context: str) -> None:
    assert numbers(answer, context) == 0
    assert numbers(answer, "no such number, 77777") == 1


def test_half_of_the_numbers_may_be_missing() -> None:
    assert numbers("7 kettles in 1999", "7 kettles") == 0.5


def test_a_number_of_the_question_is_given() -> None:
    assert numbers("All 12 of them.", "They arrived.", "Did all 12 arrive?") == 0


@pytest.mark.parametrize(
    "answer", ["no number", "1. First\n2. Second", "Step 1: open\nStep 2: close", "one of them", ""]
)
def test_without_a_number_that_claims_something_there_is_nothing_to_compare(answer: str) -> None:
    assert numbers(answer, "3") is None


@given(st.integers(0, 10**12))
def test_marks_of_thousands_change_no_number(number: int) -> None:
    assert numbers(f"{number:,}", f"{number}") == numbers(f"{number}", f"{number:,}") == 0


CONTEXT = "The warranty covers the heating element and the lid. It does not include the power cable."


@pytest.mark.parametrize(
    "answer",
    [
        "The warranty doesn't cover the heating element and the lid.",
        "The warranty never covers the lid.",
        "The warranty covers everything without the heating element.",
    ],
)
def test_a_negation_that_the_context_does_not_have_is_seen(answer: str) -> None:
    assert flipped(answer, CONTEXT) >= 0.5


def test_a_negation_that_was_dropped_is_seen_less_surely() -> None:
    assert 0 < flipped("The warranty does include the power cable.", CONTEXT) < 0.5


@pytest.mark.parametrize(
    "answer", ["The warranty covers the heating element.", "The power cable isn’t included.", CONTEXT, "The lid."]
)
def test_what_is_said_as_the_context_says_it_is_no_flip(answer: str) -> None:
    assert flipped(answer, CONTEXT) == 0


@pytest.mark.parametrize("answer", ["Penguins never swim.", "保証", "", "It is not."])
def test_without_a_word_in_common_no_polarity_is_compared(answer: str) -> None:
    assert flipped(answer, CONTEXT) is None


@pytest.mark.parametrize(
    ("answer", "context", "expected"),
    [
        ("He met Angela Merkel.", "Angela Merkel was there.", 0),
        ("In Paris it rains.", "It rains in London.", 1),
        ("He met Boris Johnson.", "Boris was there.", 0.5),
        ("The WHO said so.", "The World Health Organization spoke.", 0),
        ("He joined the World Health Organization.", "WHO staff", 0),
        ("The NASA said so.", "The World Health Organization spoke.", 1),
        ('They sell "Blue Moon" now.', "A blue moon shone.", 0),
        ("Marie Curie won.", "Nobody won.", 1),
        ("In Köln und Über See.", "Köln", 2 / 3),
    ],
)
def test_names_are_looked_for_in_the_context(answer: str, context: str, expected: float) -> None:
    assert names(answer, context) == pytest.approx(expected)


def test_a_name_of_the_question_is_given() -> None:
    assert names("She met Marie Curie.", "They met.", "Who met Marie Curie?") == 0


@pytest.mark.parametrize("answer", ["Paris is nice.", "It is good. So it is.", "保証期間", "I think I may."])
def test_the_capital_that_begins_a_sentence_makes_no_name(answer: str) -> None:
    assert names(answer, "x") is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_every_cue_is_a_share_or_nothing(answer: str, context: str) -> None:
    for found in (numbers(answer, context), names(answer, context), flipped(answer, context)):
        assert found is None or 0 <= found <= 1


@given(st.text(max_size=120))
def test_what_is_copied_has_no_strange_number(text: str) -> None:
    assert numbers(text, text) in (None, 0)


def test_the_columns_abstain_each_for_itself() -> None:
    suite = load_suite(SuiteOptions(enabled=("claims",)))
    batch = [
        Exchange(output="It costs 7 euros.", context="It costs 7 euros."),
        Exchange(output="It costs 7 euros."),
        Exchange(context="It costs 7 euros."),
    ]

    codes = {found.spec.signal: found.abstentions.tolist() for found in suite.score(batch).columns}

    rest = [Abstention.NO_CONTEXT, Abstention.NO_TEXT]
    assert codes == {
        "number_mismatch": [Abstention.NONE, *rest],
        "negation_flip": [Abstention.NONE, *rest],
        "entity_mismatch": [Abstention.NOT_APPLICABLE, *rest],
    }


def test_a_disguised_number_is_read() -> None:
    (column, *_) = (
        load_suite(SuiteOptions(enabled=("claims",)))
        .score([Exchange(output="It costs 1\u200b2 euros.", context="It costs 12 euros.")])
        .columns
    )

    assert np.array_equal(column.values, [0.0])
