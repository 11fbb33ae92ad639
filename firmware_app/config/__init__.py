"""The configuration: TOML -> frozen structs. An unknown key or a bad value stops the start and names the key."""

from __future__ import annotations

from firmware_app.config.devices import (
    AsiConfig,
    CameraConfig,
    FolderCameraConfig,
    GrblConfig,
    SangaboardConfig,
    SerialCameraConfig,
    StageConfig,
    V4l2Config,
)
from firmware_app.config.reading import ConfigError, check_config, load_config
from firmware_app.config.schema import (
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
    StorageConfig,
    StoringConfig,
    TimeoutsConfig,
    WorklistConfig,
)

__all__ = [
    "AsiConfig",
    "CameraConfig",
    "CaptureConfig",
    "Config",
    "ConfigError",
    "FolderCameraConfig",
    "GrblConfig",
    "InstrumentConfig",
    "ListenerTlsConfig",
    "LogConfig",
    "NetworkConfig",
    "NodeConfig",
    "NodeTlsConfig",
    "PathsConfig",
    "PatientQueryConfig",
    "SangaboardConfig",
    "SerialCameraConfig",
    "StageConfig",
    "StorageConfig",
    "StoringConfig",
    "TimeoutsConfig",
    "V4l2Config",
    "WorklistConfig",
    "check_config",
    "load_config",
]
