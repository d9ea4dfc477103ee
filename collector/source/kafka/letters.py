"""Dead letters in a Kafka topic, each acknowledged by every in-sync replica before ``send`` returns."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, errors

from collector.config import KafkaConfig
from collector.records import Rejected
from collector.source import DeadLetters, SourceError
from collector.source.deadletters import headers
from collector.source.kafka.connection import connect
from collector.source.kafka.producer import SEND_SECONDS, Producer

log = logging.getLogger(__name__)

# the topic will not take these however often they are sent
HOPELESS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.UnknownTopicOrPartitionError,
    errors.InvalidTopicError,
    errors.AuthorizationError,
    errors.InvalidRecordError,
    errors.PolicyViolationError,
)


class KafkaLetters:
    """DeadLetters in ``topic``, with Kafka Connect's headers, the record's key, value and timestamp as they were.

    A letter that the topic refuses for good (larger than its limit, no such topic, not authorised) goes to
    ``fallback`` instead; ``refused`` counts them. An outage raises SourceError: the caller sends again.
    """

    def __init__(
        self, config: KafkaConfig, topic: str, fallback: DeadLetters, environ: Mapping[str, str] = os.environ
    ) -> None:
        self.refused = 0
        self._config = config
        self._topic = topic
        self._fallback = fallback
        self._environ = environ
        self._producer = Producer(config, environ)
        self._known = False

    def send(self, rejected: Sequence[Rejected]) -> None:
        if not self._there():
            self._keep(rejected)
            return
        waiting = [(letter, self._hand_over(letter)) for letter in rejected]
        refused = [letter for letter, future in waiting if not self._safe(future)]
        if refused:
            self._keep(refused)

    def close(self) -> None:
        self._producer.close()
        self._fallback.close()

    def _there(self) -> bool:
        """A producer does not tell a missing topic from an outage, so the brokers are asked, until it is there."""
        if not self._known:
            admin = connect(lambda shared: KafkaAdminClient(**shared), self._config, self._environ)
            try:
                self._known = self._topic in admin.list_topics()
            except errors.KafkaError as error:
                raise SourceError(f"dead letters: {type(error).__name__}") from None
            finally:
                admin.close()
        return self._known

    def _keep(self, refused: Sequence[Rejected]) -> None:
        if self.refused == 0:
            why = "refuses some" if self._known else "is not there"
            log.warning("dead letters: topic %s %s, keeping those in a file", self._topic, why)
        self._fallback.send(refused)
        self.refused += len(refused)

    def _hand_over(self, letter: Rejected) -> Any:
        record = letter.record
        try:
            return self._producer.send(
                self._topic,
                key=record.key,
                value=b"" if record.value is None and record.key is None else record.value,  # one of them has to be
                headers=headers(letter),
                timestamp_ms=int(record.timestamp * 1000) or None,
            )
        except errors.KafkaError as error:
            return error

    def _safe(self, future: Any) -> bool:
        """True: acknowledged; False: refused for good. SourceError: neither, yet."""
        try:
            if isinstance(future, errors.KafkaError):
                raise future
            future.get(timeout=SEND_SECONDS)
        except HOPELESS as error:
            log.debug("dead letters: %s", type(error).__name__)
            return False
        except errors.KafkaError as error:
            raise SourceError(f"dead letters: topic {self._topic}: {type(error).__name__}") from None
        return True
