"""A TrueType font of a few characters, each another rectangle: what a system's font for kanji is to the report."""

from __future__ import annotations

import struct
from itertools import pairwise

UNITS_PER_EM = 1000


def tiny_font(characters: str) -> bytes:
    """Glyph 0 is the box for unknown characters; character i is a bar that is (i + 1) * 60 units wide."""
    glyphs = [_bar(500), *(_bar((index + 1) * 60) for index in range(len(characters)))]
    offsets = [0]
    for glyph in glyphs:
        offsets.append(offsets[-1] + len(glyph))
    tables = {
        b"cmap": _cmap(characters),
        b"glyf": b"".join(glyphs),
        b"head": struct.pack(
            ">IIIIHHQQhhhhHHhhh",
            *(0x10000, 0x10000, 0, 0x5F0F3CF5, 0, UNITS_PER_EM, 0, 0, 0, 0, UNITS_PER_EM, UNITS_PER_EM, 0, 8, 2, 1, 0),
        ),
        b"hhea": struct.pack(">IhhhHhhhhhhhhhhhH", 0x10000, 800, -200, 0, 1000, *[0] * 11, len(glyphs)),
        b"hmtx": struct.pack(">Hh", 1000, 0) * len(glyphs),
        b"loca": struct.pack(f">{len(offsets)}I", *offsets),
        b"maxp": struct.pack(">IHHHHHHHHHHHHHH", 0x10000, len(glyphs), 4, 1, *[0] * 11),
    }
    directory, body = b"", b""
    start = 12 + 16 * len(tables)
    for tag, table in tables.items():
        directory += tag + struct.pack(">III", 0, start + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return struct.pack(">IHHHH", 0x10000, len(tables), 64, 2, 16 * len(tables) - 64) + directory + body


def _bar(width: int) -> bytes:
    """One closed contour of four corners, all on the curve."""
    points = [(50, 0), (50 + width, 0), (50 + width, 700), (50, 700)]
    header = struct.pack(">hhhhhHH", 1, 50, 0, 50 + width, 700, 3, 0)
    steps = [(points[0][0], points[0][1])]
    steps += [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
    octets = header + b"\1" * 4
    octets += b"".join(struct.pack(">h", dx) for dx, _ in steps) + b"".join(struct.pack(">h", dy) for _, dy in steps)
    return octets + bytes(-len(octets) % 4)


def _cmap(characters: str) -> bytes:
    """Format 12: one group for each character."""
    order = sorted((ord(character), index + 1) for index, character in enumerate(characters))
    groups = b"".join(struct.pack(">III", code, code, glyph) for code, glyph in order)
    table = struct.pack(">HHIII", 12, 0, 16 + len(groups), 0, len(order)) + groups
    return struct.pack(">HHHHI", 0, 1, 3, 10, 12) + table
