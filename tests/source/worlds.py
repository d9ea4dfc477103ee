"""A log and consumers of it, for each implementation of Source: what the contract's tests are run against."""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from collector.config import KafkaConfig, LimitsConfig, ReplayConfig
from collector.records import Kind, Partition, RawRecord, Rejected
from collector.source import Source
from collector.source.replay import LOGS, TRACES, ReplaySource
from tests.fakes.source import FakeLog, FakeSource
from tests.servers.kafka import KafkaBroker

if TYPE_CHECKING:
    from collector.source.confluent import ConfluentSource
    from collector.source.kafka import KafkaSource

PATIENCE_SECONDS = 30.0
_numbers = itertools.count()


class World(Protocol):
    """Partitions that hold two records each before the source starts: ``value(…)`` at 1,000 s and at 2,000 s."""

    live: bool  # records can be added while the source runs
    partitions: Sequence[Partition]

    def source(self) -> Source:
        """Not started; owns every partition once it has polled for a while."""
        ...

    def append(self, partition: Partition, value: bytes | None, timestamp: float) -> int: ...


def value(partition: Partition, offset: int) -> bytes:
    return f"{partition}#{offset}".encode()


class FakeWorld:
    live = True

    def __init__(self) -> None:
        self.log = FakeLog()
        self.partitions = [
            *self.log.create("otlp_spans", Kind.TRACES, 2),
            *self.log.create("otlp_logs", Kind.LOGS, 2),
        ]
        fill(self)

    def source(self) -> Source:
        return FakeSource(self.log, assigned=self.partitions)

    def append(self, partition: Partition, value: bytes | None, timestamp: float) -> int:
        return self.log.append(partition, value, timestamp=timestamp)


class ReplayWorld:
    live = False

    def __init__(self, directory: Path) -> None:
        self.partitions = [TRACES, LOGS]
        for partition, offset in itertools.product(self.partitions, range(2)):
            folder = directory / partition.topic
            folder.mkdir(exist_ok=True)
            (folder / f"{offset}.pb").write_bytes(value(partition, offset))
        self._config = ReplayConfig(traces=(directory / TRACES.topic,), logs=(directory / LOGS.topic,))

    def source(self) -> Source:
        return ReplaySource(self._config)

    def append(self, partition: Partition, value: bytes | None, timestamp: float) -> int:
        raise NotImplementedError("files are all there before a replay starts")


class KafkaWorld:
    """Topics of its own on a real broker, read by one of the clients."""

    live = True

    def __init__(self, broker: KafkaBroker, client: str, *, partitions: int = 2, filled: bool = True) -> None:
        from kafka import KafkaProducer

        self.broker = broker
        self.client = client
        self.name = f"w{next(_numbers)}"
        self.traces = broker.create_topic(f"{self.name}_spans", partitions, retention_ms="-1")
        self.logs = broker.create_topic(f"{self.name}_logs", partitions, retention_ms="-1")
        self.producer = KafkaProducer(bootstrap_servers=broker.bootstrap, max_request_size=64 << 20)
        self.partitions = [Partition(topic, n) for topic in (self.traces, self.logs) for n in range(partitions)]
        self.opened: list[Source] = []
        if filled:
            fill(self)

    def config(self, **settings: Any) -> KafkaConfig:
        chosen = {
            "brokers": (self.broker.bootstrap,),
            "traces_topics": (self.traces,),
            "logs_topics": (self.logs,),
            "group": self.name,
            "client": self.client,
            "session_timeout_seconds": 6.0,
        }
        return KafkaConfig.model_validate(chosen | settings)

    def source(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        poll_interval: float = 300.0,
        connect: float = 20.0,
        metadata: float = 30.0,
        **settings: Any,
    ) -> Source:
        made = source_class(self.client)(
            self.config(**settings),
            LimitsConfig(),
            environ or {},
            poll_interval_seconds_max=poll_interval,
            connect_seconds=connect,
            metadata_seconds=metadata,
        )
        self.opened.append(made)
        return made

    def append(
        self, partition: Partition, value: bytes | None, timestamp: float = 0.0, key: bytes | None = b"k"
    ) -> int:
        sent = self.producer.send(
            partition.topic,
            value=value,
            key=key,
            partition=partition.number,
            timestamp_ms=int(timestamp * 1000) or None,
        )
        return int(sent.get(timeout=30).offset)

    def close(self) -> None:
        for source in self.opened:
            source.close()
        self.producer.close(timeout=5)


def source_class(client: str) -> type[ConfluentSource] | type[KafkaSource]:
    if client == "confluent":
        from collector.source.confluent import ConfluentSource

        return ConfluentSource
    from collector.source.kafka import KafkaSource

    return KafkaSource


def fill(world: World) -> None:
    for partition, offset in itertools.product(world.partitions, range(2)):
        assert world.append(partition, value(partition, offset), 1_000.0 * (offset + 1)) == offset


@dataclass
class Seen:
    """What the polls of one source brought, in order."""

    records: list[RawRecord] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    assigned: list[Partition] = field(default_factory=list)
    revoked: list[Partition] = field(default_factory=list)
    owned: set[Partition] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)  # promises of the contract that were not kept
    at: dict[Partition, int] = field(default_factory=dict)

    @property
    def offsets(self) -> dict[Partition, list[int]]:
        found = defaultdict(list)
        for record in self.records:
            found[record.partition].append(record.offset)
        return dict(found)


class Reader:
    """Polls a source as the daemon does, and holds it to the contract on the way."""

    def __init__(self, source: Source, start: Callable[[Partition], int | None] = lambda _: 0) -> None:
        self.source = source
        self.seen = Seen()
        self._start = start

    def poll(self, timeout_seconds: float = 0.1) -> None:
        seen = self.seen
        polled = self.source.poll(timeout_seconds)
        for partition in polled.revoked:
            if partition not in seen.owned:
                seen.broken.append(f"{partition} was revoked, but never assigned")
            seen.owned.discard(partition)
            seen.at.pop(partition, None)
        for partition in polled.assigned:
            if partition in seen.owned:
                seen.broken.append(f"{partition} was assigned twice")
            seen.owned.add(partition)
        seen.assigned += polled.assigned
        seen.revoked += polled.revoked
        for record in [*polled.records, *(each.record for each in polled.rejected)]:
            expected = seen.at.get(record.partition)
            if expected is None:
                seen.broken.append(f"{record.partition} delivered while silent or not owned")
        for record in polled.records:
            if record.offset < seen.at.get(record.partition, 0):
                seen.broken.append(f"{record.partition}: {record.offset} came after {seen.at[record.partition] - 1}")
            seen.at[record.partition] = record.offset + 1
        seen.records += polled.records
        seen.rejected += polled.rejected
        for partition in polled.assigned:
            if (offset := self._start(partition)) is not None:
                self.seek(partition, offset)

    def seek(self, partition: Partition, offset: int) -> None:
        self.source.seek(partition, offset)
        self.seen.at[partition] = offset

    def until(self, condition: Callable[[Seen], bool], seconds: float = PATIENCE_SECONDS) -> Seen:
        deadline = time.monotonic() + seconds
        while not condition(self.seen):
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.seen}"
            self.poll()
        assert self.seen.broken == []
        return self.seen

    def idle(self, polls: int = 10) -> Seen:
        """Poll on, for what must not come."""
        for _ in range(polls):
            self.poll()
        assert self.seen.broken == []
        return self.seen
