"""What of Debian's packages stays on the device: it installs nothing, shows no manual, and knows its own hardware."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

MODULE_LIST = Path(__file__).parent / "kernel-modules.txt"
UNUSED_LIST = Path(__file__).parent / "unused.txt"
KEPT = ("usr/bin/grub-editenv",)
# Units that Debian's packages start and the device has no use for.
UNWANTED_UNITS = (
    "grub-common.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "remote-fs.target", "getty@tty1.service", "ssh-agent.socket",
)  # fmt: skip
MODULE_SUFFIX = re.compile(r"\.ko(\.(xz|zst|gz))?$")


def listed(text: str) -> list[str]:
    """The lines of a list, without comments."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


def module_name(path: str) -> str:
    """As the kernel has it: a file's - is a module's _."""
    return MODULE_SUFFIX.sub("", path.rpartition("/")[2]).replace("-", "_")


def wanted_modules(text: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """The files to keep: those of the list and all they need. `needs` is modules.dep, file -> files."""
    lines = listed(text)
    names = {line.replace("-", "_") for line in lines if not line.endswith("/")}
    folders = tuple(line for line in lines if line.endswith("/"))
    kept: set[str] = set()
    for file, needed in needs.items():
        if module_name(file) in names or (folders and file.startswith(folders)):
            kept |= {file, *needed}
    return kept


def read_needs(text: str) -> dict[str, list[str]]:
    """modules.dep: one line a module, `file: needed needed`."""
    return {file: needed.split() for file, _, needed in (line.partition(":") for line in text.splitlines())}


def trim_modules(tree: Path) -> int:
    """Returns how many stay. The caller runs depmod."""
    (folder,) = (tree / "usr/lib/modules").iterdir()
    kept = wanted_modules(MODULE_LIST.read_text(), read_needs((folder / "modules.dep").read_text()))
    for path in sorted((folder / "kernel").rglob("*.ko*")):
        if str(path.relative_to(folder)) not in kept:
            path.unlink()
    for path in sorted((folder / "kernel").rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return len(kept)


def remove_unused(tree: Path) -> None:
    kept = {tree / path for path in KEPT}
    for pattern in listed(UNUSED_LIST.read_text()):
        for path in sorted(tree.glob(pattern)):
            if path in kept:
                continue
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for unit in UNWANTED_UNITS:
        for link in sorted((tree / "etc/systemd").rglob(unit)):
            link.unlink()


def remove_bytecode(tree: Path) -> None:
    """What Debian's packages compiled bears the times of their files, which differ from build to build."""
    for folder in sorted(tree.rglob("__pycache__")):
        shutil.rmtree(folder)
