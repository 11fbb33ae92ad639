"""The service's own pieces in this process, in front of a simulated instrument on ptys, for faults at any moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from firmware_app.app import ServiceGroup, open_console, start_hardware
from firmware_app.config import Config, SerialCameraConfig, StageConfig
from firmware_app.config.devices import KINDS
from firmware_app.config.light import LightConfig
from firmware_app.config.schema import (
    CaptureConfig,
    CommitmentConfig,
    InstrumentConfig,
    NetworkConfig,
    PathsConfig,
    RetentionConfig,
    StorageConfig,
)
from firmware_app.demo.exam import free_port
from firmware_app.demo.processes import running
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
HOSPITAL_S = 60.0


@dataclass
class FaultBench:
    simulator: SimulatedInstrument
    service: Instrument
    records: Records
    events: list[Event] = field(default_factory=list)
    told_s: dict[str, float] = field(default_factory=dict)  # when an event of a kind came last
    told: list[str] = field(default_factory=list)  # the progress of the operations
    lit: tuple[str, str] | None = None  # the board's outputs of illumination and flash

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


@dataclass(frozen=True, slots=True)
class Hospital:
    """Where the embedded hospital's archive is, and where it reports to."""

    archive: Mapping[str, Any]
    station_port: int


@contextmanager
def hospital(folder: Path) -> Iterator[Hospital]:
    logs, port = folder / "logs", free_port()
    logs.mkdir(parents=True)
    arguments = ["hospital", "--out", str(folder / "archive"), "--station-port", str(port)]
    with running("hospital", arguments, logs) as child:
        yield Hospital(child.first_line(HOSPITAL_S)["archive"], port)


def configuration(
    settings: SimSettings, ports: InstrumentPorts, folder: Path, light: LightConfig, peer: Hospital | None
) -> Config:
    """Without a hospital, objects are queued for an archive that nobody asks."""
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
    archive = dict(peer.archive) if peer else {"ip": "127.0.0.1", "port": 104, "ae_title": "ARCHIVE"}
    node = {"ip_address": archive["ip"], "port": archive["port"], "ae_title": archive["ae_title"]}
    return Config(
        instrument=InstrumentConfig(port=peer.station_port) if peer else InstrumentConfig(),
        network=NetworkConfig(interface="lo"),
        commitment=CommitmentConfig(**node) if peer else CommitmentConfig(),
        stage=stage,
        camera=camera if settings.camera else None,
        light=light,
        storage=StorageConfig(**node),
        capture=CaptureConfig(burst=4),
        retention=RetentionConfig(min_free_percent=0),  # whatever room this machine has
        paths=PathsConfig(state=str(folder / "state"), runtime=str(folder)),
    )


@asynccontextmanager
async def fault_bench(
    folder: Path, settings: SimSettings, light: LightConfig, peer: Hospital | None = None
) -> AsyncIterator[FaultBench]:
    """`folder` is short: the path of the console's socket, which is made there, has at most 107 bytes."""
    simulator = SimulatedInstrument(settings)
    (folder / "state").mkdir(parents=True, exist_ok=True)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(simulator.run)
        config = configuration(settings, ports, folder, light, peer)
        async with open_records(folder / "state", clock=now) as records:
            service = Instrument(config, load_profile(config.profile), "127.0.0.1", records)
            bench = FaultBench(simulator, service, records)
            if light.illumination is not None and light.flash is not None:
                bench.lit = (light.illumination.output, light.flash.output)
            await nursery.start(_collect, bench)
            hardware, analysis, delivery, front = (ServiceGroup(nursery, service.progress) for _ in range(4))
            start_hardware(hardware, service)
            analysis.start_soon("analysis", service.analyse)
            analysis.start_soon("measurement keeping", service.keep_measurements)
            front.start_soon("late imports", service.late_imports.run)
            if peer is not None:
                front.start_soon("own port", service.listener.run)
                for name, run in (*service.deliveries(), *service.askers()):
                    delivery.start_soon(name, service.late_imports.then, run)
            await front.start("console", open_console, service)
            try:
                devices = ("stage", "camera") if settings.camera else ("stage",)
                await bench.until("told ready", lambda: all(f"{name}.ready" in bench.told_s for name in devices))
                if settings.camera:
                    await service.late_imports.wait()
                yield bench
            finally:
                with trio.CancelScope(shield=True):
                    for group in (front, analysis, delivery, hardware):
                        await group.end()
            nursery.cancel_scope.cancel()
