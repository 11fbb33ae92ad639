"""The ASI driver against controllers that are not as they should be: scripted ones, and simulators set up wrongly."""

from __future__ import annotations

import os
import tty
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from firmware_app.model import Position
from hw import port_owner
from hw.asi import link as asi_link
from hw.asi import stage as asi_stage
from hw.asi.stage import AsiSettings, AsiStage, open_asi
from hw.errors import Deadline, DeviceError, DeviceFault, DeviceLost, ProtocolError, Refused
from hw.sim import asi_kind
from hw.sim.instrument import SimSettings, SimulatedInstrument
from hw.tty import Tty

QUICK = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    max_rate_mm_per_min=(12000.0, 12000.0, 12000.0),
    acceleration_mm_per_s2=(4000.0, 4000.0, 4000.0),
    stage="asi-ms2000",
)
TIGER = replace(QUICK, stage="asi-tiger")
SLOW = replace(QUICK, max_rate_mm_per_min=(1200.0, 1200.0, 1200.0))
KINDS = pytest.mark.parametrize("settings", [QUICK, TIGER], ids=["ms2000", "tiger"])
MIDDLE = Position(-10000.0, -5000.0, -5000.0)


def fitting(settings: SimSettings, **changed: Any) -> AsiSettings:
    table = asi_kind.config(settings) | {"settle_s": 0.0} | changed
    fields = {key: value for key, value in table.items() if key in AsiSettings.__slots__}
    return AsiSettings(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


@asynccontextmanager
async def powered(settings: SimSettings = QUICK, *lines: str) -> AsyncIterator[SimulatedInstrument]:
    """`lines` were said to the controller by another program before."""
    instrument = SimulatedInstrument(settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        port = await Tty.open(instrument.ports.stage)
        for line in lines:
            await port.send_all(line.encode() + b"\r")
            await port.receive_some()
        await port.aclose()
        yield instrument
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def simulated(
    settings: SimSettings = QUICK, *lines: str, **changed: Any
) -> AsyncIterator[tuple[SimulatedInstrument, AsiStage]]:
    async with (
        powered(settings, *lines) as instrument,
        open_asi(instrument.ports.stage, fitting(settings, **changed), simulated=True) as stage,
    ):
        yield instrument, stage


# ------------------------------------------------------------------------------------------------- set up otherwise


@KINDS
async def test_a_simulator_must_be_declared_and_only_a_simulator_may_be(settings: SimSettings) -> None:
    async with powered(settings) as instrument:
        with pytest.raises(Refused, match="is the simulator, but the configuration says simulated = false"):
            async with open_asi(instrument.ports.stage, fitting(settings), simulated=False):
                pass
    async with scripted() as board:
        with pytest.raises(Refused, match="is not the simulator"):
            async with open_asi(board.port, SCRIPTED, simulated=True):
                pass


@KINDS
async def test_every_setting_that_differs_is_named_and_nothing_is_changed(settings: SimSettings) -> None:
    async with powered(settings, "B Y=0.04", "AC Z=33") as instrument:
        for _ in range(2):
            with pytest.raises(Refused) as raised:
                async with open_asi(instrument.ports.stage, fitting(settings), simulated=True):
                    pass
            differences = "B Y=0.04 (anti-backlash in mm), expected 0; AC Z=33 (ramp in ms), expected 50"
            assert str(raised.value).endswith(f"is not set up as configured: {differences}")


async def test_an_axis_that_the_controller_does_not_have_is_named() -> None:
    async with powered(TIGER) as instrument:
        with pytest.raises(Refused, match="no stage axis L; it has X, Y, Z"):
            async with open_asi(instrument.ports.stage, fitting(TIGER, axes="XYL"), simulated=True):
                pass


async def test_settings_that_contradict_themselves_open_nothing() -> None:
    with pytest.raises(Refused, match="taken up twice"):
        async with open_asi(
            "/nowhere", AsiSettings(backlash_um=(5.0,) * 3, board_backlash_mm=(0.04,) * 3), simulated=False
        ):
            pass


async def test_a_controller_that_would_speak_unasked_is_refused() -> None:
    async with powered(QUICK, "VB X=3") as instrument:
        with pytest.raises(Refused, match=r"VB X=3 \(verbose modes\), expected 0"):
            async with open_asi(instrument.ports.stage, fitting(QUICK), simulated=True):
                pass


async def test_replies_without_line_feed_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asi_link, "REPLY_S", 0.05)
    async with powered(QUICK, "VB X=8") as instrument:
        with pytest.raises(ProtocolError, match=r"CR alone .*asked for its build at 115200 baud"):
            async with open_asi(instrument.ports.stage, fitting(QUICK), simulated=True):
                pass


async def test_the_tiger_reply_syntax_is_understood_and_left_as_it_is() -> None:
    async with simulated(TIGER, "VB F=1") as (_, stage):
        await stage.home()
        assert await stage.move_to(MIDDLE) == MIDDLE
        await stage.set_output("led1@L", 0.3)
        assert await stage.stop() == MIDDLE


async def test_axes_go_by_the_letters_they_are_given() -> None:
    swapped = {"axes": "YXZ", "travel_mm": (10.0, 20.0, 10.0)}
    async with simulated(QUICK, **swapped) as (instrument, stage):
        await stage.home()
        await stage.move_to(Position(-3000.0, -15000.0, -2000.0))
        truth = instrument.position()
        assert (truth.x_um, truth.y_um, truth.z_um) == pytest.approx((-15000.0, -3000.0, -2000.0), abs=2.0)
        assert await stage.position() == Position(-3000.0, -15000.0, -2000.0)


# ------------------------------------------------------------------------------------------------- homing and faults


@pytest.mark.parametrize("ends", [("low", "high", "low"), ("high", "low", "low")])
async def test_homing_at_either_end(ends: tuple[str, str, str]) -> None:
    async with simulated(QUICK, home_ends=ends, backlash_um=(20.0, 20.0, 20.0)) as (_, stage):
        first = await stage.home()
        low, high = stage.limits.low, stage.limits.high
        assert low.x_um <= first.x_um <= high.x_um
        assert low.y_um <= first.y_um <= high.y_um
        for target in (low, high, first):
            assert await stage.move_to(target) == target
        assert await stage.home() == first


async def test_a_firmware_limit_in_the_way_of_homing_is_named() -> None:
    async with simulated(replace(QUICK, start_mm=(-12.0, -5.0, -5.0)), "SU X=3", "SL X=-30") as (_, stage):
        with pytest.raises(DeviceFault, match=r"axis X did not reach its limit switch.*SL -30 to SU 3 mm"):
            await stage.home()
        assert not stage.homed


async def test_firmware_limits_within_the_reach_are_found_out_by_homing() -> None:
    async with simulated(replace(QUICK, start_mm=(-1.0, -5.0, -5.0)), "SU X=30", "SL X=-10") as (_, stage):
        with pytest.raises(Refused, match=r"cut the configured travel short: X: SL -11"):
            await stage.home()
        assert not stage.homed


@KINDS
async def test_a_controller_that_restarted_must_be_homed_again(settings: SimSettings) -> None:
    """The port stays: its USB chip has power from the computer."""
    async with simulated(settings) as (instrument, stage):
        await stage.home()
        await stage.move_to(MIDDLE)
        await instrument.command("alarm 10")
        with pytest.raises(DeviceError, match=r"restarted|is not homed"):
            await stage.move_to(Position(-2000.0, -2000.0, -2000.0))
        assert not stage.homed
        with pytest.raises(Refused, match="homed"):
            await stage.move_to(MIDDLE)
        await stage.home()
        assert await stage.move_to(MIDDLE) == MIDDLE


@KINDS
async def test_a_restart_in_a_move_is_told(settings: SimSettings) -> None:
    async with simulated(settings) as (instrument, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:

            async def move() -> None:
                with pytest.raises(DeviceFault) as raised:
                    await stage.move_to(Position(-20000.0, -10000.0, -10000.0))
                assert raised.value.code in ("restart", "position")

            nursery.start_soon(move)
            await trio.sleep(0.03)
            await instrument.command("alarm 10")
        with pytest.raises(DeviceError, match=r"restarted|is not homed"):
            await stage.move_to(MIDDLE)
        assert not stage.homed


@pytest.mark.parametrize("number", [7, 8, 9])
async def test_a_disabled_axis_is_named_and_costs_the_homing(number: int) -> None:
    async with simulated() as (instrument, stage):
        await stage.home()
        await instrument.command(f"alarm {number}")
        with pytest.raises(DeviceFault, match=f"axis {'XYZ'[number - 7]} is disabled"):
            await stage.move_to(MIDDLE)
        assert not stage.homed
        with pytest.raises(DeviceFault, match="is disabled"):
            await stage.home()


async def test_a_limit_switch_is_named() -> None:
    async with simulated() as (instrument, stage):
        await stage.home()
        await instrument.command("alarm 4")
        with pytest.raises(DeviceFault, match="axis Y is on its lower limit switch") as raised:
            await stage.move_to(Position(-5000.0, -1000.0, -1000.0))
        assert raised.value.code == "limit"
        assert not stage.homed


async def test_silence_in_a_move_is_an_error_and_homing_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asi_link, "REPLY_S", 0.1)
    async with simulated() as (instrument, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:

            async def move() -> None:
                with pytest.raises(Deadline, match=r"no .*reply to"):
                    await stage.move_to(MIDDLE)

            nursery.start_soon(move)
            while not instrument.moving:
                await trio.lowlevel.checkpoint()
            await instrument.command("silence")
        assert not stage.homed, "nobody knows whether it stopped"
        await instrument.command("silence off")
        await stage.home()
        assert await stage.move_to(MIDDLE) == MIDDLE


async def test_garbage_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asi_link, "REPLY_S", 0.1)
    async with simulated() as (instrument, stage):
        await stage.home()
        for _ in range(10):
            await instrument.command("garbage")
            assert await stage.position() is not None
            at = await stage.move_to(Position(-2000.0, -2000.0, -2000.0))
            assert at == Position(-2000.0, -2000.0, -2000.0)


async def test_garbage_in_a_move_ends_it_or_not_but_the_stage_is_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asi_link, "REPLY_S", 0.1)
    async with simulated() as (instrument, stage):
        for _ in range(5):
            await stage.home()
            async with trio.open_nursery() as nursery:

                async def move() -> None:
                    try:
                        await stage.move_to(MIDDLE)
                    except DeviceError as error:
                        assert not isinstance(error, DeviceLost)

                nursery.start_soon(move)
                for _ in range(3):
                    await trio.sleep(0.02)
                    await instrument.command("garbage")
            truth, told = instrument.position(), await stage.position()
            assert told.x_um == pytest.approx(truth.x_um, abs=5.0)
            assert not instrument.moving


