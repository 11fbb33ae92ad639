"""Every kind of stage as the service opens it from its configuration: steps, lamps, a pulled plug, lamps again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from firmware_app.config import StageConfig
from firmware_app.config.devices import KINDS
from firmware_app.config.light import FixationConfig, LampConfig, LightConfig
from firmware_app.model import Event
from firmware_app.services.devices import open_stage
from firmware_app.services.hardware import DeviceSlot, DeviceState
from firmware_app.services.lights import LightService
from hw.abc import Stage
from hw.errors import DeviceError
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config

PATIENCE_S = 30.0
# Which outputs the board of each simulated kind has: (illumination, fixation); an MS-2000 without a TTL card has none.
OUTPUTS = {
    "grbl": ("flood", "spindle"),
    "sangaboard-1.0": ("cc", "pwm0"),
    "sangaboard-0.5": ("cc", "pwm0"),
}


def configuration(sim: SimSettings, port: str) -> StageConfig:
    """The `[stage]` table that the simulator prints, read as a file would be."""
    table = {**stage_config(sim), "port": port}
    made = msgspec.convert(table, KINDS[StageConfig][str(table["kind"])])
    assert isinstance(made, StageConfig)
    return made


@dataclass
class Bench:
    instrument: SimulatedInstrument
    slot: DeviceSlot[Stage]
    lights: LightService
    events: list[Event]
    supervision: trio.CancelScope

    @property
    def told(self) -> list[str]:
        return [event.kind for event in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what a simulated board shows has no event
                await trio.sleep(0.01)

    async def until_state(self, state: DeviceState) -> None:
        await self.until(lambda: self.slot.status.state is state)


@asynccontextmanager
async def supervised(kind: str, folder: Path, light: LightConfig) -> AsyncIterator[Bench]:
    sim = SimSettings(camera=False, stage=kind, link_dir=folder)
    instrument, events = SimulatedInstrument(sim), list[Event]()
    slot: DeviceSlot[Stage] = DeviceSlot("stage", lambda: datetime.now().astimezone())
    lights = LightService(light, slot, events.append)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        open_it = partial(open_stage, configuration(sim, ports.stage), lights.restore, lights.put_out)
        supervision = await nursery.start(supervise, slot, open_it, events)
        nursery.start_soon(lights.run)
        yield Bench(instrument, slot, lights, events, supervision)
        nursery.cancel_scope.cancel()


async def supervise(
    slot: DeviceSlot[Stage],
    open_it: Callable[[], Any],
    events: list[Event],
    task_status: trio.TaskStatus[trio.CancelScope],
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await slot.supervise(open_it, events.append)


@asynccontextmanager
async def lit(kind: str, folder: Path, target: str) -> AsyncIterator[Bench]:
    """Homed, with its illumination on and a fixation target shown."""
    light, fixation = OUTPUTS[kind]
    config = LightConfig(illumination=LampConfig(light, 1.0), fixation=FixationConfig(fixation))
    async with supervised(kind, folder, config) as bench:
        await bench.until_state(DeviceState.READY)
        with trio.fail_after(PATIENCE_S):
            await bench.slot.require().home()
            await bench.lights.show_target(target)
            await bench.lights.switch("illumination", None)
        yield bench


@pytest.mark.parametrize("kind", OUTPUTS)
async def test_a_service_that_ends_leaves_no_lamp_lit(kind: str, tmp_path: Path) -> None:
    """The board would keep it lit, in front of an eye, until somebody pulls the plug."""
    async with lit(kind, tmp_path, "up") as bench:
        assert bench.instrument.lamps()[OUTPUTS[kind][0]] == 1.0
        bench.supervision.cancel()
        await bench.until(lambda: not any(bench.instrument.lamps().values()))


@pytest.mark.parametrize("kind", OUTPUTS)
async def test_lamps_follow_and_are_lit_again_after_the_plug_was_pulled(kind: str, tmp_path: Path) -> None:
    light, fixation = OUTPUTS[kind]
    wanted = {light: 1.0, fixation: pytest.approx(0.55, abs=0.04)}
    async with lit(kind, tmp_path, "down-right") as bench:
        assert {name: bench.instrument.lamps()[name] for name in wanted} == wanted

        await bench.instrument.command("unplug stage")
        await bench.until_state(DeviceState.LOST)
        assert not any(bench.instrument.lamps().values())
        await bench.instrument.command("replug stage")
        bench.slot.wake()
        await bench.until_state(DeviceState.READY)
        if kind == "grbl":  # which takes no line before it knows where it is
            assert "not as wanted" in bench.lights.detail
            await bench.slot.require().home()
        await bench.until(lambda: "not as wanted" not in bench.lights.detail)
        assert {name: bench.instrument.lamps()[name] for name in wanted} == wanted

        bench.lights.exam_closed()
        await bench.until(lambda: not any(bench.instrument.lamps()[name] for name in wanted))
        steps = ["stage.finding", "stage.opening", "stage.identifying", "stage.applying", "stage.ready"]
        lost = [kind for kind in bench.told if kind == "stage.lost"]
        assert bench.told[: len(steps)] == steps
        assert len(lost) == 1, "one pulled plug is one event"
        assert bench.told.count("stage.ready") == 2


@pytest.mark.parametrize("kind", ["asi-tiger", "asi-ms2000", "sangaboard-0.4"])
async def test_the_other_kinds_open_from_their_tables(kind: str, tmp_path: Path) -> None:
    async with supervised(kind, tmp_path, LightConfig()) as bench:
        await bench.until_state(DeviceState.READY)
        assert bench.slot.status.detail.startswith(f"sim+{kind.partition('-')[0]}:")
        with pytest.raises(DeviceError, match="no illumination lamp is configured"):
            await bench.lights.switch("illumination", 1.0)


async def test_a_board_that_is_set_up_otherwise_is_refused_with_every_difference(tmp_path: Path) -> None:
    sim = SimSettings(camera=False, link_dir=tmp_path)
    instrument = SimulatedInstrument(sim)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        table: dict[str, Any] = {**stage_config(sim), "port": ports.stage, "travel_mm": [99.0, 40.0, 40.0]}
        config = msgspec.convert(table, KINDS[StageConfig]["grbl"])
        assert isinstance(config, StageConfig)
        with pytest.raises(DeviceError, match=r"\$130=100 .* expected 99"):
            async with open_stage(config):
                pass
        nursery.cancel_scope.cancel()
