"""The Grbl driver over a real USB serial port: cdc_acm on the host's side, the simulated board behind the gadget."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

sys.path.append(str(Path(__file__).parents[1] / "contract"))
sys.path.append(str(Path(__file__).parent))

from serial.tools import list_ports
from stage_contract import CHECKS, Check, StageRig
from usb_gadget import HOST_END, PRODUCT, SERIAL, VENDOR, UsbPlug, announced, kernel_events

from hw.errors import DeviceLost
from hw.grbl.stage import GrblSettings, open_grbl
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config
from hw.sim.plug import Device
from hw.tty import Tty

PATIENCE_S = 120  # an emulated processor on a busy machine
SIMULATED = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    max_rate_mm_per_min=(900.0, 900.0, 900.0),  # 20 mm take longer than an emulated processor needs to stop them
    acceleration_mm_per_s2=(1000.0, 1000.0, 1000.0),
    seek_mm_per_min=12000.0,
    locate_mm_per_min=2400.0,
    debounce_ms=2.0,
)


def grbl_settings() -> GrblSettings:
    table = stage_config(SIMULATED)
    vectors = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    return GrblSettings(**vectors, tolerance_um=5.0, settle_s=0.0)


@asynccontextmanager
async def board_on_usb() -> AsyncIterator[StageRig]:
    instrument = SimulatedInstrument(SIMULATED)
    instrument._stage = Device("stage", UsbPlug(), instrument._serve_stage)  # in place of its pty
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        yield StageRig(
            open=partial(open_grbl, str(HOST_END), grbl_settings(), simulated=True),
            tolerance_um=5.0,
            truth=instrument.position,
            alarm=partial(instrument.command, "alarm 1"),
            unplug=partial(instrument.command, "unplug stage"),
            replug=partial(instrument.command, "replug stage"),
        )
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_stage_contract(check: Check) -> None:
    with trio.fail_after(PATIENCE_S):
        await check(board_on_usb)


@pytest.fixture
def plug() -> Iterator[UsbPlug]:
    plug = UsbPlug()
    plug.insert()
    yield plug
    plug.pull()


async def echo(plug: UsbPlug, count: int) -> None:
    """The board's end gives back what it gets."""
    from os import read, write

    while count:
        await trio.lowlevel.wait_readable(plug.fd)
        data = memoryview(read(plug.fd, 4096))
        count -= len(data)
        while data:
            await trio.lowlevel.wait_writable(plug.fd)
            data = data[write(plug.fd, data) :]


async def test_every_byte_there_and_back(plug: UsbPlug) -> None:
    sent = random.Random(1).randbytes(20_000)
    received = b""
    with trio.fail_after(PATIENCE_S):
        port = await Tty.open(str(HOST_END))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, plug, len(sent))
            nursery.start_soon(partial(port.send_all, sent, timeout_s=PATIENCE_S))
            while len(received) < len(sent):
                received += await port.receive_some()
        await port.aclose()
    assert received == sent


async def test_who_waits_is_told_of_the_pulled_cable_and_the_port_comes_back_under_its_name(plug: UsbPlug) -> None:
    for _ in range(3):
        with trio.fail_after(PATIENCE_S):
            port = await Tty.open(str(HOST_END))
            told: list[DeviceLost] = []

            async def wait(port: Tty = port, told: list[DeviceLost] = told) -> None:
                with pytest.raises(DeviceLost) as error:
                    await port.receive_some()
                told.append(error.value)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                plug.pull()
            assert len(told) == 1
            with pytest.raises(DeviceLost):
                await port.send_all(b"?")
            await port.aclose()
            plug.insert()
            assert HOST_END.exists()


def test_the_kernel_announces_both(plug: UsbPlug) -> None:
    with kernel_events() as events:
        plug.pull()
        gone = announced(events)
        plug.insert()
        back = announced(events)
    assert any(head.startswith("remove@") and head.endswith("/tty/ttyACM0") for head in gone)
    assert any(head.startswith("add@") and head.endswith("/tty/ttyACM0") for head in back)


def test_the_board_is_found_by_its_usb_identity(plug: UsbPlug) -> None:
    (port,) = [port for port in list_ports.comports() if port.device == str(HOST_END)]
    assert (port.vid, port.pid) == (int(VENDOR, 16), int(PRODUCT, 16))
    assert port.serial_number == SERIAL
