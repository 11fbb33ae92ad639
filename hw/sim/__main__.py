"""`python -m hw.sim`, `specular sim`: the simulated instrument alone, for any host software.

Says in one line of JSON on stdout where it is and what there is to measure, then obeys the fault commands that come on
stdin, answering each with a line. The end of stdin is not its end; SIGTERM and SIGINT are.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import trio

from hw.sim.instrument import COMMANDS, InstrumentPorts, SimSettings, SimulatedInstrument, stage_config
from hw.sim.stage_kinds import KINDS

COMMAND_BYTES: Final = 1000
GUTTAE_MAX_PERCENT: Final = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="specular sim", description=f"Simulated instrument. On stdin: {COMMANDS}.")
    parser.add_argument(
        "--seed", type=int, default=1, help="which pair of eyes, and where the stage stands (default 1)"
    )
    parser.add_argument("--link-dir", type=Path, metavar="DIR", help="put the links `stage` and `camera` here")
    parser.add_argument("--no-camera", action="store_true", help="the stage alone")
    parser.add_argument("--stage", choices=KINDS, default="grbl", help="whose firmware moves the stage (default grbl)")
    parser.add_argument("--restless", action="store_true", help="a patient who blinks and looks about")
    parser.add_argument("--guttae", type=_percent, default=0.0, metavar="PERCENT", help="of the area (default 0)")
    parser.add_argument(
        "--as-hardware",
        action="store_true",
        help="do not say that it is a simulator: for a virtual machine that has it on its USB",
    )
    arguments = parser.parse_args(argv)
    settings = SimSettings(
        seed=arguments.seed,
        link_dir=arguments.link_dir,
        camera=not arguments.no_camera,
        stage=arguments.stage,
        restless=arguments.restless,
        guttae_percent=arguments.guttae,
        marked=not arguments.as_hardware,
    )
    try:
        trio.run(_simulate, settings)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"specular sim: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= GUTTAE_MAX_PERCENT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {GUTTAE_MAX_PERCENT:g}")
    return value


async def _simulate(settings: SimSettings) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        instrument = SimulatedInstrument(settings)
        failures: list[BaseException] = []
        try:
            async with trio.open_nursery() as nursery:
                ports = await nursery.start(instrument.run)
                _tell(_description(instrument, ports))
                nursery.start_soon(_obey, instrument)
                async for _ in signals:
                    nursery.cancel_scope.cancel()
        except* OSError as group:
            failures.extend(group.exceptions)
        if failures:  # raised here, because before Python 3.11.4 what `except*` raises comes out as a group
            raise failures[0]


def _description(instrument: SimulatedInstrument, ports: InstrumentPorts) -> dict[str, object]:
    return {
        "simulator": True,
        "stage": ports.stage,
        "camera": ports.camera,
        "truth": instrument.truth,
        "stage_config": stage_config(instrument.settings),
    }


async def _obey(instrument: SimulatedInstrument) -> None:
    async for line in _lines(sys.stdin.fileno()):
        try:
            await instrument.command(line)
        except ValueError as error:
            _tell({"command": line, "ok": False, "reason": str(error)})
        else:
            ports = instrument.ports
            _tell({"command": line, "ok": True, "stage": ports.stage, "camera": ports.camera})


async def _lines(fd: int) -> AsyncIterator[str]:
    """Lines of a terminal, pipe or file until its end."""
    waiting = b""
    while True:
        try:
            await trio.lowlevel.wait_readable(fd)
        except OSError as error:
            if error.errno != errno.EPERM:  # a regular file or /dev/null is always ready, and epoll refuses it
                raise
        data = os.read(fd, COMMAND_BYTES)
        if not data:
            return
        *lines, waiting = (waiting + data).split(b"\n")
        waiting = waiting[:COMMAND_BYTES]
        for line in lines:
            if line.strip():
                yield line.decode("utf-8", "backslashreplace").strip()


def _tell(value: dict[str, object]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    sys.exit(main())
