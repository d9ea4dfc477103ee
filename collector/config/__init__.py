"""One frozen, typed configuration, read once; a stage gets its own section, never the whole."""

from collector.config.load import load_config
from collector.config.sections import (
    BaselineConfig,
    ChainConfig,
    Config,
    ConfigError,
    JoinConfig,
    KafkaConfig,
    LimitsConfig,
    MetricsConfig,
    OtlpConfig,
    ReplayConfig,
    SaslConfig,
    Secret,
    SignalsConfig,
    SourceConfig,
    SqlConfig,
    StoreConfig,
    TlsConfig,
)

__all__ = [
    "BaselineConfig",
    "ChainConfig",
    "Config",
    "ConfigError",
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
