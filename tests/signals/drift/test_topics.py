"""Attribution: the topic that grew is found with its calls, noise is not called a change, parts add up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals.drift.topics import Share, share, slices, topics
from tests.signals.drift.traffic import TOPICS, calls


def labelled(seed: int, n: int, weights: list[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.random.default_rng(seed).choice(TOPICS, n, p=weights)
    return calls(seed, chosen), chosen


EVEN = [1 / TOPICS] * TOPICS
SURGE = [0.3] + [0.7 / (TOPICS - 1)] * (TOPICS - 1)


def test_the_topic_that_grew_comes_first_with_its_own_calls() -> None:
    (before, was), (after, now) = labelled(1, 600, EVEN), labelled(2, 600, SURGE)

    first = topics(before, after)[0]

    assert first.share.significant
    assert first.share.change > 0.1
    assert {int(was[row]) for row in first.baseline_examples} == {0}
    assert {int(now[row]) for row in first.current_examples} == {0}


def test_a_topic_that_came_or_went_has_examples_on_one_side() -> None:
    before, after = calls(1, np.zeros(200, dtype=int)), calls(2, np.ones(200, dtype=int))

    came, went = sorted(topics(before, after, most=2), key=lambda topic: topic.share.before)

    assert (came.share.before, came.share.after, came.baseline_examples) == (0, 1, ())
    assert (went.share.before, went.share.after, went.current_examples) == (1, 0, ())


def test_quiet_traffic_has_no_topic_that_changed() -> None:
    changed = 0
    for seed in range(10):
        found = topics(labelled(2 * seed, 500)[0], labelled(2 * seed + 1, 500)[0])
        changed += any(topic.share.significant for topic in found)

    assert changed <= 2


def test_shares_of_each_side_add_up_to_one() -> None:
    found = topics(labelled(1, 300)[0], labelled(2, 100)[0])

    assert math.fsum(topic.share.before for topic in found) == pytest.approx(1)
    assert math.fsum(topic.share.after for topic in found) == pytest.approx(1)


def test_the_same_calls_have_the_same_topics() -> None:
    before, after = labelled(1, 300)[0], labelled(2, 300)[0]

    assert topics(before, after) == topics(before.copy(), after.copy())


def test_there_are_never_more_topics_than_asked_for() -> None:
    assert len(topics(labelled(1, 300)[0], labelled(2, 300)[0], most=5)) == 5


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0), (0, 0)])
def test_a_side_without_calls_has_no_topics(n: int, m: int) -> None:
    before, after = labelled(1, n)[0], labelled(2, m)[0]

    assert topics(before, after) == ()
    assert slices(before, ["x"] * n, after, ["x"] * m) == ()


def test_few_equal_calls_are_no_trouble() -> None:
    same = np.repeat(calls(1, np.zeros(1, dtype=int)), 3, axis=0)

    assert sum(topic.share.before for topic in topics(same, same)) == pytest.approx(1)


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0, 1), st.floats(0, 1), st.integers(1, 24))
def test_an_interval_holds_the_change_and_widens_with_the_comparisons(n, m, first, second, comparisons) -> None:
    was, now = int(first * n), int(second * m)

    one, many = share(was, n, now, m), share(was, n, now, m, comparisons=comparisons)

    assert many.low <= one.low <= one.change + 1e-12
    assert one.change - 1e-12 <= one.high <= many.high


def test_the_interval_is_newcombes() -> None:
    """His example: 56 of 70 against 48 of 80, method 10."""
    found = share(48, 80, 56, 70)

    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    draws = zip(rng.binomial(200, 0.1, 400), rng.binomial(150, 0.2, 400), strict=True)
    found = [share(int(was), 200, int(now), 150) for was, now in draws]

    assert np.mean([part.low <= 0.1 <= part.high for part in found]) == pytest.approx(0.95, abs=0.03)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.lists(st.sampled_from("abcd"), min_size=1))
@settings(deadline=None)
def test_parts_of_the_slices_add_up_to_the_whole(was: list[str], now: list[str]) -> None:
    before, after = labelled(1, len(was))[0], labelled(2, len(now))[0]

    found = slices(before, was, after, now)

    assert {part.label for part in found} == {*was, *now}
    assert math.fsum(part.part for part in found) == pytest.approx(1)
    assert math.fsum(part.share.change for part in found) == pytest.approx(0, abs=1e-9)


def test_the_slice_that_moved_carries_the_change() -> None:
    """One of three services asks about something else; the others go on."""
    before, after = labelled(1, 900)[0], labelled(2, 900)[0]
    services = ["chat", "search", "code"] * 300
    moved = np.array(services) == "code"
    after[moved] = calls(3, np.zeros(int(moved.sum()), dtype=int), about=1)

    first, *others = slices(before, services, after, services)

    assert first.label == "code"
    assert first.part > 0.9
    assert first.distance > 10 * max(part.distance for part in others)


def test_the_slice_that_only_grew_carries_the_change() -> None:
    before, was = labelled(1, 900, EVEN)
    after, now = labelled(2, 900, SURGE)

    first = slices(before, was.tolist(), after, now.tolist())[0]

    assert first.label == 0
    assert first.share.significant
    assert first.distance < 0.1


def test_equal_sides_have_no_parts() -> None:
    before = labelled(1, 30)[0]

    assert [part.part for part in slices(before, ["x"] * 30, before, ["x"] * 30)] == [0]


def test_a_change_is_significant_where_its_interval_leaves_zero_out() -> None:
    assert Share(before=0, after=1, low=0.1, high=1).significant
    assert Share(before=1, after=0, low=-1, high=-0.1).significant
    assert not Share(before=0, after=1, low=-0.1, high=1).significant
