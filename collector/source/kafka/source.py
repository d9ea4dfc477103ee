"""The Kafka source on kafka-python: one consumer of a group, supervised so that no outage is an exception."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition, errors

from collector.config import KafkaConfig, LimitsConfig
from collector.records import Kind, Partition, RawRecord, Rejected, RejectReason
from collector.source import Bounds, Polled, SourceError
from collector.source.holdings import Holdings
from collector.source.kafka.connection import CONNECT_SECONDS, connect, explain
from collector.source.kafka.consuming import Listener, consuming, ms, quietly
from collector.source.kafka.repairs import Broken, keep_finished_joins, read_past_broken_batches
from collector.source.topics import Topics

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0  # for a question to the brokers
CLOSE_SECONDS = 5.0
WATCH_SECONDS = 1.0  # how often the connections and the topics' identities are looked at
NO_TOPIC_ID = "0"  # brokers before 2.8 have none

_Answer = TypeVar("_Answer")


class KafkaSource:
    """Source over a consumer group; see collector.source for the contract.

    * Partition ``n`` of every topic goes to one member (range assignment), so that spans and events meet.
    * A rebalance that gives a partition back to this member is not reported; it goes on where it stood.
    * An offset below the oldest is delivered from the oldest on; one above the end is silent until the log reaches it.
    * A batch with a wrong checksum, or that cannot be unpacked, becomes one reject for each of its offsets. A batch
      in a codec whose library is missing is not skipped: its partition stands still and ``healthy`` is False.
    * How late a new topic of a pattern, or a new partition, is seen: ``metadata_seconds``.
    * A topic that is not there yet is waited for. A topic that was deleted and made again is reported as revoked and
      assigned, with another ``epoch``, as soon as the client hears of it (``metadata_seconds``). It fetches by name:
      what it delivers before that may be the new topic's, and still counts for the old one.
    """

    def __init__(
        self,
        config: KafkaConfig,
        limits: LimitsConfig,
        environ: Mapping[str, str] = os.environ,
        *,
        poll_interval_seconds_max: float = 300.0,
        connect_seconds: float = CONNECT_SECONDS,
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
        self._consumer: Any = None
        self._broken: list[Broken] = []
        self._stuck: dict[Partition, str] = {}
        self._trouble: str | None = None
        self._connected = False
        self._epochs: dict[str, str] = {}
        self._waits: dict[Partition, int] = {}  # asked for an offset that the log has not reached
        self._watch_at = 0.0
        self._lag: Mapping[Partition, int] = {}

    def start(self) -> None:
        consumer = connect(self._make, self._config, self._environ, seconds=self._connect_seconds)
        self._consumer = consumer
        read_past_broken_batches(consumer, self._broken_batch)
        keep_finished_joins(consumer)
        listener = Listener(consumer, self._holdings)
        try:
            missing = [name for name in self._topics.names if name not in consumer.topics()]
            if missing:
                log.warning("kafka: no such topic yet, waiting for it: %s", ", ".join(missing))
            if self._topics.patterns:
                consumer.subscribe(pattern=self._topics.pattern, listener=listener)
            else:
                consumer.subscribe(topics=list(self._topics.names), listener=listener)
        except errors.KafkaError as error:
            self.close()
            raise SourceError(explain(error, self._config)) from None
        self._connected = True

    def poll(self, timeout_seconds: float) -> Polled:
        if self._consumer is None:
            return Polled()
        batches = self._fetch(timeout_seconds)
        changes = self._holdings.settle()
        self._put_back(changes.kept)
        self._watch(bool(batches))
        if reopened := self._recreated():
            again = self._holdings.reopen(reopened)
            self._silence(again.assigned)
            changes = changes.then(again)
        for partition in changes.assigned:
            self._stuck.pop(partition, None)
            self._waits.pop(partition, None)
        rejected = self._rejected()
        records = [record for found in batches.items() for record in self._deliver(*found)]
        for each in rejected:  # not before the records: some of them come first
            self._advance(each.record.partition, each.record.offset + 1)
        self._measure()
        return Polled(records=records, rejected=rejected, assigned=changes.assigned, revoked=changes.revoked)

    def seek(self, partition: Partition, offset: int) -> None:
        self._holdings.move(partition, offset)
        self._waits.pop(partition, None)
        self._put_back([partition])

    def bounds(self, partition: Partition) -> Bounds:
        place = [TopicPartition(*partition)]
        first = self._ask(lambda: self._running.beginning_offsets(place, timeout_ms=ms(ANSWER_SECONDS)))
        end = self._ask(lambda: self._running.end_offsets(place, timeout_ms=ms(ANSWER_SECONDS)))
        self._holdings.end(partition, end[place[0]])
        return Bounds(first[place[0]], end[place[0]])

    def offset_at(self, partition: Partition, timestamp: float) -> int:
        place = TopicPartition(*partition)
        at = max(0, math.ceil(timestamp * 1000))
        found = self._ask(lambda: self._running.offsets_for_times({place: at}, timeout_ms=ms(ANSWER_SECONDS)))[place]
        return self.bounds(partition).end if found is None else int(found.offset)

    def kind(self, partition: Partition) -> Kind:
        kind = self._topics.kind(partition.topic)
        if kind is None:
            raise SourceError(f"{partition.topic} is not one of the configured topics")
        return kind

    def epoch(self, topic: str) -> str:
        """The broker's id of the topic; "0" where the brokers are too old to have one."""
        consumer = self._running
        # the cache may still know the topic that was deleted a moment ago
        self._ask(
            lambda: consumer._net.run(
                consumer._manager.wait_for, consumer._cluster.request_update(), ms(ANSWER_SECONDS)
            )
        )
        epoch = self._known_epoch(topic) or NO_TOPIC_ID
        self._epochs[topic] = epoch
        return epoch

    def pause(self, partitions: Collection[Partition]) -> None:
        self._silence(self._holdings.pause(partitions))

    def resume(self, partitions: Collection[Partition]) -> None:
        for partition in self._holdings.resume(partitions):
            self._resume(partition)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._consumer is None:
            return
        mine = {
            TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in offsets.items()
            if partition in self._holdings
        }
        if mine:
            try:
                self._consumer.commit_async(mine)
            except (errors.KafkaError, AssertionError, RuntimeError) as error:
                log.debug("kafka: commit hint not sent: %s", type(error).__name__)

    def lag(self) -> Mapping[Partition, int]:
        """As of the last poll; 1 for a partition whose end is not known yet. May be called from any thread."""
        return self._lag

    @property
    def healthy(self) -> bool:
        return self._connected and self._trouble is None and not self._stuck

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._connected = False
        if consumer is not None:
            try:
                consumer.close(autocommit=False, timeout_ms=ms(CLOSE_SECONDS))
            except (errors.KafkaError, OSError, RuntimeError) as error:
                log.warning("kafka: did not leave the group in order: %s", error)

    # connecting

    def _make(self, shared: dict[str, Any]) -> Any:
        wanted = consuming(self._config, self._limits, self._metadata_seconds, self._poll_interval_seconds_max)
        return KafkaConsumer(**shared, **wanted)

    @property
    def _running(self) -> Any:
        if self._consumer is None:
            raise SourceError("kafka: not started, or closed")
        return self._consumer

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return question()
        except (errors.KafkaError, KeyError, OSError) as error:
            raise SourceError(f"kafka: no answer: {type(error).__name__}") from None

    # polling

    def _fetch(self, timeout_seconds: float) -> Mapping[TopicPartition, Sequence[Any]]:
        started = time.monotonic()
        try:
            batches: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(timeout_ms=ms(timeout_seconds))
        except errors.OffsetOutOfRangeError as error:
            self._out_of_range(error.args[0])
            return {}
        except errors.LogTruncationError as error:
            self._truncated(error)
            return {}
        except (errors.KafkaError, OSError, RuntimeError) as error:
            self._ail(explain(error, self._config))
            # the client returns at once while it has no connection: do not turn the caller's loop into a busy one
            time.sleep(min(0.1, max(0.0, timeout_seconds - (time.monotonic() - started))))
            return {}
        if self._trouble is not None and (batches or self._reachable()):
            log.info("kafka: working again")
            self._trouble = None
        return batches

    def _deliver(self, place: TopicPartition, found: Sequence[Any]) -> Iterable[RawRecord]:
        partition = Partition(place.topic, place.partition)
        position = self._holdings.next(partition)
        kind = self._topics.kind(place.topic)
        if position is None or kind is None:
            return []
        if found[0].offset < position:  # fetched before a seek, or before a rebalance
            found = [each for each in found if each.offset >= position]
        if found:
            self._advance(partition, found[-1].offset + 1)
        return [
            RawRecord(
                partition=partition,
                offset=each.offset,
                timestamp=max(each.timestamp, 0) / 1000,
                kind=kind,
                value=each.value,
                key=each.key,
            )
            for each in found
        ]

    def _advance(self, partition: Partition, offset: int) -> None:
        at = self._holdings.next(partition)
        if at is not None and offset > at:
            self._holdings.move(partition, offset)

    def _put_back(self, partitions: Iterable[Partition]) -> None:
        """Make the client stand where the holdings say."""
        for partition in partitions:
            offset = self._holdings.next(partition)
            if offset is None:
                continue
            try:
                self._consumer.seek(TopicPartition(*partition), offset)
            except ValueError:
                continue  # no longer assigned: the next poll says so
            if self._holdings.wants(partition):
                self._resume(partition)

    def _resume(self, partition: Partition) -> None:
        if partition not in self._stuck and partition not in self._waits:
            quietly(self._consumer.resume, TopicPartition(*partition))

    def _silence(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            quietly(self._consumer.pause, TopicPartition(*partition))

    def _measure(self) -> None:
        for partition in self._holdings:
            place = TopicPartition(*partition)
            try:
                seen = self._consumer.highwater(place)
                position = self._consumer._subscription.assignment[place].position
            except (errors.IllegalStateError, KeyError):
                continue
            if seen is not None:
                self._holdings.end(partition, seen)
            # behind the last record there may be markers of transactions, which nobody delivers
            at = self._holdings.next(partition)
            if at is not None and position is not None and partition not in self._waits:
                self._advance(partition, position.offset)
        self._lag = self._holdings.lag()

    # what can go wrong

    def _ail(self, trouble: str) -> None:
        if self._trouble is None:  # the first of a run
            log.warning("%s", trouble)
        self._trouble = trouble

    def _reachable(self) -> bool:
        metrics = self._consumer.metrics().get("consumer-metrics", {})
        return bool(metrics.get("connection-count", 1))

    def _watch(self, delivered: bool) -> None:
        """Now and then: is anybody there, and have the logs reached what was asked for?"""
        now = time.monotonic()
        if delivered:
            self._connected = True
        if now < self._watch_at:
            return
        self._watch_at = now + WATCH_SECONDS
        connected = delivered or self._reachable()
        if connected != self._connected:
            log.log(
                logging.INFO if connected else logging.WARNING, "kafka: %s", "connected" if connected else "no broker"
            )
        self._connected = connected
        if connected:
            self._out_of_range({TopicPartition(*partition): offset for partition, offset in self._waits.items()})

    def _out_of_range(self, asked: Mapping[TopicPartition, int]) -> None:
        for place, offset in asked.items():
            partition = Partition(place.topic, place.partition)
            if self._holdings.next(partition) is None:
                continue
            try:
                bounds = self.bounds(partition)
            except SourceError:
                continue
            if offset <= bounds.end:
                if offset < bounds.first:
                    log.warning("kafka: %s: offset %d is gone, going on at %d", partition, offset, bounds.first)
                self._waits.pop(partition, None)
                self._holdings.move(partition, max(offset, bounds.first))
                self._put_back([partition])
            elif partition not in self._waits:
                log.warning("kafka: %s: offset %d is past the end %d, waiting", partition, offset, bounds.end)
                self._waits[partition] = offset
                self._silence([partition])

    def _truncated(self, error: Any) -> None:
        """The log took records back (an unclean election): whoever reads it has to decide anew."""
        log.error("kafka: records were taken back: %s", error)
        partitions = [Partition(place.topic, place.partition) for place in error.divergent_offsets]
        held = [partition for partition in partitions if partition in self._holdings]
        self._holdings.lost(held)
        self._holdings.assigned({*self._holdings, *held})
        self._silence(held)

    def _recreated(self) -> list[Partition]:
        changed = set()
        for topic in self._holdings.topics:
            known, now = self._epochs.get(topic), self._known_epoch(topic)
            if known is not None and now is not None and now != known:
                log.warning("kafka: topic %s was deleted and made again", topic)
                changed.add(topic)
                self._epochs[topic] = now
        return [partition for partition in self._holdings if partition.topic in changed]

    def _known_epoch(self, topic: str) -> str | None:
        found = self._consumer._cluster.topic_id(topic)
        return None if found is None else str(found)

    def _rejected(self) -> list[Rejected]:
        broken, self._broken = self._broken, []
        rejected = []
        for each in broken:
            position = self._holdings.next(each.partition)
            if position is None or each.offset < position:
                continue
            if not each.skipped:
                if each.partition not in self._stuck:
                    log.error("kafka: %s: offset %d: %s", each.partition, each.offset, each.detail)
                self._stuck[each.partition] = each.detail
                self._silence([each.partition])
                continue
            record = RawRecord(
                partition=each.partition,
                offset=each.offset,
                timestamp=0.0,
                kind=self.kind(each.partition),
                value=None,
            )
            rejected.append(Rejected(record=record, reason=RejectReason.CORRUPT_BATCH, detail=each.detail))
        return rejected

    def _broken_batch(self, place: TopicPartition, offset: int, error: Exception) -> bool:
        """True if the offset can be left behind; a missing library can be installed."""
        skip = not isinstance(error, errors.UnsupportedCodecError)
        detail = type(error).__name__ if skip else f"{error}; pip install python-snappy, or client: confluent"
        self._broken.append(Broken(Partition(place.topic, place.partition), offset, detail, skip))
        return skip
