"""What is asked of kafka-python's consumer: its options, its listener, its pauses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from kafka import ConsumerRebalanceListener, TopicPartition, errors
from kafka.coordinator.assignors.range import RangePartitionAssignor

from collector.config import KafkaConfig, LimitsConfig
from collector.records import Partition
from collector.source.holdings import Holdings

log = logging.getLogger(__name__)

POLL_RECORDS_MAX = 500
FETCH_BYTES_MAX = 16 << 20  # all partitions together; a single larger batch still comes


def consuming(
    config: KafkaConfig, limits: LimitsConfig, metadata_seconds: float, poll_interval_seconds_max: float
) -> dict[str, Any]:
    """The consumer's options beside those of the connection."""
    session = config.session_timeout_seconds
    return {
        "group_id": config.group,
        "metadata_max_age_ms": ms(metadata_seconds),
        "enable_auto_commit": False,
        "auto_offset_reset": "none",  # where a partition begins is the chain's to say
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "session_timeout_ms": ms(session),
        "heartbeat_interval_ms": ms(min(3.0, session / 3)),
        "max_poll_interval_ms": ms(poll_interval_seconds_max),
        "max_poll_records": POLL_RECORDS_MAX,
        "fetch_max_bytes": FETCH_BYTES_MAX,
        "max_partition_fetch_bytes": max(1 << 20, min(limits.record_bytes_max, FETCH_BYTES_MAX)),
    }


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Runs on the client's own thread, where nothing may wait: it takes notes, and keeps new partitions silent."""

    def __init__(self, consumer: Any, holdings: Holdings) -> None:
        self._consumer = consumer
        self._holdings = holdings

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = list(assigned)
        if places:
            self._consumer.pause(*places)
        for place in places:
            self._consumer.seek(place, 0)  # any offset will do while it is paused: without one the client asks around
        self._holdings.assigned(Partition(place.topic, place.partition) for place in places)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._holdings.revoked(Partition(place.topic, place.partition) for place in revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._holdings.lost(Partition(place.topic, place.partition) for place in lost)


def ms(seconds: float) -> int:
    """Whole milliseconds, as the client counts."""
    return max(0, int(seconds * 1000))


def quietly(call: Callable[[TopicPartition], None], place: TopicPartition) -> None:
    """Pause or resume; a partition that was taken away a moment ago is the next poll's news."""
    try:
        call(place)
    except (errors.IllegalStateError, KeyError, AssertionError):
        log.debug("kafka: %s is no longer assigned", place)
