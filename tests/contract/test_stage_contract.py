"""The Grbl driver against the simulated instrument, over a real pty and in real time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from stage_contract import CHECKS, Check, StageRig

from hw.grbl.stage import GrblSettings, open_grbl
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config

QUICK = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    max_rate_mm_per_min=(12000.0, 12000.0, 12000.0),
    acceleration_mm_per_s2=(4000.0, 4000.0, 4000.0),
    seek_mm_per_min=12000.0,
    locate_mm_per_min=2400.0,
    debounce_ms=2.0,
)


def grbl_settings(settings: SimSettings) -> GrblSettings:
    table = stage_config(settings)
    vectors = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return GrblSettings(**vectors, tolerance_um=5.0, settle_s=0.0)


@asynccontextmanager
async def grbl_on_a_pty(folder: Path) -> AsyncIterator[StageRig]:
    settings = SimSettings(**{name: getattr(QUICK, name) for name in QUICK.__slots__} | {"link_dir": folder})
    instrument = SimulatedInstrument(settings)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        yield StageRig(
            open=partial(open_grbl, ports.stage, grbl_settings(settings), simulated=True),
            tolerance_um=5.0,
            truth=instrument.position,
            alarm=partial(instrument.command, "alarm 1"),
            unplug=partial(instrument.command, "unplug stage"),
            replug=partial(instrument.command, "replug stage"),
        )
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_grbl_driver(check: Check, tmp_path: Path) -> None:
    with trio.fail_after(30):
        await check(partial(grbl_on_a_pty, tmp_path))