# ------------------------------------------------------------------------------------------------- beyond moving


@KINDS
async def test_the_stream_of_positions_goes_on_in_a_move(settings: SimSettings) -> None:
    async with simulated(replace(settings, max_rate_mm_per_min=SLOW.max_rate_mm_per_min)) as (_, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.move_to, Position(-20000.0, -1000.0, -1000.0))
            async with aclosing(stage.positions()) as positions:
                seen = []
                async for stamped in positions:
                    seen.append(stamped)
                    if len(seen) == 5:
                        break
        xs = [stamped.position.x_um for stamped in seen]
        assert xs == sorted(xs, reverse=True)
        assert len(set(xs)) == 5
        stamps = [stamped.monotonic_ns for stamped in seen]
        assert all(late - early > 0.08e9 for early, late in pairwise(stamps)), "at most 10 Hz"


async def test_while_homing_there_is_no_position() -> None:
    async with simulated() as (instrument, stage):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.home)
            while not instrument.moving:
                await trio.lowlevel.checkpoint()
            with pytest.raises(Refused, match="is homing"):
                await stage.position()
            async with aclosing(stage.positions()) as positions:
                first = await anext(positions)
        assert first.position == Position(-1000.0, -1000.0, -1000.0), "the stream waited for the frame"


async def test_every_axis_arrives_from_below() -> None:
    async with simulated(SLOW, backlash_um=(200.0, 200.0, 200.0)) as (instrument, stage):
        await stage.home()
        target = Position(-3000.0, -2000.0, -2000.0)
        lowest = [0.0]
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while True:
                    lowest.append(instrument.position().x_um)
                    await trio.sleep(0.001)

            nursery.start_soon(watch)
            assert await stage.move_to(target) == target
            assert min(lowest) == pytest.approx(-3200.0, abs=10.0)
            lowest.clear()
            await stage.move_by(dx_um=500.0)
            assert min(lowest) >= -3001.0, "upwards there is nothing to take up"
            nursery.cancel_scope.cancel()


