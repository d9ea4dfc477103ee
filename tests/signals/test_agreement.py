"""Self-agreement: several answers to one request, and to a question that comes again."""

from __future__ import annotations

import pytest

from signals.agreement import DIFFERENT, OUTPUTS_MAX, disagreements, repeats
from signals.encoder import Encoder
from signals.suite import Suite
from signals.types import Abstention, Exchange

SAME = (
    "You can return the kettle within thirty days of purchase, and the label for the parcel is free of charge.",
    "Within thirty days of the purchase the kettle can be returned; the parcel label costs you nothing at all.",
)
OTHER = "Mars takes almost two of our years for one round about the sun, on an orbit that is rather eccentric."


def score(suite: Suite, exchange: Exchange) -> float | Abstention:
    found = next(c for c in suite.score([exchange]).columns if c.spec.column == "disagreement_output")
    return Abstention(int(found.abstentions[0])) or float(found.values[0])


def test_answers_that_say_the_same_agree_and_others_do_not(suite: Suite) -> None:
    alike = score(suite, Exchange(output="\n\n".join(SAME), outputs=SAME))
    apart = score(suite, Exchange(output="x", outputs=(SAME[0], OTHER)))

    assert alike < 0.2
    assert apart > 0.6


def test_short_answers_are_compared_by_their_words(encoder: Encoder) -> None:
    found = disagreements([["42", "42."], ["42", "17"], ["yes", "Yes", "no"]], encoder)

    assert found[0] == 0
    assert found[1] >= DIFFERENT
    assert found[2] == pytest.approx(2 / 3 * max(DIFFERENT, found[2] * 1.5), abs=1e-3)


@pytest.mark.parametrize(
    ("exchange", "reason"),
    [
        (Exchange(outputs=SAME), Abstention.NO_TEXT),
        (Exchange(output=OTHER), Abstention.NOT_APPLICABLE),
        (Exchange(output=OTHER, outputs=(OTHER, " ")), Abstention.NOT_APPLICABLE),
    ],
)
def test_one_answer_has_nothing_to_agree_with(suite: Suite, exchange: Exchange, reason: Abstention) -> None:
    assert score(suite, exchange) == reason


def test_more_answers_than_the_bound_are_not_compared(suite: Suite) -> None:
    many = ("yes",) * OUTPUTS_MAX

    assert score(suite, Exchange(output="yes", outputs=(*many, "no"))) == 0


def test_repeated_questions_of_a_file_are_found_and_compared(encoder: Encoder) -> None:
    rows = [
        Exchange(input="How long?", output="Two years."),
        Exchange(input="Where?", output="In Paris."),
        Exchange(input="how  LONG?", output="Ten years."),
        Exchange(input="Where?", output="In Paris."),
        Exchange(input="Where?", output=" "),
    ]

    first, second = repeats(rows, encoder)

    assert (first.rows, second.rows) == ((0, 2), (1, 3))
    assert first.disagreement >= DIFFERENT
    assert second.disagreement == 0
    assert repeats(rows[:2], encoder) == []
