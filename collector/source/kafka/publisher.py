"""Whole records into a topic, each acknowledged by every in-sync replica before ``send`` returns."""

from __future__ import annotations

import os
from collections.abc import Mapping

from kafka import errors

from collector.config import KafkaConfig
from collector.source import SourceError
from collector.source.kafka.letters import HOPELESS
from collector.source.kafka.producer import SEND_SECONDS, Producer


class KafkaPublisher:
    """Publishes to ``topic``, which must exist."""

    def __init__(self, config: KafkaConfig, topic: str, environ: Mapping[str, str] = os.environ) -> None:
        self._topic = topic
        self._producer = Producer(config, environ)

    def send(self, body: bytes) -> bool:
        """True: acknowledged; False: larger than the topic takes. SourceError: neither, yet."""
        try:
            self._producer.send(self._topic, value=body).get(timeout=SEND_SECONDS)
        except errors.KafkaError as error:
            if isinstance(error, HOPELESS) and not isinstance(error, _OPERATOR):
                return False
            raise SourceError(f"topic {self._topic}: {type(error).__name__}") from None
        return True

    def close(self) -> None:
        self._producer.close()


_OPERATOR = (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError, errors.AuthorizationError)  # may be mended
