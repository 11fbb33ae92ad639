"""What is done to the machine beside the program: files, users, units, in an order that can be begun anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from deploy.installation.commands import CannotInstall, run, say, succeeds
from deploy.installation.placement import CONFIGURATION, MANIFEST, PROGRAM, UNITS, Placed

SYSTEMD_MIN = 252
NEEDED = {"nft": "nftables", "systemd-sysusers": "systemd", "udevadm": "udev", "ip": "iproute2"}


def check_rights() -> None:
    """Raises `CannotInstall`."""
    if os.geteuid() != 0:
        raise CannotInstall("needs root (sudo deploy/install)")
    if not Path("/run/systemd/system").is_dir():
        raise CannotInstall("systemd does not run here")


def check_machine() -> None:
    """Raises `CannotInstall` naming everything that is missing, and the package that has it."""
    found = int(run("systemctl", "--version").split()[1])
    if found < SYSTEMD_MIN:
        raise CannotInstall(f"systemd {found} is too old: {SYSTEMD_MIN} (Debian 12) or newer")
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if not succeeds("python3", "-c", "import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))"):
        missing.append("python3-venv (3.11 or newer)")
    if missing:
        raise CannotInstall(f"missing here: apt install {' '.join(missing)}")


def place_files(placed: Iterable[Placed]) -> list[Path]:
    """Which ones were not there, or were different."""
    changed = []
    for file in placed:
        octets = file.source.read_bytes()
        if file.target.is_file() and file.target.read_bytes() == octets:
            continue
        file.target.parent.mkdir(parents=True, exist_ok=True)
        file.target.write_bytes(octets)
        file.target.chmod(0o644)
        changed.append(file.target)
    return changed


def place_configuration(given: Path | None) -> bool:
    """Only where there is none: a configuration is data. Whether one was made."""
    target = CONFIGURATION / "specular.toml"
    for folder in (CONFIGURATION, CONFIGURATION / "tls", CONFIGURATION / "ssh"):
        folder.mkdir(mode=0o755, exist_ok=True)
    if target.exists():
        if given is not None and not (given.is_file() and given.read_bytes() == target.read_bytes()):
            say(f"{given} is not taken: there is a configuration already, {target}")
        return False
    if given is not None:
        check_configuration(given)  # a wrong one in its place would keep out the one that is mended
    text = given.read_text() if given is not None else _first_configuration()
    target.write_text(text)
    target.chmod(0o644)
    return True


def check_configuration(path: Path = CONFIGURATION / "specular.toml") -> None:
    """Raises `CannotInstall` with what is wrong in it."""
    run(str(PROGRAM / "bin/specular"), "check-config", str(path))


def _first_configuration() -> str:
    """The interface that the machine itself reaches others by; everything else as it is by default."""
    words = run("ip", "-4", "route", "show", "default").split()
    interface = words[words.index("dev") + 1] if "dev" in words else "eth0"
    return f'# All keys: reference.toml in deploy/examples.\n\n[network]\ninterface = "{interface}"\n'


def set_up(*, has_ssh: bool) -> None:
    """Users, folders, drivers, device names, PAM: each does nothing where it is done already."""
    run("systemd-sysusers", "specular.conf", "specular-people.conf")
    run("systemd-tmpfiles", "--create", "specular.conf")
    shutil.chown(CONFIGURATION / "tls", "root", "specular")
    (CONFIGURATION / "tls").chmod(0o750)
    if not succeeds("systemctl", "restart", "systemd-modules-load.service"):
        say("not every driver of modules-load.d could be loaded: systemctl status systemd-modules-load")
    if shutil.which("pam-auth-update"):
        run("pam-auth-update", "--package", "--enable", "specular")
    if has_ssh:
        run("sshd", "-t")
        run("systemctl", "try-reload-or-restart", "ssh.service")
    run("systemctl", "daemon-reload")
    succeeds("udevadm", "control", "--reload")
    succeeds("udevadm", "trigger", "--subsystem-match=tty", "--subsystem-match=video4linux")


def enable_and_start(*, start: bool) -> None:
    run("systemctl", "enable", *UNITS)
    if start:
        run("systemctl", "restart", "specular-rules.service")
        run("systemctl", "restart", "specular.service")


def write_manifest(placed: Iterable[Placed]) -> None:
    MANIFEST.write_text("".join(f"{file.target}\n" for file in placed))


def placed_before() -> list[Path]:
    """By the last installation, which may have been of another version."""
    return [Path(line) for line in MANIFEST.read_text().splitlines()] if MANIFEST.is_file() else []


def remove_files(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def remove_machine_part(has_ssh: bool) -> None:
    """Units stopped and gone, files gone; users stay, because what is theirs stays."""
    succeeds("systemctl", "disable", "--now", *reversed(UNITS))
    succeeds("nft", "delete", "table", "inet", "specular")
    if shutil.which("pam-auth-update"):
        succeeds("pam-auth-update", "--package", "--remove", "specular")
    remove_files(placed_before())
    for name in ("systemd/system/specular.service.d", "systemd/system/specular-dicom.socket.d", "specular-device"):
        shutil.rmtree(Path("/run") / name, ignore_errors=True)
    Path("/run/udev/rules.d/73-specular-configured.rules").unlink(missing_ok=True)
    run("systemctl", "daemon-reload")
    succeeds("systemctl", "reset-failed", *UNITS)
    succeeds("udevadm", "control", "--reload")
    if has_ssh:
        run("systemctl", "try-reload-or-restart", "ssh.service")
