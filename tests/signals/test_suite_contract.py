"""What every ScoringSuite keeps to: the real one, parts of it, one with a Detoxify model, and the tests' fake."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signals.suite import Suite, SuiteOptions, load_suite
from signals.types import Abstention, Exchange, ScoreColumn, ScoringSuite, SuiteScores
from tests.fakes.suite import HashSuite
from tests.signals.texts import LANGUAGES, ODD, exchanges

BATCH_TOLERANCE = 1e-6  # the step of a stored score
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["fake", "cheap signals", "all signals", "detoxify", "cascade"])
def any_suite(request: pytest.FixtureRequest, suite: Suite) -> ScoringSuite:
    suites: dict[str, Callable[[], ScoringSuite]] = {
        "fake": HashSuite,
        "cheap signals": lambda: load_suite(SuiteOptions(enabled=("degeneration", "context_novelty"))),
        "all signals": lambda: suite,
        "detoxify": lambda: request.getfixturevalue("detoxify_suite"),
        "cascade": lambda: request.getfixturevalue("cascade_suite"),
    }
    return suites[request.param]()


def column(scores: SuiteScores, name: str) -> ScoreColumn:
    return next(found for found in scores.columns if found.spec.column == name)


@quick
@given(st.lists(exchanges, max_size=6))
def test_a_column_holds_a_score_between_0_and_1_or_a_reason_and_never_both(
    any_suite: ScoringSuite, batch: list[Exchange]
) -> None:
    scores = any_suite.score(batch)

    assert not scores.failures
    assert tuple(found.spec for found in scores.columns) == any_suite.specs
    for found in scores.columns:
        assert found.values.dtype == np.float32
        assert found.values.shape == found.abstentions.shape == (len(batch),)
        assert (np.isnan(found.values) == (found.abstentions != Abstention.NONE)).all()
        present = found.values[~np.isnan(found.values)]
        assert ((present >= 0) & (present <= 1)).all()


@quick
@given(st.lists(exchanges, max_size=6))
def test_an_embedding_is_a_unit_vector_where_present_and_zero_elsewhere(
    any_suite: ScoringSuite, batch: list[Exchange]
) -> None:
    for embeddings in any_suite.score(batch).embeddings:
        assert len(embeddings.vectors) == len(embeddings.present) == len(batch)
        lengths = np.linalg.norm(embeddings.vectors, axis=1)
        assert np.allclose(lengths, embeddings.present, atol=1e-5)


@quick
@given(st.lists(exchanges, min_size=1, max_size=6))
def test_a_batch_scores_as_its_exchanges_do_one_by_one(any_suite: ScoringSuite, batch: list[Exchange]) -> None:
    together = any_suite.score(batch)
    alone = [any_suite.score([exchange]) for exchange in batch]

    for index, found in enumerate(together.columns):
        values = np.concatenate([single.columns[index].values for single in alone])
        codes = np.concatenate([single.columns[index].abstentions for single in alone])
        assert (codes == found.abstentions).all()
        assert np.allclose(values, found.values, atol=BATCH_TOLERANCE, equal_nan=True)


@quick
@given(st.lists(exchanges, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(any_suite: ScoringSuite, batch: list[Exchange], rng) -> None:
    order = [rng.randrange(len(batch)) for _ in range(2 * len(batch))]

    straight, mixed = any_suite.score(batch), any_suite.score([batch[index] for index in order])

    for left, right in zip(straight.columns, mixed.columns, strict=True):
        assert np.allclose(left.values[order], right.values, atol=BATCH_TOLERANCE, equal_nan=True)


def test_the_given_list_is_left_as_it_was(any_suite: ScoringSuite) -> None:
    batch = [Exchange(input=text, output=text, context=text) for text in LANGUAGES + ODD]
    copy, shed = list(batch), np.zeros(len(batch), dtype=np.bool_)

    any_suite.score(batch, shed)

    assert batch == copy
    assert not shed.any()


def test_an_empty_batch_has_every_column_and_no_row(any_suite: ScoringSuite) -> None:
    scores = any_suite.score([])

    assert tuple(found.spec for found in scores.columns) == any_suite.specs
    assert all(found.values.shape == (0,) for found in scores.columns)
    assert all(len(embeddings.vectors) == 0 for embeddings in scores.embeddings)


def test_an_absent_text_is_never_scored(any_suite: ScoringSuite) -> None:
    for found in any_suite.score([Exchange()]).columns:
        assert found.abstentions[0] == Abstention.NO_TEXT


def test_columns_are_told_apart_by_their_names(any_suite: ScoringSuite) -> None:
    names = [spec.column for spec in any_suite.specs]

    assert len(set(names)) == len(names)
    assert all(spec.version for spec in any_suite.specs)


def test_what_is_shed_keeps_the_cheap_scores_and_says_so_in_the_costly_ones(suite: Suite) -> None:
    batch = [Exchange(input="Hello", output="Hello, how may I help?", context="Hello")] * 2 + [Exchange(output="Yes.")]

    scores = suite.score(batch, np.array([True, False, True]))

    assert column(scores, "toxicity_input").abstentions.tolist() == [
        Abstention.SHED,
        Abstention.NONE,
        Abstention.NO_TEXT,
    ]
    assert column(scores, "toxicity_output").abstentions.tolist() == [Abstention.SHED, Abstention.NONE, Abstention.SHED]
    assert column(scores, "degeneration_output").abstentions.tolist() == [Abstention.NONE] * 3
    assert [found.present.tolist() for found in scores.embeddings] == [[False, True, False], [False, True, False]]


def test_the_fake_sheds_as_the_real_one_does() -> None:
    scores = HashSuite().score([Exchange(input="a", output="b")] * 2, np.array([True, False]))

    assert all(found.abstentions.tolist() == [Abstention.SHED, Abstention.NONE] for found in scores.columns)


def test_a_huge_text_is_scored_and_its_unread_windows_are_counted(suite: Suite) -> None:
    text = " ".join(f"item {number} was delivered" for number in range(6_000))

    scores = suite.score([Exchange(input=text, output=text, context=text)])

    assert not scores.failures
    assert scores.counts["encoder_windows_skipped"] > 0
    assert column(scores, "context_novelty_output").values[0] < 0.4
    assert column(scores, "toxicity_output").abstentions[0] == Abstention.NONE


def test_signals_are_shed_a_step_at_a_time_and_what_is_shed_of_all_is_not_encoded(suite: Suite) -> None:
    answers = ("The parcel left on Monday.", "It was sent on Monday morning.")
    batch = [
        Exchange(input=f"Where is parcel {depth} of this test?", output=f"{answers[0]} {depth}", outputs=answers)
        for depth in range(3)
    ]

    scores = suite.score(batch, np.array([0, 1, 2], dtype=np.uint8))

    none, shed = Abstention.NONE, Abstention.SHED
    assert len(suite.shed_order) == 2
    assert "disagreement" in suite.shed_order[0]
    assert set(suite.shed_order[1]) == {"toxicity", "embedding", "injection", "relevance"}
    assert column(scores, "disagreement_output").abstentions.tolist() == [none, shed, shed]
    assert column(scores, "toxicity_output").abstentions.tolist() == [none, none, shed]
    assert column(scores, "refusal_output").abstentions.tolist() == [none] * 3
    assert scores.counts["encoder_texts"] == 2 * 2 + len(answers)


def test_what_is_not_shed_scores_as_if_nothing_were(suite: Suite) -> None:
    batch = [Exchange(input=text, output=text, context=text) for text in LANGUAGES]
    depths = np.arange(len(batch), dtype=np.uint8) % 3

    whole, thinned = suite.score(batch), suite.score(batch, depths)

    for left, right in zip(whole.columns, thinned.columns, strict=True):
        kept = right.abstentions != Abstention.SHED
        assert kept[depths == 0].all()
        assert np.allclose(left.values[kept], right.values[kept], atol=BATCH_TOLERANCE, equal_nan=True)


def test_a_model_of_its_own_is_the_first_to_be_shed(detoxify_suite: Suite) -> None:
    scores = detoxify_suite.score(
        [Exchange(input="Where is my parcel?", output="It left on Monday.")], np.array([1], np.uint8)
    )

    assert detoxify_suite.shed_order[0] == ("toxicity",)
    assert column(scores, "toxicity_output").abstentions.tolist() == [Abstention.SHED]
    assert column(scores, "relevance_output").abstentions.tolist() == [Abstention.NONE]


def test_what_does_not_apply_is_not_shed(suite: Suite) -> None:
    scores = suite.score([Exchange(output="Yes."), Exchange()], np.array([True, True]))

    for name in ("relevance_output", "disagreement_output", "reference_bertscore_output"):
        assert column(scores, name).abstentions.tolist() == [Abstention.NOT_APPLICABLE, Abstention.NO_TEXT]


def test_pieces_are_judged_as_texts_are_and_no_batch_counts_or_shows_it(any_suite: ScoringSuite) -> None:
    texts = [*LANGUAGES[:1], "You are a worthless piece of garbage.", "Thank you. The kettle works again."]
    batch = [Exchange(input=text, output=text) for text in texts]
    before = any_suite.score(batch)
    counted = any_suite.score(batch).counts

    found = {signal: judge(texts) for signal, judge in any_suite.judges.items()}

    after = any_suite.score(batch)
    assert after.counts == counted
    assert [one.values.tobytes() for one in after.columns] == [one.values.tobytes() for one in before.columns]
    for signal, judged in found.items():
        scored = column(before, f"{signal}_output")
        assert judged.shape == (len(texts),)
        if "cascade" not in scored.spec.version:  # whose head clears what the model is not asked about
            assert judged == pytest.approx(scored.values, abs=BATCH_TOLERANCE)
