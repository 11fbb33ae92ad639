"""The Grbl driver against boards that are not as they should be: scripted ones, and the simulator set up wrongly."""

from __future__ import annotations

import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.lowlevel
import trio.testing

from firmware_app.model import Position
from hw.errors import Deadline, DeviceError, DeviceFault, DeviceLost, ProtocolError, Refused
from hw.grbl import link as grbl_link
from hw.grbl import stage as grbl_stage
from hw.grbl.codec import State
from hw.grbl.stage import GrblSettings, GrblStage, open_grbl
from hw.late import told_when_late
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config

QUICK = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    max_rate_mm_per_min=(12000.0, 12000.0, 12000.0),
    acceleration_mm_per_s2=(4000.0, 4000.0, 4000.0),
    seek_mm_per_min=12000.0,
    locate_mm_per_min=2400.0,
    debounce_ms=2.0,
)
BANNER = b"\r\nGrbl 1.1h ['$' for help]\r\n"


def fitting(settings: SimSettings) -> GrblSettings:
    vectors = {key: tuple(value) for key, value in stage_config(settings).items() if isinstance(value, list)}
    return GrblSettings(**vectors, settle_s=0.0)


@asynccontextmanager
async def powered(settings: SimSettings = QUICK) -> AsyncIterator[SimulatedInstrument]:
    instrument = SimulatedInstrument(settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        yield instrument
        nursery.cancel_scope.cancel()


class ScriptedBoard:
    """Answers each line with what the script says, and nothing where it says nothing; `?` with an idle report."""

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self.answers = {b"\x18": BANNER, b"?": b"<Idle|MPos:-1.000,-1.000,-1.000|FS:0,0>\r\n"} | answers
        self.after: dict[bytes, dict[bytes, bytes]] = {}  # hearing the key changes the answers
        self.heard: list[bytes] = []
        self.fd, self._host_fd = os.openpty()
        tty.setraw(self._host_fd)
        os.set_blocking(self.fd, False)
        self.port = os.ttyname(self._host_fd)

    async def run(self) -> None:
        line = b""
        while True:
            await trio.lowlevel.wait_readable(self.fd)
            for byte in os.read(self.fd, 4096):
                line += bytes([byte])
                if byte in b"\n\x18?!\x85":
                    self.heard.append(line)
                    os.write(self.fd, self.answers.get(line, b"ok\r\n" if byte == 0x0A else b""))
                    self.answers |= self.after.get(line, {})
                    line = b""

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._host_fd)


SETTINGS = GrblSettings(settle_s=0.0)
SETTING_LINES = b"".join(
    f"${number}={value:.3f}\r\n".encode()
    for number, value in {
        10: 3,
        13: 0,
        20: 1,
        21: 1,
        22: 1,
        23: 0,
        24: 600,
        25: 6000,
        26: 25,
        27: 1,
        **{100 + axis: SETTINGS.steps_per_mm[axis] for axis in range(3)},
        **{110 + axis: SETTINGS.max_rate_mm_per_min[axis] for axis in range(3)},
        **{120 + axis: SETTINGS.acceleration_mm_per_s2[axis] for axis in range(3)},
        **{130 + axis: SETTINGS.travel_mm[axis] for axis in range(3)},
    }.items()
)
REAL = {b"$I\n": b"[VER:1.1h.20190830:]\r\n[OPT:V,15,128]\r\nok\r\n", b"$$\n": SETTING_LINES + b"ok\r\n"}


