"""Both Kafka clients against a real broker: groups, outages, transactions, codecs, corruption, topics that change."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka import KafkaProducer

from collector.records import Kind, Partition, RejectReason
from collector.source import Bounds
from tests.servers.kafka import KafkaBroker
from tests.source.worlds import KafkaWorld, Reader, Seen

pytestmark = pytest.mark.server("kafka")
CLIENTS = ("kafka-python", "confluent")


@pytest.fixture(params=CLIENTS)
def world(request: pytest.FixtureRequest, kafka_broker: KafkaBroker) -> Iterator[KafkaWorld]:
    made = KafkaWorld(kafka_broker, request.param, filled=False)
    yield made
    made.close()


def reader(world: KafkaWorld, **settings: object) -> Reader:
    source = world.source(**settings)  # type: ignore[arg-type]
    source.start()
    return Reader(source)


class Fleet:
    """Members of one group that share what a chain would tell them: how far each partition was read."""

    def __init__(self, world: KafkaWorld) -> None:
        self.world = world
        self.members: list[Reader] = []
        self.poll_seconds, self.pause_seconds = 0.05, 0.0
        self.done: dict[Partition, int] = dict.fromkeys(world.partitions, 0)
        self.doubled: list[tuple[Partition, int]] = []
        self.written: dict[Partition, int] = dict.fromkeys(world.partitions, 0)

    def join(self) -> Reader:
        member = reader(self.world)
        member._start = self.done.__getitem__
        self.members.append(member)
        return member

    def leave(self, member: Reader) -> None:
        self.members.remove(member)
        member.source.close()

    def write(self, count: int = 1) -> None:
        for partition in self.world.partitions:
            for _ in range(count):
                self.world.producer.send(partition.topic, b"x", partition=partition.number)
            self.written[partition] += count
        self.world.producer.flush()

    def turn(self) -> None:
        for member in self.members:
            before = len(member.seen.records)
            member.poll(self.poll_seconds)
            time.sleep(self.pause_seconds)
            for record in member.seen.records[before:]:
                if record.offset < self.done[record.partition]:
                    self.doubled.append((record.partition, record.offset))
                assert record.offset <= self.done[record.partition], f"a gap before {record}"
                self.done[record.partition] = max(self.done[record.partition], record.offset + 1)
            assert member.seen.broken == []

    def settle(self, seconds: float = 40.0) -> None:
        """Until the members own everything, each about as much, and have read it all."""
        deadline = time.monotonic() + seconds
        while not self._settled():
            assert time.monotonic() < deadline, [member.seen.owned for member in self.members]
            self.turn()

    def _settled(self) -> bool:
        owned = [partition for member in self.members for partition in member.seen.owned]
        fair = len(self.world.partitions) / len(self.members)
        return (
            sorted(owned) == sorted(self.world.partitions)
            and all(abs(len(member.seen.owned) - fair) < 2 for member in self.members)
            and self.done == self.written
        )


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_members_come_and_go_and_every_record_is_read_exactly_once(client: str, kafka_broker: KafkaBroker) -> None:
    world = KafkaWorld(kafka_broker, client, partitions=6, filled=False)
    fleet = Fleet(world)
    fleet.write(20)
    first = fleet.join()
    fleet.settle()

    second = fleet.join()
    fleet.write(20)
    fleet.settle()
    fleet.join()
    fleet.write(20)
    fleet.settle()
    fleet.leave(second)
    fleet.write(20)
    fleet.settle()
    fleet.leave(first)
    fleet.write(20)
    fleet.settle()

    assert fleet.doubled == []
    world.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_members_whose_polls_are_short_and_rare_still_share_the_group(client: str, kafka_broker: KafkaBroker) -> None:
    world = KafkaWorld(kafka_broker, client, partitions=2, filled=False)
    fleet = Fleet(world)
    fleet.poll_seconds, fleet.pause_seconds = 0.001, 0.03  # every join finishes between two polls
    fleet.write()
    fleet.join()
    fleet.settle()

    fleet.join()
    fleet.write()
    fleet.settle()

    assert fleet.doubled == []
    world.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_member_keeps_its_place_in_what_a_rebalance_gives_back(client: str, kafka_broker: KafkaBroker) -> None:
    world = KafkaWorld(kafka_broker, client, partitions=4, filled=False)
    fleet = Fleet(world)
    fleet.write(5)
    first = fleet.join()
    fleet.settle()

    fleet.join()
    fleet.write(5)
    fleet.settle()

    assert len(first.seen.assigned) == 8
    assert len(first.seen.revoked) == 4
    assert not set(first.seen.revoked) & first.seen.owned
    world.close()


@pytest.mark.parametrize("client", CLIENTS)
def test_spans_and_logs_of_one_number_meet_in_one_member(client: str, kafka_broker: KafkaBroker) -> None:
    world = KafkaWorld(kafka_broker, client, partitions=5, filled=False)
    fleet = Fleet(world)
    fleet.write()
    for _ in range(3):
        fleet.join()

    fleet.settle()

    for member in fleet.members:
        numbers = {
            kind: {p.number for p in member.seen.owned if p.topic == kind} for kind in (world.traces, world.logs)
        }
        assert numbers[world.traces] == numbers[world.logs]
    world.close()


@pytest.mark.slow
def test_a_member_that_stopped_polling_for_too_long_says_what_it_lost(world: KafkaWorld) -> None:
    world.append(world.partitions[0], b"one")
    frozen = reader(world, poll_interval=6.0)
    frozen.until(lambda seen: len(seen.owned) == 4 and len(seen.records) == 1)
    other = reader(world)

    other.until(lambda seen: len(seen.owned) == 4)
    world.append(world.partitions[0], b"two")
    other.until(lambda seen: len(seen.records) == 2)
    frozen.until(lambda seen: bool(other.poll(0.01)) or len(seen.revoked) == 4)

    assert len(frozen.seen.records) == 1


@pytest.mark.slow
def test_a_paused_member_keeps_its_partitions_as_long_as_it_polls(world: KafkaWorld) -> None:
    paused = reader(world, poll_interval=6.0)
    paused.until(lambda seen: len(seen.owned) == 4)
    paused.source.pause(world.partitions)
    offsets = {partition: [world.append(partition, b"x")] for partition in world.partitions}

    ends = time.monotonic() + 8.0
    while time.monotonic() < ends:
        paused.poll(0.2)
    assert paused.seen.records == []
    paused.source.resume(world.partitions)

    paused.until(lambda seen: seen.offsets == offsets)
    assert paused.seen.revoked == []


@pytest.mark.slow
def test_a_broker_that_goes_and_comes_back_is_an_empty_poll_and_then_more_records(world: KafkaWorld) -> None:
    partition = world.partitions[0]
    world.append(partition, b"before")
    member = reader(world)
    member._start = lambda each: len(member.seen.offsets.get(each, ()))  # the group may have forgotten its member
    member.until(lambda seen: len(seen.records) == 1 and len(seen.owned) == 4)

    world.broker.stop()
    member.until(lambda _: not member.source.healthy)
    world.broker.start()
    world.append(partition, b"after")

    member.until(lambda seen: len(seen.records) >= 2)
    member.until(lambda _: member.source.healthy)
    assert [record.value for record in member.seen.records] == [b"before", b"after"]


def test_only_committed_transactions_are_delivered_and_their_markers_leave_no_lag(world: KafkaWorld) -> None:
    partition = world.partitions[0]
    producer = KafkaProducer(bootstrap_servers=world.broker.bootstrap, transactional_id=world.name)
    producer.init_transactions()
    for value, end in ((b"aborted", "abort"), (b"kept", "commit"), (b"aborted", "abort")):
        producer.begin_transaction()
        producer.send(partition.topic, value, partition=partition.number).get(timeout=10)
        getattr(producer, f"{end}_transaction")()
    producer.close()
    member = reader(world)

    member.until(lambda seen: len(seen.records) == 1)
    member.until(lambda _: member.source.lag()[partition] == 0)

    assert [(record.value, record.offset) for record in member.idle(5).records] == [(b"kept", 2)]


def test_an_open_transaction_holds_the_end_back(world: KafkaWorld) -> None:
    partition = world.partitions[0]
    world.append(partition, b"plain")
    producer = KafkaProducer(bootstrap_servers=world.broker.bootstrap, transactional_id=world.name)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(partition.topic, b"open", partition=partition.number).get(timeout=10)
    member = reader(world)

    member.until(lambda seen: len(seen.records) == 1)
    assert member.source.bounds(partition) == Bounds(0, 1)
    assert len(member.idle(5).records) == 1
    producer.commit_transaction()
    producer.close()

    assert [record.value for record in member.until(lambda seen: len(seen.records) == 2).records] == [b"plain", b"open"]


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_compressed_batches_are_read(world: KafkaWorld, codec: str) -> None:
    partition = world.partitions[0]
    with KafkaProducer(bootstrap_servers=world.broker.bootstrap, compression_type=codec, linger_ms=50) as producer:
        for number in range(50):
            producer.send(partition.topic, b"%d" % number * 100, partition=partition.number)
        producer.flush()
    member = reader(world)
    member._start = lambda _: 7

    member.until(lambda seen: len(seen.records) == 43)

    assert [record.value for record in member.seen.records] == [b"%d" % number * 100 for number in range(7, 50)]


def test_a_missing_codec_stops_the_partition_with_a_message_and_skips_nothing(
    kafka_broker: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("kafka.codec")
    from kafka.codec import has_snappy

    if has_snappy():
        pytest.skip("python-snappy is installed here")
    world = KafkaWorld(kafka_broker, "kafka-python", filled=False)
    snappy, plain = world.partitions[:2]
    _produce_snappy(world, snappy)
    world.append(plain, b"plain")
    member = reader(world)

    member.until(lambda seen: len(seen.records) == 1)
    member.until(lambda _: not member.source.healthy)
    world.append(plain, b"more")

    assert [record.value for record in member.until(lambda seen: len(seen.records) == 2).records] == [b"plain", b"more"]
    assert member.idle(5).rejected == []
    assert member.source.lag()[snappy] == 1
    said = [record.getMessage() for record in caplog.records if "snappy" in record.getMessage()]
    assert len(said) == 1
    assert "pip install python-snappy" in said[0]
    world.close()


def test_confluent_reads_snappy(kafka_broker: KafkaBroker) -> None:
    world = KafkaWorld(kafka_broker, "confluent", filled=False)
    _produce_snappy(world, world.partitions[0])

    assert reader(world).until(lambda seen: len(seen.records) == 1).records[0].value == b"s" * 1_000
    world.close()


def _produce_snappy(world: KafkaWorld, partition: Partition) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": world.broker.bootstrap, "compression.type": "snappy"})
    producer.produce(partition.topic, b"s" * 1_000, partition=partition.number)
    assert producer.flush(10) == 0


def test_a_record_of_many_megabytes_is_delivered(world: KafkaWorld) -> None:
    partition = world.partitions[0]
    world.append(partition, b"L" * (5 << 20))
    world.append(partition, b"small")

    member = reader(world)

    assert [len(record.value or b"") for record in member.until(lambda seen: len(seen.records) == 2).records] == [
        5 << 20,
        5,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_a_corrupt_batch_is_one_reject_for_each_of_its_offsets_and_its_neighbours_are_read(
    client: str, tmp_path: Path
) -> None:
    with KafkaBroker(tmp_path) as broker, ExitStack() as closing:
        world = KafkaWorld(broker, client, partitions=1, filled=False)
        closing.callback(world.close)
        partition, other = world.partitions
        for batch in (b"good", b"evil", b"fine"):
            with KafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=200) as producer:
                for number in range(3):
                    producer.send(partition.topic, batch * 20 + b"%d" % number, partition=0)
        world.append(other, b"elsewhere")
        broker.stop()
        _flip(tmp_path / "data" / f"{partition.topic}-0" / f"{0:020d}.log", b"evilevil")
        broker.start()

        member = reader(world)
        member.until(lambda seen: len(seen.records) == 7 and len(seen.rejected) == 3)

        assert member.seen.offsets == {partition: [0, 1, 2, 6, 7, 8], other: [0]}
        assert [rejected.record.offset for rejected in member.seen.rejected] == [3, 4, 5]
        assert {rejected.reason for rejected in member.seen.rejected} == {RejectReason.CORRUPT_BATCH}
        assert len(member.idle(5).rejected) == 3
        assert member.source.lag() == {partition: 0, other: 0}
        assert member.source.healthy


def _flip(file: Path, near: bytes) -> None:
    data = bytearray(file.read_bytes())
    data[data.index(near)] ^= 0xFF
    file.write_bytes(data)


def test_what_retention_took_is_skipped_to_the_oldest(world: KafkaWorld) -> None:
    from kafka import TopicPartition

    partition = world.partitions[0]
    for number in range(5):
        world.append(partition, b"%d" % number)
    with world.broker.admin() as admin:
        admin.delete_records({TopicPartition(*partition): 3})
    member = reader(world)

    member.until(lambda seen: len(seen.records) == 2)

    assert member.seen.offsets == {partition: [3, 4]}
    assert member.source.bounds(partition) == Bounds(3, 5)


def test_committed_offsets_are_what_a_lag_exporter_reads(world: KafkaWorld) -> None:
    from kafka import TopicPartition

    partition = world.partitions[0]
    world.append(partition, b"x")
    member = reader(world)
    member.until(lambda seen: len(seen.records) == 1)

    member.source.commit({partition: 1})

    place = TopicPartition(*partition)
    with world.broker.admin() as admin:
        member.until(
            lambda _: any(
                offsets.get(place) is not None and offsets[place].offset == 1
                for offsets in admin.list_group_offsets({world.name: [place]}).values()
            )
        )


def test_a_pattern_finds_its_topics_also_those_that_come_later(world: KafkaWorld) -> None:
    member = reader(
        world, metadata=1.0, traces_topics=f"{world.name}_.*spans", logs_topics=f"{world.name}_logs|{world.name}_events"
    )
    member.until(lambda seen: len(seen.owned) == 4)

    world.broker.create_topic(f"{world.name}_more_spans")
    world.broker.create_topic(f"{world.name}_events_of_others")
    late = Partition(f"{world.name}_more_spans", 0)
    world.append(late, b"late")
    world.append(Partition(world.logs, 0), b"log")
    member.until(lambda seen: len(seen.records) == 2)

    assert member.source.kind(late) is Kind.TRACES
    assert {record.kind for record in member.seen.records} == {Kind.TRACES, Kind.LOGS}
    assert {partition.topic for partition in member.seen.owned} == {world.traces, world.logs, late.topic}


def test_a_topic_that_is_not_there_yet_is_waited_for(world: KafkaWorld, caplog: pytest.LogCaptureFixture) -> None:
    name = f"{world.name}_tomorrow"
    member = reader(world, metadata=1.0, traces_topics=(name,))
    assert any(name in record.getMessage() and record.levelno == logging.WARNING for record in caplog.records)
    member.until(lambda seen: len(seen.owned) == 2)

    world.broker.create_topic(name)
    world.append(Partition(name, 0), b"here")

    assert member.until(lambda seen: len(seen.records) == 1).records[0].value == b"here"


@pytest.mark.slow
def test_a_topic_that_was_made_again_is_another_log(world: KafkaWorld) -> None:
    partition = Partition(world.broker.create_topic(f"{world.name}_again"), 0)
    world.append(partition, b"old")
    member = reader(world, metadata=1.0, traces_topics=(partition.topic,), logs_topics=())
    member.until(lambda seen: len(seen.records) == 1)
    epoch = member.source.epoch(partition.topic)

    world.broker.delete_topic(partition.topic)
    world.broker.create_topic(partition.topic)
    world.producer.close()
    world.producer = KafkaProducer(bootstrap_servers=world.broker.bootstrap)
    for _ in range(3):
        world.append(partition, b"new")

    def read_again(seen: Seen) -> bool:
        return [(record.value, record.offset) for record in seen.records[-3:]] == [(b"new", n) for n in range(3)]

    member.until(read_again, seconds=60)
    assert member.seen.revoked == [partition]
    assert member.source.epoch(partition.topic) != epoch


def test_lag_may_be_asked_from_another_thread_and_is_known_before_the_first_record(world: KafkaWorld) -> None:
    partition = world.partitions[0]
    for _ in range(3):
        world.append(partition, b"x")
    member = reader(world)
    member._start = lambda _: None
    member.until(lambda seen: len(seen.owned) == 4)

    member.source.bounds(partition)
    member.poll()

    assert member.source.lag()[partition] == 3
    assert member.source.lag()[world.partitions[1]] == 1  # nobody has asked: unknown is not "read"
