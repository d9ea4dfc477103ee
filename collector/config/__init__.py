"""One frozen, typed configuration, read once; a stage gets its own section, never the whole."""

from collector.config.base import ConfigError, Secret
from collector.config.judging import BaselineConfig, CascadeConfig, DriftConfig, OverloadConfig, SignalsConfig
from collector.config.load import load_config
from collector.config.origin import KafkaConfig, OtlpConfig, ReplayConfig, SaslConfig, SourceConfig, TlsConfig
from collector.config.sections import (
    AccessConfig,
    AlertmanagerConfig,
    ChainConfig,
    Config,
    EvaluationsConfig,
    EvidenceConfig,
    JoinConfig,
    LimitsConfig,
    MetricsConfig,
    SqlConfig,
    StoreConfig,
    TelemetryConfig,
)
from collector.config.snippets import SnippetsConfig

__all__ = [
    "AccessConfig",
    "AlertmanagerConfig",
    "BaselineConfig",
    "CascadeConfig",
    "ChainConfig",
    "Config",
    "ConfigError",
    "DriftConfig",
    "EvaluationsConfig",
    "EvidenceConfig",
    "JoinConfig",
    "KafkaConfig",
    "LimitsConfig",
    "MetricsConfig",
    "OtlpConfig",
    "OverloadConfig",
    "ReplayConfig",
    "SaslConfig",
    "Secret",
    "SignalsConfig",
    "SnippetsConfig",
    "SourceConfig",
    "SqlConfig",
    "StoreConfig",
    "TelemetryConfig",
    "TlsConfig",
    "load_config",
]
