from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Equipment:
    """The instrument that made an image (PS3.3 C.7.5.1)."""

    manufacturer: str
    model_name: str
    device_serial_number: str
    software_versions: str
    institution_name: str = ""
    station_name: str = ""
