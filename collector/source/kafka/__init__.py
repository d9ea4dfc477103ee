"""Kafka through kafka-python: the source, and the topic for dead letters. Nothing else imports `kafka`."""

from collector.source.kafka.letterbox import KafkaLetterbox, KafkaResender
from collector.source.kafka.letters import KafkaLetters
from collector.source.kafka.source import KafkaSource

__all__ = ["KafkaLetterbox", "KafkaLetters", "KafkaResender", "KafkaSource"]
