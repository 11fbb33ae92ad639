"""An update on trial: what becomes of it is decided without RAUC, and told in one line."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from deploy.image.updates import rauc_configuration
from firmware_app import __version__
from firmware_app.device.boot_slots import SlotError, Slots, installation, slots_of
from firmware_app.device.trial import Mark, StillOnTrial, Trial, at_start, in_working_order, installed_over, time_is_up
from firmware_app.device.trial_files import TrialFiles, bundle_version
from firmware_app.services.last_update import last_update
from firmware_app.services.working_order import STEADY_S
from firmware_app.verbs.slot_trial import installed, installing

ROOT = Path(__file__).resolve().parents[2]

INSTALLED = Trial("B", "2.0.0", "A", "1.0.0", "installed")
STARTED = Trial("B", "2.0.0", "A", "1.0.0", "started", 2)


def test_a_slot_that_is_not_on_trial_is_good_at_once() -> None:
    verdict = at_start(None, "A", "1.0.0", data_lost=False)
    assert (verdict.trial, verdict.marks, verdict.news) == (None, (Mark.GOOD,), "")


def test_starts_of_a_slot_on_trial_are_counted_and_mark_nothing() -> None:
    first = at_start(INSTALLED, "B", "2.0.0", data_lost=False)
    assert first.marks == ()
    assert first.news.startswith("2.0.0 in slot B is on trial (start 1)")
    assert first.trial is not None
    second = at_start(first.trial, "B", "2.0.0", data_lost=False)
    assert second.trial == STARTED


CAME_BACK = [
    (Trial("B", "2.0.0", "A", "1.0.0"), "the installation of 2.0.0 in slot B was not finished"),
    (INSTALLED, "fell back from 2.0.0 in slot B: it did not start"),
    (STARTED, "fell back from 2.0.0 in slot B: it started 2 times and did not come into working order"),
    (Trial("B", "2.0.0", "A", "1.0.0", "started", 1, "too slow"), "fell back from 2.0.0 in slot B: too slow"),
]


@pytest.mark.parametrize(("trial", "told"), CAME_BACK)
def test_the_release_before_says_why_it_is_back(trial: Trial, told: str) -> None:
    verdict = at_start(trial, "A", "1.0.0", data_lost=False)
    assert verdict.trial is None
    assert verdict.marks == (Mark.GOOD, Mark.OTHER_BAD)
    assert verdict.news == f"{told}; 1.0.0 in slot A goes on"


@pytest.mark.parametrize("trial", [None, INSTALLED, STARTED])
def test_without_the_data_partition_no_slot_is_good(trial: Trial | None) -> None:
    assert at_start(trial, "A", "1.0.0", data_lost=True).marks == ()
    assert in_working_order(trial, "B", "2.0.0", data_lost=True).marks == ()


def test_in_working_order_keeps_the_slot_and_ends_the_trial() -> None:
    verdict = in_working_order(STARTED, "B", "2.0.0", data_lost=False)
    assert (verdict.trial, verdict.marks) == (None, (Mark.GOOD,))
    assert verdict.news == "2.0.0 in slot B is kept: it is in working order; before it: 1.0.0"


@pytest.mark.parametrize("booted", ["A"])
def test_a_trial_of_the_other_slot_is_no_business_of_this_one(booted: str) -> None:
    """Installed while this one runs: it is on trial from the next start on."""
    assert in_working_order(INSTALLED, booted, "1.0.0", data_lost=False).trial == INSTALLED
    verdict = time_is_up(INSTALLED, booted, True, "")
    assert (verdict.trial, verdict.marks, verdict.leave) == (INSTALLED, (), False)


def test_a_kept_slot_is_not_left_whatever_the_service_does() -> None:
    assert not time_is_up(None, "A", True, "specular.service is failed").leave


def test_time_is_up_leaves_the_slot_with_the_reason() -> None:
    verdict = time_is_up(STARTED, "B", True, "specular.service is failed")
    assert verdict.marks == (Mark.BAD,)
    assert verdict.leave
    assert verdict.trial is not None
    back = at_start(verdict.trial, "A", "1.0.0", data_lost=False)
    assert "did not come into working order in time: specular.service is failed; 1.0.0 in slot A" in back.news


def test_a_slot_without_another_is_not_left() -> None:
    verdict = time_is_up(STARTED, "B", False, "specular.service is failed")
    assert (verdict.marks, verdict.leave) == ((), False)
    assert "there is no other to go back to" in verdict.news


def test_nothing_is_installed_over_the_slot_to_go_back_to() -> None:
    with pytest.raises(StillOnTrial, match=r"2.0.0 in slot B is on trial itself"):
        installed_over(STARTED, "B", "A", "3.0.0", "2.0.0")
    assert installed_over(None, "B", "A", "3.0.0", "2.0.0") == Trial("A", "3.0.0", "B", "2.0.0")
    # Another one over what was not started yet.
    assert installed_over(INSTALLED, "A", "B", "3.0.0", "1.0.0") == Trial("B", "3.0.0", "A", "1.0.0")


@pytest.mark.parametrize(
    "told", [{}, {"RAUC_TARGET_SLOTS": "1 2"}, {"RAUC_TARGET_SLOTS": "1", "RAUC_SLOT_BOOTNAME_1": "B"}]
)
def test_a_handler_that_is_not_told_what_it_needs(told: dict[str, str]) -> None:
    with pytest.raises(SlotError, match="RAUC installs into slots"):
        installation(told)


def status(booted: str, other: str) -> dict[str, Any]:
    """As RAUC 1.13 prints it, cut down to what is read."""
    slots: list[dict[str, Any]] = [
        {"rootfs.1": {"class": "rootfs", "bootname": "B", "state": "inactive", "boot_status": other}},
        {"kernel.1": {"class": "kernel", "bootname": None, "state": "inactive", "boot_status": None}},
        {"rootfs.0": {"class": "rootfs", "bootname": "A", "state": "booted", "boot_status": "good"}},
    ]
    return {"booted": booted, "slots": slots}


@pytest.mark.parametrize(("other", "good"), [("good", True), ("bad", False)])
def test_what_rauc_says_of_the_slots(other: str, good: bool) -> None:
    assert slots_of(status("A", other)) == Slots("A", good)


@pytest.mark.parametrize("answer", [{}, {"booted": "A"}, {"booted": "A", "slots": [1]}])
def test_another_answer_of_rauc_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(SlotError, match="rauc status says no slots"):
        slots_of(answer)


def test_an_installation_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.raucm").write_text("[update]\ncompatible=specular-amd64\nversion=2.0.0\n")
    for name, value in {
        "RAUC_TARGET_SLOTS": "2 4", "RAUC_SLOT_BOOTNAME_2": "B", "RAUC_SLOT_BOOTNAME_4": "",
        "RAUC_CURRENT_BOOTNAME": "A", "RAUC_BUNDLE_MOUNT_POINT": str(tmp_path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    files = TrialFiles(tmp_path / "update")
    installing(files)
    trial = files.read()
    assert trial is not None
    assert (trial.slot, trial.version, trial.from_slot, trial.stage) == ("B", "2.0.0", "A", "installing")
    assert "2.0.0 into slot B" in capsys.readouterr().out
    installed(files)
    assert files.read() == Trial("B", "2.0.0", "A", trial.from_version, "installed")
    assert files.told() == "2.0.0 is installed in slot B: on trial from the next start on"
    files.write(None)
    assert files.read() is None


RUBBISH = [b"", b"{", b'{"slot": "B"}', b'{"slot": "\xff"}', bytes(range(7, 250, 3)), b"[" * 20000]


@pytest.mark.parametrize("content", RUBBISH)
def test_a_file_that_nobody_here_wrote_is_no_trial(tmp_path: Path, content: bytes) -> None:
    files = TrialFiles(tmp_path)
    files.trial.write_bytes(content)
    assert files.read() is None


def test_a_file_that_cannot_be_read_is_no_trial(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    files.trial.mkdir()
    assert files.read() is None


@pytest.mark.parametrize("text", [None, "", "no section", "[update]\n", "[update\nversion=1"])
def test_a_manifest_that_does_not_say_its_version(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.raucm").write_text(text)
    assert bundle_version(tmp_path) == "?"


def test_what_became_of_it_is_in_the_status(tmp_path: Path) -> None:
    file = tmp_path / "last-update"
    assert last_update(file) == ""
    file.write_text("2.0.0 in slot B is kept\n")
    assert last_update(file) == "2.0.0 in slot B is kept"


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_the_device_takes_its_own_release_and_no_bundle_of_the_other_kind(architecture: str) -> None:
    configuration = ConfigParser(interpolation=None)
    configuration.read_string(rauc_configuration(architecture))
    system = configuration["system"]
    assert system["compatible"] == f"specular-{architecture}"
    assert system["bundle-formats"] == "verity"
    assert "@" not in rauc_configuration(architecture)
    assert numbers(system["min-bundle-version"]) <= numbers(__version__)


def test_the_time_of_a_trial_has_room_for_the_minute_in_working_order() -> None:
    """And for starts of the service before it, each of which may take as long as systemd lets it."""
    timer, service = ConfigParser(strict=False), ConfigParser(strict=False, interpolation=None)
    timer.read_string((ROOT / "systemd/image/specular-trial.timer").read_text())
    service.read_string((ROOT / "systemd/specular.service").read_text())
    minutes = int(timer["Timer"]["OnBootSec"].removesuffix("min"))
    assert 60 * minutes > STEADY_S + 3 * int(service["Service"]["TimeoutStartSec"])


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