@asynccontextmanager
async def scripted(answers: dict[bytes, bytes]) -> AsyncIterator[ScriptedBoard]:
    board = ScriptedBoard(REAL | answers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(board.run)
        try:
            yield board
        finally:
            nursery.cancel_scope.cancel()
    board.close()


@asynccontextmanager
async def simulated_stage(settings: SimSettings = QUICK) -> AsyncIterator[tuple[SimulatedInstrument, GrblStage]]:
    async with (
        powered(settings) as instrument,
        open_grbl(instrument.ports.stage, fitting(settings), simulated=True) as stage,
    ):
        yield instrument, stage


@asynccontextmanager
async def real_stage(answers: dict[bytes, bytes]) -> AsyncIterator[tuple[ScriptedBoard, GrblStage]]:
    async with scripted(answers) as board, open_grbl(board.port, SETTINGS, simulated=False) as stage:
        yield board, stage


async def until_moving(instrument: SimulatedInstrument) -> None:
    while True:
        await trio.lowlevel.checkpoint()
        if instrument.moving:
            return


async def refusal(port: str, settings: GrblSettings, *, simulated: bool) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        async with open_grbl(port, settings, simulated=simulated):
            pass
    return caught.value


async def test_a_simulator_that_was_not_declared_is_refused() -> None:
    async with powered() as instrument:
        error = await refusal(instrument.ports.stage, fitting(QUICK), simulated=False)
        assert isinstance(error, Refused)
        assert instrument.ports.stage in str(error)
        assert "is the simulator" in str(error)


async def test_a_declared_simulator_that_is_a_real_board_is_refused() -> None:
    async with scripted({}) as board:
        error = await refusal(board.port, SETTINGS, simulated=True)
        assert isinstance(error, Refused)
        assert board.port in str(error)
        assert "is not the simulator" in str(error)


async def test_a_real_board_is_identified_and_nothing_on_it_is_changed() -> None:
    async with scripted({}) as board:
        async with open_grbl(board.port, SETTINGS, simulated=False) as stage:
            assert stage.identity.label == f"grbl:{board.port}"
            assert stage.identity.firmware == "Grbl 1.1h.20190830"
            assert stage.limits.low == Position(-100000.0, -40000.0, -40000.0)
            assert stage.limits.high == Position(-1000.0, -1000.0, -1000.0)
        assert board.heard == [b"\x18", b"$I\n", b"$$\n", b"?", b"G21 G90\n"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (b"$110=2999.000", r"\$110=2999 \(x maximum rate in mm/min\), expected 3000"),
        (b"$102=799.9", r"\$102=799.9 \(z steps/mm\), expected 800"),
        (b"$121=201", r"\$121=201 \(y acceleration in mm/s2\), expected 200"),
        (b"$130=99.999", r"\$130=99.999 \(x travel in mm\), expected 100"),
        (b"$13=1", r"\$13=1 \(report in inches\), expected 0"),
        (b"$10=2", r"\$10=2 \(status report\), expected 1 or 3"),
        (b"$20=0", r"\$20=0 \(soft limits\), expected 1"),
        (b"$21=0", r"\$21=0 \(hard limits\), expected 1"),
        (b"$22=0", r"\$22=0 \(homing\), expected 1"),
        (b"$25=0", r"\$25=0 \(homing\), expected a positive value"),
    ],
)
async def test_a_board_set_up_otherwise_is_refused_naming_setting_value_and_expected(
    changed: bytes, words: str
) -> None:
    number = changed.split(b"=")[0] + b"="
    lines = [changed if line.startswith(number) else line for line in SETTING_LINES.split(b"\r\n")]
    async with scripted({b"$$\n": b"\r\n".join(lines) + b"ok\r\n"}) as board:
        with pytest.raises(Refused, match=words):
            async with open_grbl(board.port, SETTINGS, simulated=False):
                pass
        assert not [line for line in board.heard if b"=" in line]


async def test_every_difference_is_told_at_once() -> None:
    async with powered() as instrument:
        other = replace(fitting(QUICK), travel_mm=(21.0, 10.0, 10.0), steps_per_mm=(800.0, 800.0, 400.0))
        error = await refusal(instrument.ports.stage, other, simulated=True)
        assert "$130=20 (x travel in mm), expected 21" in str(error)
        assert "$102=800 (z steps/mm), expected 400" in str(error)


async def test_a_missing_setting_and_one_that_is_no_number_are_refused() -> None:
    async with scripted({b"$$\n": SETTING_LINES.replace(b"$101=800.000\r\n", b"") + b"ok\r\n"}) as board:
        with pytest.raises(Refused, match=r"\$101 \(y steps/mm\) missing"):
            async with open_grbl(board.port, SETTINGS, simulated=False):
                pass
    async with scripted({b"$$\n": SETTING_LINES.replace(b"800.000", b"nan") + b"ok\r\n"}) as board:
        with pytest.raises(ProtocolError, match=r"\$100 .* is no number: 'nan'"):
            async with open_grbl(board.port, SETTINGS, simulated=False):
                pass


