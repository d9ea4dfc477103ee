"""What every source promises, whatever is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.records import Kind, Partition
from collector.source import Bounds, Source
from tests.source.otlp_world import OtlpWorld
from tests.source.worlds import FakeWorld, KafkaWorld, Reader, ReplayWorld, World, fill, value

KAFKA = pytest.mark.server("kafka")


@pytest.fixture(
    params=["fake", "replay", "otlp", pytest.param("kafka-python", marks=KAFKA), pytest.param("confluent", marks=KAFKA)]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "fake":
        yield FakeWorld()
    elif request.param == "replay":
        yield ReplayWorld(tmp_path)
    elif request.param == "otlp":
        embedded = OtlpWorld(tmp_path)
        fill(embedded)
        yield embedded
    else:
        made = KafkaWorld(request.getfixturevalue("kafka_broker"), request.param)
        yield made
        made.close()


@pytest.fixture
def source(world: World) -> Iterator[Source]:
    made = world.source()
    made.start()
    yield made
    made.close()


@pytest.fixture
def live(world: World) -> World:
    if not world.live:
        pytest.skip("a replay's records are all there before it starts")
    return world


def owns_all(world: World) -> object:
    return lambda seen: seen.owned == set(world.partitions)


def test_partitions_are_reported_and_then_silent_until_seek(world: World, source: Source) -> None:
    reader = Reader(source, start=lambda _: None)

    reader.until(lambda seen: seen.owned == set(world.partitions))

    assert reader.idle().records == []
    assert sorted(reader.seen.assigned) == sorted(world.partitions)


def test_every_record_comes_once_and_in_order_from_where_seek_says(world: World, source: Source) -> None:
    reader = Reader(source, start=lambda partition: partition.number % 2)
    expected = {partition: list(range(partition.number % 2, 2)) for partition in world.partitions}

    reader.until(lambda seen: seen.offsets == expected)

    assert reader.idle().offsets == expected
    assert all(record.value == value(record.partition, record.offset) for record in reader.seen.records)


def test_a_record_says_what_it_holds_and_when_the_log_took_it(world: World, source: Source) -> None:
    reader = Reader(source)

    reader.until(lambda seen: len(seen.records) == 2 * len(world.partitions))

    assert {record.kind for record in reader.seen.records if "spans" in record.partition.topic} <= {Kind.TRACES}
    assert all(record.kind is source.kind(record.partition) for record in reader.seen.records)
    if world.live:
        assert all(record.timestamp == 1_000.0 * (record.offset + 1) for record in reader.seen.records)


def test_a_partition_can_be_read_again(world: World, source: Source) -> None:
    reader = Reader(source)
    reader.until(lambda seen: len(seen.records) == 2 * len(world.partitions))
    again = world.partitions[0]
    reader.seen.records.clear()

    reader.seek(again, 1)

    reader.until(lambda seen: seen.offsets == {again: [1]})
    assert reader.idle().offsets == {again: [1]}


def test_bounds_name_the_oldest_and_one_past_the_newest(world: World, source: Source) -> None:
    Reader(source).until(lambda seen: seen.owned == set(world.partitions))

    assert {source.bounds(partition) for partition in world.partitions} == {Bounds(0, 2)}


def test_offset_at_is_the_first_record_that_is_not_older(world: World, source: Source) -> None:
    Reader(source).until(lambda seen: seen.owned == set(world.partitions))
    partition = world.partitions[0]

    assert source.offset_at(partition, 0.0) == 0
    assert source.offset_at(partition, 1e10) == 2
    if world.live:
        assert [source.offset_at(partition, at) for at in (1_000.0, 1_000.5, 2_000.0, 2_000.5)] == [0, 1, 1, 2]


def test_a_paused_partition_waits_and_loses_nothing(world: World, source: Source) -> None:
    reader = Reader(source, start=lambda _: None)
    reader.until(lambda seen: seen.owned == set(world.partitions))
    first, *others = world.partitions
    source.pause([first])
    for partition in world.partitions:
        reader.seek(partition, 0)

    reader.until(lambda seen: set(seen.offsets) == set(others))
    assert first not in reader.idle().offsets
    source.resume([first])

    reader.until(lambda seen: seen.offsets == {partition: [0, 1] for partition in world.partitions})


def test_seek_ends_the_silence_of_a_paused_partition_only_when_it_is_resumed(world: World, source: Source) -> None:
    reader = Reader(source)
    reader.until(lambda seen: len(seen.records) == 2 * len(world.partitions))
    reader.seen.records.clear()
    partition = world.partitions[0]

    source.pause([partition])
    reader.seek(partition, 0)
    assert reader.idle().records == []
    source.resume([partition])

    reader.until(lambda seen: seen.offsets == {partition: [0, 1]})


def test_lag_counts_what_is_to_come(world: World, source: Source) -> None:
    reader = Reader(source, start=lambda _: None)
    reader.until(lambda seen: seen.owned == set(world.partitions))
    for partition in world.partitions:
        source.bounds(partition)  # as the daemon does before it decides where to begin
    reader.poll()
    assert source.lag() == dict.fromkeys(world.partitions, 2)

    for partition in world.partitions:
        reader.seek(partition, 1)
    reader.until(lambda seen: len(seen.records) == len(world.partitions))

    reader.until(lambda _: source.lag() == dict.fromkeys(world.partitions, 0))


def test_an_epoch_is_the_same_for_every_consumer_and_safe_in_a_path(world: World, source: Source) -> None:
    other = world.source()
    other.start()

    for topic in {partition.topic for partition in world.partitions}:
        assert source.epoch(topic) == other.epoch(topic)
        assert source.epoch(topic).replace("-", "").isalnum()
    other.close()


def test_a_record_that_comes_later_is_delivered(live: World, source: Source) -> None:
    reader = Reader(source, start=lambda _: 2)
    reader.until(lambda seen: seen.owned == set(live.partitions))
    assert reader.idle(5).records == []

    offsets = {partition: [live.append(partition, b"later", 3_000.0)] for partition in live.partitions}

    reader.until(lambda seen: seen.offsets == offsets)


def test_a_tombstone_is_a_record_without_value(live: World, source: Source) -> None:
    if isinstance(live, OtlpWorld):
        pytest.skip("an OTLP request always has a body")
    partition = live.partitions[0]
    offset = live.append(partition, None, 3_000.0)
    reader = Reader(source, start=lambda _: 2)

    reader.until(lambda seen: partition in seen.offsets)

    assert [(record.offset, record.value) for record in reader.seen.records] == [(offset, None)]


def test_an_offset_past_the_end_is_silent_until_the_log_reaches_it(live: World, source: Source) -> None:
    partition = live.partitions[0]
    reader = Reader(source, start=lambda each: 4 if each == partition else 2)
    reader.until(lambda seen: seen.owned == set(live.partitions))
    reader.idle(5)

    for number in range(2, 6):
        live.append(partition, b"%d" % number, 3_000.0)

    reader.until(lambda seen: seen.offsets == {partition: [4, 5]})
    assert reader.idle(5).offsets == {partition: [4, 5]}


def test_what_is_not_owned_is_ignored(world: World, source: Source) -> None:
    reader = Reader(source)
    reader.until(lambda seen: len(seen.records) == 2 * len(world.partitions))
    stranger = Partition(world.partitions[0].topic, 77)

    source.seek(stranger, 0)
    source.pause([stranger])
    source.resume([stranger])
    source.commit({stranger: 5, world.partitions[0]: 2})

    assert len(reader.idle(5).records) == 2 * len(world.partitions)
    assert stranger not in source.lag()


def test_healthy_is_true_from_start_to_close(world: World) -> None:
    source = world.source()
    assert not source.healthy

    source.start()
    Reader(source).until(lambda seen: len(seen.records) == 2 * len(world.partitions))
    assert source.healthy

    source.close()
    assert not source.healthy


def test_close_is_safe_twice_without_start_and_ends_delivery(world: World, source: Source) -> None:
    world.source().close()

    source.close()
    source.close()

    assert source.poll(0.01).records == ()
