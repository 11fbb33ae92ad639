"""The service's own pieces in this process, in front of a simulated instrument on ptys, for faults at any moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path

import msgspec
import trio

from firmware_app.app import ServiceGroup, open_console, start_hardware
from firmware_app.config import Config, SerialCameraConfig, StageConfig
from firmware_app.config.devices import KINDS
from firmware_app.config.light import LampConfig, LightConfig
from firmware_app.config.schema import CaptureConfig, PathsConfig, StorageConfig
from firmware_app.instrument import Instrument, now
from firmware_app.model import Event
from firmware_app.profiles import load_profile
from firmware_app.records.store import Records, open_records
from hw.sim.eye import NOMINAL_APEX
from hw.sim.instrument import InstrumentPorts, SimulatedInstrument, stage_config
from hw.sim.optics import UM_PER_PX
from hw.sim.settings import SimSettings

PATIENCE_S = 30.0  # a bound, not an expectation
POLL_S = 0.005
BITS_STORED, EXPOSURE_US = 12, 9000  # not what a camera wakes up with, which is 8 bits and 8000 us
LAMPS = LightConfig(illumination=LampConfig("flood"), flash=LampConfig("spindle"))  # of a Grbl board


@dataclass
class FaultBench:
    simulator: SimulatedInstrument
    service: Instrument
    records: Records
    events: list[Event] = field(default_factory=list)
    told_s: dict[str, float] = field(default_factory=dict)  # when an event of a kind came last
    told: list[str] = field(default_factory=list)  # the progress of the operations

    def tell(self, text: str) -> None:
        self.told.append(text)

    async def until(self, what: str, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        with trio.move_on_after(patience_s):
            while not condition():  # noqa: ASYNC110 - what a simulated board shows has no event
                await trio.sleep(POLL_S)
            return
        raise AssertionError(f"not {what} within {patience_s:g} s; {self.words}")

    @property
    def words(self) -> str:
        """Where it stands."""
        slots = "; ".join(f"{slot.name} {slot.status.words}" for slot in (self.service.stage, self.service.camera))
        return f"{slots}; {self.service.lights.detail}; busy: {self.service.capture.busy or 'no'}"

    @property
    def is_ready(self) -> bool:
        return self.service.stage.is_ready and self.service.camera.is_ready

    @property
    def is_homed(self) -> bool:
        return self.service.stage.is_ready and self.service.stage.require().homed


async def _collect(bench: FaultBench, *, task_status: trio.TaskStatus[None]) -> None:
    with bench.service.bus.subscribe() as subscription:
        task_status.started()
        async for event in subscription:
            bench.events.append(event)
            bench.told_s[event.kind] = trio.current_time()


def configuration(settings: SimSettings, ports: InstrumentPorts, folder: Path, light: LightConfig) -> Config:
    """Objects are queued for an archive that nobody asks: what a fault of a device can cost is what is queued."""
    table = {**stage_config(settings), "port": ports.stage}
    if table.get("frame") != "by_hand":  # which begins anywhere
        table |= {f"{eye.name.lower()}_eye_um": astuple(apex) for eye, apex in NOMINAL_APEX.items()}
    stage = msgspec.convert(table, KINDS[StageConfig][str(table["kind"])])
    assert isinstance(stage, StageConfig)
    camera = SerialCameraConfig(
        port=ports.camera,
        simulated=True,
        um_per_px=UM_PER_PX,
        bits_stored=BITS_STORED,
        exposure_us=EXPOSURE_US,
    )
    return Config(
        stage=stage,
        camera=camera if settings.camera else None,
        light=light,
        storage=StorageConfig(ip_address="127.0.0.1", port=104, ae_title="ARCHIVE"),
        capture=CaptureConfig(burst=4),
        paths=PathsConfig(state=str(folder / "state"), runtime=str(folder)),
    )


@asynccontextmanager
async def fault_bench(folder: Path, settings: SimSettings, light: LightConfig = LAMPS) -> AsyncIterator[FaultBench]:
    """`folder` is short: the path of the console's socket, which is made there, has at most 107 bytes."""
    simulator = SimulatedInstrument(settings)
    (folder / "state").mkdir(parents=True, exist_ok=True)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(simulator.run)
        config = configuration(settings, ports, folder, light)
        async with open_records(folder / "state", clock=now) as records:
            service = Instrument(config, load_profile(config.profile), "127.0.0.1", records)
            bench = FaultBench(simulator, service, records)
            await nursery.start(_collect, bench)
            hardware, analysis, front = (ServiceGroup(nursery, service.progress) for _ in range(3))
            start_hardware(hardware, service)
            analysis.start_soon("analysis", service.analyse)
            analysis.start_soon("measurement keeping", service.keep_measurements)
            front.start_soon("late imports", service.late_imports.run)
            await front.start("console", open_console, service)
            try:
                await bench.service.stage.wait_ready()
                if settings.camera:
                    await bench.service.camera.wait_ready()
                    await service.late_imports.wait()
                yield bench
            finally:
                with trio.CancelScope(shield=True):
                    for group in (front, analysis, hardware):
                        await group.end()
            nursery.cancel_scope.cancel()
