"""The serial camera's wire format: what is written is read, in any split, and nothing else is believed."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.serial_camera.codec import (
    HEADER,
    MAGIC,
    MAX_FRAME_BYTES,
    Accepted,
    Command,
    Corrupt,
    Event,
    FrameReceived,
    IdentityReply,
    Kind,
    Noise,
    Rejected,
    encode_command,
    encode_frame,
    encode_reply,
    pack_pixels,
    packed_bytes,
    unpack_pixels,
)
from hw.serial_camera.decoder import Decoder

IDENTITY = IdentityReply(7, 123456789, True, 480, 640, (8, 12, 16), "camera µ", "1.0")


def picture(rows: int, columns: int, bits: int, seed: int = 0) -> np.ndarray:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 1 << bits, (rows, columns)).astype(kind)


MESSAGES: list[tuple[Event, bytes]] = [
    (Command(Kind.IDENTIFY, 1), encode_command(Command(Kind.IDENTIFY, 1))),
    (Command(Kind.CONFIGURE, 2, 12, 8000, 1500), encode_command(Command(Kind.CONFIGURE, 2, 12, 8000, 1500))),
    (Command(Kind.START, 3), encode_command(Command(Kind.START, 3))),
    (Command(Kind.STOP, 4), encode_command(Command(Kind.STOP, 4))),
    (Command(Kind.SHOT, 0xFFFFFFFF), encode_command(Command(Kind.SHOT, 0xFFFFFFFF))),
    (IDENTITY, encode_reply(IDENTITY)),
    (Accepted(9, 2**40), encode_reply(Accepted(9, 2**40))),
    (Rejected(10, 5, 1, "9 bits: no"), encode_reply(Rejected(10, 5, 1, "9 bits: no"))),
]


def in_pieces(data: bytes, sizes: list[int]) -> list[Event]:
    decoder, events, start = Decoder(), [], 0
    for size in [*sizes, len(data)]:
        events += decoder.feed(data[start : start + size])
        start += size
    return events


def summary(events: list[Event]) -> list[object]:
    """Comparable: a frame as its bytes; noise merged, because a split may report it in parts."""
    out: list[object] = []
    noise = 0
    for event in events:
        if isinstance(event, Noise):
            noise += event.count
        elif isinstance(event, FrameReceived):
            out.append((event.sequence, event.device_time_us, event.bits_stored, event.pixels.tobytes()))
        else:
            out.append(event)
    return [*out, noise]


@pytest.mark.parametrize(("event", "data"), MESSAGES, ids=lambda value: type(value).__name__)
def test_every_message_comes_back(event: Event, data: bytes) -> None:
    assert Decoder().feed(data) == [event]
    assert in_pieces(data, [1] * len(data)) == [event]
    assert Decoder().feed(data + data) == [event, event]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (6, 4)])
def test_every_depth_and_shape_comes_back(bits: int, shape: tuple[int, int]) -> None:
    pixels = picture(*shape, bits)
    data = encode_frame(pixels, bits, 42, 1_000_000)
    (event,) = Decoder().feed(data)
    assert isinstance(event, FrameReceived)
    assert (event.sequence, event.device_time_us, event.bits_stored) == (42, 1_000_000, bits)
    assert event.pixels.dtype == pixels.dtype
    assert np.array_equal(event.pixels, pixels)
    assert not event.pixels.flags.writeable
    assert len(data) == HEADER.size + packed_bytes(*shape, bits) + 4


def test_the_wire_is_what_the_page_says() -> None:
    """Written out by hand from the protocol page, so that codec and page cannot drift apart together."""
    data = encode_frame(np.array([[0x123, 0xABC], [0xFFF, 0x000]], np.uint16), 12, 5, 99)
    head = b"\xc5SPC" + bytes([1, 0x90, 12, 0]) + struct.pack("<IQHHI", 5, 99, 2, 2, 6)
    payload = bytes([0x23, 0xC1, 0xAB, 0xFF, 0x0F, 0x00])
    expected = head + struct.pack("<I", zlib.crc32(head)) + payload + struct.pack("<I", zlib.crc32(payload))
    assert data == expected
    configure = encode_command(Command(Kind.CONFIGURE, 1, 12, 8000, 1500))
    assert configure[32:40] == struct.pack("<BBHI", 12, 0, 1500, 8000)
    identity = encode_reply(IDENTITY)
    assert identity[32:40] == struct.pack("<BBHHH", 1, 0, 480, 640, 0b1_0001_0001)
    assert identity[40:-4] == "camera µ\n1.0".encode()


@given(st.data(), st.integers(0, 2**32 - 1), st.binary(max_size=60).filter(lambda noise: b"\xc5" not in noise))
@settings(deadline=None, max_examples=60)
def test_any_split_gives_the_same_events(data: st.DataObject, seed: int, noise: bytes) -> None:
    frame = encode_frame(picture(7, 9, 12, seed), 12, 3, 4)
    broken = bytearray(frame)
    broken[data.draw(st.integers(HEADER.size, len(frame) - 1))] ^= 0x10
    stream = noise + frame + encode_reply(IDENTITY) + noise + bytes(broken) + frame + encode_reply(Accepted(1, 2))
    sizes = data.draw(st.lists(st.integers(1, 40), max_size=40))
    whole = Decoder().feed(stream)
    assert summary(in_pieces(stream, sizes)) == summary(whole)
    kinds = [type(event) for event in whole if not isinstance(event, Noise)]
    assert kinds == [FrameReceived, IdentityReply, Corrupt, FrameReceived, Accepted]
    assert sum(event.count for event in whole if isinstance(event, Noise)) == 2 * len(noise)


@given(st.lists(st.one_of(st.binary(max_size=80), st.just(MAGIC), st.sampled_from([data for _, data in MESSAGES]))))
@settings(deadline=None, max_examples=150)
def test_any_bytes_give_events_and_never_an_exception(chunks: list[bytes]) -> None:
    decoder = Decoder(max_frame_bytes=1 << 16)
    for chunk in chunks:
        for event in decoder.feed(chunk):
            assert isinstance(event, Event)


@given(
    st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.integers(0, 65535),
    st.integers(0, 2**32 - 1), st.binary(max_size=600),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_a_hostile_header_with_a_right_checksum_is_judged(
    version: int, kind: int, bits: int, rows: int, columns: int, length: int, rest: bytes
) -> None:
    head = HEADER.pack(MAGIC, version, kind, bits, 0, 1, 2, rows, columns, length, 0)[:-4]
    decoder = Decoder(max_frame_bytes=1 << 16)
    events = decoder.feed(head + struct.pack("<I", zlib.crc32(head)) + rest)
    assert all(isinstance(event, Event) for event in events)
    packet = decoder._packet
    assert packet is None or len(packet.body) <= (1 << 16) + 4


@pytest.mark.parametrize("cut", [1, 31, 32, 40, 90])
def test_lost_bytes_cost_only_the_frame_they_were_lost_from(cut: int) -> None:
    frames = [encode_frame(picture(8, 8, 8, seed), 8, seed, 0) for seed in range(4)]
    stream = frames[0] + frames[1][:cut] + frames[1][cut + 1 :] + frames[2] + frames[3]
    events = Decoder().feed(stream)
    assert [event.sequence for event in events if isinstance(event, FrameReceived)] == [0, 2, 3]
    # A lost first byte leaves no magic, only noise.
    assert len([event for event in events if isinstance(event, Corrupt)]) == (0 if cut < 4 else 1)


def test_a_wrong_byte_in_the_payload_names_the_frame() -> None:
    data = bytearray(encode_frame(picture(8, 8, 8), 8, 77, 0))
    data[50] ^= 1
    assert Decoder().feed(data) == [Corrupt("payload checksum of a packet of kind FRAME", 77)]


def test_magic_inside_the_pixels_is_only_pixels() -> None:
    pixels = np.frombuffer(MAGIC * 64, np.uint8).reshape(16, 16)
    (event,) = Decoder().feed(encode_frame(pixels, 8, 1, 0))
    assert isinstance(event, FrameReceived)


def test_a_frame_beyond_the_bound_is_refused_before_it_is_collected() -> None:
    head = HEADER.pack(MAGIC, 1, Kind.FRAME, 16, 0, 1, 0, 4096, 4096, MAX_FRAME_BYTES, 0)[:-4]
    data = head + struct.pack("<I", zlib.crc32(head))
    decoder = Decoder(max_frame_bytes=640 * 480)
    assert Corrupt("a frame of 33554432 bytes: at most 307200 are taken") in decoder.feed(data)
    assert decoder._packet is None
    full = Decoder()
    assert full.feed(data) == []
    assert len(full._packet.body) == MAX_FRAME_BYTES + 4


def test_length_must_be_what_the_geometry_needs() -> None:
    head = HEADER.pack(MAGIC, 1, Kind.FRAME, 8, 0, 1, 0, 480, 640, 480 * 640 + 1, 0)[:-4]
    events = Decoder().feed(head + struct.pack("<I", zlib.crc32(head)))
    assert events[0] == Corrupt("307201 payload bytes in a frame of 480 rows x 640 columns of 8 bits")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((2, Kind.START, 0, 0, 0, 0), "protocol version 2: this is version 1"),
        ((1, 0x7F, 0, 0, 0, 0), "unknown packet kind 0x7f"),
        ((1, Kind.START, 0, 0, 0, 3), "3 payload bytes in a packet of kind START"),
        ((1, Kind.REFUSED, 0, 0, 0, 513), "513 payload bytes in a packet of kind REFUSED"),
        ((1, Kind.FRAME, 8, 0, 640, 0), "no frame has 0 rows x 640 columns of 8 bits"),
        ((1, Kind.FRAME, 8, 4097, 1, 4097), "no frame has 4097 rows x 1 columns of 8 bits"),
        ((1, Kind.FRAME, 17, 4, 4, 32), "no frame has 4 rows x 4 columns of 17 bits"),
    ],
)
def test_headers_that_make_no_sense_are_named(fields: tuple[int, ...], reason: str) -> None:
    version, kind, bits, rows, columns, length = fields
    head = HEADER.pack(MAGIC, version, kind, bits, 0, 1, 0, rows, columns, length, 0)[:-4]
    events = Decoder().feed(head + struct.pack("<I", zlib.crc32(head)) + MESSAGES[0][1])
    assert events == [Corrupt(reason), Noise(HEADER.size - len(MAGIC)), MESSAGES[0][0]]


def test_values_beyond_the_depth_are_refused_both_ways() -> None:
    wide = np.full((2, 2), 1 << 10, np.uint16)
    with pytest.raises(ValueError, match="does not fit into 10 bits"):
        encode_frame(wide, 10, 1, 0)
    with pytest.raises(ValueError, match="no frame is"):
        encode_frame(wide, 7, 1, 0)
    data = bytearray(encode_frame(wide, 11, 1, 0))
    data[6] = 10  # the same payload, announced as 10 bits
    data[28:32] = struct.pack("<I", zlib.crc32(data[:28]))
    assert Decoder().feed(data) == [Corrupt("a pixel of 1024 in a frame of 10 bits", 1)]


def test_identity_with_odd_text_is_corrupt_not_a_crash() -> None:
    payload = struct.pack("<BBHHH", 0, 0, 1, 1, 1) + b"\xff\xfe"
    head = HEADER.pack(MAGIC, 1, Kind.IDENTITY, 0, 0, 1, 0, 0, 0, len(payload), 0)[:-4]
    data = head + struct.pack("<I", zlib.crc32(head)) + payload + struct.pack("<I", zlib.crc32(payload))
    (event,) = Decoder().feed(data)
    assert isinstance(event, Corrupt)
    control = encode_reply(IdentityReply(1, 2, False, 3, 4, (8,), "a\x1b[31m", "b"))
    assert isinstance(Decoder().feed(control)[0], Corrupt)
    with pytest.raises(ValueError, match="at most 512"):
        encode_reply(Rejected(1, 2, 3, "x" * 600))


def test_a_packet_full_of_magic_costs_a_bounded_search() -> None:
    """Work is counted in header checks, not in seconds."""
    pixels = np.frombuffer(MAGIC * (480 * 160), np.uint8).reshape(480, 640)
    data = bytearray(encode_frame(pixels, 8, 1, 0))
    data[-1] ^= 1
    decoder = Decoder()
    checks = 0
    judge = decoder._problem

    def counting(*arguments: object) -> str:
        nonlocal checks
        checks += 1
        return judge(*arguments)

    decoder._problem = counting
    events = decoder.feed(bytes(data) + MESSAGES[0][1])
    assert checks < 100
    assert events[-1] == MESSAGES[0][0]


def test_an_unfinished_packet_is_given_up_and_what_it_swallowed_is_found() -> None:
    decoder = Decoder()
    assert decoder.give_up() == []
    lost = encode_frame(picture(32, 32, 8), 8, 6, 0)[:500]
    assert decoder.feed(lost + MESSAGES[5][1] + MESSAGES[6][1][:20]) == []
    assert decoder.give_up() == [Corrupt("unfinished packet of kind FRAME", 6), IDENTITY]
    assert decoder.feed(MESSAGES[6][1][20:]) == [MESSAGES[6][0]]


def test_packets_nested_in_a_broken_one_are_given_up_together() -> None:
    """Each nested header announces the rest of the stream: were every one followed up, work would be quadratic."""
    nested = b""
    for _ in range(40):
        nested = encode_frame(np.frombuffer(nested.ljust(64, b"."), np.uint8).reshape(1, -1), 8, 5, 0)[:-1] + b"!"
    events = Decoder().feed(nested + MESSAGES[0][1] * 3)
    assert len([event for event in events if isinstance(event, Corrupt)]) == 2
    assert events[-1] == MESSAGES[0][0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_twelve_bit_packing_is_exact(seed: int, rows: int, columns: int) -> None:
    pixels = picture(rows, columns, 12, seed)
    packed = pack_pixels(pixels, 12)
    assert len(packed) == packed_bytes(rows, columns, 12)
    assert np.array_equal(unpack_pixels(memoryview(packed), rows, columns, 12), pixels)


def test_ordinals_count_the_frames_begun() -> None:
    decoder = Decoder()
    first, second = (encode_frame(picture(4, 4, 8), 8, sequence, 0) for sequence in (10, 12))
    (one,) = decoder.feed(first + second[:40])
    assert isinstance(one, FrameReceived)
    assert decoder.frames_begun == 2
    (two,) = decoder.feed(second[40:])
    assert isinstance(two, FrameReceived)
    assert two.ordinal == 2
