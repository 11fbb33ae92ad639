"""ASI controllers on the wire: every form of reply, every split, and whatever else a port may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.asi import codec
from hw.asi.codec import (
    Assignments,
    Axis,
    AxisStatus,
    Banner,
    Build,
    Decoder,
    Done,
    Empty,
    Event,
    Failed,
    Motors,
    Text,
    Unrecognised,
    Values,
)
from hw.sim.firmware_asi_words import TIGER_BUILD_DETAILS, Parameter, parse

# As the pages of asiimaging.com/docs/commands print them.
CASES: list[tuple[bytes, Event]] = [
    (b":A", Done()),
    (b":A ", Done()),
    (b"", Empty()),
    (b":N-21", Failed(-21)),
    (b":N-5 ", Failed(-5)),
    (b"B", Motors(True)),
    (b"N", Motors(False)),
    (b":A 1000", Values((1000.0,))),
    (b":A 12345.6 -10.0 0 ", Values((12345.6, -10.0, 0.0))),
    (b":A0", Values((0.0,))),
    (b":A X=5.745920 Y=1", Assignments((("X", 5.74592), ("Y", 1.0)))),
    (b":X=0.040000 A", Assignments((("X", 0.04),))),
    (b":X=50 Y=50 Z=50 A", Assignments((("X", 50.0), ("Y", 50.0), ("Z", 50.0)))),
    (b"X=10 Y=50 :A", Assignments((("X", 10.0), ("Y", 50.0)))),
    (b"X=4 Y=3 Z=1.5", Assignments((("X", 4.0), ("Y", 3.0), ("Z", 1.5)))),
    (b":A Z=-110.000", Assignments((("Z", -110.0),))),
    (b":A Version: USB-9.2m", Text(("Version: USB-9.2m",))),
    (b":A v3.45", Text(("v3.45",))),
    (b":A s", Text(("s",))),
    (b"STD_XYZ", Text(("STD_XYZ",))),
    (b"STD_XYZ\rMotor Axes: X Y Z \rLL COMMANDS", Text(("STD_XYZ", "Motor Axes: X Y Z", "LL COMMANDS"))),
    (
        b"At 30: Comm v1.5 TIGER_COMM\rAt 31: X:XYMotor,Y:XYMotor v2.4 STD_XY",
        Banner(("At 30: Comm v1.5 TIGER_COMM", "At 31: X:XYMotor,Y:XYMotor v2.4 STD_XY")),
    ),
    (b":Nonsense", Unrecognised(b":Nonsense")),
    (b":N-", Unrecognised(b":N-")),
    (b":A1.2.3", Unrecognised(b":A1.2.3")),
    (b":A\x00", Unrecognised(b":A\x00")),
    (b":\x8a", Unrecognised(b":\x8a")),
]
LETTERS = st.lists(st.sampled_from("XYZFTR"), min_size=1, max_size=4, unique=True)
NUMBERS = st.integers(-(10**9), 10**9).map(lambda thousandths: thousandths / 1000)
PAIRS = LETTERS.flatmap(lambda letters: st.tuples(*[st.tuples(st.just(letter), NUMBERS) for letter in letters]))


def decoded(*chunks: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


@pytest.mark.parametrize(("reply", "event"), CASES)
def test_every_reply_whole_byte_by_byte_and_two_at_once(reply: bytes, event: Event) -> None:
    ended = reply + b"\r\n"
    assert decoded(ended) == [event]
    assert decoded(*(bytes([byte]) for byte in ended)) == [event]
    assert decoded(ended + ended) == [event, event]
    assert decoded(reply + b"\n") == [event], "without its CR"


@given(PAIRS, st.sampled_from([":A {}", ":{} A", "{} :A", "{}", ":A {} "]))
def test_assignments_in_all_their_forms(pairs: tuple[tuple[str, float], ...], form: str) -> None:
    text = form.format(" ".join(f"{letter}={value:.6f}" for letter, value in pairs))
    (event,) = decoded(text.encode() + b"\r\n")
    assert event == Assignments(pairs)
    assert all(event.get(letter) == value for letter, value in pairs)
    assert event.get("Q") is None


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_values(numbers: list[float]) -> None:
    text = ":A " + " ".join(f"{number:.3f}" for number in numbers)
    assert decoded(text.encode() + b" \r\n") == [Values(tuple(numbers))]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_in_any_split_become_events_and_the_split_does_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert decoded(*chunks) == decoded(whole)
    assert len(decoded(whole)) == whole.count(b"\n")


@given(st.text(":ANXYZB=-. 0123456789\r", max_size=30))
def test_what_looks_like_a_reply_is_decoded_without_an_error(text: str) -> None:
    (event,) = decoded(text.encode() + b"\n")
    assert isinstance(event, codec.Event)  # type: ignore[misc,arg-type]


def test_a_reply_without_end_is_bounded() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"x" * 10000)) == []
    assert len(decoder.unfinished) == codec.MAX_RECEIVED_REPLY
    (event,) = decoder.feed(b"\r\n")
    assert event == Unrecognised(b"x" * codec.MAX_RECEIVED_REPLY)
    assert list(decoder.feed(b":A\r\n")) == [Done()]


def test_what_is_unfinished_can_be_seen_and_forgotten() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b":A 12")) == []
    assert decoder.unfinished == b":A 12"
    decoder.clear()
    assert list(decoder.feed(b"N\r\n")) == [Motors(False)]


@pytest.mark.parametrize("code", [*range(-7, 0), -21])
def test_every_documented_error_has_words(code: int) -> None:
    assert "no words" not in Failed(code).text
    assert "no words" in Failed(-30).text


@given(st.integers(0, 255))
def test_the_status_byte(value: int) -> None:
    assert AxisStatus.from_byte(value).byte == value


def test_the_documented_example_of_a_status_byte() -> None:
    assert AxisStatus.from_byte(0x8A) == AxisStatus(
        moving=False,
        enabled=True,
        motor_on=False,
        joystick=True,
        ramping=False,
        ramping_up=False,
        upper_limit=False,
        lower_limit=True,
    )


def test_the_builds_of_both_kinds() -> None:
    tiger = codec.decode_build(("TIGER_COMM", *TIGER_BUILD_DETAILS))
    assert tiger is not None
    assert tiger.tiger
    assert tiger.axes == (Axis("X", "x", 0x31), Axis("Y", "x", 0x31), Axis("Z", "z", 0x32), Axis("L", "i", 0x33))
    assert codec.decode_build(("STD_XYZ", "Motor Axes: x y z", "CMDS: XYZFTR", "DLED_X")) == Build(
        "STD_XYZ", (Axis("X"), Axis("Y"), Axis("Z")), ("CMDS: XYZFTR", "DLED_X")
    )
    assert codec.decode_build(("OLD",)) == Build("OLD", (), ())


@pytest.mark.parametrize(
    "line",
    ["Motor Axes: X Y", "Axis Types: x x z", "Hex Addr: 31 31 32 3G", "Axis Props: 0 0 -1 0", "Motor Axes: X Y ZZ L"],
)
def test_a_build_that_contradicts_itself_is_none(line: str) -> None:
    assert codec.decode_build(("TIGER_COMM", *TIGER_BUILD_DETAILS, line)) is None


# ------------------------------------------------------------------------------------------------- commands


@given(st.dictionaries(st.sampled_from("XYZ"), st.integers(-(10**7), 10**7).map(lambda n: n / 100), min_size=1))
def test_a_move_is_read_by_a_controller_as_it_was_meant(targets_um: dict[str, float]) -> None:
    for encode, name in ((codec.encode_move, "M"), (codec.encode_move_by, "R"), (codec.encode_here, "H")):
        line = encode(targets_um)
        assert line.endswith(b"\r")
        command = parse(line[:-1].decode())
        assert command is not None
        assert command.name == name
        units = {parameter.letter: parameter.value for parameter in command.parameters}
        assert units == pytest.approx({letter: um * 10 for letter, um in targets_um.items()}, abs=0.051)


def test_the_other_commands() -> None:
    assert codec.encode_where("XYZ") == b"W X Y Z\r"
    assert codec.encode_query("SL", "Z") == b"SL Z?\r"
    assert codec.encode_status_query("Y") == b"RS Y\r"
    assert codec.encode_led("X", 40, card=0x31) == b"1LED X=40\r"
    assert codec.encode_led("X", 40, card=0x81) == b"\x81LED X=40\r"
    assert parse("1LED X=40 Y?") is not None
    assert parse("1 led x = 40") == parse("1LED X=40")
    assert parse("1LED X=40").parameters == (Parameter("X", 40.0, ""),)  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "M X=1\r", "M X=\xb5", "W " + "X " * 60])
def test_what_is_no_line_is_not_sent(text: str) -> None:
    with pytest.raises(ValueError):
        codec.encode_command(text)


@pytest.mark.parametrize("card", [0x30, 0x3A, 0x80, 0xF6, 1000, -1])
def test_what_is_no_address_is_not_sent(card: int) -> None:
    with pytest.raises(ValueError, match="address"):
        codec.encode_command("LED X=1", card=card)