async def test_the_controllers_own_anti_backlash_is_not_repeated() -> None:
    async with simulated(QUICK, "B X=0.1", "B Y=0.1", "B Z=0.1", board_backlash_mm=(0.1, 0.1, 0.1)) as (_, stage):
        await stage.home()
        assert await stage.move_to(MIDDLE) == MIDDLE
        assert await stage.move_by(dx_um=100.0) == replace(MIDDLE, x_um=-9900.0)


async def test_the_lamp_of_an_ms2000() -> None:
    async with simulated() as (_, stage):
        assert stage.outputs == ("led",)
        for level in (0.0, 0.37, 1.0):
            await stage.set_output("led", level)
        for name, level in (("spindle", 0.5), ("led", 1.01), ("led", -0.1), ("led", float("nan"))):
            with pytest.raises(Refused):
                await stage.set_output(name, level)
    async with simulated(QUICK, "TTL Y=0") as (_, stage):
        assert stage.outputs == (), "the TTL output does not obey the LED command"


async def test_the_lamps_of_a_tiger() -> None:
    async with simulated(TIGER) as (_, stage):
        assert stage.outputs == ("led1@L", "led2@L", "led3@L", "led4@L")
        await stage.set_output("led4@L", 0.25)
        with pytest.raises(Refused, match="there are: led1@L, led2@L"):
            await stage.set_output("led5@L", 0.25)


