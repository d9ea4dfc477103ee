"""What the fake log and its consumers add to the contract: rebalances, zombies and outages on the test's word."""

from __future__ import annotations

import pytest

from collector.records import Kind, RejectReason
from collector.source import Bounds, SourceError
from tests.fakes.source import FakeLog, FakeSource
from tests.source.worlds import Reader


def started(log: FakeLog, **settings: object) -> FakeSource:
    source = FakeSource(log, **settings)  # type: ignore[arg-type]
    source.start()
    return source


def test_two_sources_may_own_one_partition() -> None:
    log = FakeLog()
    (partition,) = log.create("t", Kind.TRACES)
    owner, zombie = started(log, assigned=[partition]), started(log, assigned=[partition])
    log.append(partition, b"x")

    for source in (owner, zombie):
        assert Reader(source).until(lambda seen: len(seen.records) == 1).owned == {partition}


def test_a_revoked_partition_delivers_nothing_more() -> None:
    log = FakeLog()
    (partition,) = log.create("t", Kind.TRACES)
    source = started(log, assigned=[partition])
    reader = Reader(source)
    reader.poll()
    log.append(partition, b"x")

    source.revoke(partition)

    assert reader.idle(3).records == []
    assert reader.seen.revoked == [partition]


def test_a_partition_taken_and_given_back_at_once_is_reported_as_both() -> None:
    log = FakeLog()
    (partition,) = log.create("t", Kind.TRACES)
    source = started(log, assigned=[partition])
    source.poll(0)

    source.revoke(partition)
    source.assign(partition)

    polled = source.poll(0)
    assert (list(polled.revoked), list(polled.assigned)) == ([partition], [partition])


def test_an_outage_is_an_empty_poll() -> None:
    log = FakeLog()
    (partition,) = log.create("t", Kind.TRACES)
    source = started(log, assigned=[partition])
    reader = Reader(source)
    reader.poll()
    log.append(partition, b"x")

    source.down = True
    assert reader.idle(3).records == []
    assert not source.healthy
    with pytest.raises(SourceError):
        source.bounds(partition)
    source.down = False

    reader.until(lambda seen: len(seen.records) == 1)
    assert source.healthy


def test_holes_and_lost_heads_are_jumped_over() -> None:
    log = FakeLog()
    (partition,) = log.create("t", Kind.TRACES)
    for _ in range(6):
        log.append(partition, b"x")
    log.remove(partition, 3)
    log.skip(partition, 2)
    log.truncate(partition, 2)

    source = started(log, assigned=[partition])

    assert Reader(source).until(lambda seen: source.lag() == {partition: 0}).offsets == {partition: [2, 4, 5]}
    assert source.bounds(partition) == Bounds(2, 8)


def test_a_corrupt_record_is_a_reject_among_its_neighbours() -> None:
    log = FakeLog()
    (partition,) = log.create("t", Kind.TRACES)
    log.append(partition, b"good")
    log.append(partition, b"evil", corrupt=True)
    log.append(partition, b"good")

    seen = Reader(started(log, assigned=[partition])).until(lambda seen: len(seen.records) == 2)

    assert [(each.record.offset, each.reason) for each in seen.rejected] == [(1, RejectReason.CORRUPT_BATCH)]


def test_a_topic_made_again_has_another_epoch() -> None:
    log = FakeLog()
    log.create("t", Kind.TRACES)
    before = log.epoch("t")

    (partition,) = log.create("t", Kind.TRACES)

    assert log.epoch("t") != before
    assert log.bounds(partition) == Bounds(0, 0)


def test_a_busy_partition_does_not_starve_the_others() -> None:
    log = FakeLog()
    busy, quiet = log.create("t", Kind.TRACES, 2)
    for _ in range(1_000):
        log.append(busy, b"x")
    log.append(quiet, b"y")

    reader = Reader(started(log, assigned=[busy, quiet], records_per_poll=10))
    reader.idle(5)

    assert quiet in reader.seen.offsets
