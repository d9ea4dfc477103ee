"""Centroids of additive sums, and their distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.embedding import centroid_distance
from signals.suite import Suite
from signals.types import Exchange

sums = st.lists(st.integers(-1_000, 1_000), min_size=4, max_size=4).filter(any)


@given(sums, sums)
def test_distance_is_symmetric_and_a_share(left: list[int], right: list[int]) -> None:
    there, back = centroid_distance(left, 3, right, 5), centroid_distance(right, 5, left, 3)

    assert there == pytest.approx(back)
    assert 0 <= there <= 1


@given(sums, st.integers(1, 1_000))
def test_the_scale_of_the_sums_does_not_count(total: list[int], factor: int) -> None:
    assert centroid_distance(total, 1, np.array(total) * factor, factor) == pytest.approx(0, abs=1e-9)


def test_unrelated_directions_are_one_apart_and_opposite_ones_not_further() -> None:
    assert centroid_distance([1, 0], 1, [0, 1], 1) == 1
    assert centroid_distance([1, 0], 1, [-1, 0], 1) == 1


@pytest.mark.parametrize("current", [([0, 0], 0), ([0, 0], 4)])
def test_without_a_direction_there_is_no_distance(current: tuple[list[int], int]) -> None:
    assert math.isnan(centroid_distance([1, 0], 1, *current))


def test_a_change_of_topic_is_farther_than_a_change_of_words(suite: Suite) -> None:
    def total(*texts: str) -> tuple[np.ndarray, int]:
        found = suite.score([Exchange(input=text) for text in texts]).embeddings[0]
        return found.vectors.sum(0), int(found.present.sum())

    baseline = total("Where is my parcel?", "When does my order arrive?", "My package is late.")
    same = total("Has my delivery been sent?", "The parcel did not arrive.")
    other = total("Write a poem about the sea.", "Explain the French revolution.")

    assert centroid_distance(*baseline, *same) < 0.5 < centroid_distance(*baseline, *other)
