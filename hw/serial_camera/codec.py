"""The wire format of the serial/USB camera, version 1. This page is the published protocol.

Both directions speak packets over a raw 8-bit byte stream (a USB CDC port, or a UART at any speed). All numbers are
little-endian. A packet is a 32-byte header, the payload, and the payload's CRC:

    offset  size  field
         0     4  magic        C5 53 50 43  (0xC5 "SPC")
         4     1  version      1
         5     1  kind         below; bit 7 set = from the camera
         6     1  bits_stored  FRAME: 8..16, else 0
         7     1  reserved     0
         8     4  sequence     FRAME: the camera's frame number, +1 each, wraps; a command: chosen by the host; a reply:
                               that of the command
        12     8  device_time  camera's clock, us: FRAME: start of the exposure; reply: when it was written; command: 0
        20     2  rows         FRAME: 1..4096, else 0
        22     2  columns      FRAME: 1..4096, else 0
        24     4  length       of the payload: FRAME: exactly what rows, columns and bits_stored need (at most 32 MiB);
                               anything else: at most 512
        28     4  header_crc   CRC-32 of bytes 0..27
        32     n  payload
    32 + n     4  payload_crc  CRC-32 of the payload (0 for an empty one)

CRC-32 is that of zlib and Ethernet. Each kind and its payload:

    01 IDENTIFY   -                                              -> 81 IDENTITY
    02 CONFIGURE  bits_stored u8, 0 u8, gain u16 (1/1000), exposure u32 (us); 0 = leave as it is   -> 82 or 83
    03 START      - : stream until STOP                          -> 82 or 83
    04 STOP       -                                              -> 82 or 83
    05 SHOT       - : one frame                                  -> 82 or 83, then the FRAME
    81 IDENTITY   flags u8 (bit 0: this is a simulator), 0 u8, rows u16, columns u16, depths u16 (bit b - 8:
                  b bits offered), then UTF-8 "model\\nfirmware"
    82 ACCEPTED   - : in force from the next frame on
    83 REFUSED    code u16, then UTF-8 text
    90 FRAME      rows x columns pixels, row by row: 8 bits: one byte; 12 bits: packed, two pixels in three bytes (low
                  byte of p0; high nibble of p0 | low nibble of p1 << 4; p1 >> 4; an odd last pixel is padded with
                  0); other depths: u16. No pixel value reaches 2**bits_stored

The camera answers commands in order, never inside a frame. It never waits for the host: while the line is busy it
drops whole frames, and the gap in `sequence` says so. Whoever loses track looks for the next magic with a valid header
CRC; a packet whose payload CRC is wrong may have swallowed others, so the search goes on inside it, once.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAGIC = b"\xc5SPC"
VERSION = 1
MAX_SIDE = 4096
MAX_FRAME_BYTES = MAX_SIDE * MAX_SIDE * 2  # 16 bits a pixel: 32 MiB
MAX_CONTROL_BYTES = 512
# Inside a broken packet this many look-alike headers are tried before all of it is given up: it bounds the work that
# one packet full of magic numbers can cause.
MAX_LOOKALIKES = 64

HEADER = struct.Struct("<4sBBBBIQHHII")
PAYLOAD_CRC = struct.Struct("<I")
CONFIGURE = struct.Struct("<BBHI")
IDENTITY = struct.Struct("<BBHHH")
REFUSED = struct.Struct("<H")

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class Kind(IntEnum):
    IDENTIFY = 0x01
    CONFIGURE = 0x02
    START = 0x03
    STOP = 0x04
    SHOT = 0x05
    IDENTITY = 0x81
    ACCEPTED = 0x82
    REFUSED = 0x83
    FRAME = 0x90


# The payload lengths each kind may have; a frame's follows from its geometry.
CONTROL_LENGTHS = {
    Kind.IDENTIFY: range(1),
    Kind.CONFIGURE: range(CONFIGURE.size, CONFIGURE.size + 1),
    Kind.START: range(1),
    Kind.STOP: range(1),
    Kind.SHOT: range(1),
    Kind.IDENTITY: range(IDENTITY.size, MAX_CONTROL_BYTES + 1),
    Kind.ACCEPTED: range(1),
    Kind.REFUSED: range(REFUSED.size, MAX_CONTROL_BYTES + 1),
}


@dataclass(frozen=True, slots=True)
class Command:
    """IDENTIFY, START, STOP or SHOT, or CONFIGURE with its values (0: leave as it is)."""

    kind: Kind
    sequence: int
    bits_stored: int = 0
    exposure_us: int = 0
    gain_milli: int = 0


@dataclass(frozen=True, slots=True)
class IdentityReply:
    sequence: int
    device_time_us: int
    simulated: bool
    rows: int
    columns: int
    depths: tuple[int, ...]
    model: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Accepted:
    sequence: int
    device_time_us: int


@dataclass(frozen=True, slots=True)
class Rejected:
    sequence: int
    device_time_us: int
    code: int
    text: str


Reply = IdentityReply | Accepted | Rejected


@dataclass(frozen=True, slots=True, eq=False)
class FrameReceived:
    """A frame whose checksum was right. `pixels` is (rows, columns) and read-only; `ordinal` counts headers seen."""

    sequence: int
    device_time_us: int
    bits_stored: int
    pixels: Pixels
    ordinal: int


@dataclass(frozen=True, slots=True)
class Corrupt:
    """A packet that cannot be used. `sequence` is that of a frame whose header was good, else None."""

    reason: str
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that belong to no packet."""

    count: int


