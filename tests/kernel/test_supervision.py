"""The service's supervision on a real USB stack: by identity, by the kernel's events, its lamps lit again."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
import trio

sys.path.append(str(Path(__file__).parent))

from test_usb_stage import PATIENCE_S, SIMULATED
from usb_gadget import PRODUCT, SERIAL, VENDOR, UsbPlug

from firmware_app.config import GrblConfig
from firmware_app.config.light import LampConfig, LightConfig
from firmware_app.model import Event
from firmware_app.services.devices import open_stage
from firmware_app.services.hardware import DeviceSlot, DeviceState
from firmware_app.services.hotplug import HotplugService
from firmware_app.services.lights import LightService
from hw.abc import Stage
from hw.find_port import serial_ports
from hw.sim.instrument import SimulatedInstrument, stage_config
from hw.sim.plug import Device
from hw.usb_identity import UsbIdentity, choose


def vendor_and_product() -> str:
    return f"{int(VENDOR, 16):04x}:{int(PRODUCT, 16):04x}"


@dataclass
class Bench:
    instrument: SimulatedInstrument
    slot: DeviceSlot[Stage]
    lights: LightService
    hotplug: HotplugService
    events: list[Event]

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what a simulated board shows has no event
                await trio.sleep(0.01)


@asynccontextmanager
async def supervised() -> AsyncIterator[Bench]:
    instrument, events = SimulatedInstrument(SIMULATED), list[Event]()
    instrument._stage = Device("stage", UsbPlug(), instrument._serve_stage)  # in place of its pty
    port = f"usb:{vendor_and_product()}:{SERIAL}"
    config = msgspec.convert({**stage_config(SIMULATED), "port": port}, GrblConfig)
    slot: DeviceSlot[Stage] = DeviceSlot("stage", lambda: datetime.now().astimezone())
    lights = LightService(LightConfig(illumination=LampConfig("flood")), slot, events.append)
    hotplug = HotplugService((slot,), events.append)
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        nursery.start_soon(hotplug.run)
        nursery.start_soon(slot.supervise, partial(open_stage, config, lights.restore), events.append)
        nursery.start_soon(lights.run)
        yield Bench(instrument, slot, lights, hotplug, events)
        nursery.cancel_scope.cancel()


async def test_a_stage_on_a_real_usb_comes_back_by_itself_with_its_light() -> None:
    async with supervised() as bench:
        await bench.until(lambda: bench.slot.is_ready)
        assert bench.hotplug.detail.startswith("kernel events")
        await bench.slot.require().home()
        await bench.lights.switch("illumination", None)
        assert bench.instrument.lamps()["flood"] == 1.0
        for _ in range(2):
            await bench.instrument.command("unplug stage")
            await bench.until(lambda: bench.slot.status.state is DeviceState.LOST)
            await bench.until(lambda: bench.slot.status.retry_in_s > 3)  # the slow look is far away
            assert "is there; there is" in bench.slot.status.detail
            await bench.instrument.command("replug stage")
            with trio.move_on_after(3) as at_once:
                await bench.slot.wait_ready()
            assert not at_once.cancelled_caught, "the kernel told of it"
            await bench.slot.require().home()
            await bench.until(lambda: bench.instrument.lamps().get("flood") == 1.0)
        kinds = [event.kind for event in bench.events]
        assert (kinds.count("stage.ready"), kinds.count("stage.lost")) == (3, 2), "each event once"


async def test_the_identity_is_what_the_kernel_says_of_the_board() -> None:
    plug = UsbPlug()
    plug.insert()
    try:
        vendor, product = (int(each, 16) for each in vendor_and_product().split(":"))
        for identity in (UsbIdentity(vendor, product), UsbIdentity(vendor, product, SERIAL)):
            assert choose(identity, serial_ports()) == "/dev/ttyACM0"
        (found,) = serial_ports()
        assert choose(UsbIdentity(vendor, product, "", found.location), serial_ports()) == "/dev/ttyACM0"
    finally:
        plug.pull()
