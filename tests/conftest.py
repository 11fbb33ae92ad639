"""Outside peers and reference data: used where present, required under CI."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from peer_programs import peer_program
from stage_recordings import SHARED
from tls_material import TlsMaterial

settings.register_profile("suite", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("suite")

# On a busy machine the threads of a matrix product wait for each other, spinning: one picture took 27 s instead of 1.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

PEER_PROGRAMS = {
    "dcmtk": ("storescp", "wlmscpfs", "echoscu"),
    "orthanc": ("Orthanc",),
    "dicom3tools": ("dciodvfy",),
    "openssl": ("openssl",),
    "tshark": ("tshark", "text2pcap"),
    "dcmjs": ("node", "npm"),
    "e2fsprogs": ("mke2fs", "e2fsck", "debugfs"),
    "systemd": ("systemd-analyze",),
    "nftables": ("nft", "ip"),
    "grub": ("grub-script-check",),
    "squashfs": ("mksquashfs",),
    "cjk-font": ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",),
}


def missing_programs(peer: str) -> list[str]:
    return [program for program in PEER_PROGRAMS[peer] if peer_program(program) is None]


REAL_HARDWARE = {"real_stage": "port", "real_camera": "camera_port"}  # marker to option


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("real stage")
    group.addoption("--port", help="run the stage contract on the stage there, and on no simulated one")
    group.addoption("--stage-kind", default="grbl", help="which driver of test_stage_contract.DRIVERS (default grbl)")
    group.addoption("--stage-settings", metavar="FILE", help="TOML: the settings of that driver, by name")
    group = parser.getgroup("real camera")
    group.addoption("--camera-port", help="run the camera contract on the V4L2 camera there, such as /dev/video0")


def pytest_configure() -> None:
    # A shell lets its background jobs ignore SIGINT, and they their children: then nothing here could be interrupted.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_to_real_hardware(config, items)
    under_ci = os.environ.get("CI") == "true"
    for item in items:
        for marker in item.iter_markers("peer"):
            missing = missing_programs(marker.args[0])
            if missing and not under_ci:
                item.add_marker(pytest.mark.skip(reason=f"peer {marker.args[0]} is not installed: no {missing[0]}"))
        if item.get_closest_marker("shared_data") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"reference data is not here: {SHARED}"))


def leave_to_real_hardware(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --port only what needs a real stage, with --camera-port a real camera; without them all but that."""
    named = {marker for marker, option in REAL_HARDWARE.items() if config.getoption(option) is not None}

    def is_wanted(item: pytest.Item) -> bool:
        needed = {each.name for each in item.iter_markers()} & set(REAL_HARDWARE)
        return needed <= named and bool(needed) == bool(named)

    left_out = [item for item in items if not is_wanted(item)]
    items[:] = [item for item in items if is_wanted(item)]
    config.hook.pytest_deselected(items=left_out)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("peer"):
        missing = missing_programs(marker.args[0])
        if missing:
            pytest.fail(f"CI lacks the peer {marker.args[0]}: no {', '.join(missing)}", pytrace=False)


@pytest.fixture(scope="session")
def tls_material(tmp_path_factory: pytest.TempPathFactory) -> TlsMaterial:
    """For tests that are marked `peer("openssl")`."""
    return TlsMaterial.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED
