"""Relevance: an answer about the question's topic, or about something else."""

from __future__ import annotations

import numpy as np
import pytest

from bench.measures import DATA, auroc, read_set
from signals.relevance import HALF, SLOPE
from signals.suite import Suite
from signals.types import Abstention, Exchange

QUESTION = "How do I return a kettle that leaks?"


def score(suite: Suite, *exchanges: Exchange) -> list[float | Abstention]:
    scores = suite.score(list(exchanges))
    found = next(column for column in scores.columns if column.spec.column == "relevance_output")
    return [Abstention(int(code)) or float(value) for code, value in zip(found.abstentions, found.values, strict=True)]


def test_an_answer_on_the_topic_scores_low_and_one_about_something_else_high(suite: Suite) -> None:
    near, far = score(
        suite,
        Exchange(
            input=QUESTION, output="Pack the leaking kettle, print the return label and bring it to a post office."
        ),
        Exchange(input=QUESTION, output="The orbit of Mars takes about two of our years and is rather eccentric."),
    )

    assert near < 0.1
    assert far > 0.8


def test_the_question_itself_is_the_most_relevant_answer(suite: Suite) -> None:
    (found,) = score(suite, Exchange(input=QUESTION, output=QUESTION))

    assert found == pytest.approx(1 / (1 + np.exp(SLOPE * (1 - HALF))), abs=1e-6)


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (Exchange(input=QUESTION), Abstention.NO_TEXT),
        (Exchange(output="Pack it and send it back."), Abstention.NOT_APPLICABLE),
        (Exchange(input=QUESTION, output="Yes, of course."), Abstention.NOT_APPLICABLE),
        *(
            (Exchange(input=follow_up, output="Pack the kettle well and send it."), Abstention.NOT_APPLICABLE)
            for follow_up in ("Tell me more about it.", "More?", "Why?", "Thanks!", "What is in this image?", "👍")
        ),
    ],
)
def test_it_abstains_with_the_reason(suite: Suite, exchange: Exchange, reason: Abstention) -> None:
    assert score(suite, exchange, Exchange(input=QUESTION, output="Pack the kettle well."))[0] == reason


@pytest.mark.skipif(not DATA.is_dir(), reason="the labelled sets are not beside the checkout (../shared/data)")
def test_own_answers_are_told_from_exchanged_ones(suite: Suite) -> None:
    rows = [row for row in read_set("halueval_general")[:80] if len(row["response"].split()) > 8]
    own = [Exchange(input=row["question"], output=row["response"]) for row in rows]
    moved = [Exchange(input=row["question"], output=rows[i - 7]["response"]) for i, row in enumerate(rows)]
    found = np.array(score(suite, *own, *moved), dtype=np.float64)

    assert auroc(np.arange(len(found)) >= len(own), found) > 0.93