async def test_something_else_on_the_port_is_told_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "BANNER_S", 0.02)
    async with scripted({b"\x18": b"Sangaboard Firmware v1.0-beta\r\n"}) as board:
        with pytest.raises(ProtocolError, match=rf"{board.port}: no Grbl banner .*Sangaboard Firmware v1.0-beta"):
            async with open_grbl(board.port, SETTINGS, simulated=False):
                pass


async def test_a_silent_port_is_a_deadline_that_says_what_it_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "BANNER_S", 0.02)
    async with scripted({b"\x18": b""}) as board:
        with pytest.raises(Deadline, match=rf"grbl:{board.port}: no Grbl banner after a reset within"):
            async with open_grbl(board.port, SETTINGS, simulated=False):
                pass


async def test_ok_after_alarm_9_is_not_success() -> None:
    async with real_stage({b"$H\n": b"ALARM:9\r\nok\r\n" + BANNER}) as (_board, stage):
        with pytest.raises(DeviceFault, match=r"ALARM:9: homing: no limit switch found"):
            await stage.home()
        assert not stage.homed


async def test_a_jog_that_ends_somewhere_else_is_a_fault_that_says_where() -> None:
    async with real_stage({}) as (_board, stage):
        await stage.home()
        with pytest.raises(DeviceFault, match=r"ended at -1000.0, -1000.0, -1000.0 um instead of -1100.0"):
            await stage.move_to(Position(-1100.0, -1000.0, -1000.0))


async def test_a_board_that_restarts_by_itself_is_no_longer_homed() -> None:
    async with real_stage({}) as (board, stage):
        await stage.home()
        assert stage.homed
        board.answers[JOG_TO_1100] = BANNER
        with pytest.raises(DeviceFault, match=r"restarted by itself"):
            await stage.move_to(Position(-1100.0, -1000.0, -1000.0))
        assert not stage.homed


JOG_TO_1100 = b"$J=G53G21G90X-1.100Y-1.000Z-1.000F3000.0\n"


def report(state: bytes) -> dict[bytes, bytes]:
    return {b"?": b"<" + state + b"|MPos:-1.050,-1.000,-1.000|FS:0,0>\r\n"}


async def test_a_motion_that_does_not_end_is_a_deadline_and_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_stage, "LATE_S", 0.05)
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.after = {JOG_TO_1100: report(b"Jog"), b"\x85": report(b"Idle")}
        with pytest.raises(Deadline, match=r"still moving 0\.05 s after the motion should have ended"):
            await stage.move_to(Position(-1100.0, -1000.0, -1000.0))
        assert board.heard[-2:] == [b"\x85", b"?"]
        assert stage.homed


async def test_a_cancel_before_the_jog_was_acknowledged_is_sent_again_at_once() -> None:
    """The first one may have overtaken the jog, which Grbl takes from its buffer later."""
    async with real_stage({JOG_TO_1100: b"", b"\x85": b"ok\r\n"}) as (board, stage):
        await stage.home()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.move_to, Position(-1100.0, -1000.0, -1000.0))
            while board.heard[-1] != JOG_TO_1100:
                await trio.testing.wait_all_tasks_blocked(0.005)
            nursery.cancel_scope.cancel()
        assert board.heard[-4:] == [JOG_TO_1100, b"\x85", b"\x85", b"?"]


async def test_a_cancel_that_overtook_its_jog_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_stage, "CANCEL_AGAIN_S", 0.02)
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.answers |= report(b"Jog")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.stop)
            while board.heard.count(b"\x85") < 2:
                await trio.testing.wait_all_tasks_blocked(0.005)
            board.answers |= report(b"Idle")
        assert (await stage.position()).x_um == -1050.0


async def test_stop_also_ends_a_motion_that_is_no_jog_and_keeps_the_position() -> None:
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.answers |= report(b"Run")
        board.after = {b"!": report(b"Hold:0"), b"\x18": report(b"Idle")}
        assert (await stage.stop()).x_um == -1050.0
        assert b"!" in board.heard
        assert board.heard[-3:-1] == [b"\x18", b"?"]
        assert stage.homed


