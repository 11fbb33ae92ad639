"""Outside programs: what they say goes to a log, and to the error where they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.image.steps import CannotBuild

# Debian keeps mke2fs, sfdisk and their like where an ordinary user's PATH does not lead.
ADMINISTRATORS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
LAST_LINES = 15

# Program -> Debian's package.
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "mke2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mformat": "mtools",
    "bmaptool": "bmap-tools",
    "rauc": "rauc",
    "openssl": "openssl",
    "zstd": "zstd",
    "xz": "xz-utils",
    "grub-mkstandalone": "grub-common grub-efi-amd64-bin",
    "mkimage": "u-boot-tools",
    "qemu-aarch64-static": "qemu-user-static",
    "arch-test": "arch-test",
    "qemu-system-x86_64": "qemu-system-x86 ovmf",
    "qemu-system-aarch64": "qemu-system-arm u-boot-qemu",
    "qemu-img": "qemu-utils",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "mcopy": "mtools",
}


def environment(**more: str) -> dict[str, str]:
    """Ours without what would change the result, and with the administrators' programs on the path."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR", "http_proxy", "https_proxy") if name in os.environ}
    path = [*os.environ.get("PATH", "/usr/bin:/bin").split(":"), *ADMINISTRATORS]
    return {**kept, "PATH": ":".join(dict.fromkeys(path)), "LC_ALL": "C.UTF-8", "TZ": "UTC", **more}


def need(*programs: str) -> None:
    """Raises `CannotBuild` with all that is missing at once."""
    path = environment()["PATH"]
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    if missing:
        packages = " ".join(dict.fromkeys(PACKAGES[program] for program in missing))
        raise CannotBuild(f"not here: {', '.join(missing)}; on Debian: apt install --no-install-recommends {packages}")


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    variables: Mapping[str, str] | None = None,
    given: bytes = b"",
    folder: Path | None = None,
) -> None:
    """Raises `CannotBuild` with the last lines of what it said."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("ab") as file:
        start = file.tell()
        file.write(f"$ {' '.join(words)}\n".encode())
        file.flush()
        status = subprocess.run(
            words, input=given, stdout=file, stderr=file, env=environment(**(variables or {})), cwd=folder, check=False
        ).returncode
    if status:
        with log.open("rb") as file:
            file.seek(start)
            last = file.read().decode(errors="backslashreplace").splitlines()[-LAST_LINES:]
        raise CannotBuild("\n    ".join([f"{words[0]} ended with {status}; all that it said is in {log}:", *last]))


def output(command: Sequence[str | Path], *, variables: Mapping[str, str] | None = None) -> str:
    """What a program printed. Raises `CannotBuild`."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(**(variables or {})), check=False)
    if done.returncode:
        raise CannotBuild(f"{' '.join(words[:4])} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout
