"""Try the built image as a device: every case of tests/device, each from the snapshot of one boot.

    ./deploy/device-test [--image FILE] [--bench DIR] [--long] [--busy-host] [PYTEST OPTION ...]

Exit status 0: all passed; 1: something failed; 2: there is no image, or a program is missing.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from pathlib import Path

import pytest

from deploy.image.commands import need
from deploy.image.machine import BUSY_HOST_HELP
from deploy.image.steps import CannotBuild

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "build" / "image" / "amd64" / "disk.img"
CASES = ROOT / "tests" / "device"
# Nothing of the suite's own settings: a case takes minutes, not the 120 s at most of a test there, and nothing runs
# beside it; what it prints is the result.
OPTIONS = ("-c", os.devnull, f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:trio",
           "-s", "-v", "-ra", "--tb=short", "--strict-markers", "--durations=0", "--durations-min=1")  # fmt: skip


def say(words: str) -> None:
    print(f"deploy/device-test: {words}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, default=IMAGE, metavar="FILE", help="the disk image, not packed")
    parser.add_argument("--long", action="store_true", help="a sample of tests/io under the image's Python, too")
    parser.add_argument("--bench", type=Path, metavar="DIR", help="keep the booted device there, for the next run")
    parser.add_argument("--busy-host", action="store_true", help=BUSY_HOST_HELP)
    arguments, others = parser.parse_known_args()
    began_s = time.monotonic()
    try:
        check(arguments.image)
    except CannotBuild as error:
        say(str(error))
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: no machine is left behind
        signal.signal(number, signal.default_int_handler)
    words = [*OPTIONS, f"--image={arguments.image.resolve()}", *(["--long"] * arguments.long)]
    words += [*(["--busy-host"] * arguments.busy_host), *others]
    words += [f"--bench={arguments.bench.resolve()}"] if arguments.bench else []
    status = pytest.main([*words, str(CASES)])
    say(f"{'everything passed' if status == 0 else 'not everything passed'} in {time.monotonic() - began_s:.0f} s")
    return 1 if status else 0


def check(image: Path) -> None:
    """Raises `CannotBuild`."""
    if platform.machine() != "x86_64":
        raise CannotBuild(f"the virtual machine has this processor's kind, x86-64, not {platform.machine()}")
    if os.geteuid() != 0:
        raise CannotBuild("needs root: a tree of files of many users is booted in a container, too")
    if not image.exists():
        raise CannotBuild(f"{image} is not here: deploy/build-image amd64")
    need("qemu-system-x86_64", "qemu-img", "mcopy", "systemd-nspawn", "debugfs", "ssh", "ssh-keygen")


if __name__ == "__main__":
    sys.exit(main())
