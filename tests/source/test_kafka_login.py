"""Logins and encryption against a real broker, and what an operator reads when they fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from collector.config import ConfigError
from collector.source import SourceError
from tests.servers.kafka import PASSWORD, USER, KafkaBroker
from tests.source.worlds import KafkaWorld, Reader

pytestmark = pytest.mark.server("kafka")
WRONG = "not-the-pass-word"


@pytest.fixture(params=["kafka-python", "confluent"])
def world(request: pytest.FixtureRequest, kafka_broker: KafkaBroker) -> Iterator[KafkaWorld]:
    made = KafkaWorld(kafka_broker, request.param)
    yield made
    made.close()


def sasl(mechanism: str) -> dict[str, Any]:
    if mechanism == "OAUTHBEARER":
        return {"mechanism": mechanism, "token": {"env": "KAFKA_SECRET"}}
    return {"mechanism": mechanism, "username": USER, "password": {"env": "KAFKA_SECRET"}}


def reads_everything(world: KafkaWorld, secret: str = PASSWORD, **settings: Any) -> None:
    source = world.source({"KAFKA_SECRET": secret}, **settings)
    source.start()
    seen = Reader(source).until(lambda seen: len(seen.records) == 2 * len(world.partitions))
    assert {source.epoch(partition.topic) for partition in seen.owned}


def refusal(world: KafkaWorld, secret: str = WRONG, **settings: Any) -> str:
    source = world.source({"KAFKA_SECRET": secret}, **settings)
    with pytest.raises(SourceError) as raised:
        source.start()
    assert not source.healthy
    return str(raised.value)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_with_a_password(world: KafkaWorld, mechanism: str) -> None:
    reads_everything(world, brokers=(world.broker.sasl_bootstrap,), sasl=sasl(mechanism))


def test_a_login_with_a_token(world: KafkaWorld) -> None:
    token = world.broker.unsecured_token()

    reads_everything(world, token, brokers=(world.broker.sasl_bootstrap,), sasl=sasl("OAUTHBEARER"))


def test_an_encrypted_login(world: KafkaWorld) -> None:
    tls = {"ca_file": world.broker.ca_file}

    reads_everything(world, brokers=(world.broker.sasl_ssl_bootstrap,), sasl=sasl("SCRAM-SHA-512"), tls=tls)


def test_a_listener_that_wants_a_client_certificate(world: KafkaWorld) -> None:
    broker = world.broker
    tls = {"ca_file": broker.ca_file, "certificate_file": broker.client_certificate, "key_file": broker.client_key}

    reads_everything(world, brokers=(broker.mtls_bootstrap,), tls=tls)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_called_one(world: KafkaWorld, mechanism: str) -> None:
    address = world.broker.sasl_bootstrap

    said = refusal(world, brokers=(address,), sasl=sasl(mechanism))

    assert f"authentication failed for user {USER} with {mechanism} at {address}" in said


def test_a_secret_is_in_no_message_log_or_repr(world: KafkaWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = world.source({"KAFKA_SECRET": WRONG}, brokers=(world.broker.sasl_bootstrap,), sasl=sasl("PLAIN"))

    with pytest.raises(SourceError) as raised:
        source.start()

    told = [str(raised.value), repr(source), repr(world.config(sasl=sasl("PLAIN")))]
    told += [record.getMessage() for record in caplog.records]
    assert not [text for text in told if WRONG in text]


def test_a_secret_that_is_not_there_is_named(world: KafkaWorld) -> None:
    source = world.source({}, brokers=(world.broker.sasl_bootstrap,), sasl=sasl("PLAIN"))

    with pytest.raises(ConfigError, match="KAFKA_SECRET is not set"):
        source.start()


def test_an_unknown_authority_is_a_failed_verification(world: KafkaWorld) -> None:
    address = world.broker.ssl_bootstrap

    assert f"TLS verification of {address} failed" in refusal(world, brokers=(address,), tls={})


def test_a_tls_file_that_is_missing_is_named(world: KafkaWorld) -> None:
    said = refusal(world, brokers=(world.broker.ssl_bootstrap,), tls={"ca_file": "/nowhere/ca.pem"})

    assert "tls.ca_file /nowhere/ca.pem" in said


def test_tls_towards_a_plain_listener_is_a_failed_handshake(world: KafkaWorld) -> None:
    said = refusal(world, brokers=(world.broker.bootstrap,), tls={"ca_file": world.broker.ca_file}, connect=2.0)

    assert "TLS handshake" in said
    assert "does this listener speak TLS?" in said


def test_a_listener_that_wants_more_than_is_configured_gives_a_hint(world: KafkaWorld) -> None:
    said = refusal(world, brokers=(world.broker.sasl_bootstrap,), connect=2.0)

    assert f"cannot reach {world.broker.sasl_bootstrap}" in said
    assert "no sasl and no tls is configured" in said


def test_nobody_at_the_address_is_unreachable(world: KafkaWorld) -> None:
    said = refusal(world, brokers=("127.0.0.1:1",), connect=1.0)

    assert "cannot reach 127.0.0.1:1" in said
    assert "refused" in said.lower()
