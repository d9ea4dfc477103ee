"""One producer of whole records, connected when the first is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kafka import KafkaProducer

from collector.config import KafkaConfig
from collector.source.kafka.connection import connect

SEND_SECONDS = 30.0
_REQUEST_BYTES_MAX = 64 << 20  # the broker's own limit decides, not the client's


class Producer:
    """Every record is a batch of its own, acknowledged by every in-sync replica."""

    def __init__(self, config: KafkaConfig, environ: Mapping[str, str] = os.environ) -> None:
        self._config = config
        self._environ = environ
        self._producer: Any = None

    def send(self, topic: str, **record: Any) -> Any:
        """A future of the record, as KafkaProducer.send gives it; SourceError where no broker can be reached."""
        if self._producer is None:
            self._producer = connect(_make, self._config, self._environ)
        return self._producer.send(topic, **record)

    def close(self) -> None:
        """Safe twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=SEND_SECONDS)


def _make(shared: dict[str, Any]) -> Any:
    return KafkaProducer(
        **shared,
        acks="all",
        batch_size=0,  # a batch is refused as a whole: each record is one of its own
        enable_idempotence=False,  # at least once is the promise, and it needs one permission less
        allow_auto_create_topics=False,
        max_request_size=_REQUEST_BYTES_MAX,
        max_block_ms=10_000,
        delivery_timeout_ms=int(SEND_SECONDS * 1000),
        request_timeout_ms=10_000,
    )
