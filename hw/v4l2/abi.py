"""The kernel's video interface as bytes: requests, structures and constants of linux/videodev2.h, without any I/O.

The layouts are those of 64-bit kernels with the common ioctl encoding (x86-64, arm64, riscv64): `struct v4l2_buffer`
holds a timeval and a pointer and is another one on 32 bits. Padding is written out, sizes are checked by a test against
the numbers of the C header. What a driver fills in is only taken apart here; whoever asked judges it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from hw.printable import printable

POINTER_BYTES = 8

CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
MMAP = 1  # V4L2_MEMORY_MMAP
FIELD_ANY, FIELD_NONE = 0, 1
SIZE_DISCRETE = INTERVAL_DISCRETE = 1
TIME_PER_FRAME = 0x1000  # V4L2_CAP_TIMEPERFRAME
NEXT_CONTROL = 0x80000000  # V4L2_CTRL_FLAG_NEXT_CTRL

# The identities of the controls that the driver uses by itself; all others are found by the kernel's name.
CID_AUTOGAIN, CID_GAIN = 0x00980912, 0x00980913
CID_EXPOSURE_AUTO, CID_EXPOSURE_ABSOLUTE = 0x009A0901, 0x009A0902
CID_ANALOGUE_GAIN = 0x009E0903
EXPOSURE_MANUAL = 1  # V4L2_EXPOSURE_MANUAL


class Capability(IntFlag):
    VIDEO_CAPTURE = 0x00000001
    VIDEO_CAPTURE_MPLANE = 0x00001000
    STREAMING = 0x04000000
    DEVICE_CAPS = 0x80000000


class BufferFlag(IntFlag):
    ERROR = 0x00000040
    TIMESTAMP_MASK = 0x0000E000
    TIMESTAMP_MONOTONIC = 0x00002000
    STAMP_SOURCE_MASK = 0x00070000
    STAMPED_AT_START = 0x00010000  # V4L2_BUF_FLAG_TSTAMP_SRC_SOE: start of exposure


class ControlType(IntEnum):
    INTEGER = 1
    BOOLEAN = 2
    MENU = 3
    BUTTON = 4
    INTEGER64 = 5
    CLASS = 6
    STRING = 7
    BITMASK = 8
    INTEGER_MENU = 9


class ControlFlag(IntFlag):
    DISABLED = 0x0001
    GRABBED = 0x0002
    READ_ONLY = 0x0004
    INACTIVE = 0x0010
    WRITE_ONLY = 0x0040


CAPABILITY = struct.Struct("=16s32s32sIII12x")
DESCRIPTION = struct.Struct("=III32sII12x")
FRAME_SIZE = struct.Struct("=III6I8x")
FRAME_INTERVAL = struct.Struct("=IIIII6I8x")
FORMAT = struct.Struct("=I4x12I152x")
PARAMETERS = struct.Struct("=IIIIIII16x160x")
REQUEST_BUFFERS = struct.Struct("=IIIIB3x")
BUFFER = struct.Struct("=IIIII4xqq16xIIQIIi4x")
BUFFER_TYPE = struct.Struct("=i")
QUERY_CONTROL = struct.Struct("=II32sqqQqIIII16x128x")
QUERY_MENU = struct.Struct("=II32s4x")
MENU_NUMBER = struct.Struct("=q")
CONTROLS = struct.Struct("=IIIi4x4xQ")
CONTROL_32 = struct.Struct("=II4xi4x")
CONTROL_64 = struct.Struct("=II4xq")

READ, WRITE = 2, 1


def request(direction: int, number: int, size: int) -> int:
    """The ioctl number of asm-generic/ioctl.h: direction, size, 'V', number."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = request(READ, 0, CAPABILITY.size)
ENUM_FMT = request(READ | WRITE, 2, DESCRIPTION.size)
G_FMT = request(READ | WRITE, 4, FORMAT.size)
S_FMT = request(READ | WRITE, 5, FORMAT.size)
REQBUFS = request(READ | WRITE, 8, REQUEST_BUFFERS.size)
QUERYBUF = request(READ | WRITE, 9, BUFFER.size)
QBUF = request(READ | WRITE, 15, BUFFER.size)
DQBUF = request(READ | WRITE, 17, BUFFER.size)
STREAMON = request(WRITE, 18, BUFFER_TYPE.size)
STREAMOFF = request(WRITE, 19, BUFFER_TYPE.size)
G_PARM = request(READ | WRITE, 21, PARAMETERS.size)
S_PARM = request(READ | WRITE, 22, PARAMETERS.size)
QUERYMENU = request(READ | WRITE, 37, QUERY_MENU.size)
TRY_FMT = request(READ | WRITE, 64, FORMAT.size)
G_EXT_CTRLS = request(READ | WRITE, 71, CONTROLS.size)
S_EXT_CTRLS = request(READ | WRITE, 72, CONTROLS.size)
ENUM_FRAMESIZES = request(READ | WRITE, 74, FRAME_SIZE.size)
ENUM_FRAMEINTERVALS = request(READ | WRITE, 75, FRAME_INTERVAL.size)
QUERY_EXT_CTRL = request(READ | WRITE, 103, QUERY_CONTROL.size)


@dataclass(frozen=True, slots=True)
class Description:
    """Who drives the device, as QUERYCAP says; `version` is the kernel's."""

    driver: str
    card: str
    bus: str
    version: str
    capabilities: Capability


