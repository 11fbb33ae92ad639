"""Build the machine, boot it, run the tests in it, tell what they said.

    ./deploy/kernel-bench [--timeout-s 600] [--keep] [PYTEST OPTION ...]

Exit status 0: all passed; 1: something failed; 2: the machine could not be built; 3: it did not come to an end.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from deploy.kernel_bench.archive import Initramfs
from deploy.kernel_bench.contents import ROOT, fill
from deploy.kernel_bench.kernel import KernelError, fetch, unpack

QEMU = "qemu-system-x86_64"
FOLDER = ROOT / "build" / "kernel-bench"
# Python wants random numbers before there is a /dev: none for its hashes, and a processor that makes some.
# Nehalem has what numpy needs (x86-64-v2) and, unlike `max`, never faulted under two emulated processors.
MACHINE = ["-machine", "q35", "-accel", "tcg,tb-size=256", "-cpu", "Nehalem,+rdrand", "-smp", "2", "-m", "1536"]
PLAIN = ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-monitor", "none"]
KERNEL_OPTIONS = "console=ttyS0 loglevel=3 panic=-1 mitigations=off random.trust_cpu=on PYTHONHASHSEED=0"
END = re.compile(rb"guest: exit status (\d+)")


def say(words: str) -> None:
    print(f"deploy/kernel-bench: {words}", file=sys.stderr, flush=True)


def build(initramfs: Path) -> Path:
    """The kernel image and beside it the initramfs; returns the image's path."""
    package = fetch(FOLDER)
    kernel = unpack(package)
    image = FOLDER / "vmlinuz"
    image.write_bytes(kernel.image)
    with initramfs.open("wb") as file, Initramfs(file) as archive:
        fill(archive, kernel)
    say(f"{package.name}, modules {', '.join(kernel.modules)}; initramfs of {archive.size / 2**20:.0f} MiB")
    return image


def boot(image: Path, initramfs: Path, timeout_s: float, options: list[str]) -> int:
    """Run the machine to its end; everything that it says goes to our output. Its exit status, 3 without one."""
    chosen = f" specular.pytest={','.join(option.replace(' ', '%20') for option in options)}" if options else ""
    command = [QEMU, *MACHINE, *PLAIN, "-kernel", str(image), "-initrd", str(initramfs)]
    command += ["-append", KERNEL_OPTIONS + chosen]
    status = 3
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout-s", type=float, default=600.0, help="the machine is stopped after so long")
    parser.add_argument("--keep", action="store_true", help="leave the initramfs where it was built")
    arguments, options = parser.parse_known_args()
    if platform.machine() != "x86_64":
        say(f"the machine is an x86-64 one and takes this Python with it: not on {platform.machine()}")
        return 2
    if shutil.which(QEMU) is None:
        say(f"{QEMU} is not here; on Debian: apt install --no-install-recommends qemu-system-x86 seabios")
        return 2
    began_s = time.monotonic()
    initramfs = FOLDER / "initramfs"
    try:
        image = build(initramfs)
    except KernelError as error:
        say(str(error))
        return 2
    built_s = time.monotonic()
    status = boot(image, initramfs, arguments.timeout_s, options)
    if not arguments.keep:
        initramfs.unlink()
    verdict = {0: "everything passed", 3: "the machine came to no end"}.get(status, f"pytest ended with {status}")
    say(f"{verdict}; built in {built_s - began_s:.0f} s, ran for {time.monotonic() - built_s:.0f} s")
    return status if status in (0, 3) else 1


if __name__ == "__main__":
    sys.exit(main())
