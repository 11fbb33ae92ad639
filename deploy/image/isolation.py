"""Programs of the device's own tree, run in it: in mount and process namespaces of their own, so that nothing stays
mounted here, and for a foreign processor through qemu-user, registered in a user namespace that ends with the build."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.image.architecture import Architecture
from deploy.image.commands import run
from deploy.image.steps import CannotBuild

BINFMT = Path("/proc/sys/fs/binfmt_misc")
INTERPRETER = "/usr/bin/qemu-aarch64-static"
# What an AArch64 ELF program begins with, as qemu's own registration has it; F: the interpreter is opened here and now,
# so that it is found from inside the tree.
ELF_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
ELF_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
USERS = 65536
MARK = "SPECULAR_IMAGE_NAMESPACE"
WAIT_FOR_MAP = 'read go; exec unshare --mount --pid --fork --kill-child --mount-proc -- "$@" </dev/null'
IN_TREE = """set -e
tree=$1 guest=$2; shift 2
mount --rbind /dev "$tree/dev"
mount -t proc proc "$tree/proc"
if [ -n "$guest" ]; then mount --bind "$guest" "$tree$GUEST"; fi
exec chroot "$tree" "$@"
"""
GUEST = "/mnt"


def is_foreign(architecture: Architecture) -> bool:
    return platform.machine() != architecture.machine


def run_in_namespace(command: Sequence[str]) -> int:
    """Run `command` in namespaces of its own, every user mapped to itself; returns its exit status.

    Since Linux 6.7 each user namespace has a binfmt_misc of its own. unshare itself maps more than one user only by
    /etc/subuid; root may write the map directly.
    """
    words = ["unshare", "--user", "--", "sh", "-c", WAIT_FOR_MAP, "sh", *command]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with subprocess.Popen(words, stdin=subprocess.PIPE, env={**os.environ, MARK: "1"}) as child, ended_with_us(child):
        process = Path(f"/proc/{child.pid}")
        while (process / "ns/user").readlink() == Path("/proc/self/ns/user").readlink():
            if child.poll() is not None:
                raise CannotBuild("no user namespace can be made here: unshare --user")
            time.sleep(0.01)
        for kind in ("uid_map", "gid_map"):
            (process / kind).write_text(f"0 0 {USERS}\n")
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.close()
        return child.wait()


@contextmanager
def ended_with_us(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Nothing goes on in the namespace when we are interrupted: its first process takes all others with it."""
    try:
        yield
    except BaseException:
        child.kill()
        raise


def in_namespace() -> bool:
    return MARK in os.environ


def register_interpreter(log: Path) -> None:
    """Programs of AArch64 run from now on, in this namespace alone. Raises `CannotBuild`."""
    run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], log)
    (BINFMT / "register").write_text(f":specular-aarch64:M::{ELF_MAGIC}:{ELF_MASK}:{INTERPRETER}:F")


def run_inside(
    tree: Path,
    command: Sequence[str | Path],
    log: Path,
    *,
    variables: Mapping[str, str] | None = None,
    guest: Path | str = "",
) -> None:
    """A program of the tree, run in it as root; it finds the folder `guest` at `GUEST`. Raises `CannotBuild`."""
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", IN_TREE, "sh", tree, guest, *command]
    run(words, log, variables={**(variables or {}), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GUEST": GUEST})
