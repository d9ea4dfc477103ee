"""The Kafka source on confluent-kafka (librdkafka), under the same contract as the one on kafka-python."""

from __future__ import annotations

import json
import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from collector.config import KafkaConfig, LimitsConfig
from collector.records import Kind, Partition, RawRecord, Rejected, RejectReason
from collector.source import Bounds, Polled, SourceError
from collector.source.confluent.connection import consuming, definite, explain, options, summary
from collector.source.holdings import Holdings
from collector.source.topics import Topics

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0  # for a question to the brokers
WATCH_SECONDS = 1.0  # how often the topics' identities are asked for
POLL_RECORDS_MAX = 500
NO_TOPIC_ID = "0"  # brokers before 2.8 have none

_Answer = TypeVar("_Answer")


class ConfluentSource:
    """Source over a consumer group; see collector.source for the contract and KafkaSource for what it adds to it.

    A partition is handed to the client only when it is known where it begins, so that nothing is fetched before
    ``seek``; several changes take effect together in the next poll, because the client begins anew with each.
    Patterns are librdkafka's: POSIX extended regular expressions.
    """

    def __init__(
        self,
        config: KafkaConfig,
        limits: LimitsConfig,
        environ: Mapping[str, str] = os.environ,
        *,
        poll_interval_seconds_max: float = 300.0,
        connect_seconds: float = 20.0,
        metadata_seconds: float = 10.0,
    ) -> None:
        self._config = config
        self._limits = limits
        self._environ = environ
        self._connect_seconds = connect_seconds
        self._metadata_seconds = metadata_seconds
        self._poll_interval_seconds_max = max(poll_interval_seconds_max, config.session_timeout_seconds)
        self._topics = Topics.of(config)
        self._holdings = Holdings()
        self._fetching: frozenset[Partition] = frozenset()  # what the client was handed
        self._moved = False  # it has to be handed to it anew
        self._consumer: Any = None
        self._admin: Any = None
        self._causes: list[Any] = []
        self._connected = False
        self._epochs: dict[str, str] = {}
        self._fresh_epochs: dict[str, str] = {}
        self._watch_at = 0.0
        self._waits: dict[Partition, int] = {}  # asked for an offset that the log has not reached
        self._lag: Mapping[Partition, int] = {}

    def start(self) -> None:
        shared = options(self._config, self._environ)
        self._causes = []
        wanted = consuming(self._config, self._limits, self._metadata_seconds, self._poll_interval_seconds_max)
        consumer = Consumer({**shared, **wanted, "stats_cb": self._on_statistics, "error_cb": self._on_error})
        try:
            present = self._connect(consumer)
        except SourceError:
            consumer.close()
            raise
        missing = [name for name in self._topics.names if name not in present]
        if missing:
            log.warning("kafka: no such topic yet, waiting for it: %s", ", ".join(missing))
        self._consumer = consumer
        self._admin = AdminClient(shared)
        consumer.subscribe(
            [*self._topics.names, *(f"^({pattern})$" for pattern in self._topics.patterns)],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        self._connected = True

    def poll(self, timeout_seconds: float) -> Polled:
        if self._consumer is None:
            return Polled()
        if self._moved:
            self._hand_over()
        messages = self._fetch(timeout_seconds)
        changes = self._holdings.settle()
        self._moved |= bool(changes.kept)
        self._watch()
        if reopened := self._recreated():
            again = self._holdings.reopen(reopened)
            self._moved = True
            changes = changes.then(again)
        for partition in changes.assigned:
            self._waits.pop(partition, None)
        records: list[RawRecord] = []
        rejected: list[Rejected] = []
        for message in messages:
            self._take(message, records, rejected)
        self._measure()
        return Polled(records=records, rejected=rejected, assigned=changes.assigned, revoked=changes.revoked)

    def seek(self, partition: Partition, offset: int) -> None:
        self._holdings.move(partition, offset)
        self._waits.pop(partition, None)
        self._moved = True

    def bounds(self, partition: Partition) -> Bounds:
        found = self._ask(
            lambda: self._running.get_watermark_offsets(TopicPartition(*partition), timeout=ANSWER_SECONDS)
        )
        if found is None:
            raise SourceError("kafka: no answer in time")
        first, end = found
        # with an open transaction the high watermark is out of reach: the end is where read_committed stops
        self._holdings.end(partition, end)
        return Bounds(first, end)

    def offset_at(self, partition: Partition, timestamp: float) -> int:
        at = max(0, math.ceil(timestamp * 1000))
        place = TopicPartition(*partition, at)
        found = self._ask(lambda: self._running.offsets_for_times([place], timeout=ANSWER_SECONDS))[0]
        if found.error is not None:
            raise SourceError(f"kafka: no answer: {found.error.name()}")
        return int(found.offset) if found.offset >= 0 else self.bounds(partition).end

    def kind(self, partition: Partition) -> Kind:
        kind = self._topics.kind(partition.topic)
        if kind is None:
            raise SourceError(f"{partition.topic} is not one of the configured topics")
        return kind

    def epoch(self, topic: str) -> str:
        """The broker's id of the topic; "0" where the brokers are too old to have one."""
        if self._consumer is None:
            raise SourceError("kafka: not started, or closed")
        asked = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_SECONDS)[topic]
        while not asked.done():
            self._admin.poll(0.02)  # serves a login's token
        self._epochs[topic] = _epoch(self._ask(asked.result))
        return self._epochs[topic]

    def pause(self, partitions: Collection[Partition]) -> None:
        self._holdings.pause(partitions)
        if places := self._handed(partitions):
            self._consumer.pause(places)

    def resume(self, partitions: Collection[Partition]) -> None:
        if places := self._handed(self._holdings.resume(partitions)):
            self._consumer.resume(places)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        mine = [
            TopicPartition(*partition, offset) for partition, offset in offsets.items() if partition in self._holdings
        ]
        if mine and self._consumer is not None:
            try:
                self._consumer.commit(offsets=mine, asynchronous=True)
            except KafkaException as error:
                log.debug("kafka: commit hint not sent: %s", error.args[0].name())

    def lag(self) -> Mapping[Partition, int]:
        """As of the last poll; 1 for a partition whose end is not known yet. May be called from any thread."""
        return self._lag

    @property
    def healthy(self) -> bool:
        return self._connected

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._connected = False
        if consumer is not None:
            consumer.close()

    # connecting

    def _connect(self, consumer: Any) -> Collection[str]:
        """The topics that are there."""
        deadline = time.monotonic() + self._connect_seconds
        while True:
            consumer.poll(0)  # serves the callbacks: errors, tokens
            try:
                return frozenset(consumer.list_topics(timeout=0.5).topics)
            except KafkaException as error:
                consumer.poll(0)
                final = [each for each in self._causes if definite(each)]
                if final or time.monotonic() >= deadline:
                    cause = (final or [each for each in self._causes if not summary(each)] or [error.args[0]])[-1]
                    raise SourceError(explain(cause, self._config)) from None

    @property
    def _running(self) -> Any:
        if self._consumer is None:
            raise SourceError("kafka: not started, or closed")
        return self._consumer

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return question()
        except KafkaException as error:
            raise SourceError(f"kafka: no answer: {error.args[0].name()}") from None
        except TimeoutError:
            raise SourceError("kafka: no answer in time") from None

    # callbacks, all inside poll

    def _on_assign(self, consumer: Any, places: Iterable[Any]) -> None:
        consumer.assign([])  # each is handed over when it is known where it begins
        self._fetching = frozenset()
        self._holdings.assigned(_partition(place) for place in places)

    def _on_revoke(self, consumer: Any, places: Iterable[Any]) -> None:
        consumer.unassign()
        self._fetching = frozenset()
        self._holdings.revoked(_partition(place) for place in places)

    def _on_lost(self, consumer: Any, places: Iterable[Any]) -> None:
        consumer.unassign()
        self._fetching = frozenset()
        self._holdings.lost(_partition(place) for place in places)

    def _on_error(self, error: Any) -> None:
        self._causes = [*self._causes[-15:], error]
        if error.code() in {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._FATAL}:
            self._be_connected(False, explain(error, self._config))

    def _on_statistics(self, statistics: str) -> None:
        brokers = json.loads(statistics).get("brokers", {}).values()
        self._be_connected(any(broker["nodeid"] >= 0 and broker["state"] == "UP" for broker in brokers), "no broker")

    def _be_connected(self, connected: bool, detail: str) -> None:
        if connected != self._connected and self._consumer is not None:
            log.log(logging.INFO if connected else logging.WARNING, "%s", "kafka: connected" if connected else detail)
        self._connected = connected

    # polling

    def _fetch(self, timeout_seconds: float) -> Sequence[Any]:
        try:
            first = self._consumer.poll(timeout_seconds)
            if first is None:
                return []
            messages = [first, *self._consumer.consume(POLL_RECORDS_MAX - 1, 0)]
        except KafkaException as error:
            self._be_connected(False, explain(error.args[0], self._config))
            return []
        if any(each.error() is not None and each.error().code() == KafkaError._MAX_POLL_EXCEEDED for each in messages):
            self._holdings.forfeit()  # the client calls it revoked, and others may have read meanwhile
        return messages

    def _take(self, message: Any, records: list[RawRecord], rejected: list[Rejected]) -> None:
        error = message.error()
        partition = None if message.topic() is None else Partition(message.topic(), message.partition())
        position = None if partition is None else self._holdings.next(partition)
        if error is not None:
            self._mishap(error, partition, position, message.offset(), rejected)
            return
        if partition is None or position is None or message.offset() < position:
            return  # fetched before a seek, or before a rebalance
        self._holdings.move(partition, message.offset() + 1)
        records.append(
            RawRecord(
                partition=partition,
                offset=message.offset(),
                timestamp=max(message.timestamp()[1], 0) / 1000,
                kind=self.kind(partition),
                value=message.value(),
                key=message.key(),
            )
        )

    def _mishap(
        self, error: Any, partition: Partition | None, position: int | None, offset: int, rejected: list[Rejected]
    ) -> None:
        if partition is None or position is None:
            if error.code() not in {KafkaError._MAX_POLL_EXCEEDED, KafkaError._PARTITION_EOF}:
                log.debug("kafka: %s", error.name())
            return
        match error.code():
            case KafkaError._PARTITION_EOF:
                self._holdings.end(partition, offset)
                if partition in self._fetching and offset > position:
                    # behind the last record there are markers of transactions, which nobody delivers
                    self._holdings.move(partition, offset)
            case KafkaError._AUTO_OFFSET_RESET | KafkaError.OFFSET_OUT_OF_RANGE:
                self._out_of_range(partition, position)
            case KafkaError._BAD_MSG | KafkaError._BAD_COMPRESSION:
                # a batch is fetched whole from any of its offsets, so one step at a time finds its end for sure
                self.seek(partition, position + 1)
                record = RawRecord(
                    partition=partition, offset=position, timestamp=0.0, kind=self.kind(partition), value=None
                )
                rejected.append(Rejected(record=record, reason=RejectReason.CORRUPT_BATCH, detail=error.name()))
            case _:
                log.debug("kafka: %s: %s", partition, error.name())

    def _handed(self, partitions: Iterable[Partition]) -> list[Any]:
        return [TopicPartition(*partition) for partition in partitions if partition in self._fetching]

    def _hand_over(self) -> None:
        """Have the client fetch exactly what has a place to begin, from there on."""
        begins = {each: self._holdings.next(each) for each in self._holdings if each not in self._waits}
        begins = {each: offset for each, offset in begins.items() if offset is not None}
        try:
            self._consumer.assign([TopicPartition(*each, offset) for each, offset in begins.items()])
        except KafkaException as error:
            log.debug("kafka: not now: %s", error.args[0].name())  # in the middle of a rebalance
            return
        self._moved = False
        self._fetching = frozenset(begins)
        if places := self._handed(self._holdings.paused):
            self._consumer.pause(places)

    def _measure(self) -> None:
        for partition in self._fetching:
            watermarks = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
            if watermarks is not None and watermarks[1] >= 0:
                self._holdings.end(partition, watermarks[1])
        self._lag = self._holdings.lag()

    def _out_of_range(self, partition: Partition, offset: int) -> None:
        try:
            bounds = self.bounds(partition)
        except SourceError:
            return  # asked again with the next fetch
        if offset <= bounds.end:
            self._moved = True
            if offset < bounds.first:
                log.warning("kafka: %s: offset %d is gone, going on at %d", partition, offset, bounds.first)
            self._waits.pop(partition, None)
            self._holdings.move(partition, max(offset, bounds.first))
        elif partition not in self._waits:
            log.warning("kafka: %s: offset %d is past the end %d, waiting", partition, offset, bounds.end)
            self._waits[partition] = offset
            self._moved = True

    def _watch(self) -> None:
        """Now and then: are the topics the same, and have the logs reached what was asked for?"""
        self._admin.poll(0)
        now = time.monotonic()
        if now < self._watch_at or not self._connected:
            return
        self._watch_at = now + WATCH_SECONDS
        for partition, offset in list(self._waits.items()):
            self._out_of_range(partition, offset)
        topics = [topic for topic in sorted(self._holdings.topics) if topic in self._epochs]
        if topics:
            for topic, asked in self._admin.describe_topics(TopicCollection(topics)).items():
                asked.add_done_callback(lambda done, topic=topic: self._learn(topic, done))

    def _learn(self, topic: str, done: Any) -> None:
        """On the client's thread."""
        if done.exception() is None:
            self._fresh_epochs[topic] = _epoch(done.result())

    def _recreated(self) -> list[Partition]:
        changed = set()
        for topic, epoch in list(self._fresh_epochs.items()):
            del self._fresh_epochs[topic]
            if self._epochs.get(topic, epoch) != epoch:
                log.warning("kafka: topic %s was deleted and made again", topic)
                self._epochs[topic] = epoch
                changed.add(topic)
        return [partition for partition in self._holdings if partition.topic in changed]


def _epoch(description: Any) -> str:
    """As kafka-python writes it, so that changing the client does not change the epoch."""
    found = description.topic_id
    if found is None:
        return NO_TOPIC_ID
    high, low = (bits() & (1 << 64) - 1 for bits in (found.get_most_significant_bits, found.get_least_significant_bits))
    return str(uuid.UUID(int=high << 64 | low))


def _partition(place: Any) -> Partition:
    return Partition(place.topic, place.partition)
