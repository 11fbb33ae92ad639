"""Simulated stages that nobody has to wait for, each on a pty of its own: `python stages.py COUNT FOLDER`.

They outlive the service under test, as a real stage does. The first line on stdout is their ports as JSON; the end of
stdin is their end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio

from hw.sim.instrument import SimulatedInstrument
from hw.sim.settings import SimSettings, grbl_config

# A stage of a hundred mm that is anywhere in a few ms: what is under test is what happens around a motion.
FAST = SimSettings(
    camera=False,
    max_rate_mm_per_min=(900_000.0, 900_000.0, 900_000.0),
    acceleration_mm_per_s2=(900_000.0, 900_000.0, 900_000.0),
    seek_mm_per_min=900_000.0,
    locate_mm_per_min=60_000.0,
    pull_off_mm=0.5,
    debounce_ms=1.0,
)
STAGE_CONFIG = grbl_config(FAST)


async def serve(count: int, folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        ports = []
        for number in range(count):
            settings = SimSettings(
                **{name: getattr(FAST, name) for name in FAST.__slots__}
                | {"seed": number + 1, "link_dir": folder / f"stage-{number}"}
            )
            instrument = SimulatedInstrument(settings)
            ports.append((await nursery.start(instrument.run)).stage)
        print(json.dumps(ports), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]), Path(sys.argv[2]))
