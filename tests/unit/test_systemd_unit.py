"""The units of the instrument: who the service is, what it may touch, and what is opened for it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from firmware_app.config.reading import default_config
from firmware_app.profiles import load_profile

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
UNIT = SYSTEMD / "specular.service"
EXPOSURE_MAX = 1.2
# systemd older than 257 has no PrivateUsers=identity; with "yes" the audit trail would not know who is at the console.
OF_IDENTITY = 0.2


def directives(unit: Path, section: str = "Service") -> dict[str, list[str]]:
    """Every value of every key, in order; a unit may say a key several times."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_service_is_not_root_and_has_no_privilege_at_all() -> None:
    service = directives(UNIT)
    assert service["User"] == ["specular"]
    assert service["CapabilityBoundingSet"] == service["AmbientCapabilities"] == [""]
    assert service["NoNewPrivileges"] == ["yes"]


def test_a_port_below_1024_is_opened_by_systemd() -> None:
    assert default_config(load_profile("kodakqc")).instrument.port < 1024
    assert "specular-dicom.socket" in directives(UNIT)["Sockets"][0].split()
    assert directives(SYSTEMD / "specular-dicom.socket", "Socket")["FileDescriptorName"] == ["dicom"]


def test_the_service_hears_of_new_devices_and_may_open_no_other_kind_of_socket() -> None:
    """Console and systemd are AF_UNIX, DICOM is AF_INET; the one netlink socket is handed over."""
    assert directives(UNIT)["RestrictAddressFamilies"] == ["AF_INET AF_UNIX"]
    assert directives(SYSTEMD / "specular-uevents.socket", "Socket")["ListenNetlink"] == ["kobject-uevent 1"]


def test_what_is_handed_over_never_waits() -> None:
    """systemd has the same open sockets: the flag is theirs too, and a second program started with them changes it."""
    assert directives(UNIT)["NonBlocking"] == ["yes"]


def test_the_console_is_for_its_group_and_nobody_else() -> None:
    console = directives(SYSTEMD / "specular-console.socket", "Socket")
    assert console["SocketMode"] == ["0660"] and console["SocketGroup"] == ["specular-console"]
    assert console["ListenStream"] == [str(default_config(load_profile()).paths.console_socket)]


def test_what_is_loaded_before_the_service_has_every_class_that_it_may_open() -> None:
    """A class without a driver is not resolved, and its devices are refused for as long as the service runs."""
    loaded = set(re.findall(r"^\w+$", (SYSTEMD / "modules-load.d/specular.conf").read_text(), re.M))
    drivers = {"char-ttyUSB": "usbserial", "char-ttyACM": "cdc_acm", "char-video4linux": "videodev"}
    for allowed in directives(UNIT)["DeviceAllow"]:
        assert drivers[allowed.removesuffix(" rw")] in loaded


@pytest.mark.peer("systemd")
@pytest.mark.parametrize("name", sorted(each.name for each in SYSTEMD.glob("*.s*")))
def test_systemd_understands_every_line(name: str) -> None:
    """Programs that are not installed here are no mistake of the unit, and an older systemd knows two words not."""
    known = ("is not executable", "identity", "ipv4:tcp:0", "Failed to load configuration", "not found")
    done = analyze("verify", str(SYSTEMD / name))
    problems = [line for line in done.stderr.splitlines() if name in line and not any(word in line for word in known)]
    assert not problems


@pytest.mark.peer("systemd")
@pytest.mark.parametrize("peers", ["localhost", "192.0.2.30", "any"])
def test_exposure_stays_within_its_bound_whatever_the_configuration_opens(peers: str, tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("IPAddressAllow=localhost", f"IPAddressAllow={peers}"))
    done = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for specular.service: (\d+\.\d)", done.stdout)
    assert found, done.stderr
    allowance = 0 if version() >= 257 else OF_IDENTITY
    print(f"exposure {found[1]} with systemd {version()} and IPAddressAllow={peers}")
    assert float(found[1]) <= round(EXPOSURE_MAX + allowance, 1)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def version() -> int:
    return int(analyze("--version").stdout.split()[1])