Event = Command | IdentityReply | Accepted | Rejected | FrameReceived | Corrupt | Noise


class Header(NamedTuple):
    magic: bytes
    version: int
    kind: int
    bits_stored: int
    reserved: int
    sequence: int
    device_time_us: int
    rows: int
    columns: int
    length: int
    crc: int


# ----------------------------------------------------------------------------------------------------- pixels


def packed_bytes(rows: int, columns: int, bits_stored: int) -> int:
    """The payload length of a frame."""
    pixels = rows * columns
    if bits_stored == 8:
        return pixels
    return (pixels + 1) // 2 * 3 if bits_stored == 12 else 2 * pixels


def pack_pixels(pixels: Pixels, bits_stored: int) -> bytes:
    """The payload of a frame. ValueError where a value does not fit."""
    if not 8 <= bits_stored <= 16 or pixels.ndim != 2 or not all(0 < side <= MAX_SIDE for side in pixels.shape):
        raise ValueError(f"no frame is {pixels.shape} of {bits_stored} bits")
    if int(pixels.max()) >= 1 << bits_stored:
        raise ValueError(f"a pixel of {int(pixels.max())} does not fit into {bits_stored} bits")
    if bits_stored == 8:
        return pixels.astype(np.uint8, copy=False).tobytes()
    values = pixels.astype("<u2", copy=False).ravel()
    if bits_stored != 12:
        return values.tobytes()
    pairs = np.append(values, values[:0] if values.size % 2 == 0 else np.zeros(1, values.dtype)).reshape(-1, 2)
    packed = np.empty((pairs.shape[0], 3), np.uint8)
    packed[:, 0] = pairs[:, 0] & 0xFF
    packed[:, 1] = (pairs[:, 0] >> 8) | ((pairs[:, 1] & 0x0F) << 4)
    packed[:, 2] = pairs[:, 1] >> 4
    return packed.tobytes()


def unpack_pixels(payload: memoryview, rows: int, columns: int, bits_stored: int) -> Pixels:
    """(rows, columns), read-only; a view of the payload where the format allows. ValueError for a value too large."""
    if bits_stored == 8:
        bytes_in_place = np.frombuffer(payload, np.uint8).reshape(rows, columns)
        bytes_in_place.flags.writeable = False
        return bytes_in_place
    if bits_stored == 12:
        triples = np.frombuffer(payload, np.uint8).reshape(-1, 3).astype(np.uint16)
        pairs = np.empty((triples.shape[0], 2), np.uint16)
        pairs[:, 0] = triples[:, 0] | ((triples[:, 1] & 0x0F) << 8)
        pairs[:, 1] = (triples[:, 1] >> 4) | (triples[:, 2] << 4)
        pixels = pairs.ravel()[: rows * columns].reshape(rows, columns)
    else:
        pixels = np.frombuffer(payload, "<u2").astype(np.uint16, copy=False).reshape(rows, columns)
        if bits_stored < 16 and int(pixels.max()) >= 1 << bits_stored:
            raise ValueError(f"a pixel of {int(pixels.max())} in a frame of {bits_stored} bits")
    pixels.flags.writeable = False
    return pixels


# ----------------------------------------------------------------------------------------------------- writing


def encode_command(command: Command) -> bytes:
    payload = b""
    if command.kind is Kind.CONFIGURE:
        payload = CONFIGURE.pack(command.bits_stored, 0, command.gain_milli, command.exposure_us)
    return _packet(command.kind, payload, command.sequence)


def encode_reply(reply: Reply) -> bytes:
    match reply:
        case IdentityReply():
            depths = sum(1 << (bits - 8) for bits in reply.depths)
            payload = IDENTITY.pack(int(reply.simulated), 0, reply.rows, reply.columns, depths)
            payload += f"{reply.model}\n{reply.firmware}".encode()
            kind = Kind.IDENTITY
        case Accepted():
            kind, payload = Kind.ACCEPTED, b""
        case Rejected():
            kind, payload = Kind.REFUSED, REFUSED.pack(reply.code) + reply.text.encode()
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError(f"a reply of {len(payload)} bytes: at most {MAX_CONTROL_BYTES} fit")
    return _packet(kind, payload, reply.sequence, reply.device_time_us)


def encode_frame(pixels: Pixels, bits_stored: int, sequence: int, device_time_us: int) -> bytes:
    """One FRAME packet. ValueError where the pixels do not fit the depth."""
    rows, columns = pixels.shape
    payload = pack_pixels(pixels, bits_stored)
    return _packet(Kind.FRAME, payload, sequence, device_time_us, bits_stored, rows, columns)


def _packet(
    kind: Kind,
    payload: bytes,
    sequence: int,
    device_time_us: int = 0,
    bits_stored: int = 0,
    rows: int = 0,
    columns: int = 0,
) -> bytes:
    sequence, device_time_us = sequence & 0xFFFFFFFF, device_time_us & 0xFFFFFFFFFFFFFFFF
    header = HEADER.pack(
        MAGIC, VERSION, kind, bits_stored, 0, sequence, device_time_us, rows, columns, len(payload), 0
    )[:-4]
    return b"".join((header, PAYLOAD_CRC.pack(zlib.crc32(header)), payload, PAYLOAD_CRC.pack(zlib.crc32(payload))))
