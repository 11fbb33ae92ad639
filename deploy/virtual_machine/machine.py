"""Build a machine and run it to its end."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from deploy.virtual_machine.archive import Initramfs
from deploy.virtual_machine.contents import ROOT, Contents, fill
from deploy.virtual_machine.kernel import KernelError, fetch, unpack

QEMU = "qemu-system-x86_64"
DOWNLOADS = ROOT / "build" / "kernel-bench"
NO_END = 3
# Python wants random numbers before there is a /dev: none for its hashes, and a processor that makes some.
# Nehalem has what numpy needs (x86-64-v2) and, unlike `max`, never faulted under two emulated processors.
MACHINE = ["-machine", "q35", "-accel", "tcg,tb-size=256", "-cpu", "Nehalem,+rdrand", "-smp", "2", "-m", "1536"]
PLAIN = ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-monitor", "none"]
KERNEL_OPTIONS = "console=ttyS0 loglevel=3 panic=-1 mitigations=off random.trust_cpu=on PYTHONHASHSEED=0"
END = re.compile(rb"guest: exit status (\d+)")


class CannotBuild(Exception):
    """This host cannot make the machine; the text says what is missing."""


class Machine:
    """The kernel's image and the initramfs, in `folder`. `built` says of what, in one line."""

    def __init__(self, folder: Path, contents: Contents) -> None:
        """Raises `CannotBuild`."""
        if platform.machine() != "x86_64":
            reason = f"the machine is an x86-64 one and takes this Python with it: not on {platform.machine()}"
            raise CannotBuild(reason)
        if shutil.which(QEMU) is None:
            raise CannotBuild(
                f"{QEMU} is not here; on Debian: apt install --no-install-recommends qemu-system-x86 seabios"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.image, self.initramfs = folder / "vmlinuz", folder / "initramfs"
        try:
            package = fetch(DOWNLOADS)
            kernel = unpack(package, contents.modules)
        except KernelError as error:
            raise CannotBuild(str(error)) from error
        self.image.write_bytes(kernel.image)
        with self.initramfs.open("wb") as file, Initramfs(file) as archive:
            fill(archive, kernel, contents)
        size_mib = archive.size / 2**20
        self.built = f"{package.name}, modules {', '.join(kernel.modules)}; initramfs of {size_mib:.0f} MiB"

    def run(self, timeout_s: float, kernel_words: str = "") -> int:
        """All that it says goes to our output. Returns its first program's status; `NO_END` without one.

        `kernel_words` are for the first program, which finds them in /proc/cmdline.
        """
        command = [QEMU, *MACHINE, *PLAIN, "-kernel", str(self.image), "-initrd", str(self.initramfs)]
        command += ["-append", f"{KERNEL_OPTIONS} {kernel_words}".strip()]
        status = NO_END
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
            late = threading.Timer(timeout_s, machine.kill)
            late.start()
            assert machine.stdout is not None
            for line in machine.stdout:
                sys.stdout.buffer.write(line.replace(b"\r", b""))
                sys.stdout.flush()
                found = END.search(line)
                status = int(found[1]) if found else status
            late.cancel()
        return status

    def remove(self) -> None:
        """Leave nothing large behind."""
        self.initramfs.unlink(missing_ok=True)
