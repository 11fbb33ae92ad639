"""The simulated ASI controllers, byte in, byte out, without a clock: each command as its page shows it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.asi.codec import Assignments, AxisStatus, Banner, Decoder, Event, Values
from hw.sim.firmware_asi import AsiFirmware, Dialect, Memory, factory_parameters
from hw.sim.motion import Slides, Vector

MARK = "SPECULAR-SIM"


class Board:
    """A controller and the time it is."""

    def __init__(self, dialect: Dialect = Dialect.MS2000, physical_mm: Vector = (-5.0, -5.0, -5.0)) -> None:
        self.slides = Slides(physical_mm, (20.0, 20.0, 20.0), (1000.0, 1000.0, 1000.0))
        self.memory = Memory(factory_parameters(10.0) | {("B", letter): 0.0 for letter in "XYZ"})
        self.firmware = AsiFirmware(self.slides, self.memory, dialect=dialect, build_info=MARK)
        self.now_s = 0.0
        self.greeting = self.wait(0.0)

    def send(self, line: str) -> str:
        return self.firmware.receive(line.encode("latin-1") + b"\r", self.now_s).decode("latin-1")

    def ask(self, line: str) -> str:
        """The reply without its end."""
        reply = self.send(line)
        assert reply.endswith("\r\n")
        return reply[:-2].rstrip(" ")

    def wait(self, seconds: float) -> str:
        self.now_s += seconds
        return self.firmware.advance(self.now_s).decode("latin-1")

    def until_still(self) -> float:
        """Returns how long it took."""
        start_s = self.now_s
        while self.firmware.wake_s < math.inf:
            self.wait(max(0.0, self.firmware.wake_s - self.now_s))
        return self.now_s - start_s

    def status(self, letter: str) -> AxisStatus:
        return AxisStatus.from_byte(int(self.ask(f"RS {letter}").removeprefix(":A ")))


@pytest.fixture(params=list(Dialect))
def board(request: pytest.FixtureRequest) -> Board:
    return Board(request.param)


def test_it_says_in_its_version_that_it_is_a_simulator() -> None:
    assert Board().ask("V") == ":A Version: USB-9.53 SPECULAR-SIM"
    tiger = Board(Dialect.TIGER)
    assert tiger.ask("0 V") == tiger.ask("V") == ":A v3.39 SPECULAR-SIM"
    assert tiger.ask("1V") == ":A v3.45 SPECULAR-SIM"


def test_builds_and_names() -> None:
    board = Board()
    assert board.ask("BU") == "STD_XYZ_LED"
    assert board.ask("BUILD X").split("\r")[1] == "Motor Axes: X Y Z"
    assert board.ask("N").startswith(":A ASI-MS2000")
    tiger = Board(Dialect.TIGER)
    assert tiger.ask("BU") == "TIGER_COMM"
    assert tiger.ask("1BU") == "STD_XY"
    assert "Hex Addr: 31 31 32 33" in tiger.ask("BU X").split("\r")
    assert isinstance(next(Decoder().feed(tiger.send("WHO").encode())), Banner)
    assert tiger.greeting == tiger.send("N"), "the banner, unasked"
    assert board.greeting == ""


def test_a_move_takes_its_time_and_ends_where_it_should(board: Board) -> None:
    assert board.ask("M X=-10000 z=5000") == ":A"
    assert board.ask("/") == board.ask("STATUS") == "B"
    assert board.status("X").moving
    assert not board.status("Y").moving
    assert board.ask("W X Y Z").startswith(":A -0.0 0.0 0.0") or board.ask("W X Y Z") == ":A 0.0 0.0 0.0"
    assert board.until_still() == pytest.approx(1.0 / 10 + 0.1)
    assert board.ask("/") == "N"
    assert board.ask("WHERE Z Y X") == ":A -10000.0 0.0 5000.0", "in the controller's order, whatever was asked"
    assert board.slides.physical_mm(board.now_s) == (-6.0, -5.0, -4.5)
    assert board.ask("MOVREL X=2500.5") == ":A"
    board.until_still()
    assert board.ask("W X") == ":A -7500.0", "encoder counts of 1 um"
    assert board.ask("M X Z") == ":A"
    board.until_still()
    assert board.ask("W X Z") == ":A 0.0 0.0", "no number is 0"


def test_halt_brakes_keeps_the_position_and_says_that_there_was_something_to_stop(board: Board) -> None:
    assert board.ask("\\") == ":A"
    board.ask("M X=-100000 Y=-100000")
    board.wait(0.5)
    assert board.ask("\\") == ":N-21"
    assert board.ask("/") == "B"
    assert 0 < board.until_still() <= 0.1 + 1e-9
    assert board.ask("W X Y") == ":A -50000.0 -50000.0"
    assert board.ask("HALT") == ":A"
    assert board.ask("/") == "N"


def test_an_axis_stops_at_its_switch_and_the_others_go_on(board: Board) -> None:
    board.ask("R X=100000 Y=20000")
    board.until_still()
    x, y = board.status("X"), board.status("Y")
    assert (x.upper_limit, x.lower_limit, y.upper_limit) == (True, False, False)
    assert board.ask("W X Y") == ":A 50000.0 20000.0"
    assert board.ask("R X=1000") == ":A"
    assert board.until_still() == pytest.approx(0.0, abs=1e-6), "it cannot go further"
    board.ask("R X=-300000")
    board.until_still()
    assert board.status("X").lower_limit
    assert board.ask("RS X-") == ":A L"
    assert board.ask("RS X?") == ":A N"
    assert board.ask("RS X+") == ":A"


def test_home_goes_to_where_hm_says_or_as_far_as_a_switch_lets_it(board: Board) -> None:
    assert board.ask("HM X?") == ":A X=1000.000000"
    assert board.ask("! X") == ":A"
    board.until_still()
    assert board.status("X").upper_limit
    assert board.ask("HM X=-2") == ":A"
    board.ask("HOME X")
    board.until_still()
    assert board.ask("W X") == ":A -20000.0"


def test_firmware_limits_stop_an_axis_too_and_follow_the_coordinates(board: Board) -> None:
    assert board.ask("SU X=1.5") == ":A"
    board.ask("M X=40000")
    board.until_still()
    assert board.ask("W X") == ":A 15000.0"
    assert not board.status("X").upper_limit
    assert board.ask("H X=0") == ":A"
    assert board.ask("SU X? Y?") == ":A X=0.000000 Y=110.000000"
    assert board.ask("HM X?") == ":A X=998.500000"
    assert board.slides.physical_mm(board.now_s)[0] == pytest.approx(-3.5), "nothing has moved"
    board.ask("Z")
    assert board.ask("W X Y Z") == ":A 0.0 0.0 0.0"


def test_coordinates_are_not_changed_under_a_moving_axis(board: Board) -> None:
    board.ask("M X=40000")
    assert board.ask("H X=0") == ":N-5"


def test_its_own_anti_backlash_comes_from_below(board: Board) -> None:
    board.ask("B X=0.5")
    board.ask("M X=-20000")
    went_past = False
    while board.firmware.wake_s < math.inf:
        board.wait(0.005)
        went_past |= board.slides.physical_mm(board.now_s)[0] < -7.4
    assert went_past
    assert board.ask("W X") == ":A -20000.0"


def test_a_disabled_axis_stays_where_it_is_and_says_so(board: Board) -> None:
    assert board.ask("MC X-") == ":A"
    assert board.ask("MC X?") == ":A 0"
    board.ask("M X=10000 Y=10000")
    board.until_still()
    assert board.ask("W X Y") == ":A 0.0 10000.0"
    assert not board.status("X").enabled
    assert board.ask("RS X-") == ":A D"
    assert board.ask("MC X+") == ":A"
    assert board.status("X").enabled


def test_parameters_reply_each_in_its_own_form(board: Board) -> None:
    assert board.ask("S X=3.5 Y=2") == ":A"
    assert board.ask("S X? Y?") == ":A X=3.500000 Y=2.000000"
    assert board.ask("AC X?") == ":X=100.000000 A"
    assert board.ask("B X? Z?") == ":X=0.000000 Z=0.000000 A"
    assert board.ask("UM X?") == ":X=10000.000000 A"
    assert board.ask("SL Z?") == ":A Z=-110.000000"
    assert board.ask("S X=100000") == ":A"
    assert board.ask("S X?") == ":A X=400.000000", "as fast as it can"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("W", ":N-3"),
        ("M", ":N-3"),
        ("M Q=1", ":N-2"),
        ("S X=-1", ":N-4"),
        ("LED X=101", ":N-4"),
        ("LED Q=1", ":N-2"),
        ("VB Y=1", ":N-4"),
        ("XYZZY", ":N-1"),
        ("M X=1e5", ":N-1"),
        ("\xff\xfe", ":N-1"),
        ("1V", ":N-1"),
    ],
)
def test_errors_of_an_ms2000(line: str, reply: str) -> None:
    assert Board().ask(line) == reply


@pytest.mark.parametrize(
    ("line", "reply"),
    [("XYZZY", ":N-6"), ("9V", ":N-7"), ("LED X=1", ":N-7"), ("3LED Q=1", ":N-2"), ("1LED X=1", ":N-2")],
)
def test_errors_of_a_tiger(line: str, reply: str) -> None:
    assert Board(Dialect.TIGER).ask(line) == reply


def test_lamps() -> None:
    board = Board()
    assert board.ask("TTL Y?") == ":A 9"
    assert board.ask("LED X=40") == ":A"
    assert board.ask("LED X?") == "X=40 :A"
    assert board.firmware.lamps() == {"led": 0.4}
    board.ask("TTL Y=0")
    assert board.ask("TTL Y?") == ":A 0"
    tiger = Board(Dialect.TIGER)
    assert tiger.ask("3LED X=10 F=0") == ":A"
    assert tiger.ask("3LED Z=50") == ":A"
    assert tiger.ask("3LED X? Y? Z? F?") == "X=10 Y=0 Z=50 F=0 :A"
    assert tiger.firmware.lamps() == {"led1@L": 0.1, "led2@L": 0.0, "led3@L": 0.5, "led4@L": 0.0}


def test_tiger_reply_syntax() -> None:
    tiger = Board(Dialect.TIGER)
    assert tiger.send("VB F=1") == "\r\n"
    assert tiger.send("M X=40000 Z=15") == "\r\n"
    assert tiger.ask("/") == "B"
    tiger.until_still()
    assert tiger.ask("W Z Y X") == "X=40000.0 Y=0.0 Z=20.0"
    assert tiger.ask("B X?") == "X=0.000000"
    assert tiger.ask("RS X") == "X=10"
    assert tiger.ask("3LED X?") == "X=0"
    assert tiger.ask("W Q") == ":N-2"


def test_verbose_modes_of_an_ms2000() -> None:
    board = Board()
    assert board.ask("VB X?") == ":A 0"
    board.ask("VB X=1")
    board.ask("M X=1000")
    assert board.wait(10.0) == "N", "unasked"
    board.send("VB X=8")
    assert board.send("W X") == ":A 1000.0 \r"
    assert board.send("VB X=0") == ":A \r\n"
    board.ask("VB Z=0")
    assert board.ask("W X") == ":A 1000"


def test_the_status_byte_raw_looks_like_the_end_of_a_line() -> None:
    assert Board().send("RB X Y") == ":\x0a\x0a\r\n"


def test_a_reset_forgets_the_coordinates_and_what_was_not_saved() -> None:
    board = Board()
    board.ask("M X=10000")
    board.until_still()
    board.ask("BU Z=77")
    board.ask("S X=3")
    board.ask("SS Z")
    board.ask("S X=4")
    assert board.ask("BU Z?") == ":A 77"
    assert board.send("~") == ""
    assert board.ask("BU Z?") == ":A 0"
    assert board.ask("W X") == ":A 0.0"
    assert board.ask("S X?") == ":A X=3.000000"
    assert board.slides.physical_mm(board.now_s)[0] == -4.0


def test_faults(board: Board) -> None:
    board.ask("M X=-100000")
    board.wait(0.5)
    board.firmware.inject_alarm(4, board.now_s)
    assert board.ask("/") == "N"
    assert board.status("Y").lower_limit
    board.ask("R Y=10")
    board.until_still()
    assert not board.status("Y").lower_limit, "moved off"
    board.firmware.inject_alarm(9, board.now_s)
    assert not board.status("Z").enabled
    said = board.firmware.inject_alarm(10, board.now_s)
    assert (said == b"") is (board.firmware.dialect is Dialect.MS2000)
    assert board.ask("W X") == ":A 0.0"


def test_an_empty_line_has_no_reply_and_an_endless_one_is_bounded(board: Board) -> None:
    assert board.send("") == ""
    assert board.send(" ") == ""
    assert board.ask("W" * 10000) in (":N-1", ":N-6")
    assert board.ask("/") == "N"


@given(st.lists(st.one_of(st.binary(max_size=12), st.text("MRWHBSLU XYZ=?0123.-\\/!\r1", max_size=12)), max_size=8))
def test_whatever_it_hears_it_answers_each_line_at_most_once(chunks: list[bytes | str]) -> None:
    board = Board()
    heard = b""
    said = b""
    for chunk in chunks:
        data = chunk if isinstance(chunk, bytes) else chunk.encode()
        heard += data
        said += board.firmware.receive(data, board.now_s)
        board.now_s += 0.01
    if b"RB" not in heard.upper() and b"RDSBYTE" not in heard.upper():
        events: list[Event] = list(Decoder().feed(said))
        assert len(events) <= heard.count(b"\r")
    assert all(isinstance(number, float) for event in Decoder().feed(b"") for number in getattr(event, "numbers", ()))


@given(st.dictionaries(st.sampled_from("XYZ"), st.integers(-40000, 40000), min_size=1))
def test_where_it_says_it_is_is_where_it_is(units: dict[str, int]) -> None:
    board = Board()
    board.ask("M " + " ".join(f"{letter}={value}" for letter, value in units.items()))
    board.until_still()
    (event,) = Decoder().feed(board.send("W X Y Z").encode())
    assert isinstance(event, Values)
    machine = board.slides.machine_mm(board.now_s)
    assert event.numbers == pytest.approx([mm * 10000 for mm in machine])
    assert not isinstance(event, Assignments)
