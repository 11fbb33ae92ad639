"""The unit that starts the service on the instrument."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

from firmware_app.config.reading import default_config
from firmware_app.profiles import load_profile
from firmware_app.profiles.loader import available_profiles

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "specular.service"


def test_the_service_may_listen_on_the_port_of_every_profile_and_is_not_root() -> None:
    unit = ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert service["User"] not in ("root", "0")
    assert any(default_config(load_profile(name)).instrument.port < 1024 for name in available_profiles())
    for key in ("AmbientCapabilities", "CapabilityBoundingSet"):
        assert service.get(key, "").split() == ["CAP_NET_BIND_SERVICE"]


def test_the_service_may_hear_of_new_devices_and_open_no_other_kind_of_socket() -> None:
    """Console and systemd are AF_UNIX, DICOM is AF_INET; without AF_NETLINK a device is only found by looking."""
    unit = ConfigParser(strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_UNIX", "AF_INET", "AF_NETLINK"}
    assert {"dialout", "video"} <= set(service["SupplementaryGroups"].split())
