"""Boot the built image on this machine, with a simulated instrument on its USB and a hospital as its only peer.

    ./deploy/run-vm [--arch amd64|arm64] [--image FILE] [--camera serial|vivid] [--seed N]

Exit status: 0 ended by Ctrl-C, or switched off in the machine; 1 it did not come up, the reason on stderr.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from deploy.image.commands import need
from deploy.image.qmp import MonitorError
from deploy.image.steps import CannotBuild
from deploy.image.virtual_device import Options, VirtualDevice, virtual_device
from deploy.image.vm import MachineError
from firmware_app.demo.processes import DemoFailed, signals_as_interrupts

ROOT = Path(__file__).resolve().parents[2]
HERE = {"x86_64": "amd64", "aarch64": "arm64"}


def say(words: str) -> None:
    print(f"deploy/run-vm: {words}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/run-vm", description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=("amd64", "arm64"), default=HERE.get(platform.machine(), "amd64"))
    parser.add_argument("--image", type=Path, metavar="FILE", help="a disk image, not packed (default: build/image/)")
    parser.add_argument("--camera", choices=("serial", "vivid"), default="serial")
    parser.add_argument("--seed", type=int, default=1, help="which pair of eyes the simulated instrument sees")
    parser.add_argument("--timeout-s", type=float, default=300.0, help="how long the start may take")
    arguments = parser.parse_args()
    image = arguments.image or ROOT / "build" / "image" / arguments.arch / "disk.img"
    options = Options(camera=arguments.camera, instrument=("--seed", str(arguments.seed)))
    try:
        if not image.exists():
            raise CannotBuild(f"{image} is not here: deploy/build-image {arguments.arch}")
        need("qemu-system-x86_64" if arguments.arch == "amd64" else "qemu-system-aarch64", "qemu-img", "mcopy")
        with (
            signals_as_interrupts(),
            tempfile.TemporaryDirectory(prefix="specular-vm-") as folder,
            virtual_device(image.resolve(), arguments.arch, Path(folder), options) as device,
            suppress(KeyboardInterrupt),
        ):
            run(device, arguments.timeout_s)
    except (CannotBuild, MachineError, MonitorError, DemoFailed) as error:
        print(f"deploy/run-vm: {error}", file=sys.stderr)
        return 1
    return 0


def run(device: VirtualDevice, timeout_s: float) -> None:
    """Raises `MachineError`."""
    machine = device.machine
    began_s = time.monotonic()
    machine.start()
    say(f"starting; its serial console: {machine.settings.console}")
    machine.wait_for_ssh(timeout_s)
    say(f"it answers after {time.monotonic() - began_s:.0f} s")
    machine.set_clock()
    say(f"the instrument's console: {shlex.join(machine.ssh_command('service'))}")
    say(f"a shell:                  {shlex.join(machine.ssh_command('admin'))}")
    say(f"the archive's files:      {device.folder / 'archive'}")
    say("Ctrl-C ends it, and forgets all of it")
    while machine.is_running:
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
