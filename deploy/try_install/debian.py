"""A fresh Debian and the wheels of the lock file, made once and kept in build/."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "try-install"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd", "systemd-timesyncd", "python3", "python3-venv",
    "nftables", "iproute2", "openssh-server", "openssh-client",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Release:
    name: str
    python: str


RELEASES = {each.name: each for each in (Release("bookworm", "3.11"), Release("trixie", "3.13"))}


class CannotTry(Exception):
    """What is missing on this machine, or what could not be fetched."""


def fresh_tree(release: Release) -> Path:
    """A tree of its own, unpacked anew. Raises `CannotTry`."""
    archive = FOLDER / f"{release.name}.tar"
    if not archive.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        unfinished = archive.with_suffix(".new.tar")
        include = f"--include={','.join(PACKAGES)}"
        _run("mmdebstrap", "--quiet", "--variant=minbase", include, release.name, str(unfinished), MIRROR)
        unfinished.rename(archive)
    tree = FOLDER / release.name
    _run("rm", "-rf", "--one-file-system", str(tree))
    tree.mkdir()
    with tarfile.open(archive) as packed:  # without devices: the container has its own
        packed.extractall(tree, members=(each for each in packed if not each.isdev()), filter="fully_trusted")
    return tree


def wheels(release: Release) -> Path:
    """What the lock file names, for the Python of that release."""
    folder = FOLDER / f"wheels-{release.python}"
    lock = ROOT / "requirements.lock"
    stamp = folder / "lock"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        platforms = [f"--platform=manylinux{each}_x86_64" for each in ("2014", "_2_17", "_2_27", "_2_28")]
        of_python = ["--only-binary=:all:", f"--python-version={release.python}", *platforms]
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        _run(*pip, "--require-hashes", "--requirement", str(lock), "--dest", str(folder), *of_python)
        stamp.write_bytes(lock.read_bytes())
    return folder


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotTry(f"{command[0]}: {error.strerror or error}") from error
    if done.returncode:
        raise CannotTry(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
