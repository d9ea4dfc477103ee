"""The settings of where records come from: Kafka with its logins, the OTLP receiver, files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from collector.config.base import (
    ExistingFile,
    Port,
    Seconds,
    Secret,
    WebConfigFile,
)
from collector.config.base import Section as _Section

_BROKER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/,\[\]]+):(\d{1,5})")


def _is_broker(value: str) -> str:
    found = _BROKER.fullmatch(value)
    if found is None or not 0 < int(found[2]) <= 65_535:
        raise ValueError("an address is needed: host:port")
    return value


def _not_empty(value: tuple[str, ...] | str) -> tuple[str, ...] | str:
    if not value:
        raise ValueError("at least one is needed")
    return value


def _names_or_pattern(value: object) -> object:
    names = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a list of names is needed, or one text that is a regular expression")
    return value


Broker = Annotated[str, AfterValidator(_is_broker)]
Topics = Annotated[tuple[str, ...] | str, BeforeValidator(_names_or_pattern)]


class SaslConfig(_Section):
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
    """How to log in."""
    username: str | None = None
    """For PLAIN and SCRAM."""
    password: Secret | None = None
    """For PLAIN and SCRAM."""
    token: Secret | None = None
    """OAUTHBEARER: a bearer token, re-read at every login."""

    @model_validator(mode="after")
    def _complete(self) -> SaslConfig:
        if self.mechanism == "OAUTHBEARER":
            if self.token is None:
                raise ValueError("OAUTHBEARER needs `token`")
        elif self.username is None or self.password is None:
            raise ValueError(f"{self.mechanism} needs `username` and `password`")
        return self


class TlsConfig(_Section):
    ca_file: ExistingFile | None = None
    """PEM; none: the system's authorities."""
    certificate_file: ExistingFile | None = None
    """PEM of the client's certificate, for mutual TLS."""
    key_file: ExistingFile | None = None
    """PEM of the client's key."""
    key_password: Secret | None = None
    """Of the key file."""
    verify_hostname: bool = True
    """The broker's certificate must name the broker."""


class KafkaConfig(_Section):
    brokers: Annotated[tuple[Broker, ...], AfterValidator(_not_empty)]
    """`host:port` of one or more brokers."""
    traces_topics: Annotated[Topics, AfterValidator(_not_empty)] = ("otlp_spans",)
    """Names, or one string that is a regular expression."""
    logs_topics: Topics = ("otlp_logs",)
    """As traces_topics; may be empty."""
    group: str = "assay"
    """The consumer group; workers of one fleet share it."""
    client: Literal["kafka-python", "confluent"] = "kafka-python"
    """`confluent` needs the extra `fast`."""
    dead_letter_topic: str | None = None
    """Rejected records; none: a local file."""
    sasl: SaslConfig | None = None
    tls: TlsConfig | None = None
    session_timeout_seconds: Seconds = 45.0
    """A worker silent for longer loses its partitions."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a partition begins that has no chain yet."""

    @model_validator(mode="after")
    def _patterns_compile(self) -> KafkaConfig:
        for name in ("traces_topics", "logs_topics"):
            value = getattr(self, name)
            if isinstance(value, str):
                try:
                    re.compile(value)
                except re.error as error:
                    raise ValueError(f"{name}: not a regular expression: {error}") from None
        if self.dead_letter_topic is not None and self.reads(self.dead_letter_topic):
            raise ValueError(f"dead_letter_topic: Assay reads {self.dead_letter_topic} itself; choose another")
        return self

    def reads(self, topic: str) -> bool:
        """Whether a topic is among those that are consumed."""
        return any(
            re.fullmatch(read, topic) is not None if isinstance(read, str) else topic in read
            for read in (self.traces_topics, self.logs_topics)
        )


class OtlpConfig(_Section):
    host: str = "127.0.0.1"
    """Address to listen on; the default lets only this machine in."""
    port: Port = 4318
    """Port of OTLP over HTTP; 0: any free one."""
    log_file: Path | None = None
    """The durable local log; default: `<data>/otlp.sqlite`."""
    keep_hours: Annotated[float, Field(gt=0)] = 24.0
    """Records older than this leave the local log."""
    keep_bytes_max: Annotated[int, Field(ge=1 << 20)] = 4 << 30
    """Size of the local log; full, senders are told to come back (503)."""
    web_config_file: WebConfigFile | None = None
    """TLS, client certificates and users of the receiver, in the format of Prometheus' exporter-toolkit."""


class ReplayConfig(_Section):
    traces: tuple[ExistingFile, ...] = ()
    """Files of trace export requests, .pb or .json, read in this order."""
    logs: tuple[ExistingFile, ...] = ()
    """Files of log export requests."""

    @model_validator(mode="after")
    def _something(self) -> ReplayConfig:
        if not self.traces and not self.logs:
            raise ValueError("name at least one file of `traces` or `logs`")
        return self


class SourceConfig(_Section):
    kafka: KafkaConfig | None = None
    otlp: OtlpConfig | None = None
    replay: ReplayConfig | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SourceConfig:
        if sum(section is not None for section in (self.kafka, self.otlp, self.replay)) != 1:
            raise ValueError("choose exactly one of `kafka`, `otlp`, `replay`")
        return self
