"""The cascade's arithmetic: its estimates are unbiased, its intervals hold, and its guard falls only for a reason."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from signals.recall import Guard, Tally, estimate, proportion_interval

ONE_IN = 50


def traffic(
    rng: np.random.Generator, texts: int, *, toxic: float, recall: float, one_in: int = ONE_IN
) -> tuple[Tally, int]:
    """A random stretch of traffic as a cascade would count it, and how many of its texts are toxic."""
    bad = rng.binomial(texts, toxic)
    caught, alarmed = rng.binomial(bad, recall), rng.binomial(texts - bad, 0.03)
    flagged, calm = rng.binomial(bad - caught, 1 / one_in), rng.binomial(texts - bad - alarmed, 1 / one_in)
    tally = Tally(
        texts=texts,
        sent=caught + alarmed,
        sampled=flagged + calm,
        flagged_sent=caught,
        flagged_sampled=flagged,
    )
    return tally, bad


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    texts = draw(st.integers(0, 5_000))
    sent = draw(st.integers(0, texts))
    sampled = draw(st.integers(0, texts - sent))
    return Tally(
        texts=texts,
        sent=sent,
        sampled=sampled,
        flagged_sent=draw(st.integers(0, sent)),
        flagged_sampled=draw(st.integers(0, sampled)),
    )


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_interval_of_a_share_is_that_of_scipy(hits: int, misses: int, level: float) -> None:
    trials = hits + misses
    if not trials:
        assert proportion_interval(0, 0, level) == (0.0, 1.0)
        return
    expected = binomtest(hits, trials).proportion_ci(level, method="exact")

    assert proportion_interval(hits, trials, level) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(tallies())
def test_an_interval_holds_its_point_and_stays_in_0_to_1(tally: Tally) -> None:
    found = estimate(tally)

    for low, point, high in (
        (found.recall_low, found.recall, found.recall_high),
        (found.rate_low, found.rate, found.rate_high),
    ):
        known = [value for value in (low, point, high) if not math.isnan(value)]
        assert known == sorted(known)
        assert all(0 <= value <= 1 for value in known)


@given(tallies(), tallies(), tallies())
def test_tallies_add_up_in_any_grouping(left: Tally, middle: Tally, right: Tally) -> None:
    assert (left + middle) + right == left + (middle + right)
    assert left + right == right + left
    assert left + Tally() == left


@pytest.mark.parametrize(("toxic", "recall"), [(0.02, 0.95), (0.05, 0.7), (0.3, 0.9), (0.01, 0.5)])
def test_rate_and_recall_lie_in_their_intervals_in_19_of_20_runs_and_the_rate_is_unbiased(
    toxic: float, recall: float
) -> None:
    rng = np.random.default_rng(20261127)
    runs = 1_000
    held_recall = held_rate = 0
    surplus: dict[str, list[float]] = {"rate": [], "weighted": []}
    for _ in range(runs):
        tally, bad = traffic(rng, 20_000, toxic=toxic, recall=recall, one_in=20)
        found = estimate(tally)
        surplus["rate"].append(found.rate - bad / tally.texts)
        surplus["weighted"].append((tally.flagged_sent + 20 * tally.flagged_sampled - bad) / tally.texts)
        held_recall += found.recall_low <= tally.flagged_sent / bad <= found.recall_high
        held_rate += found.rate_low <= bad / tally.texts <= found.rate_high

    assert held_recall >= 0.94 * runs
    assert held_rate >= 0.94 * runs
    for errors in map(np.array, surplus.values()):
        assert abs(errors.mean()) < 3.5 * errors.std() / math.sqrt(runs)


def test_a_fleet_s_sum_says_what_its_processes_say_together() -> None:
    rng = np.random.default_rng(1)
    parts = [traffic(rng, 10_000, toxic=0.05, recall=0.9)[0] for _ in range(8)]

    found = estimate(sum(parts, Tally()))

    assert found.recall_low <= 0.9 <= found.recall_high
    assert found.recall_high - found.recall_low < estimate(parts[0]).recall_high - estimate(parts[0]).recall_low


def test_what_is_not_known_is_not_a_number() -> None:
    nothing, unsampled = estimate(Tally()), estimate(Tally(texts=10, sent=2, flagged_sent=2))

    assert math.isnan(nothing.recall)
    assert math.isnan(nothing.rate)
    assert math.isnan(unsampled.rate)
    assert (unsampled.rate_low, unsampled.rate_high) == (0.2, 1.0)


def test_where_everything_was_sent_nothing_is_uncertain() -> None:
    found = estimate(Tally(texts=10, sent=10, flagged_sent=3))

    assert (found.recall_low, found.recall, found.recall_high) == (1, 1, 1)
    assert (found.rate_low, found.rate, found.rate_high) == (0.3, 0.3, 0.3)


def states(guard: Guard, rng: np.random.Generator, batches: int, **kind: float) -> list[bool]:
    found = []
    for _ in range(batches):
        guard.add(traffic(rng, 2_000, toxic=kind["toxic"], recall=kind["recall"])[0])
        found.append(guard.fallen)
    return found


def test_it_falls_when_recall_is_lost_and_comes_back_when_it_is_regained() -> None:
    guard, rng = Guard(recall=0.95, recall_min=0.9), np.random.default_rng(3)

    calm = states(guard, rng, 60, toxic=0.05, recall=0.97)
    lost = states(guard, rng, 60, toxic=0.05, recall=0.5)
    regained = states(guard, rng, 200, toxic=0.05, recall=0.98)

    assert not any(calm)
    assert lost[-1]
    assert not regained[-1]
    assert guard.falls == 1


def test_at_its_recall_it_falls_in_few_of_many_streams_and_never_flaps() -> None:
    fallen, turns = 0, 0
    for seed in range(100):
        guard = Guard(recall=0.95, recall_min=0.9)
        found = states(guard, np.random.default_rng(seed), 100, toxic=0.05, recall=0.95)
        fallen += guard.falls > 0
        turns += sum(left != right for left, right in pairwise(found))

    assert fallen <= 2
    assert turns <= 2 * fallen


def test_a_handful_of_flags_is_no_reason() -> None:
    guard = Guard(recall=0.95, recall_min=0.9)

    for _ in range(20):
        guard.add(Tally(texts=30_000, sent=600, sampled=Guard.BLOCK_SAMPLED, flagged_sent=0, flagged_sampled=1))

    assert not guard.fallen


@pytest.mark.parametrize(("recall", "recall_min"), [(0.9, 0.95), (1.0, 0.9), (0.9, 0.0)])
def test_bounds_that_cannot_hold_are_a_broken_promise(recall: float, recall_min: float) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Guard(recall=recall, recall_min=recall_min)
