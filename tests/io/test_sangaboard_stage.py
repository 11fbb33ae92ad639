"""The Sangaboard driver against boards that are not as they should be: scripted ones, and the simulator disturbed."""

from __future__ import annotations

import json
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from firmware_app.model import Position
from hw.errors import Deadline, DeviceError, DeviceFault, DeviceLost, ProtocolError, Refused
from hw.sangaboard import codec
from hw.sangaboard import link as sangaboard_link
from hw.sangaboard import stage as sangaboard_stage
from hw.sangaboard.link import SangaboardLink
from hw.sangaboard.stage import SLICE_S, SangaboardSettings, SangaboardStage, open_sangaboard
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config
from hw.tty import Tty

QUICK = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    um_per_step=(5.0, 5.0, 5.0),
    min_step_delay_us=25,
    slow_delay_us=100,
)
VERSIONS = ("sangaboard-1.0", "sangaboard-0.5", "sangaboard-0.4")


def fitting(sim: SimSettings) -> SangaboardSettings:
    names = SangaboardSettings.__dataclass_fields__
    table = {key: value for key, value in stage_config(sim).items() if key in names}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return replace(SangaboardSettings(**values), settle_s=0.0)  # type: ignore[arg-type]


@asynccontextmanager
async def powered(sim: SimSettings) -> AsyncIterator[SimulatedInstrument]:
    instrument = SimulatedInstrument(sim)
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        yield instrument
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def simulated_stage(
    version: str, **changed: object
) -> AsyncIterator[tuple[SimulatedInstrument, SangaboardStage]]:
    sim = replace(QUICK, stage=version, **changed)  # type: ignore[arg-type]
    async with (
        powered(sim) as instrument,
        open_sangaboard(instrument.ports.stage, fitting(sim), simulated=True) as stage,
    ):
        yield instrument, stage


