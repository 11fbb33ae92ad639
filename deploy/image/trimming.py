"""What of Debian's packages stays on the device: it installs nothing, shows no manual, and knows its own hardware."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

MODULE_LIST = Path(__file__).parent / "kernel-modules.txt"
# Paths and patterns of the tree that nothing at run time reads.
UNUSED = (
    "boot/*", "vmlinuz*", "initrd.img*", "packages.tsv",
    "var/lib/dpkg", "var/lib/apt", "var/cache/*", "var/log/*", "var/backups", "var/lib/ucf", "var/lib/systemd/*",
    "usr/share/i18n", "usr/share/locale", "usr/share/man", "usr/share/info", "usr/share/lintian", "usr/share/bug",
    "usr/share/zsh", "usr/share/fish", "usr/share/bash-completion", "usr/share/doc-base", "usr/share/grub",
    "usr/share/perl5/Debconf", "usr/share/polkit-1", "usr/share/pixmaps", "usr/share/applications", "usr/share/gcc",
    "usr/share/gdb", "usr/share/zoneinfo/right", "usr/share/zoneinfo/posix", "usr/share/python3/debpython",
    "usr/lib/python3.13/idlelib", "usr/lib/python3.13/ensurepip", "usr/lib/python3.13/pydoc_data",
    "usr/lib/python3.13/lib2to3", "usr/lib/python3.13/test", "usr/lib/python3.13/turtledemo", "usr/lib/python3.13/tkinter",
    "usr/lib/python3.13/config-3.13-*", "usr/lib/systemd/boot", "usr/lib/grub", "usr/lib/initramfs-tools",
    "usr/share/initramfs-tools", "etc/initramfs-tools", "etc/kernel", "usr/lib/kernel", "etc/apt", "etc/dpkg", "usr/lib/dpkg",
    "etc/ssh/ssh_host_*", "etc/machine-id", "etc/hostname", "etc/resolv.conf", "etc/.pwd.lock", "etc/passwd-", "etc/group-",
    "etc/shadow-", "etc/gshadow-", "etc/subuid*", "etc/subgid*", "etc/cron.*", "etc/grub.d", "etc/default/grub*", "root/.*",
    "usr/bin/grub-*", "usr/sbin/grub-*", "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/gconv",
    "usr/lib/firmware",
)  # fmt: skip
KEPT = ("usr/bin/grub-editenv",)
# Units that Debian's packages start and the device has no use for.
UNWANTED_UNITS = (
    "grub-common.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "remote-fs.target", "getty@tty1.service", "ssh-agent.socket",
)  # fmt: skip
MODULE_SUFFIX = re.compile(r"\.ko(\.(xz|zst|gz))?$")


def module_name(path: str) -> str:
    """As the kernel has it: a file's - is a module's _."""
    return MODULE_SUFFIX.sub("", path.rpartition("/")[2]).replace("-", "_")


def wanted_modules(text: str, needs: Mapping[str, Iterable[str]]) -> set[str]:
    """The files to keep: those of the list and all they need. `needs` is modules.dep, file -> files."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    names = {line.replace("-", "_") for line in lines if line and not line.endswith("/")}
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
    for pattern in UNUSED:
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
