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
        ("27.11.2026", "2026-11-27"),
        ("27/11/26", "27 November 2026"),
        ("on 27 de noviembre de 2026", "27.11.2026"),
        ("27. November 2026", "2026-11-27"),
        ("5 May 2026", "05/05/2026"),
        ("14:30", "at 2:30 pm"),
        ("2 PM", "14:00"),
        ("1/2 cup", "half a cup"),
        ("2½ hours", "2.5 hours"),
        ("75%", "three quarters"),
        ("two-thirds", "66%"),
        ("1.5", "one and a half"),
        ("two dozen", "24"),
        ("the twenty-first century", "the 21st century"),
        ("+49 30 901820", "+49 (0)30 90 18 20"),
        ("4155550199", "(415) 555-0199"),
        ("12 lakh", "12,00,000"),
        ("1_000_000", "1e6"),
        ("3 Mio. Euro", "3,000,000 euros"),
        ("20 Tage", "zwanzig Tage"),
        ("14 días", "catorce días"),
        ("2 недели", "две недели"),
        ("World War 2", "World War II"),
        ("1만 원", "10000원"),
        ("0", "no fees"),
    ],
)
def test_a_number_is_the_same_however_it_is_written(answer: str, context: str) -> None:
    assert numbers(answer, context) == 0
    assert numbers(answer, "another number, 77777") == 1


def test_half_of_the_numbers_may_be_missing() -> None:
    assert numbers("7 kettles in 1999", "7 kettles") == 0.5


def test_a_number_of_the_question_is_given() -> None:
    assert numbers("All 12 of them.", "They arrived.", "Did all 12 arrive?") == 0


@pytest.mark.parametrize(
    "answer",
    [
        "no number",
        "1. First\n2. Second",
        "Step 1: open\nStep 2: close",
        "1) first, then 2) second",
        "1\ufe0f\u20e3 First\n2\ufe0f\u20e3 Second",
        "① first ② second",
        "| 1 | first |\n| 2 | second |",
        "Support is there 24/7.",
        "See document 1 and source 2.",
        "one of them",
        "",
    ],
)
def test_without_a_number_that_claims_something_there_is_nothing_to_compare(answer: str) -> None:
    assert numbers(answer, "3") is None


def test_how_many_items_an_answer_lists_it_may_say() -> None:
    answer = "There are 3 ways:\n1. By mail\n2. By phone\n3. In person"

    assert numbers(answer, "by mail, by phone, in person") == 0
    assert numbers(answer.replace("3 ways", "4 ways"), "by mail, by phone, in person") == 1


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        ("28.11.2026", "2026-11-27"),
        ("3:30 pm", "14:30"),
        ("3/4 cup", "half a cup"),
        ("+49 30 901821", "+49 (0)30 90 18 20"),
        ("between two and three days", "five days"),
        ("it is due on 10 boxes", "it is due on demand"),
    ],
)
def test_another_number_is_another_number_in_any_of_these_forms(answer: str, context: str) -> None:
    assert numbers(answer, context)


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
    "answer",
    [
        "The warranty covers the heating element.",
        "The power cable isn’t included.",
        "Not only does the warranty cover the lid, it also covers the heating element.",
        "No problem! The warranty covers the lid.",
        "Don't hesitate: the warranty covers the lid.",
        "While it does not include the power cable, the heating element is covered.",
        CONTEXT,
        "The lid.",
    ],
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
        ("We met José García.", "Jose Garcia was there.", 0),
        ("Gestern sprach Angela Merkels Anwalt.", "Angela Merkel", 1 / 3),
        ("Wczoraj widziałem Annę Kowalską.", "Anna Kowalska mieszka w Krakowie", 0),
        ("Мы встретили Владимира Иванова в Москве.", "Владимир Иванов живёт в городе Москва", 0),
        ("Мы встретили Петра Сидорова.", "Владимир Иванов живёт в городе Москва", 1),
        ("The U.S. economy grew.", "The US economy", 0),
        ("In the UK this applies.", "In the United Kingdom this applies.", 0),
        ("The EU's budget.", "European Union budget", 0),
        ("It opens on Monday.", "Hours: Mon to Fri", 0),
        ("It opens on Sunday.", "Hours: Mon to Fri", 1),
        ("We are here Mon-Fri.", "Hours: Monday to Friday", 0),
        ("We open in January.", "From 01/2026", 0),
        ("It costs EUR 5.", "5 €", 0),
        ("Ask Maria for it.", "Ask Paul.", 1),
    ],
)
def test_names_are_looked_for_in_the_context(answer: str, context: str, expected: float) -> None:
    assert names(answer, context) == pytest.approx(expected)


def test_a_name_of_the_question_is_given() -> None:
    assert names("She met Marie Curie.", "They met.", "Who met Marie Curie?") == 0


@pytest.mark.parametrize("answer", ["Paris is nice.", "It is good. So it is.", "保証期間", "I think I may."])
def test_a_capital_that_any_word_would_have_makes_no_name(answer: str) -> None:
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
