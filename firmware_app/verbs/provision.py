"""Verbs of the device image: taking the provisioning file, and what the device says of itself on its console."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs

DEFAULT_FILE = Path("/boot/specular-provision.toml")
UNITS = {"instrument": "specular.service", "network login": "ssh.service"}


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "provision", "take keys, name, network and configuration from the boot partition")
    _add_places(verb)
    verb.add_argument("--apply", action="store_true", help="set the host name, too")
    verb.set_defaults(run=provision)
    verb = add_verb(verbs, "device-status", "what the device is and what it misses, as its console shows it")
    _add_places(verb)
    verb.set_defaults(run=device_status)


def _add_places(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--file", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"default: {DEFAULT_FILE}")
    verb.add_argument("--data", type=Path, default=Path("/data"), metavar="DIR", help="the data partition's folder")


def provision(arguments: argparse.Namespace) -> int:
    """A device without a file starts, too: what is missing is said, and that is no failure."""
    from firmware_app.device.provisioning import ProvisionError
    from firmware_app.device.provisioning_files import STAMP, take

    file: Path = arguments.file
    status = EXIT_DONE
    if file.exists():
        try:
            if take(file, arguments.data):
                print(f"specular provision: {file.name} taken")
        except ProvisionError as error:
            status = EXIT_FAILED
            for problem in error.problems:
                print(f"specular provision: {problem}", file=sys.stderr)
    elif not (arguments.data / "config" / STAMP).exists():
        print(f"specular provision: no {file}: no network login and no examination until there is one", file=sys.stderr)
    if arguments.apply:
        _set_host_name(arguments.data / "config" / "system.toml")
    return status


def _set_host_name(settings_file: Path) -> None:
    from firmware_app.device.system_settings import SettingsError, read_settings

    if not settings_file.exists():
        return
    try:
        name = read_settings(settings_file).system.host_name
    except SettingsError as error:
        print(f"specular provision: {error}", file=sys.stderr)
        return
    if name:
        socket.sethostname(name)


def device_status(arguments: argparse.Namespace) -> int:
    from firmware_app.device.condition import lines_of, look

    states = {name: _unit_state(unit) for name, unit in UNITS.items()}
    print("\n".join(lines_of(look(arguments.data, arguments.file, states))))
    return EXIT_DONE


def _unit_state(unit: str) -> str:
    """As systemd has it: active, inactive, failed, activating."""
    asked = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
