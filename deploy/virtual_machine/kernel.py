"""Debian's kernel and the modules a bench needs, out of the package of the host's own suite; none is installed."""

from __future__ import annotations

import lzma
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

META_PACKAGE = "linux-image-amd64"
MAX_MODULE_BYTES = 64 * 2**20


class KernelError(Exception):
    """The kernel cannot be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """`modules` in the order in which they can be loaded."""

    version: str
    image: bytes
    modules: dict[str, bytes]


def fetch(folder: Path) -> Path:
    """The package file, downloaded by apt unless it is there already."""
    depends = _run("apt-cache", "depends", "--no-recommends", "--no-suggests", META_PACKAGE)
    names = [line.split()[-1] for line in depends.splitlines() if line.strip().startswith("Depends: linux-image-")]
    if not names:
        raise KernelError(f"{META_PACKAGE} names no kernel: run apt-get update, on Debian for amd64")
    folder.mkdir(parents=True, exist_ok=True)
    there = sorted(folder.glob(f"{names[0]}_*.deb"))
    if not there:
        _run("apt-get", "download", names[0], cwd=folder)
        there = sorted(folder.glob(f"{names[0]}_*.deb"))
    return there[-1]


def unpack(package: Path, wanted: Sequence[str]) -> Kernel:
    """Read the image, the `wanted` modules, and what these say that they need."""
    files: dict[str, bytes] = {}
    image, version = b"", ""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        with tarfile.open(fileobj=reading.stdout, mode="r|") as archive:
            for member in archive:
                path = Path(member.name)
                if member.isfile() and path.name.startswith("vmlinuz-"):
                    image, version = _content(archive, member), path.name.removeprefix("vmlinuz-")
                elif member.isfile() and ".ko" in path.suffixes:
                    files[module_name(path)] = _content(archive, member)
    if not image or not set(wanted) <= files.keys():
        missing = ", ".join(sorted({"vmlinuz"} - {"vmlinuz" if image else ""} | set(wanted) - files.keys()))
        raise KernelError(f"{package.name} has no {missing}")
    modules: dict[str, bytes] = {}
    for name in wanted:
        add_with_needs(name, files, modules)
    return Kernel(version, image, modules)


def module_name(path: Path) -> str:
    return path.name.partition(".ko")[0].replace("-", "_")


def needs_of(module: bytes) -> list[str]:
    """The `depends=` line that modpost writes into a module's .modinfo."""
    start = module.find(b"\0depends=")
    if start < 0:
        return []
    words = module[start + len(b"\0depends=") :].partition(b"\0")[0].decode()
    return [word.replace("-", "_") for word in words.split(",") if word]


def add_with_needs(name: str, files: dict[str, bytes], ordered: dict[str, bytes]) -> None:
    if name in ordered or name not in files:  # built into the kernel
        return
    module = lzma.decompress(files[name]) if files[name].startswith(b"\xfd7zXZ") else files[name]
    for needed in needs_of(module):
        add_with_needs(needed, files, ordered)
    ordered[name] = module


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_MODULE_BYTES:
        return b""
    stream = archive.extractfile(member)
    assert stream is not None
    return stream.read()


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise KernelError(f"{command[0]} is not here: a bench needs Debian's packages") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise KernelError(f"{' '.join(command)}: {said[-1] if said else 'failed'}")
    return done.stdout
