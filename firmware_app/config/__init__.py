"""The configuration: TOML -> frozen structs. An unknown key or a bad value stops the start and names the key."""

from __future__ import annotations

from firmware_app.config.reading import ConfigError, check_config, load_config
from firmware_app.config.schema import (
    CameraConfig,
    CaptureConfig,
    Config,
    InstrumentConfig,
    ListenerTlsConfig,
    LogConfig,
    NetworkConfig,
    NodeConfig,
    NodeTlsConfig,
    PathsConfig,
    PatientQueryConfig,
    StageConfig,
    StorageConfig,
    TimeoutsConfig,
    WorklistConfig,
)

__all__ = [
    "CameraConfig",
    "CaptureConfig",
    "Config",
    "ConfigError",
    "InstrumentConfig",
    "ListenerTlsConfig",
    "LogConfig",
    "NetworkConfig",
    "NodeConfig",
    "NodeTlsConfig",
    "PathsConfig",
    "PatientQueryConfig",
    "StageConfig",
    "StorageConfig",
    "TimeoutsConfig",
    "WorklistConfig",
    "check_config",
    "load_config",
]