async def test_a_stage_that_cannot_be_stopped_otherwise_is_reset_and_no_longer_homed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grbl_stage, "HALT_S", 0.05)
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.answers |= report(b"Jog")
        await stage.stop()
        assert b"\x18" in board.heard[1:]
        assert not stage.homed


@pytest.mark.parametrize("state", [b"Alarm", b"Door:0", b"Sleep", b"Check"])
async def test_a_stage_in_another_state_is_not_moved(state: bytes) -> None:
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.answers |= report(state)
        with pytest.raises(DeviceFault, match=f"in the state {state.decode().split(':')[0]}, not idle"):
            await stage.move_to(Position(-1100.0, -1000.0, -1000.0))
        assert JOG_TO_1100 not in board.heard


async def test_a_report_without_a_machine_position_is_no_position() -> None:
    async with real_stage({}) as (board, stage):
        board.answers[b"?"] = b"<Idle|WPos:0.000,0.000,0.000|FS:0,0>\r\n"
        with pytest.raises(ProtocolError, match=r"without MPos"):
            await stage.position()


async def test_a_board_that_does_not_tell_its_version_is_no_grbl() -> None:
    async with scripted({b"$I\n": b"ok\r\n"}) as board:
        error = await refusal(board.port, SETTINGS, simulated=False)
        assert isinstance(error, ProtocolError)
        assert f"{board.port}: no [VER:]" in str(error)


async def test_a_rejected_jog_is_told_with_grbls_reason() -> None:
    async with real_stage({JOG_TO_1100: b"error:15\r\n"}) as (_board, stage):
        await stage.home()
        with pytest.raises(DeviceFault, match="error:15: jog target outside the travel"):
            await stage.move_to(Position(-1100.0, -1000.0, -1000.0))
        assert stage.homed


async def test_garbage_between_the_answers_is_survived() -> None:
    async with simulated_stage() as (instrument, stage):
        await stage.home()
        await instrument.command("garbage")
        target = Position(-5000.0, -5000.0, -5000.0)
        assert await stage.move_to(target) == target


async def test_a_board_that_falls_silent_is_a_deadline_and_not_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulated_stage() as (instrument, stage):
        await stage.home()
        await instrument.command("silence")
        with monkeypatch.context() as patch:
            patch.setattr(grbl_link, "REPLY_S", 0.02)
            patch.setattr(grbl_link, "BANNER_S", 0.02)
            with pytest.raises(Deadline, match="no status report within"):
                await stage.move_to(Position(-5000.0, -5000.0, -5000.0))
            with pytest.raises(Deadline, match="no status report within"):
                await stage.position()
        await instrument.command("silence off")
        assert (await stage.home()) == Position(-1000.0, -1000.0, -1000.0)


async def test_the_report_of_a_cancelled_caller_is_not_taken_for_the_next_ones() -> None:
    async with real_stage({}) as (board, stage):
        board.answers[b"?"] = b""
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
            board.answers |= report(b"Idle")
            os.write(board.fd, b"<Idle|MPos:-9.000,-9.000,-9.000|FS:0,0>\r\n")
        assert [each.x_um for each in told] == [-1050.0]


async def test_a_cancel_does_not_wait_for_a_report_before_it_stops_the_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "REPLY_S", 60.0)
    monkeypatch.setattr(grbl_stage, "HALT_S", 60.0)
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.after = {JOG_TO_1100: {b"?": b""}}
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                moving = await nursery.start(move_in_a_scope, stage)
                while board.heard[-2:] != [JOG_TO_1100, b"?"]:
                    await trio.testing.wait_all_tasks_blocked(0.005)
                moving.cancel()
                while board.heard[-1] != b"\x85":
                    await trio.testing.wait_all_tasks_blocked(0.005)
                board.answers |= report(b"Idle")
                os.write(board.fd, report(b"Jog")[b"?"])
        assert stage.homed


async def move_in_a_scope(stage: GrblStage, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await stage.move_to(Position(-1100.0, -1000.0, -1000.0))


async def test_a_report_that_is_lost_while_stopping_does_not_cost_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "REPLY_S", 0.05)
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.answers[b"?"] = b""
        board.after = {b"?": report(b"Idle")}
        await stage.stop()
        assert board.heard[-5:] == [b"\x85", b"?", b"\x85", b"?", b"?"]
        assert stage.homed


