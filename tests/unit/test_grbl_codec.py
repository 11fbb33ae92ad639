"""Grbl on the wire: every kind of line, every split, and whatever else a port may say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.grbl import codec
from hw.grbl.codec import (
    Alarm,
    Banner,
    BuildInfo,
    BuildOptions,
    Decoder,
    Error,
    Event,
    Feedback,
    Message,
    Ok,
    Setting,
    StartupResult,
    State,
    Status,
    StoredLine,
    Unrecognised,
)

CASES: list[tuple[bytes, Event]] = [
    (b"ok", Ok()),
    (b"error:15", Error(15)),
    (b"ALARM:9", Alarm(9)),
    (b"Grbl 1.1h ['$' for help]", Banner("1.1h")),
    (b"[MSG:'$H'|'$X' to unlock]", Message("'$H'|'$X' to unlock")),
    (b"[VER:1.1h.20190830:SPECULAR-SIM]", BuildInfo("1.1h.20190830", "SPECULAR-SIM")),
    (b"[VER:1.1f.20170801:]", BuildInfo("1.1f.20170801", "")),
    (b"[OPT:V,15,128]", BuildOptions("V", 15, 128)),
    (b"[OPT:VL]", BuildOptions("VL", None, None)),
    (b"$110=1000.000", Setting(110, "1000.000")),
    (b"$N0=G20G54", StoredLine(0, "G20G54")),
    (b"$N1=", StoredLine(1, "")),
    (b">G20G54:ok", StartupResult("G20G54", None)),
    (b">G5:error:20", StartupResult("G5", 20)),
    (b"[G54:0.000,0.000,0.000]", Feedback("G54", "0.000,0.000,0.000")),
    (b"[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]", Feedback("GC", "G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0")),
    (
        b"<Idle|MPos:-1.000,0.000,3.716|FS:0,0>",
        Status(State.IDLE, machine_mm=(-1.0, 0.0, 3.716), feed=0.0, spindle=0.0),
    ),
    (
        b"<Hold:1|MPos:-4.688,0.000,3.716|Bf:14,119|FS:260,0|Pn:XP|WCO:0.000,1.000,0.000>",
        Status(
            State.HOLD,
            1,
            machine_mm=(-4.688, 0.0, 3.716),
            work_offset_mm=(0.0, 1.0, 0.0),
            planner_free=14,
            rx_free=119,
            feed=260.0,
            spindle=0.0,
            pins="XP",
        ),
    ),
    (
        b"<Run|WPos:1.5,0,-2|F:300|Ov:110,100,100|A:SF|Ln:99|Future:anything>",
        Status(
            State.RUN, work_mm=(1.5, 0.0, -2.0), feed=300.0, overrides_percent=(110.0, 100.0, 100.0), accessories="SF"
        ),
    ),
]
# What a line turns into when it is damaged on the way, sent at another speed, or by somebody else's firmware.
NOT_GRBL = [
    b"OK",
    b"ok ok",
    b"error:",
    b"error:x",
    b"error:1234",
    b"ALARM:-1",
    b"<Idle|MPos:-1.000,0.000,3.7",
    b"<Idle|MPos:-1.000,0.000>",
    b"<Idle|MPos:nan,0,0>",
    b"<Idle|MPos:1e400,0,0>",
    b"<Idle|MPos:1,2,3|MPos:4,5,6>",
    b"<Idle|FS:0,0>",
    b"<Idle>",
    b"<Dancing|MPos:0,0,0>",
    b"<Idle|MPos:0,0,0|Bf:a,b>",
    b"<Idle|MPos:0,0,0|Pn:Q>",
    b"$110",
    b"$1234=5",
    b"[nothing]",
    b"Sangaboard Firmware v1.0-beta",
    b"\xff\x00\x80",
    b"ok\x00",
]


def feed(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@pytest.mark.parametrize(("line", "event"), CASES, ids=[case[0].decode() for case in CASES])
def test_a_line_is_its_event_however_it_is_split(line: bytes, event: Event) -> None:
    wire = line + b"\r\n"
    assert feed(wire) == [event]
    assert feed(*(wire[i : i + 1] for i in range(len(wire)))) == [event]
    assert feed(wire + wire) == [event, event]
    assert feed(b"\r\n", line, b"\n") == [event]


@pytest.mark.parametrize("line", NOT_GRBL)
def test_what_is_not_grbl_is_told_with_its_bytes(line: bytes) -> None:
    assert feed(line + b"\r\n", b"ok\r\n") == [Unrecognised(line), Ok()]


def test_a_line_without_an_end_is_cut_and_the_next_one_is_understood() -> None:
    flood = b"x" * 100_000
    assert feed(*[flood] * 10, b"\n", b"ok\n") == [Unrecognised(b"x" * codec.MAX_RECEIVED_LINE), Ok()]


def test_a_line_as_long_as_allowed_is_whole() -> None:
    line = b"[MSG:" + b"m" * (codec.MAX_RECEIVED_LINE - 6) + b"]"
    assert feed(line + b"\n") == [Message("m" * (codec.MAX_RECEIVED_LINE - 6))]
    assert feed(b"x" + line + b"\n") == [Unrecognised(b"x" + line[:-1])]


LINES = st.sampled_from([case[0] for case in CASES] + NOT_GRBL)
WIRE = st.one_of(st.binary(max_size=600), st.lists(LINES, max_size=12).map(b"\r\n".join))


@given(WIRE, st.lists(st.integers(0, 600), max_size=8))
def test_any_bytes_in_any_split_are_the_same_events(wire: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    assert feed(*(wire[a:b] for a, b in pairwise(edges))) == feed(wire)


@given(st.binary(max_size=600))
def test_no_byte_is_lost_between_lines(wire: bytes) -> None:
    short = [line for line in wire.split(b"\n")[:-1] if line.strip(b"\r")]
    assert len(feed(wire)) == len(short)


def test_every_code_has_words() -> None:
    assert set(codec.ALARMS) == set(range(1, 11))
    assert set(codec.ERRORS) == set(range(1, 39)) - {18, 19}
    assert all(Error(code).text == words for code, words in codec.ERRORS.items())
    assert all(Alarm(code).text == words for code, words in codec.ALARMS.items())
    assert [code for code in codec.ALARMS if Alarm(code).critical] == [1, 2]
    assert "no words" in Alarm(99).text
    assert "no words" in Error(99).text


def test_commands_end_in_one_line_feed_and_fit_the_line_buffer() -> None:
    assert codec.encode_jog((-82.0, -20.5, -0.0004), 6000.0) == b"$J=G53G21G90X-82.000Y-20.500Z-0.000F6000.0\n"
    assert codec.encode_line("G21 G90") == codec.MILLIMETRES_ABSOLUTE
    assert len(codec.encode_line("X" * 79)) == 80


@pytest.mark.parametrize("text", ["X" * 80, "G1\nG2", "G1\r", "?", "G1!", "~", "G1µ", "\x18", "\x85"])
def test_what_grbl_would_take_for_something_else_is_not_sent(text: str) -> None:
    with pytest.raises(ValueError, match=r"Grbl"):
        codec.encode_line(text)
