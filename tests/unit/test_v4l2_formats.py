"""Pixel formats bit for bit: packed by an independent loop, unpacked by ours; what a driver says is bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hw.v4l2.abi import Geometry, fourcc_code
from hw.v4l2.formats import BY_FOURCC, LAYOUTS, Layout, check_geometry, choose, picture_bytes, unpack

Line = list[int]


def layout(name: str) -> Layout:
    return BY_FOURCC[fourcc_code(name)]


def mipi10(line: Line) -> bytes:
    packed = b""
    for start in range(0, len(line), 4):
        four = [*line[start : start + 4], 0, 0, 0][:4]
        packed += bytes(value >> 2 for value in four) + bytes([sum((v & 3) << 2 * i for i, v in enumerate(four))])
    return packed


def mipi12(line: Line) -> bytes:
    packed = b""
    for start in range(0, len(line), 2):
        two = [*line[start : start + 2], 0][:2]
        packed += bytes([two[0] >> 4, two[1] >> 4, two[0] & 15 | (two[1] & 15) << 4])
    return packed


PACKERS: dict[str, Callable[[Line], bytes]] = {
    "GREY": bytes,
    "YUYV": lambda line: b"".join(bytes([value, 200]) for value in line),
    "UYVY": lambda line: b"".join(bytes([200, value]) for value in line),
    "Y10": lambda line: b"".join(value.to_bytes(2, "little") for value in line),
    "Y12": lambda line: b"".join(value.to_bytes(2, "little") for value in line),
    "Y16": lambda line: b"".join(value.to_bytes(2, "little") for value in line),
    "Y16-BE": lambda line: b"".join(value.to_bytes(2, "big") for value in line),
    "Y10P": mipi10,
    "Y12P": mipi12,
}


def packed(name: str, pixels: np.ndarray, padding: int, last_padded: bool) -> tuple[bytes, Geometry]:
    rows, columns = pixels.shape
    form = layout(name)
    lines = [PACKERS[name](line).ljust(form.line_bytes(columns), b"\0") for line in pixels.tolist()]
    data = b"".join(line + b"\xee" * padding for line in lines)
    if padding and not last_padded:
        data = data[:-padding]
    line_bytes = form.line_bytes(columns) + padding
    return data, Geometry(columns, rows, form.fourcc, 1, line_bytes, line_bytes * rows)


@pytest.mark.parametrize("name", sorted(PACKERS))
@settings(max_examples=60, deadline=None)
@given(data=st.data(), padding=st.integers(0, 9), last_padded=st.booleans())
def test_every_pixel_of_every_format(name: str, data: st.DataObject, padding: int, last_padded: bool) -> None:
    form = layout(name)
    shape = st.tuples(st.integers(1, 6), st.integers(1, 13))
    values = st.integers(0, (1 << form.bits_stored) - 1)
    pixels = data.draw(hnp.arrays(np.uint16, shape, elements=values))
    raw, geometry = packed(name, pixels, padding, last_padded)
    found = unpack(memoryview(raw), check_geometry(geometry, form), form)
    assert np.array_equal(found, pixels)
    assert found.dtype == (np.uint8 if form.bits_stored == 8 else np.uint16)
    assert not found.flags.writeable
    assert found.flags.c_contiguous


@pytest.mark.parametrize("name", sorted(PACKERS))
def test_a_frame_has_nothing_to_do_with_the_buffer(name: str) -> None:
    """Also when it is refused: a view that stays would keep the buffer mapped."""
    raw, geometry = packed(name, np.full((4, 8), 5), 0, True)
    memory = bytearray(raw)
    with memoryview(memory) as view:
        found = unpack(view, geometry, layout(name))
    memory[:] = b"\xff" * len(memory)
    assert (found == 5).all()
    with memoryview(memory) as view, pytest.raises(ValueError, match="a whole picture has"):
        unpack(view[:-1], geometry, layout(name))
    if name in ("Y10", "Y12"):
        with memoryview(memory) as view, pytest.raises(ValueError, match="a pixel of 65535"):
            unpack(view, geometry, layout(name))
    memory.clear()  # BufferError where anything still looks at it


def test_compressed_pictures_are_for_another_module() -> None:
    with pytest.raises(ValueError, match="compressed"):
        unpack(memoryview(b"1234"), Geometry(2, 2, fourcc_code("MJPG"), 1, 0, 4), layout("MJPG"))


GOOD = Geometry(640, 480, fourcc_code("Y16"), 1, 1280, 1280 * 480)
BAD_GEOMETRIES = [
    ({"fourcc": fourcc_code("GREY")}, "answers GREY to Y16"),
    ({"width": 0}, "0x480"),
    ({"height": 9000}, "640x9000"),
    ({"field": 4}, "half pictures"),
    ({"line_bytes": 1279}, "lines of 1279 bytes: 640 px of Y16 have 1280"),
    ({"line_bytes": 2**31}, "lines of 2147483648 bytes"),
    ({"image_bytes": 0}, "pictures of 0 bytes"),
    ({"image_bytes": 2**32 - 1}, "pictures of 4294967295 bytes"),
    ({"image_bytes": 1280 * 479}, "480 lines of 1280 do not fit"),
]


@pytest.mark.parametrize(("change", "message"), BAD_GEOMETRIES)
def test_what_a_driver_says_is_bounded(change: dict[str, int], message: str) -> None:
    assert check_geometry(GOOD, layout("Y16")) == GOOD
    with pytest.raises(ValueError, match=message):
        check_geometry(replace(GOOD, **change), layout("Y16"))


def test_a_driver_without_a_line_width_has_no_padding() -> None:
    assert check_geometry(replace(GOOD, line_bytes=0), layout("Y16")) == GOOD


@given(*[st.integers(0, 2**32 - 1)] * 5, st.sampled_from(LAYOUTS))
def test_any_answer_is_judged(width: int, height: int, field: int, line: int, image: int, form: Layout) -> None:
    try:
        checked = check_geometry(Geometry(width, height, form.fourcc, field, line, image), form)
    except ValueError:
        return
    assert form.is_compressed or picture_bytes(checked, form) <= image


OFFERED = [fourcc_code(name) for name in ("MJPG", "YUYV", "Y16", "H264", "Y12P")]


@pytest.mark.parametrize(
    ("bits", "preferred", "chosen"),
    [(8, "", "YUYV"), (8, "MJPG", "MJPG"), (12, "", "Y12P"), (16, "MJPG", "Y16"), (12, "Y12P", "Y12P")],
)
def test_a_format_is_chosen_by_depth(bits: int, preferred: str, chosen: str) -> None:
    assert choose(OFFERED, bits, preferred).name == chosen


@pytest.mark.parametrize(
    ("bits", "preferred", "message"),
    [
        (5, "", r"no format of 5 bits: the camera offers 8 \(YUYV\), 8 \(MJPG\), 12 \(Y12P\), 16 \(Y16\)"),
        (8, "GREY", "no pixel format GREY: the camera offers H264, MJPG"),
        (8, "H264", "pixel format H264: there are GREY"),
        (8, "nonsense", "no pixel format"),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(bits: int, preferred: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(OFFERED, bits, preferred)


def test_a_camera_that_offers_nothing() -> None:
    with pytest.raises(ValueError, match="none that can be read of nothing"):
        choose([], 8)
