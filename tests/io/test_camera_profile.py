"""A camera as the service opens it: what is configured is applied at every opening, for a replugged one forgets it."""

from __future__ import annotations

from pathlib import Path

import trio

from firmware_app.config import SerialCameraConfig
from firmware_app.services.devices import open_camera
from hw.sim.instrument import SimSettings, SimulatedInstrument


async def test_depth_and_exposure_are_applied_again_after_the_plug_was_pulled(tmp_path: Path) -> None:
    instrument = SimulatedInstrument(SimSettings(link_dir=tmp_path))
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        config = SerialCameraConfig(port=ports.camera, simulated=True, bits_stored=12, exposure_us=9000)
        async with open_camera(config):
            assert instrument.camera_told() == (12, 9000)
        await instrument.command("unplug camera")
        await instrument.command("replug camera")
        assert instrument.camera_told() == (8, 8000), "it wakes up as it left the factory"
        async with open_camera(config):
            assert instrument.camera_told() == (12, 9000)
        nursery.cancel_scope.cancel()
