"""Record exams in a virtual machine, cut the power at some hundred moments, and look for what was lost.

    ./deploy/power-cuts [--states 300] [--exams 10] [--seed 1] [--synchronous NORMAL]

Exit status 0: nothing acknowledged was lost, or of the control, NORMAL or OFF, something was; 1: it was not so;
2: the machine could not be built; 3: the exams in it did not come to their end.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from deploy.power_cuts.cut_states import choose_cuts
from deploy.power_cuts.examination import Examination, Examined
from deploy.power_cuts.file_system import FileSystemError, require_programs
from deploy.power_cuts.recording import NotRecorded, Recording
from deploy.power_cuts.verdict import failures, is_whole, table
from deploy.power_cuts.write_log import BadLog, read_write_log
from deploy.virtual_machine.machine import NO_END, CannotBuild


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
    parser.add_argument("--timeout-s", type=float, default=900.0, help="the machine is stopped after so long")
    parser.add_argument("--recording", type=Path, help="a folder to keep the recording in, or to find it in again")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    folder = chosen.recording or Path(tempfile.mkdtemp(prefix="specular-power-cuts-"))
    folder.mkdir(parents=True, exist_ok=True)
    recording = Recording(folder)
    try:
        require_programs()
        began_s = time.monotonic()
        if not recording.is_there:
            recording.record(chosen.exams, chosen.synchronous, chosen.timeout_s, say)
        recorded_s = time.monotonic()
        examined = examine(recording, chosen.states, chosen.seed)
        ended_s = time.monotonic()
    except (CannotBuild, FileSystemError) as error:
        say(str(error))
        return 2
    except (NotRecorded, BadLog) as error:
        say(str(error))
        return NO_END
    finally:
        if chosen.recording is None:
            shutil.rmtree(folder)
    print(table(examined))
    say(f"recorded in {recorded_s - began_s:.0f} s, examined in {ended_s - recorded_s:.0f} s")
    if len(examined) < chosen.states:
        say(f"the recording has only {len(examined)} different cuts: more --exams give more")
        return 1
    return verdict(examined, chosen.synchronous)


def examine(recording: Recording, states: int, seed: int) -> list[Examined]:
    log = read_write_log(recording.log.read_bytes())
    flushes = sum(1 for entry in log.entries if entry.is_flush)
    examination = Examination(
        log, bytearray(recording.before.read_bytes()), choose_cuts(log, states, random.Random(seed))
    )
    say(f"{len(log.entries)} writes and flushes, {flushes} of them flushes; {len(examination.told)} acknowledgements")
    return list(examination.run())


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
