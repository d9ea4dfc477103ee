"""What an operator reads when the client of Confluent fails; no broker is needed to be told it."""

from __future__ import annotations

import pytest

from collector.config import KafkaConfig

confluent_kafka = pytest.importorskip("confluent_kafka")


@pytest.mark.parametrize(
    "detail",
    [
        "ssl://kafka:9092/bootstrap: SSL handshake failed: Disconnected",
        "ssl://kafka:9092/bootstrap: Disconnected: SSL connection closed by peer (after 1ms in state SSL_HANDSHAKE)",
    ],
)
def test_a_handshake_that_fails_is_told_as_one_whatever_the_timing(detail: str) -> None:
    from collector.source.confluent.connection import explain

    error = confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT, detail)

    said = explain(error, KafkaConfig(brokers=("kafka:9092",), traces_topics=("spans",)))

    assert "TLS handshake with kafka:9092 failed" in said
