"""Pairing: alike everywhere, nothing twice, phases kept; conversations thinned, and why."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.drift.detector import State, run, threshold
from signals.drift.pairing import DAY, HOUR, WEEK, Phase, hour_of_day, hour_of_week, pair, pair_in_phase, thin
from signals.sketch import DIMENSIONS
from tests.signals.drift.traffic import TOPICS, calls

MONDAY = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp())
ids = st.lists(st.text(max_size=4), unique=True, max_size=30)


def names(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{at}" for at in range(n)]


@given(ids, ids, st.integers(1, 3))
def test_no_baseline_call_is_used_twice_and_no_current_one_more_than_once(
    current: list[str], baseline: list[str], per_call: int
) -> None:
    pairs = pair(current, baseline, per_call=per_call)

    used = pairs.baseline.ravel().tolist()
    assert len(set(used)) == len(used)
    assert (np.diff(pairs.current) > 0).all()
    assert len(pairs) == min(len(current), len(baseline) // per_call)
    assert pairs.baseline.shape == (len(pairs), per_call)


@given(ids, ids, st.randoms())
def test_the_order_in_which_baseline_calls_are_found_does_not_matter(current, baseline, random) -> None:
    shuffled = random.sample(baseline, len(baseline))

    there, here = pair(current, baseline), pair(current, shuffled)

    assert [baseline[row] for row in there.baseline.ravel()] == [shuffled[row] for row in here.baseline.ravel()]


def test_pairs_do_not_follow_the_baselines_own_order() -> None:
    pairs = pair(names("a", 200), names("b", 200))

    assert abs(np.corrcoef(pairs.current, pairs.baseline[:, 0])[0, 1]) < 0.3


@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_no_pair_crosses_buckets(today: list[int], before: list[int]) -> None:
    pairs = pair(names("a", len(today)), names("b", len(before)), today, before)

    assert [today[row] for row in pairs.current] == [before[row] for row in pairs.baseline[:, 0]]


@given(st.integers(0, 2**33))
def test_phases_are_those_of_the_calendar(second: int) -> None:
    moment = datetime.fromtimestamp(second, UTC)

    assert hour_of_day([second])[0] == moment.hour
    assert hour_of_week([second])[0] == moment.weekday() * 24 + moment.hour


def hourly(first: int, n: int, per_hour: int) -> np.ndarray:
    return np.repeat(first + HOUR * np.arange(n), per_hour)


def phases(baseline: np.ndarray, current: np.ndarray) -> Phase:
    return pair_in_phase(names("a", len(current)), current, names("b", len(baseline)), baseline).phase


def test_a_week_of_baseline_pairs_by_hour_of_the_week() -> None:
    assert phases(hourly(MONDAY - WEEK, 168, 3), hourly(MONDAY, 24, 3)) is Phase.HOUR_OF_WEEK


def test_a_day_of_baseline_pairs_by_hour_of_the_day() -> None:
    assert phases(hourly(MONDAY - DAY, 24, 3), hourly(MONDAY, 24, 3)) is Phase.HOUR_OF_DAY


def test_an_hour_of_baseline_pairs_with_any_call() -> None:
    assert phases(hourly(MONDAY - HOUR, 1, 9), hourly(MONDAY, 1, 9)) is Phase.ANY


def test_what_a_phase_cannot_pair_is_left_out_rather_than_paired_across() -> None:
    today, before = hourly(MONDAY, 24, 2), hourly(MONDAY - WEEK, 23, 2)

    pairs = pair_in_phase(names("a", 48), today, names("b", 46), before)

    assert pairs.phase is Phase.HOUR_OF_WEEK
    assert len(pairs) == 46


def test_nothing_to_pair_is_no_pairs() -> None:
    assert len(pair_in_phase([], [], names("b", 3), [0, 1, 2])) == 0


@given(st.lists(st.tuples(st.sampled_from([None, "x", "y"]), st.integers(0, 3 * DAY)), max_size=40))
def test_thinning_keeps_one_call_of_a_conversation_and_day_and_every_call_of_none(rows) -> None:
    conversations, times = [key for key, _ in rows], [time for _, time in rows]

    kept = thin(conversations, times, names("a", len(rows))).tolist()

    groups = [(conversations[row], times[row] // DAY) for row in kept if conversations[row] is not None]
    assert len(set(groups)) == len(groups)
    assert set(groups) == {(key, time // DAY) for key, time in rows if key is not None}
    assert {row for row, key in enumerate(conversations) if key is None} <= set(kept)
    assert kept == sorted(kept)


def test_thinning_does_not_depend_on_the_order_of_the_calls() -> None:
    calls_seen = names("a", 50)
    forward = thin(["x"] * 50, [0] * 50, calls_seen)
    backward = thin(["x"] * 50, [0] * 50, calls_seen[::-1])

    assert calls_seen[forward[0]] == calls_seen[::-1][backward[0]]


def sessions(seed: int, conversations: int, turns: int) -> tuple[np.ndarray, list[str]]:
    """Conversations of one topic and one voice each: vectors, and the conversation of each call."""
    rng = np.random.default_rng(seed)
    topics = np.repeat(rng.integers(0, TOPICS, conversations), turns)
    voices = np.repeat(rng.normal(size=(conversations, DIMENSIONS)) / np.sqrt(DIMENSIONS), turns, axis=0)
    vectors = calls(seed, topics) + voices
    keys = [f"{seed}-{conversation}" for conversation in range(conversations) for _ in range(turns)]
    return vectors.astype(np.float32), keys


def alarms(streams: int, *, thinned: bool) -> int:
    """Of quiet streams, in each of which new conversations come and go as before."""
    found = 0
    for seed in range(streams):
        (today, here), (before, there) = sessions(2 * seed, 120, 25), sessions(2 * seed + 1, 120, 25)
        today_ids, before_ids = names("a", len(here)), names("b", len(there))
        if thinned:
            kept, known = thin(here, [0] * len(here), today_ids), thin(there, [0] * len(there), before_ids)
            today, today_ids = today[kept], [today_ids[row] for row in kept]
            before, before_ids = before[known], [before_ids[row] for row in known]
        pairs = pair(today_ids, before_ids)
        _, logs = run(State.initial(), today[pairs.current], before[pairs.baseline])
        found += max(logs) >= threshold(1e-3)
    return found


@pytest.mark.parametrize(("thinned", "least", "most"), [(False, 4, 6), (True, 0, 0)])
def test_conversations_alarm_falsely_unless_they_are_thinned(thinned: bool, least: int, most: int) -> None:
    assert least <= alarms(6, thinned=thinned) <= most


@pytest.mark.parametrize(("in_phase", "least", "most"), [(False, 3, 6), (True, 0, 0)])
def test_day_and_night_alarm_falsely_unless_pairs_keep_the_hour(in_phase: bool, least: int, most: int) -> None:
    """Half of the topics belong to the day, half to the night."""

    def day(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        night = (np.arange(24) % 24 < 12).repeat(60)
        return calls(seed, rng.integers(0, TOPICS // 2, len(night)) + night * (TOPICS // 2))

    times = hourly(0, 24, 60)
    found = 0
    for seed in range(6):
        if in_phase:
            pairs = pair_in_phase(names("a", 1_440), times + DAY, names("b", 1_440), times)
        else:
            pairs = pair(names("a", 1_440), names("b", 1_440))
        _, logs = run(State.initial(), day(2 * seed)[pairs.current], day(2 * seed + 1)[pairs.baseline])
        found += max(logs) >= threshold(1e-3)

    assert least <= found <= most
