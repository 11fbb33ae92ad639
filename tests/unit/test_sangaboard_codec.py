"""The Sangaboard codec: every kind of line, any split, any bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.sangaboard import codec
from hw.sangaboard.codec import MAX_RECEIVED_LINE, MAX_SENT_LINE, MAX_STEPS, Decoder, Event, Unrecognised

LINES: list[tuple[bytes, Event]] = [
    (b"Sangaboard Firmware v0.5.1", codec.Version("Sangaboard Firmware v0.5.1", (0, 5))),
    (b"Sangaboard Firmware v1.0.1+SPECULAR-SIM", codec.Version("Sangaboard Firmware v1.0.1+SPECULAR-SIM", (1, 0))),
    (b"-1 -1 -1", codec.Triple((-1, -1, -1))),
    (b"2147483647 -2147483648 0", codec.Triple((MAX_STEPS, -MAX_STEPS - 1, 0))),
    (b"ramp time 0", codec.RampTime(0)),
    (b"ramp_time 100000", codec.RampTime(100000)),
    (b"minimum step delay -5", codec.StepDelay(-5)),
    (b"Endstop hit:-1", codec.EndstopHit(0, -1)),
    (b"Endstop hit:3", codec.EndstopHit(2, 1)),
    (b"Endstops: min soft", codec.Module("Endstops", "min soft")),
    (b"Illumination: default", codec.Module("Illumination", "default")),
    (b"Sangaboard v0.5", codec.BoardName("Sangaboard v0.5")),
    (b"CC LED:0.32", codec.CcLed(0.32)),
    (b"PWM:0.50;0.00;", codec.PwmLeds((0.5, 0.0))),
    (b"PWM:1:0.20", codec.PwmLeds((0.2,), 1)),
    (b"CC:1 PWM:2", codec.LedChannels(1, 2)),
    (b"PWM Frequency:64000Hz", codec.LedFrequency(64000)),
    (b"Error: stage is not moving", codec.NotMoving()),
    (b"Error: command is mr <int> <int> <int>", codec.BoardError("command is mr <int> <int> <int>")),
    (b"Invalid command", codec.UnknownCommand()),
    (b"blocking_moves true", codec.BlockingMoves(True)),
    (b"true", codec.Moving(True)),
]
NOT_LINES = [
    b"2147483648 0 0",  # more than the board can count to
    b"1 2",
    b"1 2 3 4",
    b"1.5 2 3",
    b"Endstop hit:4",
    b"Endstop hit:0",
    b"Sangaboard Firmware v1",
    b"Sangaboard Firmware v1.0 " + b"x" * 90,
    b"CC LED:nan",
    b"PWM:0.5",
    b"PWM:" + b"0.5;" * 17,
    b"done!",
    b"Done.",
    b"\x00done.",
    b"\xff\xfe",
    b"12345678901 0 0",
]


@pytest.mark.parametrize(("line", "event"), LINES)
def test_lines_become_events(line: bytes, event: Event) -> None:
    assert list(Decoder().feed(line + b"\r\n")) == [event]
    decoder = Decoder()
    one_by_one = [found for byte in line + b"\r\n" for found in decoder.feed(bytes([byte]))]
    assert one_by_one == [event]
    assert list(Decoder().feed((line + b"\r\n") * 2)) == [event, event]


@pytest.mark.parametrize("line", NOT_LINES)
def test_what_no_board_sends_is_kept_as_it_came(line: bytes) -> None:
    assert list(Decoder().feed(line + b"\n")) == [Unrecognised(line)]


def test_a_line_without_end_is_cut_and_the_next_one_is_whole() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"x" * 10_000)) == []
    assert list(decoder.feed(b"\ndone.\r\n")) == [Unrecognised(b"x" * MAX_RECEIVED_LINE), codec.Done()]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_any_bytes_in_any_split_are_the_same_events(data: bytes, cuts: list[int]) -> None:
    whole = list(Decoder().feed(data))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = Decoder()
    parts = [event for a, b in pairwise(edges) for event in decoder.feed(data[a:b])]
    assert parts == whole


STEPS = st.integers(-MAX_STEPS, MAX_STEPS)


@given(st.tuples(STEPS, STEPS, STEPS))
def test_a_move_has_three_numbers_and_fits_the_boards_buffer(steps: tuple[int, int, int]) -> None:
    line = codec.encode_move(steps)
    assert line == b"mr " + b" ".join(str(value).encode() for value in steps) + b"\n"
    assert len(line) <= MAX_SENT_LINE


def test_other_commands() -> None:
    assert codec.encode_home(-1, 4) == b"home_min 4\n"
    assert codec.encode_home(1, 7) == b"home_max 7\n"
    assert codec.encode_cc(0.32) == b"led_cc 0.320\n"
    assert codec.encode_pwm(1, 1.0) == b"led_pwm 1 1.000\n"


def test_what_the_board_would_misunderstand_is_not_sent() -> None:
    with pytest.raises(ValueError, match="counts to 2147483647"):
        codec.encode_move((0, 2**31, 0))
    for direction, axes in ((0, 7), (-1, 0), (1, 8)):
        with pytest.raises(ValueError, match="-1 or 1, and 1 to 7"):
            codec.encode_home(direction, axes)
    for level in (-0.01, 1.01, float("nan")):
        with pytest.raises(ValueError, match="0 to 1"):
            codec.encode_cc(level)
    with pytest.raises(ValueError, match="channel 16"):
        codec.encode_pwm(16, 0.5)