async def test_a_board_that_reports_nothing_while_it_is_stopped_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "REPLY_S", 0.02)
    monkeypatch.setattr(grbl_stage, "HALT_S", 0.1)
    async with real_stage({}) as (board, stage):
        await stage.home()
        board.answers[b"?"] = b""
        board.after = {b"\x18": report(b"Idle")}
        assert (await stage.stop()).x_um == -1050.0
        assert b"\x18" in board.heard[1:]
        assert not stage.homed


async def test_homed_to_the_low_end_with_play_it_goes_to_where_every_place_can_be_come_to_from_below() -> None:
    """Grbl then leaves it at the pull-off from -travel, which is less than the play inside."""
    low_end = b"<Idle|MPos:-99.000,-39.000,-39.000|FS:0,0>\r\n"
    off_it = b"$J=G53G21G90X-98.940Y-38.940Z-38.940F2078.5\n"
    lines = SETTING_LINES.replace(b"$23=0.000", b"$23=7.000")
    settings = replace(SETTINGS, backlash_um=(60.0, 60.0, 60.0))
    async with scripted({b"$$\n": lines + b"ok\r\n", b"?": low_end}) as board:
        board.after = {off_it: {b"?": b"<Idle|MPos:-98.940,-38.940,-38.940|FS:0,0>\r\n"}}
        async with open_grbl(board.port, settings, simulated=False) as stage:
            assert await stage.home() == stage.limits.low == Position(-98_940.0, -38_940.0, -38_940.0)
            assert off_it in board.heard


@pytest.mark.parametrize("state", [b"Hold:0", b"Door:0", b"Sleep", b"Check"])
async def test_homing_is_the_way_out_of_every_state(state: bytes) -> None:
    async with real_stage({}) as (board, stage):
        board.answers |= report(state)
        board.after = {b"\x18": report(b"Idle")}
        await stage.home()
        assert board.heard.index(b"$H\n") > board.heard.index(b"\x18", 1)
        assert stage.homed


async def homing_fails(board: ScriptedBoard, stage: GrblStage, late: list[str]) -> DeviceError:
    with told_when_late(late.append), pytest.raises(DeviceError) as caught:
        await stage.home()
    assert not stage.homed
    return caught.value


@pytest.mark.parametrize("lost", [b"", b"o"])
async def test_a_lost_answer_to_homing_is_told_when_the_board_says_that_it_homes_no_longer(
    lost: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grbl_link, "HOMING_POLL_S", 0.01)
    async with real_stage({b"$H\n": lost}) as (board, stage):
        late: list[str] = []
        error = await homing_fails(board, stage, late)
        assert isinstance(error, DeviceFault) and error.code == "unanswered"
        assert "no longer homing (Idle)" in str(error) and "home it again" in str(error)
        assert ("this came: b'o<Idle" in str(error)) == bool(lost)
        assert late == []
        board.answers[b"$H\n"] = b"ok\r\n"
        await stage.home()
        assert stage.homed


@pytest.mark.parametrize(("said", "told"), [(b"", "has not answered:"), (b"ALAR", "half a line came: b'ALAR'")])
async def test_a_board_that_is_silent_while_it_homes_is_told_of_before_it_is_given_up(
    said: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grbl_link, "HOMING_POLL_S", 0.01)
    monkeypatch.setattr(grbl_stage, "homing_due_seconds", lambda device: 0.05)
    monkeypatch.setattr(grbl_stage, "homing_seconds", lambda device: 0.2)
    async with real_stage({}) as (board, stage):
        board.answers |= {b"$H\n": said}
        board.after[b"$H\n"] = {b"?": b""}
        board.after[b"\x18"] = {b"?": b"<Idle|MPos:-1.000,-1.000,-1.000|FS:0,0>\r\n"}
        late: list[str] = []
        assert isinstance(await homing_fails(board, stage, late), Deadline)
        (text,) = late
        assert "should have homed by now" in text and told in text and "given up in 0 s" in text


