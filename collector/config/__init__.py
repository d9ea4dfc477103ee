"""One frozen, typed configuration, read once; a stage gets its own section, never the whole."""

from collector.config.base import ConfigError, Secret
from collector.config.load import load_config
from collector.config.sections import (
    AccessConfig,
    BaselineConfig,
    ChainConfig,
    Config,
    EvidenceConfig,
    JoinConfig,
    KafkaConfig,
    LimitsConfig,
    MetricsConfig,
    OtlpConfig,
    ReplayConfig,
    SaslConfig,
    SignalsConfig,
    SourceConfig,
    SqlConfig,
    StoreConfig,
    TlsConfig,
)

__all__ = [
    "AccessConfig",
    "BaselineConfig",
    "ChainConfig",
    "Config",
    "ConfigError",
    "EvidenceConfig",
    "JoinConfig",
    "KafkaConfig",
    "LimitsConfig",
    "MetricsConfig",
    "OtlpConfig",
    "ReplayConfig",
    "SaslConfig",
    "Secret",
    "SignalsConfig",
    "SourceConfig",
    "SqlConfig",
    "StoreConfig",
    "TlsConfig",
    "load_config",
]
