"""Bytes to events, in any split: the reading half of `hw.serial_camera.codec`, for host and camera alike.

The decoder looks for a valid header, then collects the payload straight into a buffer of the announced size (bounded,
and for a frame exactly what its geometry needs), so a frame's pixels are copied once and never searched. Only a packet
whose payload checksum fails is searched again, once: every byte is looked at twice at most.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from hw.printable import printable
from hw.serial_camera.codec import (
    CONFIGURE,
    CONTROL_LENGTHS,
    HEADER,
    IDENTITY,
    MAGIC,
    MAX_FRAME_BYTES,
    MAX_LOOKALIKES,
    MAX_SIDE,
    PAYLOAD_CRC,
    REFUSED,
    VERSION,
    Accepted,
    Command,
    Corrupt,
    Event,
    FrameReceived,
    Header,
    IdentityReply,
    Kind,
    Noise,
    Rejected,
    packed_bytes,
    unpack_pixels,
)


class Packet:
    """One packet under way: its header, and of payload and checksum what has come."""

    def __init__(self, header: Header, second_search: bool) -> None:
        self.header = header
        self.second_search = second_search
        self.body = bytearray(header.length + PAYLOAD_CRC.size)
        self.filled = 0

    def take(self, data: memoryview) -> int:
        """Copy what belongs to this packet; returns how much that was."""
        count = min(len(data), len(self.body) - self.filled)
        self.body[self.filled : self.filled + count] = data[:count]
        self.filled += count
        return count

    @property
    def complete(self) -> bool:
        return self.filled == len(self.body)

    def intact(self) -> bool:
        (expected,) = PAYLOAD_CRC.unpack_from(self.body, self.header.length)
        return zlib.crc32(memoryview(self.body)[: self.header.length]) == int(expected)


class Decoder:
    """`feed` bytes, get events. Any bytes give events, never an exception; memory is bounded by one packet."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.frames_begun = 0  # valid frame headers seen so far: the ordinal of the frame under way, or of the last one
        self.begun_before_reply = 0  # what that was when the last packet other than a frame came
        self._max_frame_bytes = min(max_frame_bytes, MAX_FRAME_BYTES)
        self._search = bytearray()
        self._suspect = 0  # that many bytes of the search buffer come from a packet that failed
        self._lookalikes = 0
        self._noise = 0
        self._packet: Packet | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        events: list[Event] = []
        left = memoryview(data)
        while True:
            if self._packet is None:
                self._search += left
                left = left[:0]
                self._find_header(events)
            if self._packet is None:
                break
            if self._search:
                used = self._packet.take(memoryview(self._search))
                del self._search[:used]
                self._suspect = max(0, self._suspect - used)
            if not self._search:
                left = left[self._packet.take(left) :]
            if not self._packet.complete:
                break
            self._finish(self._packet, events)
        return events

    def give_up(self) -> list[Event]:
        """What is under way will not be finished, because bytes of it were lost: look for packets inside it."""
        packet, self._packet = self._packet, None
        if packet is None:
            return []
        sequence = packet.header.sequence if packet.header.kind == Kind.FRAME else None
        events: list[Event] = [Corrupt(f"unfinished packet of kind {Kind(packet.header.kind).name}", sequence)]
        self._search_again(packet)
        return events + self.feed(b"")

    def _find_header(self, events: list[Event]) -> None:
        """Drop what is no packet; leave `_packet` set, or at most an unfinished header in the search buffer."""
        while self._packet is None:
            start = self._search.find(MAGIC)
            if start < 0:
                self._skip(len(self._search) - _tail_of_magic(self._search))
                break
            self._skip(start)
            if len(self._search) < HEADER.size:
                break
            raw = bytes(self._search[: HEADER.size])
            header = Header._make(HEADER.unpack(raw))
            problem = self._problem(header, raw)
            if problem:
                self._reject_header(problem, events)
                continue
            self._tell_noise(events)
            self._packet = Packet(header, second_search=self._suspect > 0)
            self.frames_begun += header.kind == Kind.FRAME
            del self._search[: HEADER.size]
            self._suspect = max(0, self._suspect - HEADER.size)
        if self._packet is None and not self._search:
            self._tell_noise(events)

    def _problem(self, header: Header, raw: bytes) -> str:
        """Why this header cannot be used, or nothing."""
        if zlib.crc32(raw[:-4]) != header.crc:
            return "header checksum"
        if header.version != VERSION:
            return f"protocol version {header.version}: this is version {VERSION}"
        if header.kind == Kind.FRAME:
            return self._frame_problem(header)
        if header.kind not in CONTROL_LENGTHS:
            return f"unknown packet kind {header.kind:#04x}"
        if header.length not in CONTROL_LENGTHS[Kind(header.kind)]:
            return f"{header.length} payload bytes in a packet of kind {Kind(header.kind).name}"
        return ""

    def _frame_problem(self, header: Header) -> str:
        geometry = f"{header.rows} rows x {header.columns} columns of {header.bits_stored} bits"
        if not (0 < header.rows <= MAX_SIDE and 0 < header.columns <= MAX_SIDE and 8 <= header.bits_stored <= 16):
            return f"no frame has {geometry}"
        if header.length != packed_bytes(header.rows, header.columns, header.bits_stored):
            return f"{header.length} payload bytes in a frame of {geometry}"
        if header.length > self._max_frame_bytes:
            return f"a frame of {header.length} bytes: at most {self._max_frame_bytes} are taken"
        return ""

    def _reject_header(self, problem: str, events: list[Event]) -> None:
        """Go on behind this magic. Inside a packet that failed a look-alike is only payload, and few are tried."""
        if self._suspect > 0:
            self._lookalikes += 1
            self._skip(self._suspect if self._lookalikes > MAX_LOOKALIKES else len(MAGIC))
            return
        self._tell_noise(events)
        del self._search[: len(MAGIC)]
        events.append(Corrupt(problem))

    def _finish(self, packet: Packet, events: list[Event]) -> None:
        self._packet = None
        header = packet.header
        sequence = header.sequence if header.kind == Kind.FRAME else None
        if packet.intact():
            if header.kind != Kind.FRAME:
                self.begun_before_reply = self.frames_begun
            try:
                events.append(READERS[Kind(header.kind)](packet, self.frames_begun))
            except ValueError as error:
                events.append(Corrupt(" ".join(str(error).split()), sequence))
            return
        events.append(Corrupt(f"payload checksum of a packet of kind {Kind(header.kind).name}", sequence))
        self._search_again(packet)

    def _search_again(self, packet: Packet) -> None:
        """Bytes were changed, or lost: then the next packet begins inside this one. Done once for any byte."""
        if not packet.second_search:
            self._search[:0] = packet.body[: packet.filled]
            self._suspect = packet.filled
            self._lookalikes = 0

    def _skip(self, count: int) -> None:
        del self._search[:count]
        of_suspect = min(count, self._suspect)
        self._suspect -= of_suspect
        self._noise += count - of_suspect

    def _tell_noise(self, events: list[Event]) -> None:
        if self._noise:
            events.append(Noise(self._noise))
            self._noise = 0


