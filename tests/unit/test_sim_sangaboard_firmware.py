"""The simulated Sangaboards, byte in, byte out, without a clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.sim.firmware_sangaboard import Build, Memory, SangaboardFirmware, long, short
from hw.sim.firmware_sangaboard_v0 import OldSangaboard
from hw.sim.firmware_sangaboard_v1 import NewSangaboard
from hw.sim.motion import Slides

UNKNOWN = "Type 'help' for a list of commands."
ENDSTOPS = ("min", "soft")
START_MM = (-10.0, -10.0, -10.0)  # 2000 steps from the min switches


class Board:
    """A board and the time it is. Counts grow away from the switches, 200 a mm."""

    def __init__(self, kind: type[SangaboardFirmware], memory: Memory | None = None, **build: object) -> None:
        self.slides = Slides(START_MM, (100.0, 40.0, 40.0), (200.0, 200.0, 200.0))
        self.memory = memory or Memory(maxima=[20_000, 8_000, 8_000])
        self.kind = kind
        self.build = Build("Sangaboard Firmware v9", **build)  # type: ignore[arg-type]
        self.now_s = 0.0
        self.firmware = kind(self.slides, self.memory, self.build)
        self.greeting = self.wait(0.0)

    def send(self, line: str) -> list[str]:
        return lines(self.firmware.receive(line.encode() + b"\n", self.now_s))

    def wait(self, seconds: float) -> list[str]:
        self.now_s += seconds
        return lines(self.firmware.advance(self.now_s))

    def until_quiet(self) -> list[str]:
        said: list[str] = []
        while self.firmware.wake_s < math.inf:
            said += self.wait(max(0.0, self.firmware.wake_s - self.now_s))
        return said

    def restart(self) -> None:
        self.slides.power_off(self.now_s)
        self.firmware = self.kind(self.slides, self.memory, self.build, self.now_s)
        self.wait(0.0)

    def count(self) -> tuple[int, int, int]:
        (line,) = self.send("p?")
        x, y, z = map(int, line.split())
        return x, y, z


def lines(data: bytes) -> list[str]:
    return [line for line in data.decode("ascii").split("\r\n") if line]


def old(**build: object) -> Board:
    return Board(OldSangaboard, **build)


def new(**build: object) -> Board:
    return Board(NewSangaboard, **build)


def test_a_board_says_its_version_when_it_starts() -> None:
    assert old().greeting == new().greeting == ["Sangaboard Firmware v9"]


@pytest.mark.parametrize("kind", [OldSangaboard, NewSangaboard])
def test_commands_are_known_by_how_they_begin(kind: type[SangaboardFirmware]) -> None:
    board = Board(kind, board="Sangaboard v0.5")
    assert board.send("version and more\r") == ["Sangaboard Firmware v9"]
    assert board.send("board") == ["Sangaboard v0.5"]
    assert board.send("list_modules") == ["--END--"]
    assert board.send("help")[-1] == "--END--"
    assert board.send("bogus") == [UNKNOWN]
    assert Board(kind).send("board") == [UNKNOWN]


@pytest.mark.parametrize("kind", [OldSangaboard, NewSangaboard])
def test_half_a_command_is_obeyed_after_a_second(kind: type[SangaboardFirmware]) -> None:
    board = Board(kind)
    assert board.firmware.receive(b"ver", 0.0) == b""
    assert board.firmware.receive(b"sion", 0.9) == b""
    board.now_s = 0.9
    assert board.wait(0.99) == []
    assert board.wait(0.02) == ["Sangaboard Firmware v9"]


def test_an_empty_line_is_nothing_to_the_old_and_unknown_to_the_new() -> None:
    assert old().send("") == []
    assert new().send("") == [UNKNOWN]


def test_the_old_are_deaf_in_a_move_and_lose_what_their_buffer_does_not_hold() -> None:
    board = old()
    board.send("zero")
    assert board.send("mr 500 -200 50") == []
    assert board.send("p?" + "x" * 60) == []
    assert board.send("moving?") == []
    assert board.wait(0.5) == ["done.", "500 -200 50"]
    assert board.wait(1.1) == [UNKNOWN], "of the last line one letter had room, and that is a command after a second"


def test_single_axes() -> None:
    for board, end in ((old(), 40_000), (new(), 40_000 - 2**16)):
        board.send("zero")
        said = [*board.send("mrx 40000"), *board.until_quiet()]
        assert said == (["done"] if isinstance(board.firmware, OldSangaboard) else ["done."])
        assert board.count() == (end, 0, 0)
    board = old()
    board.send("mry -5")
    board.send("mrz 7")
    board.until_quiet()
    assert board.count() == (-1, -6, 6)
    board = new()
    board.send("mry -5")
    board.until_quiet()
    board.send("mrz 7")
    board.until_quiet()
    assert board.count() == (-1, -6, 6)


def test_fewer_than_three_numbers() -> None:
    board = old()
    assert [*board.send("mr 10 20"), *board.until_quiet()] == ["Error: command is mr <int> <int> <int>", "done."]
    assert board.count() == (9, 19, -1)
    board = new()
    assert board.send("mr 10 20") == []
    assert board.send("version") == []
    assert board.firmware.wake_s == math.inf
    board.restart()
    assert board.send("version") == ["Sangaboard Firmware v9"]


def test_the_new_answer_in_a_move_and_stop_keeps_the_count() -> None:
    board = new()
    assert board.send("mr 1000 0 0") == ["done."]
    board.wait(0.25)
    assert board.send("moving?") == ["true"]
    assert board.count() == (249, -1, -1)
    assert board.send("stop") == ["Move aborted"]
    assert board.wait(9.0) == []
    assert board.count() == (249, -1, -1)
    assert board.send("moving?") == ["false"]
    assert board.send("stop") == ["Move aborted"]


def test_being_told_of_the_end_must_be_asked_for_in_time() -> None:
    board = new()
    assert board.send("notify_on_stop") == ["Error: stage is not moving"]
    board.send("mr 100 0 0")
    assert board.send("notify_on_stop") == []
    assert board.until_quiet() == ["stopped"]
    board.send("mr 100 0 0")
    assert board.until_quiet() == []


def test_blocking_says_so_at_the_end_and_answers_all_the_same() -> None:
    board = new()
    assert board.send("blocking_moves?") == ["blocking_moves false"]
    assert board.send("blocking_moves true") == ["done."]
    board.restart()
    assert board.send("blocking_moves?") == ["blocking_moves true"]
    assert board.send("mr 100 0 0") == []
    board.wait(0.05)
    assert board.send("moving?") == ["true"]
    assert board.until_quiet() == ["stopped"]
    assert board.send("mr 0 0 0") == ["stopped"]


def test_what_is_kept_without_power() -> None:
    for board, kept in ((old(), (30, -1, -1)), (new(), (-1, -1, -1))):
        board.send("mr 31 0 0")
        board.until_quiet()
        board.send("dt 500")
        board.send("ramp_time 700")
        board.restart()
        assert board.count() == kept, "v1.0 stores no position but that of `zero`"
        assert board.send("dt?") == ["minimum step delay 500"]
        (ramp,) = board.send("ramp_time?")
        assert ramp in ("ramp time 700", "ramp_time 700")
        assert board.send("min_step_delay?") == ["minimum step delay 500"]
    board = old()
    board.send("mr 1000 0 0")
    board.wait(0.5)
    board.restart()
    assert board.count() == (-1, -1, -1), "the power went in the middle, the slide is elsewhere"
    assert board.slides.physical_mm(board.now_s)[0] == pytest.approx(-12.5, abs=0.01)


def test_a_ramp_costs_its_time() -> None:
    board = new()
    board.send("ramp_time 100000")
    board.send("mr 1000 0 0")
    board.send("notify_on_stop")
    assert board.until_quiet() == ["stopped"]
    assert board.now_s == pytest.approx(1.1)


def test_the_old_stop_at_a_switch_without_a_word() -> None:
    board = old(endstops=("min",))
    assert board.send("list_modules") == ["Endstops: min", "--END--"]
    assert board.send("endstops?") == ["0 0 0"]
    board.send("mr -3000 1000 0")
    assert board.until_quiet() == ["done."]
    x, y, z = board.count()
    assert x == 0
    assert (y, z) == (pytest.approx(665, abs=3), -1), "the first switch ends the whole move"
    assert board.send("endstops?") == ["-1 0 0"]
    assert board.slides.physical_mm(board.now_s)[0] == pytest.approx(0.0)


def test_the_new_tell_of_a_switch_and_stop_that_axis_alone() -> None:
    board = new(endstops=("min",))
    board.send("mr -3000 1000 0")
    assert board.until_quiet() == ["Endstop hit:-1"]
    assert board.count() == (0, 999, -1)


def test_soft_ends_stop_without_a_word_and_without_another_count() -> None:
    board = new(endstops=ENDSTOPS)
    board.send("zero")
    board.send("max 500 600 700")
    assert board.send("max_p?") == ["500 600 700"]
    board.send("mr 1000 100 0")
    assert board.until_quiet() == []
    assert board.count() == (500, 100, 0)
    assert board.send("endstops?") == ["1 0 0"]


def test_a_blank_memory_with_soft_ends_goes_nowhere() -> None:
    board = Board(NewSangaboard, Memory(), endstops=ENDSTOPS)
    board.send("zero")
    board.send("mr 1000 0 0")
    board.until_quiet()
    assert board.count() == (0, 0, 0)


def test_without_a_switch_a_slide_jams_and_loses_steps() -> None:
    board = old()
    board.send("zero")
    board.send("mr -3000 0 0")
    board.until_quiet()
    assert board.count() == (-3000, 0, 0)
    assert board.slides.physical_mm(board.now_s)[0] == pytest.approx(1.0)


HOMES = [(OldSangaboard, "home_min 4", 4), (OldSangaboard, "home_min", 7), (NewSangaboard, "home_min 4", 4)]


@pytest.mark.parametrize(("kind", "command", "mask"), HOMES)
def test_homing_counts_from_the_switch(kind: type[SangaboardFirmware], command: str, mask: int) -> None:
    board = Board(kind, endstops=("min",), retreat_steps=300, slow_delay_us=2000)
    board.send(command)
    said = board.until_quiet()
    assert said[-1] == "done."
    for axis in range(3):
        homed = bool(mask >> axis & 1)
        assert board.count()[axis] == (300 if homed else -1)
        assert board.slides.physical_mm(board.now_s)[axis] == pytest.approx(-1.5 if homed else -10.0)
    assert board.send("dt?") == ["minimum step delay 1000"]


def test_the_new_tell_every_phase_of_a_homing() -> None:
    board = new(endstops=("min",), retreat_steps=300)
    assert board.send("home_min 1") == ["done."]
    assert board.until_quiet() == ["Endstop hit:-1", "done.", "done.", "Endstop hit:-1", "done.", "done."]


def test_a_stop_ends_one_phase_of_a_homing_and_the_next_begins() -> None:
    board = new(endstops=("min",), retreat_steps=300)
    board.send("home_min 1")
    states = []
    for _ in range(4):
        board.wait(0.05)
        states.append((board.send("stop"), board.send("moving?")))
    assert [said[0] for said, _ in states] == ["Move aborted"] * 4
    assert [moving for _, moving in states] == [["true"]] * 3 + [["false"]]
    assert board.send("dt?") == ["minimum step delay 1000"]


def test_homing_to_the_far_end_measures_it() -> None:
    for kind in (OldSangaboard, NewSangaboard):
        board = Board(kind, endstops=("min", "max"), retreat_steps=300, slow_delay_us=2000)
        board.send("home_min 2")
        board.until_quiet()
        board.send("home_max 2")
        assert board.until_quiet()[-1] == "done."
        # 40 mm of travel and a millimetre beyond are 8200 steps.
        assert board.send("max_p?") == ["20000 8200 8000"]


def test_homing_without_a_switch() -> None:
    assert new().send("home_min") == [UNKNOWN]
    board = new(endstops=("max",))
    assert board.send("home_min") == ["Min endstops not installed"]
    board = new(endstops=("min",))
    assert board.send("home_max") == ["Max endstops not installed"]
    board = old(endstops=("max",))
    assert board.send("home_min") == ["done."], "nothing was done"
    board = old(endstops=("min",), search_steps=500)
    board.send("home_min")
    board.until_quiet()
    assert board.firmware.wake_s == math.inf
    assert board.send("version") == [], "it looks for the switch for ever"


@pytest.mark.parametrize("kind", [OldSangaboard, NewSangaboard])
def test_a_switch_that_closes_in_a_move_and_one_that_closes_before(kind: type[SangaboardFirmware]) -> None:
    board = Board(kind)
    board.send("mr 1000 1000 0")
    board.wait(0.5)
    said = lines(board.firmware.inject_alarm(2, board.now_s)) + board.until_quiet()
    x, y, _ = board.count()
    assert y == 0
    if kind is OldSangaboard:
        assert (said, x) == (["done."], pytest.approx(499, abs=1))
    else:
        assert (said, x) == (["Endstop hit:-2"], 999)
    board.firmware.inject_alarm(1, board.now_s)
    assert board.count()[0] == x, "at rest nobody looks"
    board.send("mr 50 50 50")
    board.until_quiet()
    assert board.count()[0] == 0


@pytest.mark.parametrize("kind", [OldSangaboard, NewSangaboard])
def test_leds_show_what_they_were_set_to(kind: type[SangaboardFirmware]) -> None:
    board = Board(kind, illumination=True, pwm_channels=2)
    assert board.send("list_modules") == ["Illumination: default", "--END--"]
    assert board.send("led_channels?") == ["CC:1 PWM:2"]
    assert board.send("led_cc 0.32") == board.send("led_cc?") == ["CC LED:0.32"]
    assert board.send("led_cc 7") == ["CC LED:1.00"]
    assert board.send("led_cc x") == ["CC LED:0.00"]
    assert board.send("led_pwm 1 0.2") == ["PWM:1:0.20"]
    assert board.send("led_pwm?") == ["PWM:0.00;0.20;"]
    assert board.send("led_pwm 2 0.2") == ["Error: no such channel"]
    assert board.send("led_frequency?") == ["PWM Frequency:64000Hz"]
    assert board.send("led_frequency 1000") == ["PWM Frequency:1000Hz"]
    assert board.firmware.lamps() == {"cc": 0.0, "pwm0": 0.0, "pwm1": 0.2}
    assert Board(kind).send("led_cc?") == [UNKNOWN]
    assert Board(kind).firmware.lamps() == {}


def test_numbers_as_the_boards_read_them() -> None:
    assert [long(text) for text in (" 12x", "-3", "+4", "x", "", "2147483648")] == [12, -3, 4, 0, 0, -(2**31)]
    assert [short(text) for text in ("32767", "32768", "-32769")] == [32767, -32768, 32767]


TALK = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from([b"mr 50 -20 7\n", b"mrx 9\n", b"stop\n", b"home_min 3\n", b"p?\n", b"moving?\n", b"zero\n"]),
        st.sampled_from(
            [b"notify_on_stop\n", b"blocking_moves true\n", b"dt 0\n", b"ramp_time 5000\n", b"max 9 9 9\n"]
        ),
    ),
    max_size=20,
)


@pytest.mark.parametrize("kind", [OldSangaboard, NewSangaboard])
@given(talk=TALK, pauses=st.lists(st.floats(0.0, 2.0), min_size=20, max_size=20))
def test_whatever_is_sent_the_board_stays_a_board(
    kind: type[SangaboardFirmware], talk: list[bytes], pauses: list[float]
) -> None:
    board = Board(kind, endstops=ENDSTOPS, illumination=True, pwm_channels=2, retreat_steps=50)
    for data, pause_s in zip(talk, pauses, strict=False):
        board.firmware.receive(data, board.now_s)
        board.wait(pause_s)
        assert board.firmware.wake_s > board.now_s
    board.restart()
    assert board.send("version") == ["Sangaboard Firmware v9"]
    assert len(board.count()) == 3
