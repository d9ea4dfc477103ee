"""Dead letters of a Kafka topic read again, and records put back into the partitions they came from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors

from collector.config import KafkaConfig
from collector.records import Partition
from collector.source import SourceError
from collector.source.deadletters import CONNECTOR
from collector.source.kafka.connection import connect
from collector.source.kafka.producer import SEND_SECONDS, Producer
from collector.source.letterbox import Letter

SILENT_SECONDS_MAX = 30.0  # without a record before the end of a partition: its leader is away
POLL_MS = 500
_HEADER = "__connect.errors."


class KafkaLetterbox:
    """Letterbox over ``topic``. It joins no group and commits nothing."""

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        environ: Mapping[str, str] = os.environ,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"topic {topic}"
        self.unreadable = 0
        self._config = config
        self._topic = topic
        self._environ = environ
        self._clock = clock

    def letters(self) -> Iterator[Letter]:
        consumer = connect(_make_consumer, self._config, self._environ)
        try:
            yield from self._read(consumer)
        except errors.KafkaError as error:
            raise SourceError(f"dead letters: {self.name}: {type(error).__name__}") from None
        finally:
            consumer.close()

    def _read(self, consumer: Any) -> Iterator[Letter]:
        if self._topic not in consumer.topics():
            raise SourceError(f"dead letters: {self.name} is not there")
        places = [TopicPartition(self._topic, number) for number in sorted(consumer.partitions_for_topic(self._topic))]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        heard = self._clock()
        while left := [place for place in places if consumer.position(place) < ends[place]]:
            consumer.pause(*(place for place in places if place not in left))
            polled = consumer.poll(POLL_MS)
            if polled:
                heard = self._clock()
            elif self._clock() - heard > SILENT_SECONDS_MAX:
                raise SourceError(f"dead letters: {self.name} does not answer, though it holds more")
            for place, records in polled.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield from self._letter(record)

    def _letter(self, record: Any) -> Iterator[Letter]:
        told = {name.removeprefix(_HEADER): value or b"" for name, value in record.headers}
        try:
            if told["connector.name"] != CONNECTOR.encode():
                raise ValueError("another tool's")
            yield Letter(
                partition=Partition(told["topic"].decode(), int(told["partition"])),
                offset=int(told["offset"]),
                timestamp=record.timestamp / 1000,
                reason=told["exception.class.name"].decode(),
                key=record.key,
                value=record.value,
                place=f"{record.topic}/{record.partition}:{record.offset}",
            )
        except (LookupError, ValueError):
            self.unreadable += 1


class KafkaResender:
    """Resender through one producer; a record gets the time at which it is sent, as whatever else the log holds."""

    def __init__(self, config: KafkaConfig, environ: Mapping[str, str] = os.environ) -> None:
        self._producer = Producer(config, environ)

    def send(self, letter: Letter) -> None:
        topic, number = letter.partition
        try:
            self._producer.send(topic, key=letter.key, value=letter.value, partition=number).get(timeout=SEND_SECONDS)
        except (errors.KafkaError, ValueError) as error:
            why = "no such partition" if isinstance(error, ValueError) else type(error).__name__
            raise SourceError(f"{letter.partition}: the record of offset {letter.offset}: {why}") from None

    def close(self) -> None:
        self._producer.close()


def _make_consumer(shared: dict[str, Any]) -> Any:
    return KafkaConsumer(**shared, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest")
