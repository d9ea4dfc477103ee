"""Highlights: the words of an answer that its context supports least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signals.encoder import Encoder
from signals.groundedness.highlights import highlights
from signals.runtime.states import token_states
from signals.runtime.tokens import joined
from tests.signals.texts import LANGUAGES, ODD

CONTEXT = "The warranty of the kettle lasts two years. It covers the heating element and the lid."
ANSWER = "The warranty of the kettle lasts seventeen years and covers theft in Antarctica."


def test_made_up_words_weigh_more_than_given_ones(encoder: Encoder) -> None:
    weights = {ANSWER[start:end]: weight for start, end, weight in highlights(ANSWER, CONTEXT, encoder)}

    given_most = max(weights[word] for word in ("warranty", "kettle", "lasts", "covers"))
    assert given_most < min(weights[word] for word in ("theft", "Antarctica", "seventeen"))
    assert "The" not in weights


def test_a_copy_weighs_next_to_nothing(encoder: Encoder) -> None:
    assert all(found.weight < 0.05 for found in highlights(CONTEXT, CONTEXT, encoder))


def test_without_an_encoder_words_are_new_or_not() -> None:
    found = highlights(ANSWER, CONTEXT, None, least=0.5)

    assert [ANSWER[start:end] for start, end, _ in found] == ["seventeen", "theft", "Antarctica"]


def test_without_a_context_nothing_is_highlighted(encoder: Encoder) -> None:
    assert highlights(ANSWER, " ", encoder) == []


@pytest.mark.parametrize("text", LANGUAGES + ODD)
def test_any_text_gives_spans_inside_it(encoder: Encoder, text: str) -> None:
    for start, end, weight in highlights(text, CONTEXT, encoder):
        assert 0 <= start < end <= len(text)
        assert 0 <= weight <= 1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 700))
def test_windows_give_every_token_one_state(encoder: Encoder, count: int) -> None:
    text = "kettle " * count

    states = token_states(encoder.model, text, 6)

    assert len(states.spans) == len(states.vectors) == count
    assert np.allclose(np.linalg.norm(states.vectors, axis=1), 1, atol=1e-3)
    assert [text[start:end] for start, end in states.spans.tolist()] == ["kettle"] * count


def test_states_are_those_that_the_encoder_means(encoder: Encoder) -> None:
    window = encoder._windower([CONTEXT])[0].ids[0]

    rows = encoder.model.states(*joined([window]), 6).mean(0).numpy()
    vector = encoder.encode([CONTEXT]).windows[0]

    assert np.dot(rows / np.linalg.norm(rows), vector) > 0.999
