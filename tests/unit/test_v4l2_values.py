"""Controls, time stamps and frame numbers, JPEG pictures of V4L2 cameras."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hw.v4l2.abi import Buffer, BufferFlag, ControlEntry, ControlFlag, ControlType
from hw.v4l2.controls import Control, by_identity, checked_value, control_of, exposure_value, find, key_of
from hw.v4l2.mjpeg import decode_luma
from hw.v4l2.stamps import AHEAD_NS, FrameCounter, Stamps

NONE = ControlFlag(0)
GAIN = Control(1, ControlType.INTEGER, "Gain", 0, 100, 5, 50, NONE)
MODE = Control(2, ControlType.MENU, "Auto Exposure", 0, 3, 1, 3, NONE, {1: "Manual Mode", 3: "Aperture Priority Mode"})
MASK = Control(3, ControlType.BITMASK, "Mask", 0, 0x80000005, 1, 0, NONE)
BUTTON = Control(4, ControlType.BUTTON, "Button", 0, 0, 1, 0, NONE)
LOCKED = Control(5, ControlType.INTEGER, "Pixel Rate", 0, 9, 1, 0, ControlFlag.READ_ONLY)
EXPOSURE = Control(6, ControlType.INTEGER, "Exposure Time, Absolute", 3, 2048, 5, 250, NONE)
CONTROLS = (GAIN, MODE, MASK, BUTTON, LOCKED, EXPOSURE)


@pytest.mark.parametrize(
    ("control", "value", "number"),
    [
        (GAIN, 0, 0),
        (GAIN, 95, 95),
        (GAIN, 100, 100),
        (MODE, 3, 3),
        (MODE, "manual mode", 1),
        (MASK, 0x80000001, 0x80000001),
        (BUTTON, 1, 1),
    ],
)
def test_values_that_fit(control: Control, value: int | str, number: int) -> None:
    assert checked_value(control, value) == number


@pytest.mark.parametrize(
    ("control", "value", "message"),
    [
        (GAIN, -5, "Gain = -5: 0 to 100 in steps of 5 can be set"),
        (GAIN, 105, "Gain = 105: 0 to 100"),
        (GAIN, 7, "Gain = 7: 0 to 100 in steps of 5"),
        (MODE, 2, r"Auto Exposure = 2: 1 \(Manual Mode\), 3 \(Aperture Priority Mode\) can be set"),
        (MODE, "Sport", "Auto Exposure = 'Sport': 1"),
        (GAIN, "high", "Gain = 'high': 0 to 100"),
        (MASK, 2, "Mask = 2"),
        (MASK, -1, "Mask = -1"),
        (LOCKED, 1, "Pixel Rate can only be read"),
    ],
)
def test_values_that_do_not_fit_name_the_control_and_its_range(
    control: Control, value: int | str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        checked_value(control, value)


def test_exposure_in_us_is_rounded_to_the_controls_steps() -> None:
    assert exposure_value(EXPOSURE, 8000) == 78  # 3 + 15 x 5
    assert exposure_value(EXPOSURE, 300) == 3
    assert exposure_value(EXPOSURE, 204_800) == 2048
    with pytest.raises(ValueError, match="Exposure Time, Absolute = 100 us: 300 to 204800 us can be set"):
        exposure_value(EXPOSURE, 100)


@given(st.integers(300, 204_800))
def test_any_exposure_in_range_gives_a_value_that_can_be_set(exposure_us: int) -> None:
    assert checked_value(EXPOSURE, exposure_value(EXPOSURE, exposure_us)) >= 3


def test_controls_are_found_by_name_and_by_key() -> None:
    assert find(CONTROLS, "Exposure Time, Absolute") is EXPOSURE
    assert find(CONTROLS, "exposure_time_absolute") is EXPOSURE
    assert key_of("Gain, Automatic") == "gain_automatic"
    assert by_identity(CONTROLS, 99, 1) is GAIN
    assert by_identity(CONTROLS, 99) is None
    with pytest.raises(ValueError, match="no control 'Brightness'; there are: Gain, Auto Exposure, Mask"):
        find(CONTROLS, "Brightness")


def test_what_people_cannot_set_is_not_listed() -> None:
    entry = ControlEntry(1, ControlType.INTEGER, "Gain", 0, 9, 0, 1, NONE)
    assert control_of(entry, {}) == Control(1, ControlType.INTEGER, "Gain", 0, 9, 1, 1, NONE)
    for kind, name, flags in ((6, "Class", NONE), (7, "String", NONE), (0x100, "Array", NONE), (1, "", NONE)):
        assert control_of(ControlEntry(1, kind, name, 0, 9, 1, 1, flags), {}) is None
    assert control_of(ControlEntry(1, 1, "Off", 0, 9, 1, 1, ControlFlag.DISABLED), {}) is None


# ------------------------------------------------------------------------------------------ numbers and moments


def buffer(sequence: int = 0, stamp_ns: int = 0, flags: int = BufferFlag.TIMESTAMP_MONOTONIC) -> Buffer:
    return Buffer(0, 0, BufferFlag(flags), stamp_ns, sequence, 0, 0)


def counted(*numbers: int) -> FrameCounter:
    counter = FrameCounter()
    for number in numbers:
        assert counter.count(buffer(number))
    return counter


@pytest.mark.parametrize(
    ("numbers", "missing", "sequence"),
    [
        ((0, 1, 2), 0, 2),
        ((7, 10, 11), 2, 4),
        ((2**32 - 2, 1), 2, 3),
        ((0, 0, 0), 0, 2),  # a driver that does not number
        ((100, 0), 0, 1),  # one that began anew
    ],
)
def test_gaps_in_the_drivers_numbers(numbers: tuple[int, ...], missing: int, sequence: int) -> None:
    counter = counted(*numbers)
    assert (counter.missing, counter.sequence) == (missing, sequence)


def test_numbers_go_on_over_a_restart_and_damaged_frames_have_one() -> None:
    counter = counted(0, 1)
    counter.restart()
    assert not counter.count(buffer(5, flags=BufferFlag.ERROR))
    assert counter.count(buffer(6))
    assert (counter.missing, counter.sequence) == (0, 3)


MS = 1_000_000
AT_START = BufferFlag.TIMESTAMP_MONOTONIC | BufferFlag.STAMPED_AT_START


@pytest.mark.parametrize(
    ("stamp_ns", "flags", "begun_ms", "complete_ms"),
    [
        (990 * MS, BufferFlag.TIMESTAMP_MONOTONIC, 910, 990),  # the end of the frame: two intervals of 40 ms before
        (1200 * MS, BufferFlag.TIMESTAMP_MONOTONIC, 720, 1200),  # ahead, as vivid's; 240 ms since the one before
        (950 * MS, AT_START, 950, 990),
        (980 * MS, BufferFlag.TIMESTAMP_MONOTONIC, 900, 980),
        (990 * MS, AT_START, 990, 1000),
        (5, BufferFlag(0), 920, 1000),  # of an unknown clock
        (1000 * MS + AHEAD_NS + 1, BufferFlag.TIMESTAMP_MONOTONIC, 920, 1000),
    ],
)
def test_moments(stamp_ns: int, flags: int, begun_ms: int, complete_ms: int) -> None:
    stamps = Stamps()
    stamps.restart(100 * MS)
    stamps.expect(25.0, 8000)
    stamps.of(buffer(0, 960 * MS), 960 * MS)
    assert stamps.of(buffer(0, stamp_ns, flags), 1000 * MS) == (begun_ms * MS, complete_ms * MS)


def test_long_exposures_set_or_seen_count() -> None:
    stamps = Stamps()
    stamps.restart(0)
    stamps.expect(25.0, 100_000)
    assert stamps.of(buffer(0, 10 * MS), 10 * MS)[1] == 10 * MS
    assert stamps.of(buffer(1, 500 * MS), 500 * MS)[0] == 0  # 490 ms since the last: it may have begun with the stream
    assert stamps.of(buffer(2, 540 * MS), 540 * MS)[0] == 340 * MS
    stamps.expect(0.0, 0)
    assert stamps.of(buffer(3, 600 * MS), 600 * MS)[0] == 400 * MS


def test_no_frame_began_before_the_stream_and_stamps_always_rise() -> None:
    stamps = Stamps()
    stamps.restart(980 * MS)
    stamps.expect(25.0, 0)
    assert stamps.of(buffer(0, 990 * MS), 1000 * MS) == (980 * MS, 990 * MS)
    assert stamps.of(buffer(1, 985 * MS), 1001 * MS)[1] == 990 * MS + 1


# ------------------------------------------------------------------------------------------ JPEG


def jpeg(pixels: np.ndarray, **how: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=95, **how)
    return data.getvalue()


def without_huffman_tables(data: bytes) -> bytes:
    """As UVC cameras send it: every DHT segment left out."""
    kept, place = data[:2], 2
    while data[place : place + 2] != b"\xff\xda":
        length = 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place + 1] != 0xC4:
            kept += data[place : place + length]
        place += length
    return kept + data[place:]


RAMP = np.add.outer(np.arange(16, dtype=np.uint8), 4 * np.arange(32, dtype=np.uint8))


def test_the_luma_of_a_jpeg() -> None:
    grey = decode_luma(jpeg(RAMP), 32, 16)
    assert grey.shape == (16, 32)
    assert not grey.flags.writeable
    assert np.abs(grey.astype(int) - RAMP).max() <= 4
    colour = decode_luma(jpeg(np.repeat(RAMP[..., None], 3, axis=2)), 32, 16)
    assert np.abs(colour.astype(int) - RAMP).max() <= 4


def test_motion_jpeg_without_huffman_tables() -> None:
    whole = jpeg(RAMP)
    bare = without_huffman_tables(whole)
    assert len(bare) < len(whole)
    assert np.array_equal(decode_luma(bare, 32, 16), decode_luma(whole, 32, 16))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JPEG"),
        (b"\xff\xd8\xff nonsense", "."),
        (jpeg(RAMP)[:-30], "truncated"),
        (jpeg(RAMP[:8]), "a JPEG of 32x8 px: 32x16 were agreed upon"),
    ],
)
def test_damaged_jpegs(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_luma(data, 32, 16)


@given(st.integers(2, 400), st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_value_error(place: int, junk: bytes) -> None:
    whole = jpeg(RAMP)
    with contextlib.suppress(ValueError):
        decode_luma(whole[:place] + junk + whole[place + len(junk) :], 32, 16)
