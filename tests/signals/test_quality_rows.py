"""The quality table's own arithmetic: recall at a bounded share of false positives, and no silent NaN."""

from __future__ import annotations

import numpy as np
import pytest

from bench.quality.judge import recall_at, separation


def test_recall_is_taken_where_no_more_than_the_bound_of_the_negatives_lie_above() -> None:
    labels = np.arange(400) >= 200
    scores = np.concatenate([np.linspace(0, 1, 200), np.linspace(0.5, 1.5, 200)])

    found = recall_at(labels, scores)

    edge = np.sort(scores[~labels])[-3]
    assert (scores[~labels] > edge).mean() <= 0.01
    assert found == pytest.approx((scores[labels] > edge).mean())


def test_recall_of_equal_scores_is_nothing() -> None:
    assert recall_at(np.array([True, False]), np.ones(2)) == 0


def test_a_score_that_is_nan_is_refused_and_not_ranked() -> None:
    with pytest.raises(ValueError, match="NaN among the scores"):
        list(separation("f", "who", "on", np.array([True, False]), np.array([np.nan, 1.0])))


def test_a_perfect_score_separates_perfectly() -> None:
    labels = np.arange(20) >= 10

    area, recall = separation("f", "who", "on", labels, labels.astype(float))

    assert (area.value, area.low, recall.value) == (1, 1, 1)
