"""Record exams on the built image in its virtual machine, cut the power at some hundred moments, look what was lost.

    ./deploy/power-cuts [--states 300] [--exams 10] [--seed 1] [--synchronous NORMAL] [--image FILE]

Exit status 0: nothing acknowledged was lost, or of the control, NORMAL or OFF, something was; 1: it was not so;
2: a program or the image is missing; 3: the exams in the machine did not come to their end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.device_test.bench import Bench
from deploy.image.commands import need
from deploy.image.machine import BUSY_HOST_HELP
from deploy.image.qmp import MonitorError
from deploy.image.steps import CannotBuild
from deploy.image.vm import MachineError
from deploy.power_cuts.examination import Examined, examine_recording
from deploy.power_cuts.file_system import FileSystemError, require_programs
from deploy.power_cuts.operator import Refused
from deploy.power_cuts.recording import Recording
from deploy.power_cuts.verdict import failures, is_whole, table
from deploy.power_cuts.write_log import BadLog
from firmware_app.demo.console_link import CommandRefused
from firmware_app.demo.processes import DemoFailed, signals_as_interrupts

IMAGE = Path(__file__).resolve().parents[2] / "build" / "image" / "amd64" / "disk.img"
NO_END = 3


def say(words: str) -> None:
    print(f"deploy/power-cuts: {words}", file=sys.stderr, flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=300, help="how many power cuts (default 300)")
    parser.add_argument("--exams", type=int, default=10, help="performed in the machine (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="which cuts of a recording are taken (default 1)")
    parser.add_argument(
        "--synchronous",
        choices=("FULL", "NORMAL", "OFF"),
        default="FULL",
        help="of the service's database: FULL, the default, as in the product, the others as control",
    )
    parser.add_argument("--busy-host", action="store_true", help=BUSY_HOST_HELP)
    parser.add_argument("--image", type=Path, default=IMAGE, metavar="FILE", help="the disk image, not packed")
    parser.add_argument("--recording", type=Path, help="a folder to keep the recording in, or to find it in again")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    folder = chosen.recording or Path(tempfile.mkdtemp(prefix="specular-power-cuts-"))
    recording = Recording(folder)
    try:
        require_programs()
        began_s = time.monotonic()
        if not recording.is_there:
            with signals_as_interrupts():
                record(recording, chosen)
        recorded_s = time.monotonic()
        examined = examine_recording(recording, chosen.states, chosen.seed, say)
        ended_s = time.monotonic()
    except (CannotBuild, FileSystemError) as error:
        say(str(error))
        return 2
    except (MachineError, MonitorError, DemoFailed, CommandRefused, Refused, BadLog) as error:
        say(str(error))
        return NO_END
    finally:
        if chosen.recording is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(examined))
    say(f"recorded in {recorded_s - began_s:.0f} s, examined in {ended_s - recorded_s:.0f} s")
    if len(examined) < chosen.states:
        say(f"the recording has only {len(examined)} different cuts: more --exams give more")
        return 1
    return verdict(examined, chosen.synchronous)


def record(recording: Recording, chosen: argparse.Namespace) -> None:
    """From a boot of its own."""
    if not chosen.image.exists():
        raise CannotBuild(f"{chosen.image} is not here: deploy/build-image amd64")
    need("qemu-system-x86_64", "qemu-img", "mcopy", "sfdisk")
    with tempfile.TemporaryDirectory(prefix="specular-vm-") as short:
        bench = Bench(chosen.image.resolve(), Path(short), say, busy_host=chosen.busy_host)
        try:
            bench.start()
            recording.record(bench, chosen.exams, chosen.synchronous, say)
        finally:
            bench.machine.kill()


def verdict(examined: list[Examined], synchronous: str) -> int:
    lost = sum(1 for each in examined if each.survivors.lost)
    if synchronous != "FULL":
        say(f"the control, synchronous={synchronous}: {lost} of {len(examined)} states lost something")
        return 0 if lost else 1
    broken = [each for each in examined if not is_whole(each)]
    for line in failures(broken):
        print(line)
    say(f"{len(broken)} states are not whole" if broken else "nothing acknowledged was lost")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
