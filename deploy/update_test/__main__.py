"""Updates of the built image in a virtual machine, each case with its time.

    ./deploy/update-test amd64|arm64 [--short] [--case NAME ...] [--busy-host] [--folder DIR]

Exit status: 0 all is as promised; 1 something is not; 2 the machine could not be made.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.image.commands import need
from deploy.image.machine import BUSY_HOST_HELP, INSTRUCTION_CLOCK
from deploy.image.qmp import MonitorError
from deploy.image.signing import signing_keys
from deploy.image.steps import CannotBuild
from deploy.image.virtual_device import virtual_device
from deploy.image.vm import MachineError
from deploy.update_test.cases import LONG, SHORT, Bench, Case
from deploy.update_test.device import Device, NotAsPromised
from deploy.update_test.releases import Bundles
from firmware_app.demo.processes import DemoFailed, signals_as_interrupts

ROOT = Path(__file__).resolve().parents[2]
QEMU = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
BEGAN_S = time.monotonic()


def say(words: str) -> None:
    print(f"deploy/update-test {time.monotonic() - BEGAN_S:6.1f} s: {words}", flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/update-test", description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=sorted(QEMU))
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(each.__name__ for each in SHORT)}")
    names = [each.__name__ for each in LONG]
    parser.add_argument("--case", choices=names, action="append", help="only these, in their order")
    parser.add_argument("--image", type=Path, default=ROOT / "build" / "image", metavar="DIR", help="what was built")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep disk, console and logs here (a short path)")
    parser.add_argument("--busy-host", action="store_true", help=BUSY_HOST_HELP)
    return parser.parse_args()


def main() -> int:
    chosen = options()
    cases = [case for case in LONG if case.__name__ in chosen.case] if chosen.case else SHORT if chosen.short else LONG
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="specular-update-"))
    try:
        test(chosen, folder, cases)
    except CannotBuild as error:
        say(str(error))
        return 2
    except (NotAsPromised, MachineError, MonitorError, DemoFailed, subprocess.TimeoutExpired) as error:
        say(f"FAILED: {error}")
        return 1
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"{len(cases)} cases passed")
    return 0


def test(chosen: argparse.Namespace, folder: Path, cases: Sequence[Case]) -> None:
    """Raises what `main` turns into an exit status."""
    built, architecture = chosen.image, chosen.architecture
    if os.geteuid() != 0:
        raise CannotBuild("needs root: the files of a release belong to its users")
    need(QEMU[architecture], "qemu-img", "mcopy", "mksquashfs", "rauc", "openssl")
    image = built / architecture / "disk.img"
    if not image.exists():
        raise CannotBuild(f"{image} is not here: deploy/build-image {architecture}")
    work = built.parent / "update-test" / architecture
    work.mkdir(parents=True, exist_ok=True)
    log = work / "log"
    keys = signing_keys((None, None, None), built / "development-keys", log)
    bundles = Bundles(built / architecture, work, architecture, keys, log)
    others = signing_keys((None, None, None), work / "other-keys", log)
    with signals_as_interrupts(), virtual_device(image.resolve(), architecture, folder) as device:
        machine = device.machine
        if chosen.busy_host:
            machine.settings = dataclasses.replace(machine.settings, more=INSTRUCTION_CLOCK)
        bench = Bench(machine, Device(machine), bundles, others, say)
        began_s = time.monotonic()
        machine.start()
        say(f"starting; its serial console: {machine.settings.console}")
        bench.device.wait_until_up()
        say(f"a login answers {time.monotonic() - began_s:.0f} s after the power came")
        for case in cases:
            began_s = time.monotonic()
            case(bench)
            say(f"{case.__name__}: as promised, {time.monotonic() - began_s:.0f} s")
        machine.kill()


if __name__ == "__main__":
    sys.exit(main())
