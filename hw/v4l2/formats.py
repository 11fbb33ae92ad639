"""Pixels of the kernel's video formats to grey values, without I/O (userspace-api/media/v4l, "Image Formats").

`unpack` copies once, out of the driver's buffer into the frame: uint8, or uint16 with the value in the low bits. A
buffer that is shorter than its picture and a value beyond the depth are ValueErrors: such a frame is corrupt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hw.v4l2.abi import FIELD_ANY, FIELD_NONE, Geometry, fourcc_code, fourcc_name

MAX_SIDE = 8192
MAX_IMAGE_BYTES = 256 * 2**20  # 8192 x 8192 at four bytes a pixel
MAX_LINE_BYTES = 16 * MAX_SIDE

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Lines = npt.NDArray[np.uint8]  # (rows, bytes of a line that hold pixels)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a format stores its grey values. `grey` is None for a compressed one."""

    name: str
    bits_stored: int
    line_bytes: Callable[[int], int]  # of a line without padding, from its width in px
    grey: Callable[[Lines], Pixels] | None
    is_slow: bool = False  # milliseconds a picture: not on the event loop

    @property
    def fourcc(self) -> int:
        return fourcc_code(self.name)

    @property
    def is_compressed(self) -> bool:
        return self.grey is None


def _bytes_as_they_are(lines: Lines) -> Pixels:
    return lines.copy()


def _luma_of_pairs(lines: Lines) -> Pixels:
    """Y0 U Y1 V: every other byte is a grey value, in the camera's own range (often 16 to 235)."""
    return np.ascontiguousarray(lines[:, 0::2])


def _luma_second(lines: Lines) -> Pixels:
    return np.ascontiguousarray(lines[:, 1::2])


def _words(lines: Lines) -> Pixels:
    return lines.view("<u2").astype(np.uint16)


def _big_endian_words(lines: Lines) -> Pixels:
    return lines.view(">u2").astype(np.uint16)


