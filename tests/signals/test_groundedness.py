"""Context novelty: what is new in an answer, in any script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measures import DATA, auroc, read_set
from signals.groundedness import novelty
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange
from signals.words import words

CONTEXT = "The warranty of the kettle lasts two years. It covers the heating element and the lid."


def test_a_copy_is_not_new() -> None:
    assert novelty("The warranty covers the heating element and the lid.", CONTEXT) < 0.25
    assert novelty(CONTEXT, CONTEXT) == 0


def test_an_answer_about_something_else_is_all_new() -> None:
    assert novelty("Penguins swim near Antarctica eating krill", CONTEXT) == 1


def test_a_made_up_detail_lies_between() -> None:
    made_up = novelty("The warranty of the kettle lasts ten years and covers theft abroad.", CONTEXT)

    assert 0.3 < made_up < 0.8


def test_endings_of_grammar_are_not_news() -> None:
    assert novelty("warranties heated", "warranty heating") < novelty("refunds shipped", "warranty heating")


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        ("保証期間は二年です", "このケトルの保証期間は二年です。"),
        ("ประกันสองปี", "กาต้มน้ำมีประกันสองปี"),
        ("गारंटी दो साल", "केतली की गारंटी दो साल की है"),
        ("Гарантия два года", "Гарантия на чайник два года"),
    ],
)
def test_other_scripts_are_read_as_well(answer: str, context: str) -> None:
    assert novelty(answer, context) < 0.35
    assert novelty(answer, "nothing of this kind") == 1


def test_width_and_case_do_not_count_as_new() -> None:
    assert novelty("ＷＡＲＲＡＮＴＹ", "warranty") == 0


def test_marks_belong_to_their_word() -> None:
    assert words("चालान भेजा") == ["चालान", "भेजा"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_novelty_is_a_share_or_nothing(answer: str, context: str) -> None:
    found = novelty(answer, context)

    assert found is None or 0 <= found <= 1


@given(st.text(max_size=200), st.text(max_size=100))
def test_whatever_is_copied_whole_is_never_new(answer: str, around: str) -> None:
    assert novelty(answer, f"{around} {answer} {around}") in (None, 0)


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (Exchange(output="Yes, it does."), Abstention.NO_CONTEXT),
        (Exchange(output="Yes, it does.", context="  "), Abstention.NO_CONTEXT),
        (Exchange(context=CONTEXT), Abstention.NO_TEXT),
        (Exchange(output="", context=CONTEXT), Abstention.NO_TEXT),
        (Exchange(output="It is.", context=CONTEXT), Abstention.NOT_APPLICABLE),
    ],
)
def test_it_abstains_with_the_reason(exchange: Exchange, reason: Abstention) -> None:
    (column,) = load_suite(SuiteOptions(enabled=("context_novelty",))).score([exchange]).columns

    assert column.abstentions.tolist() == [reason]


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled sets are not beside the checkout (../shared/data)")
@pytest.mark.parametrize(("name", "least"), [("mtrag_human", 0.80), ("begin", 0.92), ("wice_claim", 0.68)])
def test_it_tells_people_s_verdicts_apart(name: str, least: float) -> None:
    import numpy as np

    rows = read_set(name)
    scores = np.array([novelty(row["response"], "\n".join(row["context"])) or 0.0 for row in rows])

    assert auroc(np.array([bool(row["label"]) for row in rows]), scores) >= least