# ------------------------------------------------------------------------------------------------- scripted controllers


SCRIPTED = AsiSettings(settle_s=0.0, travel_mm=(20.0, 10.0, 10.0))
REAL = {
    "BU": "STD_XYZ",
    "V": ":A Version: USB-9.2m ",
    "BU X": "STD_XYZ\rMotor Axes: X Y Z \rCMDS: XYZFTR",
    "/": "N",
    "W X Y Z": ":A -10000 -10000 -10000 ",
    "VB X?": ":N-1",
    "BU Z?": ":N-2",
    "LED X?": ":N-1",
    **{f"UM {x}?": f":{x}=10000.000 A" for x in "XYZ"},
    **{f"AC {x}?": f":{x}=100 A" for x in "XYZ"},
    **{f"B {x}?": f":{x}=0.000000 A" for x in "XYZ"},
    **{f"S {x}?": f":A {x}={speed}" for x, speed in zip("XYZ", SCRIPTED.speed_mm_per_s, strict=True)},
    **{f"SL {x}?": f":A {x}=-110.000" for x in "XYZ"},
    **{f"SU {x}?": f":A {x}=110.000" for x in "XYZ"},
}
# RS of each axis in turn: on its switch, off it, on it again, off it, and from then on nowhere near.
SWITCHES = [74, 10, 74, 10]


