"""The worst part: the few words that a model's verdict on a text rests on, found by nothing but its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.types import Floats
from signals.worst import CHARS_MAX, PIECES_MAX, ROUNDS_MAX, SENTENCE_HOLDS, WORDS_HOLD, worst_parts
from tests.signals.texts import LANGUAGES, ODD

CALM = "The parcel was sent on Monday, and the invoice follows by post. "


class Judge:
    """A text is as bad as its worst word, and remembers what it was asked."""

    def __init__(self, **bad: float) -> None:
        self.bad = bad
        self.rounds: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Floats:
        self.rounds.append(list(texts))
        return np.array([max((at for word, at in self.bad.items() if word in text), default=0.01) for text in texts])


def worst(judge: Judge, text: str) -> str | None:
    (part,) = worst_parts(judge, [text])
    return None if part is None else text[slice(*part)]


@pytest.mark.parametrize("before", [0, 1, 7, 40])
@pytest.mark.parametrize("after", [0, 1, 40])
def test_the_words_that_a_verdict_rests_on_are_found_among_any_sentences(before: int, after: int) -> None:
    found = worst(Judge(idiot=0.9), f"{CALM * before}I think you are an idiot, my friend. {CALM * after}")

    assert found == "you are an idiot,"


def test_of_two_bad_sentences_the_worse_is_meant() -> None:
    found = worst(Judge(fool=0.6, idiot=0.9), "You are such a fool, you know. You are such an idiot, you know.")

    assert found == "are such an idiot,"


def test_a_name_that_a_model_judges_worse_alone_is_never_marked_alone() -> None:
    found = worst(Judge(stupid=0.9, Amira=0.95), f"Are you really this stupid, Amira? {CALM}")

    assert found == "this stupid, Amira?"


def test_what_no_piece_shows_alone_is_left_together() -> None:
    def judge(texts: Sequence[str]) -> Floats:
        return np.array([0.9 if {"nice", "pity"} <= set(text.split()) else 0.1 for text in texts])

    text = "It is a nice dress and it is really a pity that you wear it. Bye."
    ((start, end),) = worst_parts(judge, [text])  # type: ignore[misc]

    assert text[start:end] == "nice dress and it is really a pity"


def test_a_verdict_that_rests_on_what_is_not_looked_at_has_no_part() -> None:
    text = CALM * (CHARS_MAX // len(CALM) + 1)

    assert worst(Judge(idiot=0.9), f"{text}You idiot!") is None
    assert worst(Judge(idiot=0.9), f"You idiot! {text}") == "You idiot!"


def test_texts_are_narrowed_down_together_in_few_and_short_rounds() -> None:
    judge = Judge(idiot=0.9)
    texts = [f"{CALM * number}You are an idiot. {CALM * 300}"[:CHARS_MAX] for number in range(5)]

    worst_parts(judge, texts)

    assert len(judge.rounds) < ROUNDS_MAX / 2
    assert max(map(len, judge.rounds)) <= len(texts) * (1 + PIECES_MAX)
    assert sum(len(piece) for asked in judge.rounds for piece in asked) < 4 * sum(map(len, texts))


@given(st.lists(st.one_of(st.text(max_size=200), st.sampled_from(ODD + LANGUAGES)), max_size=4), st.integers())
def test_parts_of_any_texts_lie_in_them_and_are_judged_almost_as_bad(texts: list[str], seed: int) -> None:
    def judge(asked: Sequence[str]) -> Floats:
        return np.array([(hash((seed, text)) % 997) / 997 for text in asked])

    parts = worst_parts(judge, texts)

    for text, part in zip(texts, parts, strict=True):
        assert part is not None
        assert 0 <= part[0] <= part[1] <= len(text)
        if part != (0, len(text)) and text.strip():
            assert text[slice(*part)].strip()
            assert (
                judge([text[slice(*part)]])[0]
                >= (SENTENCE_HOLDS**3 * WORDS_HOLD**ROUNDS_MAX) * judge([text.strip()])[0]
            )


def test_nothing_to_judge_asks_nothing() -> None:
    judge = Judge()

    assert worst_parts(judge, []) == []
    assert worst_parts(judge, ["", " ", "idiot"]) == [(0, 0), (1, 1), (0, 5)]
    assert judge.rounds == []
