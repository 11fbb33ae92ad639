"""The simulated Grbl board, byte in, byte out, without a clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.sim.firmware_grbl import GrblFirmware
from hw.sim.firmware_settings import Settings
from hw.sim.motion import Slides, Vector

QUICK = {
    number: value for first, value in ((110, 6000.0), (120, 1000.0), (130, 20.0)) for number in range(first, first + 3)
}
HOMING_ON = {10: 3, 20: 1, 21: 1, 22: 1, 24: 600.0, 25: 6000.0, 26: 10, 27: 1.0} | QUICK
BANNER = "Grbl 1.1h ['$' for help]"
UNLOCK = "[MSG:'$H'|'$X' to unlock]"


class Board:
    """A board and the time it is."""

    def __init__(self, settings: dict[int, float] | None = None, physical_mm: Vector = (-5.0, -5.0, -5.0)) -> None:
        slides = Slides(physical_mm, (20.0, 20.0, 20.0), (250.0, 250.0, 250.0))
        self.firmware = GrblFirmware(slides, Settings(HOMING_ON if settings is None else settings))
        self.now_s = 0.0
        self.wait(0.0)

    def send(self, data: bytes) -> list[str]:
        return lines(self.firmware.receive(data, self.now_s))

    def wait(self, seconds: float) -> list[str]:
        self.now_s += seconds
        return lines(self.firmware.advance(self.now_s))

    def until_quiet(self) -> list[str]:
        said: list[str] = []
        while self.firmware.wake_s < math.inf:
            said += self.wait(max(0.0, self.firmware.wake_s - self.now_s))
        return said

    def status(self) -> str:
        (line,) = self.send(b"?")
        return line

    @property
    def x_mm(self) -> float:
        return self.firmware.slides.machine_mm(self.now_s)[0]


def lines(data: bytes) -> list[str]:
    return [line for line in data.decode("ascii").split("\r\n") if line]


def homed() -> Board:
    board = Board()
    board.send(b"$H\n")
    assert board.until_quiet()[-1] == "ok"
    return board


def test_power_up_is_locked_and_a_soft_reset_is_not() -> None:
    board = Board()
    assert board.status().startswith("<Alarm|")
    assert board.send(b"G0X1\n") == ["error:9"]
    assert board.send(b"$X\n") == ["[MSG:Caution: Unlocked]", "ok"]
    assert board.send(b"\x18") == [BANNER]
    assert board.status().startswith("<Idle|")


def test_homing_answers_nothing_until_it_ends() -> None:
    board = Board()
    assert board.send(b"$H\n") == []
    assert board.send(b"?") == []
    assert board.send(b"$X\n") == []
    said = board.until_quiet()
    assert said[0].startswith("<Home|MPos:-1.000,-1.000,-1.000|")
    assert said[1:] == ["ok", "ok"]
    assert board.firmware.slides.physical_mm(board.now_s) == pytest.approx((-1.0, -1.0, -1.0))


def test_homing_without_a_switch_ends_in_alarm_9_then_ok_then_a_banner() -> None:
    board = Board(HOMING_ON | {132: 1.0})
    board.send(b"$H\n")
    assert board.until_quiet() == ["ALARM:9", "ok", BANNER, UNLOCK]


def test_reset_while_homing_is_alarm_6() -> None:
    board = Board()
    board.send(b"$H\n")
    board.wait(0.05)
    assert board.send(b"\x18") == ["ALARM:6"]
    assert board.until_quiet() == ["ok", BANNER, UNLOCK]


def test_soft_limit_is_silent_until_a_reset_which_prints_a_stray_ok() -> None:
    board = homed()
    assert board.send(b"G0X5\n") == ["ALARM:2"]
    assert board.wait(0.4) == []
    assert board.send(b"\x18") == []  # swallowed: the board empties its line for half a second
    assert board.wait(0.2) == ["[MSG:Reset to continue]"]
    assert board.send(b"?$X\n") == []
    assert board.until_quiet() == []
    assert board.send(b"\x18") == ["ok", BANNER, UNLOCK]
    assert board.status().startswith("<Alarm|MPos:-1.000,")


def test_running_into_a_switch_is_alarm_1_and_the_slide_stands_on_it() -> None:
    board = homed()
    board.send(b"$20=0\nG1X3F600\n")
    said = board.until_quiet()
    assert said == ["ALARM:1", "[MSG:Reset to continue]"]
    assert board.firmware.slides.physical_mm(board.now_s)[0] == pytest.approx(0.0, abs=0.004)
    assert board.send(b"\x18") == [BANNER, "[MSG:Check Limits]", UNLOCK]
    assert "|Pn:X" in board.status()


def test_reset_in_motion_loses_the_position_and_in_hold_it_does_not() -> None:
    board = homed()
    board.send(b"G1X-15F600\n")
    board.wait(0.5)
    assert board.send(b"\x18") == ["ALARM:3"]
    assert board.until_quiet() == [BANNER, UNLOCK]
    board = homed()
    board.send(b"G1X-15F600\n")
    board.wait(0.5)
    board.send(b"!")
    assert board.status().startswith("<Hold:1|")
    board.until_quiet()
    held = board.x_mm
    assert board.status().startswith("<Hold:0|")
    assert board.send(b"\x18") == [BANNER]
    assert board.x_mm == held


def test_hold_and_resume_end_where_the_motion_was_going() -> None:
    board = homed()
    board.send(b"G1X-15F600\n")
    board.wait(0.5)
    board.send(b"!")
    board.until_quiet()
    assert board.send(b"G1X-3\n") == []  # nothing is worked on while held
    assert board.send(b"~") == ["ok"]
    board.until_quiet()
    assert board.x_mm == -3.0


@pytest.mark.parametrize("byte", [b"\x85", b"!"])
def test_a_cancelled_jog_is_idle_where_it_stopped(byte: bytes) -> None:
    board = homed()
    assert board.send(b"$J=G91X-10F600\n") == ["ok"]
    board.wait(0.5)
    board.send(byte)
    board.until_quiet()
    assert board.status().startswith("<Idle|")
    assert -7.0 < board.x_mm < -5.0
    board.send(b"$J=G91X-1F600\n")
    at_mm = board.x_mm
    board.until_quiet()
    assert board.x_mm == pytest.approx(at_mm - 1.0, abs=0.005)


def test_jogs_are_refused_where_g_code_would_raise_an_alarm() -> None:
    board = homed()
    assert board.send(b"$J=X5F100\n") == ["error:15"]
    assert board.send(b"$J=X-5\n") == ["error:22"]
    assert board.send(b"$J=F100\n") == ["error:26"]
    assert board.send(b"$J=X-5F100M3\n") == ["error:16"]
    assert board.send(b"$J=X-5F100\n") == ["ok"]
    assert board.send(b"G0X-2\n") == ["error:9"]


def test_sixty_lines_at_once_lose_bytes_silently_and_counted_lines_do_not() -> None:
    jog = b"G1X-%dF3000\n"
    flood = [jog % (1 + i % 2) for i in range(60)]
    board = homed()
    said = board.send(b"".join(flood)) + board.until_quiet()
    assert 15 < said.count("ok") < 60
    board = homed()
    unanswered: list[int] = []
    acknowledged = 0
    for line in flood:
        while sum(unanswered) + len(line) > 127:
            answers = board.wait(max(0.0, board.firmware.wake_s - board.now_s)).count("ok")
            acknowledged += answers
            del unanswered[:answers]
        unanswered.append(len(line))
        answers = board.send(line).count("ok")
        acknowledged += answers
        del unanswered[:answers]
    assert acknowledged + board.until_quiet().count("ok") == 60


def test_rare_fields_come_at_grbls_pace_and_never_together() -> None:
    board = homed()
    board.send(b"\x18")
    reports = [board.status() for _ in range(31)]
    assert [index for index, report in enumerate(reports) if "WCO:" in report] == [0, 10, 20, 30]
    assert [index for index, report in enumerate(reports) if "Ov:" in report] == [1, 11, 21]
    board.send(b"G4P99\nG0X-1\n\x18$J=G91X-15F1\n")
    reports = [board.status() for _ in range(62)]
    assert [index for index, report in enumerate(reports) if "WCO:" in report] == [0, 30, 60]
    assert [index for index, report in enumerate(reports) if "Ov:" in report] == [1, 21, 41, 61]


def test_two_questions_at_once_get_one_answer() -> None:
    assert len(homed().send(b"??")) == 1


def test_the_buffer_shows_what_waits_in_it() -> None:
    board = homed()
    board.send(b"G4P1\n")
    board.send(b"G0X-2\n")
    assert "|Bf:15,122|" in board.status()


def test_dwell_waits_for_the_end_of_motion() -> None:
    board = homed()
    assert board.send(b"G1X-3F600\nG4P0.01\n") == ["ok"]
    assert board.wait(0.1) == []
    assert board.until_quiet() == ["ok"]
    assert board.x_mm == -3.0


def test_lamp_lines_show_in_the_status() -> None:
    board = homed()
    assert board.send(b"M3S500\n") == ["ok"]
    assert board.send(b"M8\n") == ["ok"]
    assert "|FS:0,500|" in board.status()
    assert board.status().endswith("|Ov:100,100,100|A:SF>")
    board.send(b"M5M9\n")
    assert board.status().endswith("|FS:0,0|Ov:100,100,100>")


def test_mist_is_an_option_of_the_build_and_adds_to_flood() -> None:
    assert homed().send(b"M7\n") == ["error:20"]
    board = homed()
    board.firmware = GrblFirmware(board.firmware.slides, Settings(HOMING_ON), mist=True)
    board.wait(0.0)
    assert board.send(b"$I\n")[1] == "[OPT:VM,15,128]"
    board.send(b"$X\nM7\nM8\n")
    assert board.status().endswith("|Ov:100,100,100|A:FM>") or board.status().endswith("|A:FM>")
    assert "M7 M8 T0" in board.send(b"$G\n")[0]
    assert board.firmware.lamps() == {"spindle": 0.0, "flood": 1.0, "mist": 1.0}
    board.send(b"M9\n")
    assert board.firmware.lamps() == {"spindle": 0.0, "flood": 0.0, "mist": 0.0}


def test_the_spindle_keeps_within_its_range() -> None:
    board = homed()
    board.send(b"$30=500\n$31=100\nM3S9\n")
    assert "|FS:0,100|" in board.status()
    board.send(b"S9000\nM3\n")
    assert "|FS:0,500|" in board.status()
    assert board.firmware.lamps()["spindle"] == 1.0


def test_check_mode_moves_nothing_and_ends_in_a_reset() -> None:
    board = homed()
    assert board.send(b"$C\n") == ["[MSG:Enabled]", "ok"]
    assert board.send(b"G0X-9\n") == ["ok"]
    assert board.status().startswith("<Check|MPos:-1.000,")
    assert board.send(b"$C\n") == ["[MSG:Disabled]", "ok", BANNER]


def test_sleep_ends_only_by_a_reset_and_leaves_it_locked() -> None:
    board = homed()
    assert board.send(b"$SLP\n") == ["ok", "[MSG:Sleeping]"]
    assert board.send(b"$X\n") == []
    assert board.send(b"\x18") == [BANNER, UNLOCK]


def test_startup_lines_are_run_and_reported() -> None:
    board = homed()
    assert board.send(b"$N0=G20\n$N1=G999\n") == ["ok", "error:20"]
    assert board.send(b"$N\n") == ["$N0=G20", "$N1=", "ok"]
    assert board.send(b"\x18") == [BANNER, ">G20:ok"]
    assert board.send(b"$G\n")[0].startswith("[GC:G0 G54 G17 G20 ")


def test_offsets_move_the_work_frame_and_not_the_machine() -> None:
    board = homed()
    board.send(b"G10L20P1X0\n")
    assert "|WCO:-1.000,0.000,0.000" in board.status()
    board.send(b"G0X-2\n")
    board.until_quiet()
    assert board.x_mm == -3.0
    board.send(b"G53G0X-2\n")
    board.until_quiet()
    assert board.x_mm == -2.0


ANSWERS = [
    (b"\n", "ok"),
    (b"FOO\n", "error:2"),
    (b"G5\n", "error:20"),
    (b"G0G1X-1\n", "error:21"),
    (b"G1X-2\n", "error:22"),
    (b"G0X-1X-2\n", "error:25"),
    (b"G92\n", "error:26"),
    (b"G4\n", "error:28"),
    (b"G80X-1\n", "error:31"),
    (b"G0X-1P2\n", "error:36"),
    (b"G0X-1F-5\n", "error:4"),
    (b"%\n", "error:1"),
    (b"$Z\n", "error:2"),
    (b"$999=1\n", "error:3"),
    (b"$0=1\n", "error:6"),
    (b"$100=-1\n", "error:4"),
    (b"$J\n", "error:3"),
    (b"X" * 80 + b"\n", "error:11"),
    (b"(" + b"c" * 300 + b")\n", "error:11"),
    (b"G0 ( a long remark that Grbl drops before it counts ) X-2 ; and another one that it drops, too\n", "ok"),
]


@pytest.mark.parametrize(("line", "answer"), ANSWERS)
def test_lines_get_grbls_answer(line: bytes, answer: str) -> None:
    assert homed().send(line) == [answer]


def test_settings_belong_together() -> None:
    board = Board({})
    assert board.send(b"$20=1\n") == ["error:10"]
    assert board.send(b"$22=1\n$20=1\n$22=0\n") == ["ok"] * 3
    assert "$20=0" in board.send(b"$$\n")
    assert board.send(b"$H\n") == ["error:5"]


def test_an_override_changes_the_next_motion() -> None:
    board = homed()
    board.send(b"\x91" * 20)
    assert "Ov:200,100,100" in " ".join(board.status() for _ in range(2))
    board.send(b"G1X-10F600\n")
    board.wait(0.3)
    assert "|FS:1200,0" in board.status()


TALK = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [b"$H\n", b"$X\n", b"?", b"!", b"~", b"\x18", b"\x84", b"\x85", b"$C\n", b"$SLP\n", b"G4P0.1\n"]
        ),
        st.sampled_from(
            [b"G1X-9F900\n", b"G91G0X1\n", b"$J=X-3F99\n", b"$20=0\n", b"G20\n", b"G0X1e9\n", b"$$\n", b"$I\n"]
        ),
    ),
    max_size=25,
)


@given(TALK, st.lists(st.floats(0.0, 2.0), min_size=25, max_size=25))
def test_whatever_is_sent_the_board_stays_a_board(talk: list[bytes], pauses: list[float]) -> None:
    board = Board()
    for data, pause_s in zip(talk, pauses, strict=False):
        board.send(data)
        board.wait(pause_s)
        assert board.firmware.wake_s > board.now_s
        assert board.firmware._rx_free >= 0
    board.wait(3600.0)
    board.send(b"\x18")
    board.wait(10.0)
    board.send(b"\x18\n")
    board.wait(10.0)
    assert board.send(b"\x18")[0] == BANNER
    assert board.status().split("|")[0] in ("<Idle", "<Alarm")
