"""Lamps on a Grbl board: what is sent for a level, and what its status must say before it is believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
from test_grbl_stage import QUICK, REAL, SETTING_LINES, SETTINGS, fitting, powered, scripted

from hw.errors import Deadline, DeviceFault, Refused
from hw.grbl import codec
from hw.grbl import link as grbl_link
from hw.grbl.stage import GrblStage, open_grbl

STATUS = b"<Idle|MPos:-1.000,-1.000,-1.000|FS:0,%d|Ov:100,100,100%s>\r\n"
# A board whose S goes from 100 to 2000.
SPINDLE = {b"$$\n": SETTING_LINES + b"$30=2000\r\n$31=100\r\nok\r\n"}


def shows(accessories: bytes = b"", speed: int = 0) -> bytes:
    return STATUS % (speed, b"|A:" + accessories if accessories else b"")


@asynccontextmanager
async def stage_with(answers: dict[bytes, bytes]) -> AsyncIterator[tuple[list[bytes], dict[bytes, bytes], GrblStage]]:
    async with (
        scripted(REAL | SPINDLE | {b"?": shows()} | answers) as board,
        open_grbl(board.port, SETTINGS, simulated=False) as stage,
    ):
        board.heard.clear()
        yield board.heard, board.answers, stage


def sent(heard: list[bytes]) -> list[bytes]:
    return [line for line in heard if line != b"?"]


async def test_an_answer_that_was_lost_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is certain that the board stands still it is reset, and still knows where it is."""
    monkeypatch.setattr(grbl_link, "REPLY_S", 0.2)
    async with powered(QUICK) as instrument, open_grbl(instrument.ports.stage, fitting(QUICK), simulated=True) as stage:
        at = await stage.home()
        await instrument.command("silence stage on")
        with pytest.raises(Deadline):
            await stage.set_output("spindle", 1.0)
        await instrument.command("silence stage off")
        before = stage.outputs_lost
        await stage.set_output("flood", 1.0)
        assert (instrument.lamps()["spindle"], instrument.lamps()["flood"]) == (0.0, 1.0)
        assert stage.outputs_lost > before, "the reset put out what else was lit"
        assert stage.homed
        assert await stage.move_by(dx_um=-500.0) != at


async def test_a_motion_is_not_reset_for_an_answer_that_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "REPLY_S", 0.2)
    silent = {b"M8\n": b""}
    async with stage_with(silent | {b"?": shows()}) as (heard, answers, stage):
        with pytest.raises(Deadline):
            await stage.set_output("flood", 1.0)
        answers[b"?"] = shows().replace(b"Idle", b"Run")
        heard.clear()
        with pytest.raises(Deadline, match="no answer to the line before"):
            await stage.set_output("spindle", 1.0)
        assert codec.RESET not in heard


async def test_the_outputs_are_those_that_were_compiled_in() -> None:
    async with stage_with({}) as (_heard, _answers, stage):
        assert stage.outputs == ("spindle", "flood")
        with pytest.raises(Refused, match="has no output 'mist'; there are: spindle, flood"):
            await stage.set_output("mist", 1.0)
    with_mist = {b"$I\n": b"[VER:1.1h.20190830:]\r\n[OPT:VM,15,128]\r\nok\r\n"}
    async with stage_with(with_mist) as (_heard, _answers, stage):
        assert stage.outputs == ("spindle", "flood", "mist")


@pytest.mark.parametrize(
    ("level", "line", "speed"),
    [(1.0, b"M3 S2000.0\n", 2000), (0.5, b"M3 S1000.0\n", 1000), (0.01, b"M3 S100.0\n", 100), (0.0, b"M5\n", 0)],
)
async def test_a_level_is_a_share_of_the_full_speed(level: float, line: bytes, speed: int) -> None:
    async with stage_with({b"?": shows(b"S" if level else b"", speed)}) as (heard, _answers, stage):
        await stage.set_output("spindle", level)
        assert sent(heard) == [line]


async def test_a_board_without_pwm_is_on_or_off() -> None:
    options = {b"$I\n": b"[VER:1.1h.20190830:]\r\n[OPT:,15,128]\r\nok\r\n", b"?": shows(b"S", 2000)}
    async with stage_with(options) as (heard, _answers, stage):
        await stage.set_output("spindle", 0.25)
        assert sent(heard) == [b"M3 S2000.0\n"]


@pytest.mark.parametrize(
    ("name", "level", "status", "words"),
    [
        ("spindle", 1.0, shows(), r"shows spindle off \(A:\)"),
        ("spindle", 1.0, shows(b"C", 2000), r"shows spindle off \(A:C\)"),
        ("spindle", 1.0, shows(b"S", 500), "shows S500 instead of S2000"),
        ("spindle", 0.0, shows(b"SF", 2000), r"shows spindle on \(A:SF\)"),
        ("flood", 1.0, shows(b"S", 9), r"shows flood off \(A:S\)"),
        ("flood", 0.0, shows(b"F"), r"shows flood on \(A:F\)"),
    ],
)
async def test_a_lamp_that_does_not_follow_is_a_fault(name: str, level: float, status: bytes, words: str) -> None:
    async with stage_with({b"?": status}) as (_heard, _answers, stage):
        with pytest.raises(DeviceFault, match=words) as caught:
            await stage.set_output(name, level)
        assert caught.value.code == "output"


async def test_a_board_that_never_tells_what_is_on_is_a_fault() -> None:
    bare = b"<Idle|MPos:-1.000,-1.000,-1.000|FS:0,0>\r\n"
    async with stage_with({b"?": bare}) as (_heard, _answers, stage):
        with pytest.raises(DeviceFault, match="does not tell what is on"):
            await stage.set_output("spindle", 1.0)


async def test_a_locked_board_refuses_in_its_own_words() -> None:
    async with stage_with({b"M3 S2000.0\n": b"error:9\r\n"}) as (_heard, _answers, stage):
        with pytest.raises(DeviceFault, match="error:9: locked"):
            await stage.set_output("spindle", 1.0)


async def test_ending_one_coolant_leaves_the_other_on() -> None:
    sim = replace(QUICK, mist=True)
    async with (
        powered(sim) as instrument,
        open_grbl(instrument.ports.stage, fitting(sim), simulated=True) as stage,
    ):
        await stage.home()
        await stage.set_output("flood", 1.0)
        await stage.set_output("mist", 1.0)
        await stage.set_output("flood", 0.0)
        assert instrument.lamps() == {"spindle": 0.0, "flood": 0.0, "mist": 1.0}
        await stage.set_output("flood", 1.0)
        await stage.set_output("mist", 0.0)
        assert instrument.lamps() == {"spindle": 0.0, "flood": 1.0, "mist": 0.0}


async def test_a_lamp_waits_for_the_end_of_a_move() -> None:
    async with (
        powered(QUICK) as instrument,
        open_grbl(instrument.ports.stage, fitting(QUICK), simulated=True) as stage,
    ):
        await stage.home()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.move_to, stage.limits.low)
            while not instrument.moving:
                await trio.lowlevel.checkpoint()
            await stage.set_output("spindle", 0.5)
            assert not instrument.moving
        assert instrument.lamps()["spindle"] == 0.5
