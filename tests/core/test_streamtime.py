"""Stream time."""

from __future__ import annotations

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
    time.saw(B, 300.0, 5_059.0)

    assert time.advance({A: 10, B: 10}, wall=5_059.0) == 100.0
    assert time.advance({A: 10, B: 10}, wall=5_061.0) == 300.0


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