class ScriptedController:
    """Replies to each line with what the script says, a list one after the other; `:A` where it says nothing."""

    def __init__(self, replies: dict[str, str | list[str] | bytes]) -> None:
        self.replies = dict(replies)
        self.after: dict[str, dict[str, Any]] = {}  # hearing the key changes the replies
        self.heard: list[str] = []
        self.deaf = False
        self.fd, self._host_fd = os.openpty()
        tty.setraw(self._host_fd)
        os.set_blocking(self.fd, False)
        self.port = os.ttyname(self._host_fd)

    async def run(self) -> None:
        line = b""
        while True:
            await trio.lowlevel.wait_readable(self.fd)
            if self.deaf:
                return
            for byte in os.read(self.fd, 4096):
                if byte != 0x0D:
                    line += bytes([byte])
                    continue
                self.heard.append(line.decode())
                os.write(self.fd, self._reply(line.decode()))
                self.replies |= self.after.get(line.decode(), {})
                line = b""

    def _reply(self, line: str) -> bytes:
        reply = self.replies.get(line, ":A ")
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        return reply if isinstance(reply, bytes) else reply.encode() + b"\r\n"

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._host_fd)


@asynccontextmanager
async def scripted(replies: dict[str, Any] | None = None) -> AsyncIterator[ScriptedController]:
    switches: dict[str, Any] = {f"RS {x}": [f":A {byte}" for byte in SWITCHES] for x in "XYZ"}
    controller = ScriptedController({**REAL, **switches, **(replies or {})})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(controller.run)
        try:
            yield controller
        finally:
            nursery.cancel_scope.cancel()
    controller.close()


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asi_link, "REPLY_S", 0.05)
    monkeypatch.setattr(asi_link, "QUIET_S", 0.01)
    monkeypatch.setattr(asi_link, "NOISY_S", 0.05)
    monkeypatch.setattr(asi_stage, "LATE_S", 0.1)
    monkeypatch.setattr(asi_stage, "HALT_S", 0.1)


async def test_an_old_controller_is_homed_and_moved_with_what_the_documents_say() -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        assert stage.identity.label == f"asi:{board.port}"
        assert stage.identity.firmware == "MS-2000 USB-9.2m STD_XYZ"
        assert not stage.identity.simulated
        assert stage.outputs == ()
        board.heard.clear()
        await stage.home()
        moves = [line for line in board.heard if line[0] in "RMH"]
        assert [line for line in moves if not line.startswith("RS")] == [
            "R Z=120000.0",
            "R Z=-10000.0",
            "R Z=20000.0",
            "H Z=0.0",
            "R Z=-10000.0",
            "R X=230000.0 Y=120000.0",
            "R X=-10000.0 Y=-10000.0",
            "R X=20000.0 Y=20000.0",
            "H X=0.0 Y=0.0",
            "R X=-10000.0 Y=-10000.0",
        ]
        board.replies["W X Y Z"] = [":A -10000 -10000 -10000", ":A -12345.7 -10000 -10000"]
        assert await stage.move_to(Position(-1234.57, -1000.0, -1000.0)) == Position(-1234.57, -1000.0, -1000.0)
        assert "M X=-12345.7" in board.heard
        assert not any(line.split()[0] in ("S", "AC", "B", "SL", "SU", "UM") and "=" in line for line in board.heard)


@pytest.mark.parametrize(
    ("line", "reply", "error", "words"),
    [
        ("BU", b"", Deadline, "no reply to 'BU' within .* asked for its build at 115200 baud"),
        ("/", b"", Deadline, "no sensible reply to '/'"),
        ("/", b"\x00\xff\x81\n", ProtocolError, "what no ASI controller sends"),
        ("V", b":A Ver", ProtocolError, "half of one: b':A Ver'"),
        ("V", ":A 12", ProtocolError, "is no reply to 'V'"),
        ("BU X", "STD_XYZ\rMotor Axes: X Y\rAxis Types: x", ProtocolError, "contradicts itself"),
        ("BU X", "STD_XY\rMotor Axes: X Y", Refused, "no stage axis Z"),
        ("S X?", ":N-2", DeviceFault, "unrecognised axis letter .*in reply to 'S X"),
        ("S X?", ":A Y=5", ProtocolError, "is no reply to 'S X"),
        ("S X?", "N", ProtocolError, "is no reply to 'S X"),
    ],
)
async def test_what_goes_wrong_at_opening_is_told_in_words(
    short_waits: None, line: str, reply: str | bytes, error: type[DeviceError], words: str
) -> None:
    async with scripted({line: reply}) as board:
        with pytest.raises(error, match=words):
            async with open_asi(board.port, SCRIPTED, simulated=False):
                pass