class ScriptedBoard:
    """Answers each line with what the script says, and nothing where it says nothing."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = answers
        self.heard: list[bytes] = []
        self.fd, self._host_fd = os.openpty()
        tty.setraw(self._host_fd)
        os.set_blocking(self.fd, False)
        self.port = os.ttyname(self._host_fd)

    async def run(self) -> None:
        waiting = b""
        while True:
            await trio.lowlevel.wait_readable(self.fd)
            *lines, waiting = (waiting + os.read(self.fd, 4096)).split(b"\n")
            for line in lines:
                self.heard.append(line)
                os.write(self.fd, self.answers.get(line, b""))

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._host_fd)


V04 = {
    b"version": b"OpenFlexure Motor Board v0.4\r\n",
    b"list_modules": b"--END--\r\n",
    b"dt?": b"minimum step delay 1000\r\n",
    b"ramp_time?": b"ramp time 0\r\n",
    b"p?": b"0 0 0\r\n",
    b"zero": b"position reset to 0 0 0\r\n",
}
V10 = V04 | {
    b"version": b"Sangaboard Firmware v1.0.1\r\n",
    b"ramp_time?": b"ramp_time 0\r\n",
    b"blocking_moves?": b"blocking_moves false\r\n",
    b"moving?": b"false\r\n",
    b"stop": b"Move aborted\r\n",
    b"mr 100 0 0": b"done.\r\n",
}
SETTINGS = SangaboardSettings(um_per_step=(1.0, 1.0, 1.0), low_um=(-2000.0,) * 3, high_um=(2000.0,) * 3, settle_s=0.0)
X_100 = Position(100.0, 0.0, 0.0)


@asynccontextmanager
async def scripted(answers: dict[bytes, bytes]) -> AsyncIterator[ScriptedBoard]:
    board = ScriptedBoard(dict(answers))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.run)
        try:
            yield board
        finally:
            nursery.cancel_scope.cancel()
    board.close()


@asynccontextmanager
async def real_stage(answers: dict[bytes, bytes]) -> AsyncIterator[tuple[ScriptedBoard, SangaboardStage]]:
    async with scripted(answers) as board, open_sangaboard(board.port, SETTINGS, simulated=False) as stage:
        yield board, stage


async def refusal(answers: dict[bytes, bytes], settings: SangaboardSettings = SETTINGS) -> DeviceError:
    async with scripted(answers) as board:
        with pytest.raises(DeviceError) as caught:
            async with open_sangaboard(board.port, settings, simulated=False):
                pass
        changing = [
            line for line in board.heard if line.split(b" ")[0] in (b"mr", b"zero", b"dt", b"ramp_time", b"max")
        ]
        assert changing == [], "opening changes nothing"
        return caught.value


# ------------------------------------------------------------------------------------------ opening


async def test_a_real_board_is_identified_and_nothing_on_it_is_changed() -> None:
    for answers, firmware in ((V04, "OpenFlexure Motor Board v0.4"), (V10, "Sangaboard Firmware v1.0.1")):
        async with real_stage(answers) as (board, stage):
            assert stage.identity.label == f"sangaboard:{board.port}"
            assert stage.identity.firmware == firmware
            assert stage.outputs == ()
        asked = {b"version", b"list_modules", b"dt?", b"ramp_time?", b"blocking_moves?"}
        assert set(board.heard) == asked - ({b"blocking_moves?"} if answers is V04 else set())


async def test_a_simulator_that_was_not_declared_is_refused_and_so_is_the_opposite() -> None:
    sim = replace(QUICK, stage="sangaboard-1.0")
    async with powered(sim) as instrument:
        with pytest.raises(Refused, match=r"is the simulator, but .* simulated = false"):
            async with open_sangaboard(instrument.ports.stage, fitting(sim), simulated=False):
                pass
    async with scripted(V10) as board:
        with pytest.raises(Refused, match=r"is not the simulator, but .* simulated = true"):
            async with open_sangaboard(board.port, SETTINGS, simulated=True):
                pass


@pytest.mark.parametrize(
    ("answers", "settings", "words"),
    [
        (V04 | {b"version": b"Sangaboard Firmware v0.6\r\n"}, SETTINGS, r"v0\.6 is none of the firmwares"),
        (V04 | {b"dt?": b"minimum step delay 2000\r\n"}, SETTINGS, "min_step_delay is 2000 us, expected 1000"),
        (V10 | {b"ramp_time?": b"ramp_time 5\r\n"}, SETTINGS, "ramp_time is 5 us, expected 0"),
        (V04, replace(SETTINGS, um_per_step=(0.0, 1.0, 1.0)), "um_per_step of x is 0"),
        (
            V10,
            replace(SETTINGS, frame="endstops", low_um=(10.0,) * 3),
            "endstops of the kind min are needed for its frame, the board has none",
        ),
        (
            V10 | {b"list_modules": b"Endstops: min soft\r\n--END--\r\n", b"max_p?": b"-1 9000 9000\r\n"},
            SETTINGS,
            "max of x is -1 steps, at least 2000 are needed",
        ),
    ],
)
async def test_a_board_that_is_not_the_configured_one_is_refused(
    answers: dict[bytes, bytes], settings: SangaboardSettings, words: str
) -> None:
    error = await refusal(answers, settings)
    assert isinstance(error, Refused)
    with pytest.raises(Refused, match=words):
        raise error


async def test_something_else_on_the_port_is_told_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sangaboard_link, "REPLY_S", 0.1)
    error = await refusal({b"version": b"Grbl 1.1h ['$' for help]\r\n"})
    assert isinstance(error, ProtocolError)
    assert "no answer to 'version'" in str(error)
    assert "Grbl 1.1h" in str(error)
    assert isinstance(await refusal({}), Deadline)
    chatter = await refusal(V10 | {b"version": b"Sangaboard Firmware v1.0\r\n", b"list_modules": b"done.\r\n"})
    assert isinstance(chatter, Deadline)


async def test_answers_to_an_earlier_host_are_not_taken_for_ours() -> None:
    """The board was left in a move, and says its `done.` and a position first."""
    answers = V10 | {b"version": b"done.\r\n5 5 5\r\nSangaboard Firmware v1.0\r\n9 9 9\r\n"}
    async with real_stage(answers) as (_board, stage):
        assert await stage.position() == Position(0.0, 0.0, 0.0)


# ------------------------------------------------------------------------------------------ the frame


@pytest.mark.parametrize("answers", [V04, V10])
async def test_the_count_a_board_starts_with_is_no_place(answers: dict[bytes, bytes]) -> None:
    async with real_stage(answers | {b"p?": b"500 -7 3\r\n"}) as (_board, stage):
        assert await stage.position() == Position(500.0, -7.0, 3.0)
        assert not stage.homed
        with pytest.raises(Refused, match="is not homed"):
            await stage.move_to(X_100)


async def test_a_frame_set_by_hand_is_set_once() -> None:
    async with real_stage(V10) as (board, stage):
        assert await stage.home() == Position(0.0, 0.0, 0.0)
        assert stage.homed
        assert board.heard.count(b"zero") == 1
        await stage.home()
        assert board.heard.count(b"zero") == 1, "the second time it is driven to"
        board.answers[b"p?"] = b"Sangaboard Firmware v1.0.1\r\n"
        with pytest.raises(DeviceFault, match="restarted by itself"):
            await stage.position()
        assert not stage.homed
        with pytest.raises(Refused, match="lost its origin: put the stage there by hand, then open it anew"):
            await stage.home()
        assert board.heard.count(b"zero") == 1


async def test_a_move_that_ends_elsewhere_costs_the_frame() -> None:
    async with real_stage(V10) as (_board, stage):
        await stage.home()
        with pytest.raises(DeviceFault, match=r"ended at 0\.0, 0\.0, 0\.0 um instead of 100\.0, 0\.0, 0\.0 um"):
            await stage.move_to(X_100)
        assert not stage.homed


async def test_a_slice_that_ends_elsewhere_is_the_last_and_costs_the_frame() -> None:
    """v0.x: 100 steps are two slices of 50."""
    async with real_stage(V04 | {b"mr 50 0 0": b"done.\r\n"}) as (board, stage):
        await stage.home()
        board.answers[b"p?"] = b"49 0 0\r\n"
        with pytest.raises(DeviceFault, match=r"ended at 49\.0, 0\.0, 0\.0 um instead of 99\.0"):
            await stage.move_to(Position(149.0, 0.0, 0.0))
        assert board.heard.count(b"mr 50 0 0") == 1
        assert not stage.homed


@pytest.mark.parametrize("version", ["sangaboard-1.0", "sangaboard-0.5"])
async def test_a_board_that_restarts_in_a_move_is_not_homed(version: str) -> None:
    async with simulated_stage(version, min_step_delay_us=100) as (instrument, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:
            told = await disturbed_move(nursery, instrument, stage, "restart")
        assert [error.code for error in told if isinstance(error, DeviceFault)] == ["restart"]
        assert not stage.homed
        await stage.home()
        assert stage.homed


async def disturbed_move(
    nursery: trio.Nursery, instrument: SimulatedInstrument, stage: SangaboardStage, *commands: str
) -> list[DeviceError]:
    """The long way from one corner to the other, with a fault in its middle; what its caller was told."""
    start = await stage.move_to(stage.limits.high)
    told: list[DeviceError] = []

    async def move() -> None:
        try:
            await stage.move_to(stage.limits.low)
        except DeviceError as error:
            told.append(error)

    nursery.start_soon(move)
    while abs(instrument.position().z_um - start.z_um) < 500.0:
        await trio.lowlevel.checkpoint()
    for command in commands:
        await instrument.command(command)
    while not told:
        await trio.lowlevel.checkpoint()
    return told


@pytest.mark.parametrize("version", ["sangaboard-1.0", "sangaboard-0.5"])
async def test_homing_without_a_switch_is_told(version: str) -> None:
    """The slide is stuck, so the switch is never met: the count runs, nothing comes."""
    async with simulated_stage(version, start_mm=(-5.0, -5.0, -5.0)) as (instrument, stage):
        await instrument.command("stuck y")
        with pytest.raises(DeviceFault, match="no min switch was found along y"):
            await stage.home()
        assert not stage.homed
        await instrument.command("stuck off")
        await stage.home()
        assert stage.homed


async def test_a_switch_that_stays_pressed_is_told() -> None:
    async with simulated_stage("sangaboard-0.5", start_mm=(0.0, -5.0, -5.0)) as (instrument, stage):
        await instrument.command("stuck x")
        with pytest.raises(DeviceFault, match="the min switch of x stays pressed"):
            await stage.home()


# ------------------------------------------------------------------------------------------ stopping


async def stopped_on_the_way(instrument: SimulatedInstrument, stage: SangaboardStage) -> float:
    """How far it goes on, in um, after it was told to stop: a homing, or a move when it is homed."""
    told: list[DeviceError] = []

    async def home_or_move() -> None:
        try:
            if stage.homed:
                await stage.move_by(dx_um=4000.0)
            else:
                await stage.home()
        except DeviceError as error:
            told.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(home_or_move)
        while not instrument.moving:
            await trio.lowlevel.checkpoint()
        before = instrument.position()
        await stage.stop()
    assert not instrument.moving
    after = instrument.position()
    assert [getattr(error, "code", "") for error in told] == ["stopped"]
    slices = "" if stage.identity.firmware.startswith("Sangaboard Firmware v1") else "it has no stop command"
    assert slices in str(told[0])
    return max(abs(getattr(after, axis) - getattr(before, axis)) for axis in ("x_um", "y_um", "z_um"))


@pytest.mark.parametrize("version", ["sangaboard-0.5", "sangaboard-0.4"])
async def test_without_a_stop_command_the_slice_under_way_is_the_last(version: str) -> None:
    async with simulated_stage(version, min_step_delay_us=1000) as (instrument, stage):
        if version == "sangaboard-0.4":
            await stage.home()
        assert stage.homed is (version == "sangaboard-0.4")
        for _ in range(3):
            further_um = await stopped_on_the_way(instrument, stage)
            assert further_um <= 5.0 * (SLICE_S / 1e-3 + 1), "5 um a step, a step a millisecond"


async def test_stop_acts_within_a_tenth_of_a_second() -> None:
    """100 steps of 5 um; the best of three, because the machine may be busy with anything."""
    async with simulated_stage("sangaboard-1.0", min_step_delay_us=1000) as (instrument, stage):
        assert min([await stopped_on_the_way(instrument, stage) for _ in range(3)]) < 500.0


@pytest.mark.parametrize("version", ["sangaboard-1.0", "sangaboard-0.5"])
async def test_a_cancelled_homing_leaves_the_board_at_rest_and_as_fast_as_before(version: str) -> None:
    async with simulated_stage(version, retreat_steps=400, slow_delay_us=1000) as (instrument, stage):
        for steps in range(1, 8):
            with trio.move_on_after(steps * 0.03):
                await stage.home()
            assert not instrument.moving
            at = instrument.position()
            for _ in range(5):
                await stage.position()
            assert instrument.position() == at
        await stage.home()
        assert stage.homed


async def test_blocking_moves_of_v1_are_followed_without_being_changed() -> None:
    """pysangaboard leaves a board so."""
    sim = replace(QUICK, stage="sangaboard-1.0")
    async with powered(sim) as instrument:
        port = await Tty.open(instrument.ports.stage)
        await port.send_all(b"blocking_moves true\n")
        while b"done." not in await port.receive_some():
            pass
        await port.aclose()
        async with open_sangaboard(instrument.ports.stage, fitting(sim), simulated=True) as stage:
            await stage.home()
            assert await stage.move_to(stage.limits.low) == stage.limits.low
            with trio.move_on_after(0.05):
                await stage.move_to(stage.limits.high)
            assert stage.homed
            assert await stage.move_to(stage.limits.high) == stage.limits.high
        assert instrument._stored.blocking


async def test_a_motion_that_does_not_end_is_a_deadline_and_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sangaboard_stage, "LATE_S", 0.05)
    async with real_stage(V10) as (board, stage):
        await stage.home()
        board.answers[b"moving?"] = b"true\r\n"
        with pytest.raises(Deadline, match=r"still moving 0\.05 s after the motion should have ended"):
            await stage.move_to(X_100)
        assert board.heard.count(b"stop") == sangaboard_stage.HALT_TRIES
        assert not stage.homed, "that it stopped could not be confirmed"
        with pytest.raises(DeviceFault, match="still moves after 8 times `stop`"):
            await stage.stop()


async def test_a_move_is_settled_before_it_returns() -> None:
    sim = replace(QUICK, stage="sangaboard-1.0")
    async with (
        powered(sim) as instrument,
        open_sangaboard(instrument.ports.stage, replace(fitting(sim), settle_s=0.05), simulated=True) as stage,
    ):
        await stage.home()
        moved_s = trio.current_time()

        async def look() -> None:
            nonlocal moved_s
            while True:
                if instrument.moving:
                    moved_s = trio.current_time()
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await stage.move_by(dx_um=-1000.0)
            assert trio.current_time() - moved_s >= 0.05
            nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------ answers that do not come


async def test_a_late_answer_is_not_taken_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sangaboard_link, "REPLY_S", 0.2)
    async with real_stage(V10) as (board, stage):
        del board.answers[b"p?"]
        with pytest.raises(Deadline, match=r"no answer to 'p\?' within 0\.2 s"):
            await stage.position()
        os.write(board.fd, b"1 1 1\r\n")
        board.answers[b"p?"] = b"2 2 2\r\n"
        board.answers[b"dt?"] = b"1 1 1\r\nminimum step delay 1000\r\n1 1 1\r\n"
        assert await stage.position() == Position(2.0, 2.0, 2.0)
        assert board.heard[-2:] == [b"dt?", b"p?"]


async def test_the_answer_to_a_cancelled_question_is_not_taken_for_the_next_one() -> None:
    async with real_stage(V10) as (board, stage):
        del board.answers[b"p?"]
        told: list[Position] = []

        async def ask() -> None:
            told.append(await stage.position())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.005)
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.005)
            board.answers[b"p?"] = b"3 3 3\r\n"
            os.write(board.fd, b"9 9 9\r\n")
        assert told == [Position(3.0, 3.0, 3.0)]
        assert board.heard[-2:] == [b"p?", b"p?"], "without any other question"


async def test_an_answer_that_a_cancelled_asker_left_behind_and_that_never_comes_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sangaboard_link, "REPLY_S", 0.1)
    async with real_stage(V10) as (board, stage):
        del board.answers[b"p?"]
        with trio.move_on_after(0.01):
            await stage.position()
        board.answers[b"p?"] = b"3 3 3\r\n"
        assert await stage.position() == Position(3.0, 3.0, 3.0)
        assert board.heard[-3:] == [b"p?", b"dt?", b"p?"]


async def test_a_stop_does_not_wait_for_an_answer_that_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sangaboard_link, "REPLY_S", 60.0)
    async with real_stage(V10) as (board, stage):
        await stage.home()
        board.answers[b"moving?"] = b""
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.move_to, X_100)
                while b"moving?" not in board.heard:
                    await trio.testing.wait_all_tasks_blocked(0.005)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    while board.heard[-1] != b"stop":
                        await trio.testing.wait_all_tasks_blocked(0.005)
                board.answers[b"moving?"] = b"false\r\n"
                os.write(board.fd, b"true\r\n")
        assert stage.homed


async def test_a_board_that_restarts_between_two_slices_is_noticed_though_it_counts_on() -> None:
    """v0.x keeps its count over a restart: only its version line tells."""
    async with real_stage(V04) as (board, stage):
        await stage.home()
        for line, answer in ((b"mr 50 0 0", b"done.\r\n"), (b"p?", b"50 0 0\r\nOpenFlexure Motor Board v0.4\r\n")):
            board.answers[line] = answer
        with pytest.raises(DeviceFault, match="restarted by itself"):
            await stage.move_to(X_100)
        assert board.heard.count(b"mr 50 0 0") == 1
        assert not stage.homed


async def test_silence_in_answer_to_the_fence_too_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sangaboard_link, "REPLY_S", 0.02)
    async with real_stage(V10) as (board, stage):
        board.answers.clear()
        for words in (r"no answer to 'p\?'", r"no answer to 'dt\?' after one that did not come"):
            with pytest.raises(Deadline, match=words):
                await stage.position()


async def test_a_board_that_talks_without_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sangaboard_link, "QUIET_S", 5.0)  # a busy machine is no quiet board
    async with scripted(V10) as board:

        async def talk() -> None:
            while True:
                os.write(board.fd, b"mumble\r\n")
                await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            with pytest.raises(ProtocolError, match="talks without being asked, last b'mumble'"):
                async with open_sangaboard(board.port, SETTINGS, simulated=False):
                    pass
            nursery.cancel_scope.cancel()


async def test_an_unknown_command_and_an_error_are_faults_of_their_own() -> None:
    async with real_stage(V10 | {b"p?": b"Type 'help' for a list of commands.\r\n"}) as (board, stage):
        with pytest.raises(DeviceFault, match=r"unknown command: .* knows no 'p\?'"):
            await stage.position()
        board.answers[b"p?"] = b"Error: no idea\r\ndone.\r\n"
        with pytest.raises(DeviceFault, match=r"error: no idea \(.*, in answer to 'p\?'\)"):
            await stage.position()
        board.answers[b"p?"] = b"4 4 4\r\n"
        assert await stage.position() == Position(4.0, 4.0, 4.0)


# ------------------------------------------------------------------------------------------ lamps


async def test_a_lamp_that_does_not_follow_is_a_fault() -> None:
    led = V10 | {
        b"list_modules": b"Illumination: default\r\n--END--\r\n",
        b"led_channels?": b"CC:1 PWM:1\r\n",
        b"led_cc 0.500": b"CC LED:0.50\r\n",
        b"led_cc?": b"CC LED:0.52\r\n",
        b"led_pwm 0 1.000": b"PWM:0:1.00\r\n",
        b"led_pwm?": b"PWM:0.00;\r\n",
    }
    async with real_stage(led) as (board, stage):
        assert stage.outputs == ("cc", "pwm0")
        await stage.set_output("cc", 0.5)  # one of its 32 steps
        board.answers[b"led_cc?"] = b"CC LED:0.00\r\n"
        with pytest.raises(DeviceFault, match=r"shows cc at 0 instead of 0\.5"):
            await stage.set_output("cc", 0.5)
        with pytest.raises(DeviceFault, match="shows pwm0 at 0 instead of 1"):
            await stage.set_output("pwm0", 1.0)


async def test_a_lamp_can_be_switched_in_a_motion() -> None:
    async with simulated_stage("sangaboard-1.0", min_step_delay_us=200) as (instrument, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.move_to, stage.limits.low)
            while not instrument.moving:
                await trio.lowlevel.checkpoint()
            await stage.set_output("cc", 1.0)
            assert instrument.moving
            assert instrument.lamps()["cc"] == 1.0
            nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------ the recordings

TRANSCRIPTS = Path(__file__).parents[1] / "unit" / "transcripts"
FAULTS = {
    b"Type 'help' for a list of commands.\r\n": "unknown command",
    b"Error: command is mr <int> <int> <int>\r\ndone.\r\n": "error",
}


def recorded_answers(name: str) -> list[tuple[bytes, bytes]]:
    """Each line with its answer, where exactly one came before the next line was sent."""
    entries = [json.loads(line) for line in (TRANSCRIPTS / name).read_text(encoding="utf-8").splitlines()]
    pairs = []
    for before, sent, said, after in zip(entries, entries[1:], entries[2:], entries[3:], strict=False):
        if sent["dir"] == ">" and said["dir"] == "<" and after["dir"] == ">" and before["dir"] == "<":
            pairs.append((sent["data"].encode("latin-1"), said["data"].encode("latin-1")))
    return pairs


@pytest.mark.parametrize(("name", "count"), [("sangaboard_v04.jsonl", 22), ("sangaboard_v10beta.jsonl", 33)])
async def test_the_link_draws_the_right_conclusion_from_every_recorded_answer(name: str, count: int) -> None:
    """What was asked for is returned, what was refused is a fault, and the next question is not troubled by it."""
    pairs = recorded_answers(name)
    assert len(pairs) == count
    async with scripted({}) as board:
        link = SangaboardLink(await Tty.open(board.port), "sangaboard")
        async with trio.open_nursery() as nursery:
            await nursery.start(link.port.run)
            for sent, said in pairs:
                board.answers = {sent.rstrip(b"\n"): said, b"dt?": b"minimum step delay 1000\r\n"}
                events = list(codec.Decoder().feed(said))
                if said in FAULTS:
                    with pytest.raises(DeviceFault) as caught:
                        await link.ask(sent, codec.Done)
                    assert caught.value.code == FAULTS[said]
                elif isinstance(events[0], codec.Stopped):
                    stops = link.stops
                    await link.tell(sent)
                    await link.pause(5.0, lambda stops=stops: link.stops > stops)  # type: ignore[misc]
                    assert link.stops == stops + 1
                else:
                    assert [await link.ask(sent, type(events[0]))] == events
            await link.port.aclose()


async def test_a_lost_port_is_told_to_everyone_at_once() -> None:
    async with simulated_stage("sangaboard-1.0") as (instrument, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:
            told = await disturbed_move(nursery, instrument, stage, "unplug stage")
        assert [type(error) for error in told] == [DeviceLost]
        assert "gone" in await stage.wait_lost() or "hung up" in await stage.wait_lost()