@dataclass(frozen=True, slots=True)
class Geometry:
    """What G_FMT, TRY_FMT and S_FMT agree upon. A line may be padded; `image_bytes` is the most a buffer may hold."""

    width: int
    height: int
    fourcc: int
    field: int
    line_bytes: int
    image_bytes: int


@dataclass(frozen=True, slots=True)
class SizeRange:
    """Frame sizes in px: one size has equal ends and step 0."""

    min_width: int
    max_width: int
    step_width: int
    min_height: int
    max_height: int
    step_height: int


@dataclass(frozen=True, slots=True)
class Buffer:
    """One buffer as QUERYBUF or DQBUF tells it; `stamp_ns` is of the clock and moment that `flags` name."""

    index: int
    bytes_used: int
    flags: BufferFlag
    stamp_ns: int
    sequence: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ControlEntry:
    """A control as QUERY_EXT_CTRL lists it."""

    identity: int
    kind: int
    name: str
    minimum: int
    maximum: int
    step: int
    default: int
    flags: ControlFlag


def fourcc_code(name: str) -> int:
    """`GREY` to its number; `-BE` behind the four letters sets the big-endian bit, as the kernel's logs write it."""
    letters, _, order = name.partition("-")
    if not 1 <= len(letters) <= 4 or not letters.isascii() or order not in ("", "BE"):
        raise ValueError(f"{name!r} is no pixel format: four letters, for example GREY")
    return int.from_bytes(letters.ljust(4).encode(), "little") | (0x80000000 if order else 0)


def fourcc_name(code: int) -> str:
    letters = (code & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1")
    name = letters.rstrip() if letters.isascii() and letters.isprintable() else f"{code:#010x}"
    return f"{name}-BE" if code >> 31 and not name.startswith("0x") else name


def text(raw: bytes) -> str:
    """A driver's NUL-terminated string; what cannot be shown is replaced."""
    words = raw.partition(b"\0")[0].decode("utf-8", "replace")
    return printable(words).strip()


def read_capability(data: bytes | bytearray) -> Description:
    driver, card, bus, version, all_nodes, this_node = CAPABILITY.unpack(data)
    flags = Capability(all_nodes)
    if Capability.DEVICE_CAPS in flags:
        flags = Capability(this_node)
    number = f"{version >> 16}.{version >> 8 & 0xFF}.{version & 0xFF}"
    return Description(text(driver), text(card), text(bus), number, flags)


def write_geometry(width: int, height: int, fourcc: int) -> bytearray:
    """What is asked of TRY_FMT and S_FMT: a whole picture, lines as wide as the driver wants them."""
    return bytearray(FORMAT.pack(CAPTURE, width, height, fourcc, FIELD_NONE, 0, 0, 0, 0, 0, 0, 0, 0))


def read_geometry(data: bytes | bytearray) -> Geometry:
    return Geometry(*FORMAT.unpack(data)[1:7])


def read_size(data: bytes | bytearray) -> SizeRange:
    _, _, kind, *numbers = FRAME_SIZE.unpack(data)
    if kind == SIZE_DISCRETE:
        width, height = numbers[:2]
        return SizeRange(width, width, 0, height, height, 0)
    return SizeRange(*numbers)


def read_intervals_s(data: bytes | bytearray) -> tuple[float, ...]:
    """The interval of an entry in s, or its shortest and its longest; of a fraction without sense, nothing."""
    _, _, _, _, kind, *numbers = FRAME_INTERVAL.unpack(data)
    ends = (numbers[0:2],) if kind == INTERVAL_DISCRETE else (numbers[0:2], numbers[2:4])
    return tuple(numerator / denominator for numerator, denominator in ends if numerator and denominator)


def write_buffer(index: int) -> bytearray:
    return bytearray(BUFFER.pack(index, CAPTURE, 0, 0, 0, 0, 0, 0, MMAP, 0, 0, 0, 0))


def read_buffer(data: bytes | bytearray) -> Buffer:
    index, _, used, flags, _, seconds, microseconds, sequence, _, where, length, _, _ = BUFFER.unpack(data)
    stamp_ns = seconds * 1_000_000_000 + microseconds * 1000
    # m is a union, and its 32-bit offset stands at the union's beginning whatever the byte order.
    offset = int.from_bytes(struct.pack("=Q", where)[:4], "little" if struct.pack("=H", 1)[0] else "big")
    return Buffer(index, used, BufferFlag(flags), stamp_ns, sequence, offset, length)


def read_control(data: bytes | bytearray) -> ControlEntry:
    identity, kind, name, minimum, maximum, step, default, flags, *_ = QUERY_CONTROL.unpack(data)
    return ControlEntry(identity, kind, text(name), minimum, maximum, step, default, ControlFlag(flags))


def read_menu_entry(data: bytes | bytearray, kind: int) -> str:
    _, _, name = QUERY_MENU.unpack(data)
    return str(MENU_NUMBER.unpack_from(name)[0]) if kind == ControlType.INTEGER_MENU else text(name)


def value_layout(kind: int) -> struct.Struct:
    """How one value of such a control travels in `struct v4l2_ext_control`."""
    return CONTROL_64 if kind == ControlType.INTEGER64 else CONTROL_32
