"""Kafka through confluent-kafka (librdkafka): faster, optional. Nothing else imports `confluent_kafka`."""

from importlib.util import find_spec

from collector.config import ConfigError

if find_spec("confluent_kafka") is None:
    raise ConfigError("source.kafka.client: confluent needs a package: pip install 'llm-assay[fast]'")

from collector.source.confluent.source import ConfluentSource

__all__ = ["ConfluentSource"]
