"""A photograph without a hand through the real drivers, on the simulated instrument's ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from firmware_app.config import Config, GrblConfig, SerialCameraConfig
from firmware_app.model import Eye
from firmware_app.records.store import local_now
from firmware_app.services.devices import open_camera, open_stage
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.photographer import Photographer
from hw.sim.instrument import SIM_STAGE_CONFIG, SimulatedInstrument
from hw.sim.optics import UM_PER_PX
from hw.sim.settings import SimSettings


@asynccontextmanager
async def photographer_on_ports(nursery: trio.Nursery) -> AsyncIterator[tuple[SimulatedInstrument, Photographer]]:
    instrument = SimulatedInstrument(SimSettings(seed=3))
    ports = await nursery.start(instrument.run)
    config = Config(
        stage=msgspec.convert(SIM_STAGE_CONFIG | {"port": ports.stage}, GrblConfig),
        camera=SerialCameraConfig(port=ports.camera, simulated=True, um_per_px=UM_PER_PX),
    )
    assert config.stage is not None and config.camera is not None
    stage_slot, camera_slot = DeviceSlot[Any]("stage", local_now), DeviceSlot[Any]("camera", local_now)
    nursery.start_soon(stage_slot.supervise, lambda: open_stage(config.stage), lambda event: None)
    nursery.start_soon(camera_slot.supervise, lambda: open_camera(config.camera), lambda event: None)
    await (await stage_slot.wait_ready()).home()
    await camera_slot.wait_ready()
    yield instrument, Photographer(config, stage_slot, camera_slot)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while True:
            if condition():
                return
            await trio.sleep(0.005)


async def test_cancelled_while_it_moves_the_stage_stands_and_the_next_one_succeeds() -> None:
    async with trio.open_nursery() as nursery, photographer_on_ports(nursery) as (instrument, photographer):
        for motion in range(3):  # to the eye, to the reflex or to both layers, to the endothelium
            async with trio.open_nursery() as attempt:
                attempt.start_soon(photographer.photograph, Eye.LEFT, lambda text: None)
                for _ in range(motion):
                    await until(lambda: instrument.moving)
                    await until(lambda: not instrument.moving)
                await until(lambda: instrument.moving)
                attempt.cancel_scope.cancel()
            assert not instrument.moving
        told: list[str] = []
        taken = await photographer.photograph(Eye.LEFT, told.append)
        assert taken.kept.score.is_usable, told
        thickness = taken.aligned.thickness
        assert thickness is not None, told
        truth = float(str(instrument.truth["L"]["thickness_um"]))
        assert abs(thickness.thickness_um - truth) <= 5.0
        nursery.cancel_scope.cancel()
