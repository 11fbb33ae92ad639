"""The kernel's structures: sizes and request numbers as a C compiler has them, fields at their places."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.v4l2 import abi

# sizeof of linux/videodev2.h, and VIDIOC_*, printed by a C program on x86-64.
SIZES = [
    (abi.CAPABILITY, 104),
    (abi.DESCRIPTION, 64),
    (abi.FRAME_SIZE, 44),
    (abi.FRAME_INTERVAL, 52),
    (abi.FORMAT, 208),
    (abi.PARAMETERS, 204),
    (abi.REQUEST_BUFFERS, 20),
    (abi.BUFFER, 88),
    (abi.QUERY_CONTROL, 232),
    (abi.QUERY_MENU, 44),
    (abi.CONTROLS, 32),
    (abi.CONTROL_32, 20),
    (abi.CONTROL_64, 20),
]
REQUESTS = [
    (abi.QUERYCAP, 0x80685600),
    (abi.ENUM_FMT, 0xC0405602),
    (abi.G_FMT, 0xC0D05604),
    (abi.S_FMT, 0xC0D05605),
    (abi.TRY_FMT, 0xC0D05640),
    (abi.REQBUFS, 0xC0145608),
    (abi.QUERYBUF, 0xC0585609),
    (abi.QBUF, 0xC058560F),
    (abi.DQBUF, 0xC0585611),
    (abi.STREAMON, 0x40045612),
    (abi.STREAMOFF, 0x40045613),
    (abi.G_PARM, 0xC0CC5615),
    (abi.S_PARM, 0xC0CC5616),
    (abi.QUERYMENU, 0xC02C5625),
    (abi.QUERY_EXT_CTRL, 0xC0E85667),
    (abi.G_EXT_CTRLS, 0xC0205647),
    (abi.S_EXT_CTRLS, 0xC0205648),
    (abi.ENUM_FRAMESIZES, 0xC02C564A),
    (abi.ENUM_FRAMEINTERVALS, 0xC034564B),
]
FOURCCS = [
    ("GREY", 0x59455247),
    ("Y16", 0x20363159),
    ("Y16-BE", 0xA0363159),
    ("Y10P", 0x50303159),
    ("MJPG", 0x47504A4D),
]


@pytest.mark.parametrize(("layout", "size"), SIZES)
def test_sizes_are_those_of_c(layout: struct.Struct, size: int) -> None:
    assert layout.size == size


@pytest.mark.parametrize(("number", "expected"), REQUESTS)
def test_requests_are_those_of_c(number: int, expected: int) -> None:
    assert number == expected


@pytest.mark.parametrize(("name", "code"), FOURCCS)
def test_pixel_formats_by_name(name: str, code: int) -> None:
    assert abi.fourcc_code(name) == code
    assert abi.fourcc_name(code) == name


@pytest.mark.parametrize("name", ["", "GREYS", "Y16-LE", "ÄÖÜ"])
def test_what_is_no_pixel_format(name: str) -> None:
    with pytest.raises(ValueError, match="no pixel format"):
        abi.fourcc_code(name)


def test_a_code_without_letters_is_shown_as_a_number() -> None:
    assert abi.fourcc_name(0x01020304) == "0x01020304"


def test_a_buffer_has_its_fields_where_c_has_them() -> None:
    raw = bytearray(88)
    for offset, value in ((0, 3), (8, 1234), (12, 0x2040), (56, 77), (64, 0x1000), (72, 4096)):
        struct.pack_into("=I", raw, offset, value)
    struct.pack_into("=qq", raw, 24, 5, 250)
    assert abi.read_buffer(raw) == abi.Buffer(
        3, 1234, abi.BufferFlag.ERROR | abi.BufferFlag.TIMESTAMP_MONOTONIC, 5_000_250_000, 77, 0x1000, 4096
    )


def test_a_buffer_is_asked_for_by_index() -> None:
    raw = abi.write_buffer(2)
    assert struct.unpack_from("=II", raw) == (2, abi.CAPTURE)
    assert struct.unpack_from("=I", raw, 60) == (abi.MMAP,)


def test_a_geometry_there_and_back() -> None:
    raw = abi.write_geometry(1280, 960, abi.fourcc_code("GREY"))
    assert struct.unpack_from("=IIII", raw, 8) == (1280, 960, 0x59455247, abi.FIELD_NONE)
    struct.pack_into("=II", raw, 24, 1344, 1344 * 960)
    assert abi.read_geometry(raw) == abi.Geometry(1280, 960, 0x59455247, 1, 1344, 1344 * 960)


def test_a_control_has_its_fields_where_c_has_them() -> None:
    raw = bytearray(232)
    struct.pack_into("=II32sqqQqI", raw, 0, 0x980913, 1, b"Gain", -5, 255, 5, 100, 4)
    assert abi.read_control(raw) == abi.ControlEntry(0x980913, 1, "Gain", -5, 255, 5, 100, abi.ControlFlag.READ_ONLY)


def test_sizes_and_intervals() -> None:
    one = struct.pack("=IIIII", 0, 0, 1, 640, 480).ljust(44, b"\0")
    assert abi.read_size(one) == abi.SizeRange(640, 640, 0, 480, 480, 0)
    stepwise = struct.pack("=III6I", 0, 0, 3, 16, 1920, 2, 16, 1080, 2).ljust(44, b"\0")
    assert abi.read_size(stepwise) == abi.SizeRange(16, 1920, 2, 16, 1080, 2)
    interval = struct.pack("=IIIII6I", 0, 0, 640, 480, 1, 1, 30, 0, 0, 0, 0).ljust(52, b"\0")
    assert abi.read_intervals_s(interval) == (1 / 30,)
    ends = struct.pack("=IIIII6I", 0, 0, 640, 480, 3, 1, 60, 1, 5, 1, 100).ljust(52, b"\0")
    assert abi.read_intervals_s(ends) == (1 / 60, 1 / 5)


def test_menu_entries_are_words_or_numbers() -> None:
    words = struct.pack("=II32sI", 1, 2, b"Manual Mode", 0)
    assert abi.read_menu_entry(words, abi.ControlType.MENU) == "Manual Mode"
    number = struct.pack("=IIq24xI", 1, 2, 2**33, 0)
    assert abi.read_menu_entry(number, abi.ControlType.INTEGER_MENU) == str(2**33)


def test_who_drives_this_node_not_its_siblings() -> None:
    raw = abi.CAPABILITY.pack(b"vivid", b"vivid\0junk", b"platform:vivid-000", 0x0601C0, 0x80000003, 0x04000001)
    found = abi.read_capability(raw)
    assert (found.driver, found.card, found.version) == ("vivid", "vivid", "6.1.192")
    assert found.capabilities == abi.Capability.VIDEO_CAPTURE | abi.Capability.STREAMING


@given(
    st.binary(min_size=104, max_size=104), st.binary(min_size=232, max_size=232), st.binary(min_size=88, max_size=88)
)
def test_whatever_a_driver_fills_in_is_read(capability: bytes, control: bytes, buffer: bytes) -> None:
    assert abi.read_capability(capability).card.isprintable()
    assert abi.read_control(control).name.isprintable()
    assert abi.read_buffer(buffer).offset < 2**32


@given(st.binary(min_size=52, max_size=52), st.binary(min_size=44, max_size=44), st.integers(0, 2**32 - 1))
def test_whatever_a_driver_lists_is_read(interval: bytes, size: bytes, code: int) -> None:
    assert all(seconds > 0 for seconds in abi.read_intervals_s(interval))
    assert abi.read_size(size).min_width >= 0
    assert abi.fourcc_name(code).isprintable()
