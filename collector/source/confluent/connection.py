"""How to reach the brokers: options for librdkafka, and why they could not be reached."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError

from collector.config import KafkaConfig, LimitsConfig
from collector.source import SourceError, problems

log = logging.getLogger(__name__)

FETCH_BYTES_MAX = 16 << 20
QUEUE_KILOBYTES_MAX = 64 << 10  # read ahead, all partitions together
TOKEN_SECONDS = 300.0  # how long a token is used before its secret is read again

_NOT_AUTHORISED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


def options(config: KafkaConfig, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Options that any client of librdkafka needs. They hold secrets: never log them.

    Raises ConfigError for a secret that is missing and SourceError for TLS files that cannot be used.
    """
    chosen: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": "assay",
        "security.protocol": ("SASL_" if config.sasl else "") + ("SSL" if config.tls else "PLAINTEXT"),
        "reconnect.backoff.max.ms": 2_000,
        "logger": log,
        "log_level": 2,  # syslog's "critical": an outage is told once, by error_cb
    }
    if tls := config.tls:
        for name, file in (("ca", tls.ca_file), ("certificate", tls.certificate_file), ("key", tls.key_file)):
            if file is not None:
                if not file.is_file():
                    raise SourceError(f"tls.{name}_file {file}: no such file")
                chosen[f"ssl.{name}.location"] = str(file)
        if tls.key_password is not None:
            chosen["ssl.key.password"] = tls.key_password.read(environ).get_secret_value()
        chosen["ssl.endpoint.identification.algorithm"] = "https" if tls.verify_hostname else "none"
    if sasl := config.sasl:
        chosen["sasl.mechanism"] = sasl.mechanism
        if sasl.token is not None:
            token = sasl.token
            token.read(environ)  # say now that it is missing, not at the first login
            chosen["oauth_cb"] = lambda _: (token.read(environ).get_secret_value(), time.time() + TOKEN_SECONDS)
        elif sasl.password is not None:
            chosen["sasl.username"] = sasl.username
            chosen["sasl.password"] = sasl.password.read(environ).get_secret_value()
    return chosen


def consuming(
    config: KafkaConfig, limits: LimitsConfig, metadata_seconds: float, poll_interval_seconds_max: float
) -> dict[str, Any]:
    """The consumer's options beside those of any client."""
    session = config.session_timeout_seconds
    return {
        "group.id": config.group,
        "topic.metadata.refresh.interval.ms": int(metadata_seconds * 1000),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # where a partition begins is the chain's to say
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "partition.assignment.strategy": "range",
        "session.timeout.ms": int(session * 1000),
        "heartbeat.interval.ms": int(min(3.0, session / 3) * 1000),
        "max.poll.interval.ms": int(poll_interval_seconds_max * 1000),
        "enable.partition.eof": True,
        "check.crcs": True,
        "fetch.error.backoff.ms": 20,
        "fetch.max.bytes": FETCH_BYTES_MAX,
        "max.partition.fetch.bytes": max(1 << 20, min(limits.record_bytes_max, FETCH_BYTES_MAX)),
        "queued.max.messages.kbytes": QUEUE_KILOBYTES_MAX,
        "statistics.interval.ms": 1_000,
    }


def explain(error: Any, config: KafkaConfig) -> str:
    """What an operator has to mend."""
    detail = error.str() or error.name()
    if "certificate verify failed" in detail:
        return problems.certificate_refused(config, detail.partition("error:")[2].partition(": ")[0] or detail)
    if error.code() == KafkaError._SSL or any(words in detail for words in ("SSL handshake failed", "SSL_HANDSHAKE")):
        return problems.handshake_failed(config, detail)
    if error.code() == KafkaError._UNSUPPORTED_FEATURE or ("mechanism" in detail and "not supported" in detail.lower()):
        return problems.mechanism_refused(config)
    if error.code() == KafkaError._AUTHENTICATION:
        return problems.authentication_failed(config)
    if error.code() in _NOT_AUTHORISED:
        return problems.not_authorised(config, error.name())
    return problems.unreachable(config, detail)


def definite(error: Any) -> bool:
    """Will another attempt fail in the same way?"""
    return error.code() == KafkaError._AUTHENTICATION or "certificate verify failed" in error.str()


def summary(error: Any) -> bool:
    return bool(error.code() == KafkaError._ALL_BROKERS_DOWN)