def _tail_of_magic(data: bytearray) -> int:
    """How many bytes at the end may be the beginning of a magic."""
    for length in range(len(MAGIC) - 1, 0, -1):
        if data.endswith(MAGIC[:length]):
            return length
    return 0


def _read_command(packet: Packet, ordinal: int) -> Event:
    return Command(Kind(packet.header.kind), packet.header.sequence)


def _read_configure(packet: Packet, ordinal: int) -> Event:
    bits_stored, _, gain_milli, exposure_us = CONFIGURE.unpack_from(packet.body)
    return Command(Kind.CONFIGURE, packet.header.sequence, bits_stored, exposure_us, gain_milli)


def _read_identity(packet: Packet, ordinal: int) -> Event:
    header = packet.header
    flags, _, rows, columns, depths = IDENTITY.unpack_from(packet.body)
    text = packet.body[IDENTITY.size : header.length].decode()
    model, _, firmware = text.partition("\n")
    if not (model + firmware).isprintable():
        raise ValueError(f"identity text {text!r}")
    offered = tuple(bits for bits in range(8, 24) if depths >> (bits - 8) & 1)
    return IdentityReply(
        header.sequence, header.device_time_us, bool(flags & 1), rows, columns, offered, model, firmware
    )


def _read_accepted(packet: Packet, ordinal: int) -> Event:
    return Accepted(packet.header.sequence, packet.header.device_time_us)


def _read_refused(packet: Packet, ordinal: int) -> Event:
    header = packet.header
    (code,) = REFUSED.unpack_from(packet.body)
    text = packet.body[REFUSED.size : header.length].decode(errors="replace")
    return Rejected(header.sequence, header.device_time_us, code, printable(text))


def _read_frame(packet: Packet, ordinal: int) -> Event:
    header = packet.header
    payload = memoryview(packet.body)[: header.length]
    pixels = unpack_pixels(payload, header.rows, header.columns, header.bits_stored)
    return FrameReceived(header.sequence, header.device_time_us, header.bits_stored, pixels, ordinal)


READERS: dict[Kind, Callable[[Packet, int], Event]] = {
    Kind.IDENTIFY: _read_command,
    Kind.CONFIGURE: _read_configure,
    Kind.START: _read_command,
    Kind.STOP: _read_command,
    Kind.SHOT: _read_command,
    Kind.IDENTITY: _read_identity,
    Kind.ACCEPTED: _read_accepted,
    Kind.REFUSED: _read_refused,
    Kind.FRAME: _read_frame,
}
