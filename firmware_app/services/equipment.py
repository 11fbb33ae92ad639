"""The instrument as its objects, reports and films name it."""

from __future__ import annotations

from firmware_app import __version__
from firmware_app.config import Config
from firmware_app.model import Equipment
from firmware_app.profiles import Profile


def equipment_of(config: Config, profile: Profile) -> Equipment:
    """From the profile what it is, from the configuration which one and where."""
    return Equipment(
        manufacturer=profile.equipment.manufacturer,
        model_name=profile.equipment.model_name,
        device_serial_number=config.instrument.device_serial_number,
        software_versions=__version__,
        institution_name=config.instrument.institution_name,
        station_name=config.instrument.station_name,
        institutional_department_name=config.instrument.institutional_department_name,
    )
