"""The ASI driver against the simulated MS-2000 and Tiger, over a real pty and in real time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from stage_contract import CHECKS, Check, StageRig

from hw.asi.stage import AsiSettings, open_asi
from hw.sim import asi_kind
from hw.sim.instrument import SimSettings, SimulatedInstrument

QUICK = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    max_rate_mm_per_min=(12000.0, 12000.0, 12000.0),
    acceleration_mm_per_s2=(4000.0, 4000.0, 4000.0),
)


def asi_settings(settings: SimSettings, **changed: Any) -> AsiSettings:
    table = asi_kind.config(settings) | {"settle_s": 0.0} | changed
    fields = {key: value for key, value in table.items() if key in AsiSettings.__slots__}
    return AsiSettings(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


@asynccontextmanager
async def asi_on_a_pty(controller: str, folder: Path) -> AsyncIterator[StageRig]:
    settings = replace(QUICK, link_dir=folder, stage=f"asi-{controller}")
    instrument = SimulatedInstrument(settings)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        yield StageRig(
            open=partial(open_asi, ports.stage, asi_settings(settings), simulated=True),
            tolerance_um=5.0,
            truth=instrument.position,
            alarm=partial(instrument.command, "alarm 1"),
            unplug=partial(instrument.command, "unplug stage"),
            replug=partial(instrument.command, "replug stage"),
        )
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("controller", ["ms2000", "tiger"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_asi_driver(check: Check, controller: str, tmp_path: Path) -> None:
    with trio.fail_after(30):
        await check(partial(asi_on_a_pty, controller, tmp_path))
