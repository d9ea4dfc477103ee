"""Stream time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.records import Partition
from collector.streamtime import StreamTime

A, B = Partition("spans", 0), Partition("logs", 0)


def test_without_a_backlog_stream_time_is_the_clock():
    assert StreamTime(patience_seconds=60).advance({A: 0, B: 0}, wall=1_000.0) == 1_000.0


def test_in_a_backlog_the_slowest_partition_sets_the_time():
    time = StreamTime(patience_seconds=60)
    time.saw(A, 100.0, 5_000.0)
    time.saw(B, 300.0, 5_000.0)

    assert time.advance({A: 10, B: 10}, wall=5_000.0) == 100.0


def test_a_partition_that_has_gone_silent_does_not_hold_the_others():
    time = StreamTime(patience_seconds=60)
    time.saw(A, 100.0, 5_000.0)
    time.saw(B, 300.0, 5_059.5)

    assert time.advance({A: 10, B: 10}, wall=5_059.5) == 100.0
    assert time.advance({A: 10, B: 10}, wall=5_060.5) == 300.0


def test_time_neither_goes_back_nor_into_the_future():
    time = StreamTime(patience_seconds=60)

    assert time.saw(A, 9_999.0, 5_000.0) == 5_000.0  # a producer's clock is wrong
    assert time.advance({A: 1}, wall=5_000.0) == 5_000.0
    time.saw(B, 200.0, 5_001.0)
    assert time.advance({A: 1, B: 1}, wall=5_001.0) == 5_000.0


def test_an_old_partition_that_joins_late_does_not_turn_time_back():
    time = StreamTime(patience_seconds=60)
    time.advance({A: 0}, wall=5_000.0)
    time.saw(A, 100.0, 5_001.0)
    time.saw(B, 200.0, 5_001.0)

    assert time.advance({A: 10, B: 10}, wall=5_001.0) == 5_000.0


def turns(time: StreamTime, wall: float, seconds: float, lag: dict[Partition, int]) -> float:
    """Turns ten times a second, as an idle daemon makes them; the stream time after the last."""
    for tick in range(round(seconds * 10)):
        time.advance(lag, wall=wall + tick / 10)
    return time.now


def test_after_a_freeze_time_stands_until_the_log_was_asked_again():
    time = StreamTime(patience_seconds=60)
    time.advance({A: 0, B: 0}, wall=5_000.0)

    assert turns(time, 5_008.0, 1.0, {A: 0, B: 0}) == 5_000.0  # what is known of the backlog is eight seconds old
    time.saw(A, 5_001.0, 5_009.0)
    assert time.advance({A: 3, B: 0}, wall=5_009.0) == 5_001.0
    assert turns(time, 5_009.1, 0.5, {A: 0, B: 0}) == 5_009.5


def test_while_the_log_is_away_time_stands_but_not_for_ever():
    time = StreamTime(patience_seconds=60)
    time.advance({A: 0}, wall=5_000.0)

    for second in range(1, 60):
        assert time.advance({A: 0}, wall=5_000.0 + second, known=False) == 5_000.0
    assert time.advance({A: 0}, wall=5_061.5, known=False) == 5_061.5


def test_an_outage_that_ends_is_followed_by_calm_turns():
    time = StreamTime(patience_seconds=60)
    time.advance({A: 0}, wall=5_000.0)
    time.advance({A: 0}, wall=5_000.5, known=False)

    assert turns(time, 5_000.6, 0.9, {A: 0}) == 5_000.0
    assert turns(time, 5_001.5, 0.2, {A: 0}) == 5_001.6


def test_turns_that_are_all_slow_make_progress_nevertheless():
    time = StreamTime(patience_seconds=60)

    for turn in range(9):  # three seconds each: giant records on a slow machine
        time.saw(A, 100.0 + turn, 5_000.0 + 3 * turn)
        time.advance({A: 10}, wall=5_000.0 + 3 * turn)

    assert time.now >= 104.0


@given(st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=60))
def test_time_never_goes_back_and_never_leads_the_clock(steps):
    time = StreamTime(patience_seconds=60)
    wall, before = 5_000.0, 0.0

    for passed, of_a, of_b, known in steps:
        wall += passed
        if of_a:
            time.saw(A, wall - of_a, wall)
        now = time.advance({A: of_a, B: of_b}, wall=wall, known=known)
        assert before <= now <= wall
        before = now


def test_a_clock_that_is_turned_back_does_not_stop_time():
    time = StreamTime(patience_seconds=60)
    turns(time, 9_000.0, 3.0, {A: 0})
    stood = time.now

    turns(time, 5_400.0, 12.0, {A: 0})

    assert 10.0 < time.now - stood <= 12.0
    assert time.log_time == 5_400.0 + 11.9


def test_in_a_backlog_behind_a_clock_that_was_turned_back_the_log_goes_on_setting_the_time():
    time = StreamTime(patience_seconds=60)
    turns(time, 9_000.0, 3.0, {A: 0})
    turns(time, 5_400.0, 9.0, {A: 0})

    for second in range(9):
        time.saw(A, 5_402.0 + second, 5_409.0 + second)
        turns(time, 5_409.0 + second, 1.0, {A: 10})

    assert time.log_time == 5_410.0
    assert time.arrival(5_500.0) - time.now == 90.0


def test_a_backlog_that_was_never_passed_is_not_skipped_when_the_clock_is_turned_back():
    time = StreamTime(patience_seconds=60)
    time.saw(A, 100.0, 9_000.0)
    time.advance({A: 10}, wall=9_000.0)

    time.saw(A, 101.0, 5_400.0)
    turns(time, 5_400.0, 2.0, {A: 10})

    assert time.now == 101.0


@given(st.lists(st.tuples(st.floats(-9_999, 9_999), st.integers(0, 3), st.booleans()), max_size=30))
def test_whatever_the_clock_does_time_goes_on_and_never_back(jumps):
    time = StreamTime(patience_seconds=60)
    wall = passed = 500_000.0
    before = 0.0

    for jump, of_a, known in jumps:
        wall, passed = wall + jump, passed + max(0.0, jump)
        if of_a:
            time.saw(A, wall - of_a, wall)
        now = time.advance({A: of_a}, wall=wall, known=known)
        assert before <= now <= passed + 1e-6
        assert time.log_time <= wall + 1e-6
        before = now
    turns(time, wall, 2.0, {A: 0})

    assert time.log_time > wall + 1.5
