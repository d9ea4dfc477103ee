"""Perplexity and low confidence from traced log-probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.perplexity import perplexity
from signals.suite import SuiteOptions, load_suite
from signals.types import Abstention, Exchange


def score(exchange: Exchange) -> list[float | Abstention]:
    columns = load_suite(SuiteOptions(enabled=("perplexity",))).score([exchange]).columns
    return [Abstention(int(found.abstentions[0])) or float(found.values[0]) for found in columns]


def test_a_fair_coin_has_a_perplexity_of_two() -> None:
    assert perplexity((math.log(0.5),) * 7) == pytest.approx(2)
    assert score(Exchange(output="heads", logprobs=(math.log(0.5),) * 7)) == pytest.approx([0.5, 0.0])


def test_certainty_scores_0_and_guesses_are_counted() -> None:
    assert score(Exchange(output="Paris", logprobs=(0.0, 0.0))) == [0.0, 0.0]
    assert score(Exchange(output="Paris", logprobs=(-0.1, -3.0, -0.2, -2.0)))[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (Exchange(logprobs=(-1.0,)), Abstention.NO_TEXT),
        (Exchange(output="Paris"), Abstention.NOT_APPLICABLE),
        (Exchange(output="Paris", logprobs=(math.nan, 0.3)), Abstention.NOT_APPLICABLE),
    ],
)
def test_it_abstains_with_the_reason(exchange: Exchange, reason: Abstention) -> None:
    assert score(exchange) == [reason, reason]


def test_of_no_token_there_is_none() -> None:
    with pytest.raises(ValueError, match="no token"):
        perplexity(())


@given(st.lists(st.floats(max_value=0), min_size=1, max_size=20).map(tuple))
def test_perplexity_is_at_least_one(logprobs: tuple[float, ...]) -> None:
    assert perplexity(logprobs) >= 1
