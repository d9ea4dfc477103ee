"""Why brokers cannot be used, in sentences for the operator, the same for every client. No sentence holds a secret."""

from __future__ import annotations

from collector.config import KafkaConfig


def authentication_failed(config: KafkaConfig) -> str:
    sasl = config.sasl
    if sasl is None:
        return f"kafka: authentication failed at {_at(config)}: the listener wants a login, source.kafka.sasl has none"
    who = f" for user {sasl.username}" if sasl.username else ""
    return f"kafka: authentication failed{who} with {sasl.mechanism} at {_at(config)}"


def mechanism_refused(config: KafkaConfig) -> str:
    mechanism = config.sasl.mechanism if config.sasl else "a login"
    return f"kafka: the listener at {_at(config)} does not offer {mechanism}"


def certificate_refused(config: KafkaConfig, detail: str) -> str:
    return f"kafka: TLS verification of {_at(config)} failed: {detail}; see source.kafka.tls"


def handshake_failed(config: KafkaConfig, detail: str) -> str:
    return f"kafka: TLS handshake with {_at(config)} failed: {detail}; does this listener speak TLS?"


def not_authorised(config: KafkaConfig, detail: str) -> str:
    return f"kafka: not authorised at {_at(config)}: {detail}"


def unreachable(config: KafkaConfig, detail: str) -> str:
    missing = [name for name, section in (("sasl", config.sasl), ("tls", config.tls)) if section is None]
    hint = f" (no {' and no '.join(missing)} is configured: does the listener want it?)" if missing else ""
    return f"kafka: cannot reach {_at(config)}: {detail}{hint}"


def _at(config: KafkaConfig) -> str:
    return ", ".join(config.brokers)
