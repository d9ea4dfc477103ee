"""The settings: their types, defaults, bounds and meaning; docs/settings.md is made of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from collector.config.base import (
    Count,
    ExistingFile,
    Port,
    Seconds,
    Secret,
    UsersFile,
    WebConfigFile,
)
from collector.config.base import Section as _Section
from collector.config.judging import BaselineConfig, DriftConfig, OverloadConfig, SignalsConfig
from collector.config.origin import SourceConfig
from collector.config.snippets import SnippetsConfig, have_readers, is_local, lie_apart
from collector.config.traces import TraceUrl

_BYTES = re.compile(r"\d+(\.\d+)? ?[KMGT](i?B)?", re.IGNORECASE)
_BUCKETS = ("s3://", "s3a://", "gs://", "az://", "azure://", "abfs://", "abfss://", "adl://")


class LimitsConfig(_Section):
    record_bytes_max: Count = 1 << 20
    """A larger record is rejected."""
    decompressed_bytes_max: Count = 16 << 20
    """A record or body that grows beyond is rejected."""
    decompression_ratio_max: Count = 100
    """A body that grows by more is a bomb."""
    nesting_depth_max: Annotated[int, Field(ge=8, le=256)] = 64
    """Deeper protobuf or JSON is rejected."""
    text_chars_max: Count = 65_536
    """A longer text is cut; the call is `truncated`."""
    label_chars_max: Annotated[int, Field(ge=16, le=512)] = 120
    """A longer value of a rollup key is cut."""
    label_values_max: Count = 200
    """Distinct values of a key before `__other__`."""


class JoinConfig(_Section):
    settle_seconds: Annotated[float, Field(ge=0, le=600)] = 2.0
    """How long a call with its text waits for documents, twins and wrappers."""
    window_seconds: Annotated[float, Field(ge=0, le=3_600)] = 10.0
    """How long a call without text waits for its events or its fuller twin."""
    memory_seconds: Annotated[float, Field(ge=1, le=7_200)] = 60.0
    """How long spans, documents and verdicts are remembered; the warm-up after a restart."""
    calls_max: Count = 20_000
    """Calls waiting; beyond, the oldest settle early."""

    @model_validator(mode="after")
    def _ordered(self) -> JoinConfig:
        if not self.settle_seconds <= self.window_seconds <= self.memory_seconds:
            raise ValueError("settle_seconds <= window_seconds <= memory_seconds must hold")
        return self


class ChainConfig(_Section):
    url: str | None = None
    """Directory, s3://bucket/prefix, gs:// or az://; default: `<data>/chain`."""
    flush_seconds: Seconds = 5.0
    """How long scored calls wait before they are made durable."""
    flush_calls_max: Count = 20_000
    """A partition with more waiting is made durable at once."""
    retries_max: Annotated[int, Field(ge=0, le=100)] = 10
    """How often a request to the object store is repeated; 0: never."""
    s3_endpoint: str | None = None
    """URL of an S3 that is not Amazon's."""
    s3_region: str | None = None
    """Region of the bucket."""
    s3_access_key_id: Secret | None = None
    """None: the usual variables, profiles and roles."""
    s3_secret_access_key: Secret | None = None
    """As s3_access_key_id."""
    s3_allow_http: bool = False
    """Allow an endpoint without TLS."""

    @field_validator("url")
    @classmethod
    def _known_place(cls, value: str | None) -> str | None:
        scheme = None if value is None else re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(//)?", value)
        if value == "" or (scheme and scheme[0] not in _BUCKETS):
            raise ValueError("a directory is needed, or an address such as s3://bucket/prefix, gs:// or az://")
        return value

    @model_validator(mode="after")
    def _of_one_kind(self) -> ChainConfig:
        told = [name for name in sorted(self.model_fields_set) if name.startswith("s3_") and getattr(self, name)]
        if told and not (self.url or "").startswith(("s3://", "s3a://")):
            raise ValueError(f"{', '.join(told)}: only for a url that begins with s3://")
        return self


class StoreConfig(_Section):
    materialise_seconds: Seconds = 1.0
    """How often DuckDB follows the chain."""
    snapshot_seconds: Seconds = 60.0
    """How often a snapshot for analysts is published."""
    snapshots_kept: Count = 2
    """Older snapshots are deleted."""
    compact_after_deltas: Annotated[int, Field(ge=2, le=10_000)] = 64
    """So many small objects of a chain are merged into one."""
    compact_grace_seconds: Annotated[float, Field(ge=0)] = 3_600.0
    """Merged objects stay this long for readers that are behind."""
    calls_days: Count = 30
    """Chain objects (one row a call) older than this are deleted; ages are told by the log, not by the clock alone."""
    minute_days: Count = 7
    """How long minute rollups are kept."""
    hour_days: Count = 30
    """How long hour rollups are kept."""
    day_days: Count = 30
    """How long day rollups are kept."""
    memory_limit: str = "1GB"
    """DuckDB's memory in the daemon, such as 512MB or 2GiB."""

    @field_validator("memory_limit")
    @classmethod
    def _is_size(cls, value: str) -> str:
        if not _BYTES.fullmatch(value) or not float(re.split(r"[^\d.]", value)[0]):
            raise ValueError("a size is needed, such as 512MB or 2GiB")
        return value

    @model_validator(mode="after")
    def _rebuildable(self) -> StoreConfig:
        if max(self.minute_days, self.hour_days, self.day_days) > self.calls_days:
            raise ValueError(
                "rollups are rebuilt from calls: minute_days, hour_days and day_days may not exceed calls_days"
            )
        return self


class AccessConfig(_Section):
    users_file: UsersFile | None = None
    """Who may come in: `basic_auth_users` as in a web-config file, read again when it changes."""
    bearer_token: Secret | None = None
    """… or whoever sends `Authorization: Bearer` with this; a file is read again when it changes."""
    requests_per_minute_max: Count = 120
    """Requests of one user a minute (of one address, where nobody has to say who he is); beyond: 429."""


class SqlConfig(_Section):
    access: AccessConfig = AccessConfig()
    seconds_max: Seconds = 5.0
    """An analyst's query that takes longer is killed."""
    memory_bytes_max: Annotated[int, Field(ge=256 << 20)] = 1_536 << 20
    """Memory of an analyst's query."""
    rows_max: Count = 100_000
    """Rows of an answer; more are cut off, and the answer says so."""
    concurrent_max: Annotated[int, Field(ge=1, le=64)] = 2
    """Queries of `POST /sql` that run at once; others wait, and are told to come back (503) when too many do."""


class AlertmanagerConfig(_Section):
    url: str
    """Its address, with the path of its pages where it has one, such as `http://alertmanager:9093`."""
    username: str | None = None
    """For basic auth."""
    password: Secret | None = None
    """For basic auth."""
    bearer_token: Secret | None = None
    """Sent as `Authorization: Bearer` instead. Both kinds of file are read at every request."""
    ca_file: ExistingFile | None = None
    """PEM of its authorities; none: the system's."""
    matchers: tuple[str, ...] = ()
    """Which of Assay's alerts are shown, such as `cluster="eu"`, where it holds those of several; all must match."""
    refresh_seconds: Annotated[float, Field(ge=1, le=3_600)] = 15.0
    """How often it is asked."""

    @field_validator("url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://([^/?#@\s:]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?(/[^?#\s]*)?", value):
            raise ValueError("a URL that begins with http:// or https://, without a password, query or fragment")
        urlsplit(value).port  # noqa: B018 - raises ValueError for one that cannot be
        return value.rstrip("/")

    @field_validator("matchers")
    @classmethod
    def _match(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [each for each in value if not re.fullmatch(r"[a-zA-Z_]\w*(=|!=|=~|!~)[^\r\n]*", each)]:
            raise ValueError(f'{bad[0]!r} is no matcher such as `cluster="eu"`')
        return value

    @model_validator(mode="after")
    def _one_login(self) -> AlertmanagerConfig:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` go together")
        if self.username is not None and self.bearer_token is not None:
            raise ValueError("choose `username` and `password`, or `bearer_token`")
        return self


class EvidenceConfig(_Section):
    access: AccessConfig = AccessConfig()
    snippets: SnippetsConfig = SnippetsConfig()
    trace_url: TraceUrl | None = None
    """Where a trace is shown, such as `https://jaeger.example/trace/{trace_id}`; docs/operate.md has more."""
    alertmanager: AlertmanagerConfig | None = None


class MetricsConfig(_Section):
    host: str = "127.0.0.1"
    """Address of /metrics and the pages; the default lets only this machine in."""
    port: Port = 9464
    """Port of /metrics and the pages; 0: any free one."""
    series_max: Count = 20_000
    """Label sets of one metric before `__other__`."""
    web_config_file: WebConfigFile | None = None
    """TLS, client certificates and users, in the format of Prometheus' exporter-toolkit; read again when it changes."""
    requests_per_second_max: Count = 50
    """Requests of one address a second, and four times as many at once; beyond: 429."""

    @property
    def local(self) -> bool:
        """Whether only this machine can ask."""
        return is_local(self.host)


class EvaluationsConfig(_Section):
    endpoint: str | None = None
    """Base URL of an OTLP/HTTP receiver that gets `gen_ai.evaluation.result` events (`/v1/logs` is added)."""
    topic: str | None = None
    """… or a topic of source.kafka's brokers that gets them as `otlp_proto`."""
    which: Literal["flagged", "all"] = "flagged"
    """Scores above signals.warn_at, or every score."""
    authorization: Secret | None = None
    """Value of the `Authorization` header for the endpoint."""
    ca_file: ExistingFile | None = None
    """PEM of the endpoint's authorities; none: the system's."""

    @model_validator(mode="after")
    def _one_place(self) -> EvaluationsConfig:
        if self.endpoint is not None and self.topic is not None:
            raise ValueError("choose `endpoint` or `topic`")
        if self.endpoint is not None and not re.match(r"https?://[^/\s]+", self.endpoint):
            raise ValueError("endpoint: a URL that begins with http:// or https://")
        return self

    @property
    def enabled(self) -> bool:
        return self.endpoint is not None or self.topic is not None


class TelemetryConfig(_Section):
    endpoint: str | None = None
    """Base URL of an OTLP/HTTP receiver that gets Assay's own traces and metrics; none: nobody."""
    authorization: Secret | None = None
    """Value of the `Authorization` header for the endpoint."""
    interval_seconds: Seconds = 60.0
    """How often metrics are sent."""
    traces_ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the stages' turns that become a span."""


class ExportConfig(_Section):
    evaluations: EvaluationsConfig = EvaluationsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()


class Config(_Section):
    source: SourceConfig
    """Exactly one of the sections below."""
    role: Literal["all", "score", "serve"] = "all"
    """`score` reads and scores, `serve` follows the chain into DuckDB, `all` does both."""
    data: Path = Path(".assay")
    """Local state: DuckDB, snapshots, caches."""
    limits: LimitsConfig = LimitsConfig()
    join: JoinConfig = JoinConfig()
    signals: SignalsConfig = SignalsConfig()
    overload: OverloadConfig = OverloadConfig()
    chain: ChainConfig = ChainConfig()
    store: StoreConfig = StoreConfig()
    sql: SqlConfig = SqlConfig()
    evidence: EvidenceConfig = EvidenceConfig()
    baseline: BaselineConfig = BaselineConfig()
    drift: DriftConfig = DriftConfig()
    metrics: MetricsConfig = MetricsConfig()
    export: ExportConfig = ExportConfig()

    @model_validator(mode="after")
    def _no_loop(self) -> Config:
        topic, kafka = self.export.evaluations.topic, self.source.kafka
        if topic is None:
            return self
        if kafka is None:
            raise ValueError("export.evaluations.topic needs source.kafka")
        if topic == kafka.dead_letter_topic or kafka.reads(topic):
            raise ValueError(f"export.evaluations.topic: Assay reads {topic} itself; choose another")
        return self

    @model_validator(mode="after")
    def _snippets_are_private(self) -> Config:
        access = self.evidence.access
        if self.role != "score" and self.evidence.snippets.enabled and not self.metrics.local:
            have_readers(self.metrics.host, given=access.users_file is not None or access.bearer_token is not None)
        lie_apart(self.chain_url, self.snippets_url)
        return self

    @property
    def chain_url(self) -> str:
        return self.chain.url or str(self.data / "chain")

    @property
    def snippets_url(self) -> str:
        """Never below the chain's: what analysts may read begins there."""
        return self.evidence.snippets.url or f"{self.chain_url.rstrip('/')}-snippets"
