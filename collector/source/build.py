"""Chooses the source and the place for dead letters that the configuration names; each client is imported only then."""

from __future__ import annotations

import os
from collections.abc import Mapping

from collector.config import Config, ConfigError
from collector.source import DeadLetters, Publisher, Source
from collector.source.deadletters import FileLetters
from collector.source.letterbox import FileLetterbox, Letterbox, Resender

LETTERS = "dead-letters"  # the folder in ``data``


def open_source(config: Config, environ: Mapping[str, str] = os.environ) -> Source:
    """The configured source, not started. Raises ConfigError where its client is not installed."""
    chosen = config.source
    if chosen.kafka is not None:
        if chosen.kafka.client == "confluent":
            from collector.source.confluent import ConfluentSource  # noqa: PLC0415  # an optional package

            return ConfluentSource(chosen.kafka, config.limits, environ)
        from collector.source.kafka import KafkaSource  # noqa: PLC0415

        return KafkaSource(chosen.kafka, config.limits, environ)
    if chosen.otlp is not None:
        from collector.source.otlp import OtlpSource  # noqa: PLC0415

        return OtlpSource(chosen.otlp, config.data, config.limits)
    if chosen.replay is not None:
        from collector.source.replay import ReplaySource  # noqa: PLC0415

        return ReplaySource(chosen.replay)
    raise ConfigError("source: choose one of `kafka`, `otlp`, `replay`")


def open_publisher(config: Config, topic: str, environ: Mapping[str, str] = os.environ) -> Publisher:
    """Writes to a topic of the source's brokers; ConfigError where the source is not Kafka."""
    if config.source.kafka is None:
        raise ConfigError("export.evaluations.topic needs source.kafka")
    from collector.source.kafka.publisher import KafkaPublisher  # noqa: PLC0415

    return KafkaPublisher(config.source.kafka, topic, environ)


def open_dead_letters(config: Config, environ: Mapping[str, str] = os.environ) -> DeadLetters:
    """The dead-letter topic, if one is configured, with ``<data>/dead-letters`` for what it refuses; else only that."""
    files = FileLetters(config.data / LETTERS)
    kafka = config.source.kafka
    if kafka is None or kafka.dead_letter_topic is None:
        return files
    from collector.source.kafka import KafkaLetters  # noqa: PLC0415

    return KafkaLetters(kafka, kafka.dead_letter_topic, files, environ)


def open_letterboxes(config: Config, environ: Mapping[str, str] = os.environ) -> list[Letterbox]:
    """Where ``open_dead_letters`` of the same configuration has put them."""
    files = FileLetterbox(config.data / LETTERS)
    kafka = config.source.kafka
    if kafka is None or kafka.dead_letter_topic is None:
        return [files]
    from collector.source.kafka import KafkaLetterbox  # noqa: PLC0415

    return [files, KafkaLetterbox(kafka, kafka.dead_letter_topic, environ)]


def open_resender(config: Config, environ: Mapping[str, str] = os.environ) -> Resender:
    """Sends to the topics that the source reads; ConfigError where it is not Kafka."""
    if config.source.kafka is None:
        raise ConfigError("only records of a Kafka topic can be sent again; --write them, and send the files yourself")
    from collector.source.kafka import KafkaResender  # noqa: PLC0415

    return KafkaResender(config.source.kafka, environ)