@pytest.mark.parametrize(
    ("line", "reply", "error", "words"),
    [
        ("W X Y Z", ":A 1 2", ProtocolError, "is no reply to 'W X Y Z'"),
        ("W X Y Z", ":A X=1 Y=2", ProtocolError, "is no reply to 'W X Y Z'"),
        ("W X Y Z", ":N-6", DeviceFault, "undefined error"),
        ("W X Y Z", b":A 1 2", ProtocolError, "half of one"),
        ("M X=-50000.0", ":N-4", DeviceFault, "parameter out of range"),
        ("M X=-50000.0", "B", ProtocolError, "is no reply to 'M X=-50000.0'"),
        ("RS Z", ":A 300", ProtocolError, "not the status byte of Z"),
        ("/", "B", Deadline, "still moving"),
    ],
)
async def test_what_goes_wrong_in_a_move_stops_the_stage_and_is_told_in_words(
    short_waits: None, line: str, reply: str | bytes, error: type[DeviceError], words: str
) -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        await stage.home()
        board.heard.clear()
        board.replies[line] = reply
        with pytest.raises(error, match=words):
            await stage.move_to(Position(-5000.0, -1000.0, -1000.0))
        if line != "W X Y Z":
            assert "\\" in board.heard


async def test_a_motor_that_does_not_turn_is_told_by_its_encoder(short_waits: None) -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        await stage.home()
        with pytest.raises(DeviceFault, match=r"ended at -1000.0, -1000.0, -1000.0 um instead of -1500.0"):
            await stage.move_to(Position(-1500.0, -1000.0, -1000.0))


async def test_a_switch_that_never_opens_is_told(short_waits: None) -> None:
    async with scripted({"RS Z": ":A 74"}) as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        with pytest.raises(DeviceFault, match="axis Z did not get off its limit switch at the high end"):
            await stage.home()


async def test_a_halt_that_gets_lost_is_said_again(short_waits: None) -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        await stage.home()
        board.heard.clear()
        board.replies["\\"] = [b"", ":N-21"]
        await stage.stop()
        assert board.heard.count("\\") == 2
        assert stage.homed


async def test_a_stop_that_cannot_be_confirmed_costs_the_homing(short_waits: None) -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        await stage.home()
        board.replies["/"] = "B"
        with pytest.raises(Deadline, match="still moving"):
            await stage.move_to(Position(-1001.0, -1000.0, -1000.0))
        assert not stage.homed
        with pytest.raises(Deadline, match="after it was stopped"):
            await stage.stop()


async def test_a_lamp_that_does_not_follow_is_a_fault() -> None:
    lamp = {"LED X?": "X=50 :A", "TTL Y?": ":A 9"}
    async with scripted(lamp) as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        await stage.set_output("led", 0.5)
        with pytest.raises(DeviceFault, match=r"led is at 0\.5 instead of 0\.8"):
            await stage.set_output("led", 0.8)


async def test_a_digital_led_needs_no_ttl_mode() -> None:
    build = {"BU X": "STD_XYZ\rMotor Axes: X Y Z\rDLED"}
    async with scripted(build) as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        assert stage.outputs == ("led",)


async def test_a_two_axis_card_of_a_tiger_with_an_led() -> None:
    tiger: dict[str, Any] = {
        "BU": "TIGER_COMM",
        "0V": ":A v3.39",
        "BU X": "TIGER_COMM\rMotor Axes: X Y Z W\rAxis Types: x x z w\rAxis Addr: 1 1 2 3\rHex Addr: 31 31 32 33"
        "\rAxis Props: 64 64 0 64",
        "1LED X?": "X=50 :A",
        "1TTL Y?": ":A 9",
    }
    async with scripted(tiger) as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        assert stage.identity.firmware == "Tiger v3.39 TIGER_COMM"
        assert stage.outputs == ("led",)
        await stage.set_output("led", 0.5)
        assert "1LED X=50" in board.heard


