"""RAUC and systemd, asked and told by their own commands: which slot runs, how the service does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_app.console.text import printable
from firmware_app.device.trial import Mark

COMMAND_S = 60.0
UNIT = "specular.service"


class SlotError(Exception):
    """RAUC does not answer; the text names its command."""


@dataclass(frozen=True, slots=True)
class Slots:
    """By the boot loader's names. `other_good`: the boot loader would start the other one."""

    booted: str
    other_good: bool


def slots_of(status: Mapping[str, Any]) -> Slots:
    """Of `rauc status --output-format=json`. Raises `SlotError` for anything else."""
    try:
        booted = status["booted"]
        named = [each for entry in status["slots"] for each in entry.values() if each.get("bootname")]
        others = [each for each in named if each["bootname"] != booted]
        return Slots(str(booted), any(each.get("boot_status") == "good" for each in others))
    except (AttributeError, KeyError, TypeError) as error:
        raise SlotError(f"rauc status says no slots: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Installation:
    """`slot` is written with what is in `bundle`, by the release in `booted`."""

    slot: str
    booted: str
    bundle: Path


def installation(environment: Mapping[str, str]) -> Installation:
    """As RAUC tells its handlers. Raises `SlotError`."""
    numbers = environment.get("RAUC_TARGET_SLOTS", "").split()
    names = [name for number in numbers if (name := environment.get(f"RAUC_SLOT_BOOTNAME_{number}"))]
    booted, bundle = (environment.get(f"RAUC_{name}") for name in ("CURRENT_BOOTNAME", "BUNDLE_MOUNT_POINT"))
    if len(names) != 1 or not booted or not bundle:
        raise SlotError(f"RAUC installs into slots {names}, from slot {booted}, what is in {bundle}")
    return Installation(names[0], booted, Path(bundle))


def slots() -> Slots:
    """Raises `SlotError`."""
    try:
        return slots_of(json.loads(_ask("rauc", "status", "--output-format=json")))
    except json.JSONDecodeError as error:
        raise SlotError(f"rauc status: {error}") from error


def mark(what: Mark) -> None:
    """Raises `SlotError`."""
    _ask("rauc", "status", *what.value.split())


def reboot() -> None:
    """Raises `SlotError`."""
    _ask("systemctl", "--no-block", "reboot")


def service_state() -> str:
    """How the service does, in one line; without patient data, as its log is."""
    asked = ("ActiveState", "SubState", "NRestarts")
    rows = _ask("systemctl", "show", UNIT, f"--property={','.join(asked)}").splitlines()
    found = dict(row.partition("=")[::2] for row in rows)
    said = _ask("journalctl", f"--unit={UNIT}", "--lines=1", "--output=cat", "--no-pager").strip()
    state = f"{UNIT} is {found.get('ActiveState')} ({found.get('SubState')}), restarted {found.get('NRestarts')} times"
    return printable(f"{state}; last it said: {said}" if said else state)


def _ask(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlotError(f"{' '.join(words)}: {error}") from error
    if done.returncode:
        raise SlotError(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