async def test_who_says_that_it_homes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """FluidNC and grblHAL answer `?` meanwhile, Grbl 1.1 once when it has ended."""
    monkeypatch.setattr(grbl_link, "HOMING_POLL_S", 0.01)
    async with real_stage({b"$H\n": b""}) as (board, stage):
        board.answers |= {b"?": b"<Home|MPos:-1.000,-1.000,-1.000|FS:0,0>\r\n"}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.home)
            while board.heard.count(b"?") < 8:
                await trio.testing.wait_all_tasks_blocked(0.005)
            board.answers |= {b"?": b"<Idle|MPos:-1.000,-1.000,-1.000|FS:0,0>\r\n"}
            os.write(board.fd, b"ok\r\n")
        assert stage.homed


async def test_who_was_about_to_ask_when_homing_began_is_answered_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grbl_link, "REPLY_S", 0.05)
    async with real_stage({b"$H\n": b""}) as (board, stage):
        states: list[State] = []

        async def ask() -> None:
            states.append((await stage._link.status()).state)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.home)
            while b"$H\n" not in board.heard:
                await trio.testing.wait_all_tasks_blocked(0.005)
            board.answers |= {b"?": b""}
            nursery.start_soon(ask)
            await trio.sleep(0.15)
            assert states == []
            board.answers |= {b"?": b"<Idle|MPos:-1.000,-1.000,-1.000|FS:0,0>\r\n"}
            os.write(board.fd, b"ok\r\n")
        assert stage.homed and states == [State.IDLE]


async def test_homing_after_an_alarm_waits_for_the_banner_that_comes_by_itself() -> None:
    """A reset of ours would bring a second banner, which looks like a restart in the middle of homing."""
    async with real_stage({b"$H\n": b"ALARM:9\r\nok\r\n"}) as (board, stage):
        with pytest.raises(DeviceFault, match="ALARM:9"):
            await stage.home()
        board.answers[b"$H\n"] = b"ok\r\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.home)
            await trio.testing.wait_all_tasks_blocked(0.005)
            os.write(board.fd, BANNER)
        assert stage.homed
        assert board.heard.count(b"\x18") == 1


async def test_homing_right_after_a_hard_limit_waits_until_a_reset_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """For half a second after alarm 1 or 2 the board swallows resets; here there is no second try."""
    async with simulated_stage() as (instrument, stage):
        await stage.home()
        monkeypatch.setattr(grbl_link, "RESET_TRIES", 1)
        await instrument.command("alarm 1")
        while stage.homed:
            await trio.testing.wait_all_tasks_blocked(0.005)
        await stage.home()
        assert stage.homed


async def test_cancelled_homing_leaves_the_stage_still_and_not_homed() -> None:
    async with simulated_stage(replace(QUICK, start_mm=(-19.0, -9.0, -9.0))) as (instrument, stage):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.home)
            await until_moving(instrument)
            with pytest.raises(Refused, match="is homing"):
                await stage.position()
            nursery.cancel_scope.cancel()
        assert not instrument.moving
        assert not stage.homed
        await stage.home()
        assert stage.homed


async def test_the_loss_of_an_idle_port_is_told_without_being_asked() -> None:
    async with simulated_stage() as (instrument, stage), trio.open_nursery() as nursery:
        nursery.start_soon(instrument.command, "unplug stage")
        assert "hung up" in await stage.wait_lost()


async def test_an_error_of_the_caller_comes_out_as_itself() -> None:
    async with powered() as instrument:
        with pytest.raises(KeyError, match="mine"):
            async with open_grbl(instrument.ports.stage, fitting(QUICK), simulated=True):
                raise KeyError("mine")


async def test_a_missing_port_is_device_lost_naming_it() -> None:
    with pytest.raises(DeviceLost, match="/dev/specular-nowhere: cannot open: no such port"):
        async with open_grbl("/dev/specular-nowhere", SETTINGS, simulated=False):
            pass


async def test_a_small_move_costs_little_more_than_its_motion() -> None:
    """Few questions per move is what keeps autofocus fast: counted, not timed."""
    async with simulated_stage() as (_instrument, stage):
        await stage.home()
        await stage.move_to(Position(-5000.0, -5000.0, -5000.0))
        asked = stage._link._statuses
        for _ in range(10):
            await stage.move_by(dz_um=50.0)
        assert stage._link._statuses - asked <= 10 * 5