def _four_in_five(lines: Lines) -> Pixels:
    """Y10P, as MIPI CSI-2 RAW10: the high eight bits of four pixels, then their low two bits, the first lowest."""
    pixels = np.empty((lines.shape[0], lines.shape[1] // 5 * 4), np.uint16)
    low = lines[:, 4::5]
    for place in range(4):
        pixels[:, place::4] = lines[:, place::5]
        pixels[:, place::4] <<= 2
        pixels[:, place::4] |= low >> (2 * place) & 3
    return pixels


def _two_in_three(lines: Lines) -> Pixels:
    """Y12P, as MIPI CSI-2 RAW12: the high eight bits of two pixels, then their low four bits, the first lowest."""
    pixels = np.empty((lines.shape[0], lines.shape[1] // 3 * 2), np.uint16)
    low = lines[:, 2::3]
    for place in range(2):
        pixels[:, place::2] = lines[:, place::3]
        pixels[:, place::2] <<= 4
        pixels[:, place::2] |= low >> (4 * place) & 15
    return pixels


# Of the formats of one depth the first that a camera offers is taken: fewest bytes, least work, nothing lost.
LAYOUTS = (
    Layout("GREY", 8, lambda width: width, _bytes_as_they_are),
    Layout("YUYV", 8, lambda width: (width + 1) // 2 * 4, _luma_of_pairs),
    Layout("UYVY", 8, lambda width: (width + 1) // 2 * 4, _luma_second),
    Layout("MJPG", 8, lambda width: 0, None, is_slow=True),
    Layout("JPEG", 8, lambda width: 0, None, is_slow=True),
    Layout("Y10", 10, lambda width: 2 * width, _words),
    Layout("Y10P", 10, lambda width: (width + 3) // 4 * 5, _four_in_five, is_slow=True),
    Layout("Y12", 12, lambda width: 2 * width, _words),
    Layout("Y12P", 12, lambda width: (width + 1) // 2 * 3, _two_in_three, is_slow=True),
    Layout("Y16", 16, lambda width: 2 * width, _words),
    Layout("Y16-BE", 16, lambda width: 2 * width, _big_endian_words),
)
BY_FOURCC = {layout.fourcc: layout for layout in LAYOUTS}


def usable(offered: Collection[int]) -> tuple[Layout, ...]:
    """Of what a camera offers, what can be read, in our order of preference."""
    return tuple(layout for layout in LAYOUTS if layout.fourcc in offered)


def choose(offered: Collection[int], bits_stored: int, preferred: str = "") -> Layout:
    """The format for a depth. `preferred` decides where it has that depth; ValueError tells what there is."""
    if preferred and fourcc_code(preferred) not in BY_FOURCC:
        raise ValueError(f"pixel format {preferred}: there are {', '.join(layout.name for layout in LAYOUTS)}")
    there = usable(offered)
    found = [layout for layout in there if layout.bits_stored == bits_stored]
    wanted = [layout for layout in found if preferred and layout.fourcc == fourcc_code(preferred)]
    if preferred and not wanted and BY_FOURCC[fourcc_code(preferred)].bits_stored == bits_stored:
        raise ValueError(f"no pixel format {preferred}: the camera offers {_listed(offered)}")
    if not found:
        depths = ", ".join(f"{layout.bits_stored} ({layout.name})" for layout in there) or "none that can be read"
        raise ValueError(f"no format of {bits_stored} bits: the camera offers {depths} of {_listed(offered)}")
    return (wanted or found)[0]


def check_geometry(geometry: Geometry, layout: Layout) -> Geometry:
    """What a driver answered, judged: ValueError where nothing can be read by it; a line width of 0 is filled in."""
    width, height = geometry.width, geometry.height
    if geometry.fourcc != layout.fourcc:
        raise ValueError(f"the driver answers {fourcc_name(geometry.fourcc)} to {layout.name}")
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"a picture of {width}x{height} px: up to {MAX_SIDE}x{MAX_SIDE} can be read")
    if geometry.field not in (FIELD_ANY, FIELD_NONE):
        raise ValueError(f"the driver sends half pictures (field {geometry.field}): only whole ones can be read")
    if not 0 < geometry.image_bytes <= MAX_IMAGE_BYTES:
        raise ValueError(f"pictures of {geometry.image_bytes} bytes: up to {MAX_IMAGE_BYTES} can be read")
    if layout.is_compressed:
        return geometry
    pixels_bytes = layout.line_bytes(width)
    line_bytes = geometry.line_bytes or pixels_bytes
    if not pixels_bytes <= line_bytes <= MAX_LINE_BYTES:
        raise ValueError(f"lines of {line_bytes} bytes: {width} px of {layout.name} have {pixels_bytes}")
    checked = Geometry(width, height, geometry.fourcc, geometry.field, line_bytes, geometry.image_bytes)
    if geometry.image_bytes < picture_bytes(checked, layout):
        raise ValueError(f"pictures of {geometry.image_bytes} bytes: {height} lines of {line_bytes} do not fit")
    return checked


def picture_bytes(geometry: Geometry, layout: Layout) -> int:
    """The least that a whole picture has: the padding of the last line may be absent."""
    return geometry.line_bytes * (geometry.height - 1) + layout.line_bytes(geometry.width)


def unpack(data: memoryview, geometry: Geometry, layout: Layout) -> Pixels:
    """(rows, columns) of grey values, read-only, no longer connected with `data`."""
    if layout.grey is None:
        raise ValueError(f"{layout.name} is compressed")
    needed = picture_bytes(geometry, layout)
    if len(data) < needed:
        raise ValueError(f"{len(data)} bytes: a whole picture has {needed}")
    used = layout.line_bytes(geometry.width)
    lines = np.lib.stride_tricks.as_strided(
        np.frombuffer(data, np.uint8, count=needed), (geometry.height, used), (geometry.line_bytes, 1), writeable=False
    )
    pixels = layout.grey(lines)
    if pixels.shape[1] != geometry.width:  # the last group of pixels is not full
        pixels = _cut(pixels, geometry.width)
    if 8 < layout.bits_stored < 16 and int(pixels.max()) >> layout.bits_stored:
        raise ValueError(f"a pixel of {int(pixels.max())} in a frame of {layout.bits_stored} bits")
    pixels.flags.writeable = False
    return pixels


def _cut(pixels: Pixels, width: int) -> Pixels:
    return pixels[:, :width].copy()


def _listed(offered: Collection[int]) -> str:
    return ", ".join(sorted(fourcc_name(code) for code in offered)) or "nothing"