async def test_an_axis_that_moves_at_opening_is_stopped() -> None:
    async with scripted({"/": ["N", "B", "N"]}) as board, open_asi(board.port, SCRIPTED, simulated=False):
        assert "\\" in board.heard


async def test_a_reply_that_its_caller_gave_up_is_nobody_elses() -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        board.replies["W X Y Z"] = b""
        with trio.move_on_after(0.01):
            await stage.position()
        board.replies["W X Y Z"] = ":A 20 20 20 "
        os.write(board.fd, b":A 10 10 10 \r\n")
        assert await stage.position() == Position(2.0, 2.0, 2.0)


async def test_an_empty_line_from_an_ms2000_is_no_reply() -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        board.replies["W X Y Z"] = b"\r\n:A 10 10 10 \r\n"
        assert await stage.position() == Position(1.0, 1.0, 1.0)


async def test_where_it_is_already_nothing_is_sent_that_moves() -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        at = await stage.home()
        board.heard.clear()
        assert await stage.move_to(at) == at
        assert not any(line.startswith(("M ", "R ")) for line in board.heard)


async def test_whoever_supervises_is_told_of_the_loss() -> None:
    async with simulated() as (instrument, stage):
        await instrument.command("unplug stage")
        with trio.fail_after(5):
            assert "stage" in await stage.wait_lost() or "dev" in await stage.wait_lost()
        assert not stage.homed


async def test_a_board_that_takes_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_owner, "WRITE_S", 0.05)
    monkeypatch.setattr(asi_link, "REPLY_S", 0.05)
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        host_fd = os.open(board.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        board.deaf = True
        try:
            while True:
                os.write(host_fd, b"x" * 4096)
        except BlockingIOError:
            os.close(host_fd)
        with pytest.raises(DeviceError):
            await stage.stop()
        assert not stage.homed


async def test_a_reply_that_nobody_waits_for_and_that_never_comes_takes_no_other_with_it(short_waits: None) -> None:
    async with scripted() as board, open_asi(board.port, SCRIPTED, simulated=False) as stage:
        board.replies["W X Y Z"] = b""
        with trio.move_on_after(0.01):
            await stage.position()
        board.replies["W X Y Z"] = ":A 20 20 20 "
        assert await stage.position() == Position(2.0, 2.0, 2.0)


async def test_a_switch_on_the_way_past_the_target_ends_the_move() -> None:
    async with simulated(SLOW, backlash_um=(200.0, 200.0, 200.0)) as (instrument, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:

            async def move() -> None:
                with pytest.raises(DeviceFault, match="axis X is on its upper limit switch"):
                    await stage.move_to(MIDDLE)

            nursery.start_soon(move)
            while not instrument.moving:
                await trio.lowlevel.checkpoint()
            await instrument.command("alarm 1")
        assert not stage.homed


async def test_who_is_stopped_in_a_long_move_is_told_at_once() -> None:
    long_way = replace(SCRIPTED, travel_mm=(1000.0, 10.0, 10.0))
    wide = {"SL X?": ":A X=-2000", "SU X?": ":A X=2000"}
    async with scripted(wide) as board, open_asi(board.port, long_way, simulated=False) as stage:
        await stage.home()
        board.after = {"M X=-9000000.0": {"/": "B"}, "\\": {"/": "N"}}
        with trio.fail_after(20):  # of the 179 s that the way takes
            async with trio.open_nursery() as nursery:

                async def move() -> None:
                    with pytest.raises(DeviceFault) as raised:
                        await stage.move_to(Position(-900000.0, -1000.0, -1000.0))
                    assert raised.value.code == "stopped"

                nursery.start_soon(move)
                while "M X=-9000000.0" not in board.heard:
                    await trio.lowlevel.checkpoint()
                await trio.testing.wait_all_tasks_blocked(0.05)  # on its way
                await stage.stop()
        assert stage.homed
