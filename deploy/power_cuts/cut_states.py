"""What a disk may hold after a power cut, from the log of its writes. Pure.

A cut at a position of the log: the device had taken everything before it. All before the last flush is on the medium,
and so is every write with forced unit access; of the later, volatile writes the medium has none, all, or any of them,
and of one only some sectors. A sector is whole: that is what disks promise and file systems build on.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.power_cuts.write_log import Entry, WriteLog

Kind = Literal["none", "some", "all"]
KINDS: tuple[Kind, ...] = ("none", "some", "all")


@dataclass(frozen=True, slots=True)
class Torn:
    """Of this entry's data only these bytes have reached the medium."""

    entry: int
    first_byte: int
    byte_count: int


@dataclass(frozen=True, slots=True)
class Cut:
    """`position` entries were taken; of the volatile ones those `kept`, and part of one, are on the medium."""

    position: int
    kind: Kind
    kept: tuple[int, ...] = ()
    torn: Torn | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes on top of what was durable; `data` None: discarded, read as zeros."""

    first_byte: int
    byte_count: int
    data: memoryview | bytes | None


@dataclass(frozen=True, slots=True)
class Interval:
    """From behind one flush to the next: `first` is the first entry after it, `end` the next flush or the log's end."""

    first: int
    end: int
    volatile: tuple[int, ...]
    durable: tuple[int, ...]


def intervals(entries: Sequence[Entry]) -> list[Interval]:
    """A write that carries a flush belongs to the interval that it begins."""
    flushes = [place for place, entry in enumerate(entries) if entry.is_flush]
    edges = [0, *flushes, len(entries)]
    found = []
    for first, end in itertools.pairwise(edges):
        written = [place for place in range(first, end) if entries[place].writes]
        volatile = tuple(place for place in written if not entries[place].is_durable)
        durable = tuple(place for place in written if entries[place].is_durable)
        found.append(Interval(first, end, volatile, durable))
    return found


def choose_cuts(log: WriteLog, count: int, chance: random.Random) -> list[Cut]:
    """So many different cuts, a third of each kind, over the whole log, in its order; fewer if it has not so many.

    With nothing kept the cut is just before the next flush: the latest moment, at which most has been promised.
    """
    spans = [interval for interval in intervals(log.entries) if interval.end > interval.first]
    written = [interval for interval in spans if interval.volatile]
    chosen: set[Cut] = set()
    for number, kind in enumerate(KINDS):
        wanted = (count + number) // len(KINDS)
        chosen |= _cuts_of_kind(log, kind, spans if kind == "none" else written, wanted, chance)
    return sorted(chosen, key=lambda cut: (cut.position, cut.kind, cut.kept))


def _cuts_of_kind(log: WriteLog, kind: Kind, spans: list[Interval], wanted: int, chance: random.Random) -> set[Cut]:
    found: set[Cut] = set()
    rounds = 0
    while spans and len(found) < wanted and rounds < 100:  # the same interval again, cut elsewhere
        rounds += 1
        for interval in chance.sample(spans, len(spans)):
            if len(found) < wanted:
                found.add(_cut(log, kind, interval, chance))
        if kind == "none":
            break  # nothing kept is the same wherever the cut is
    return found


def _cut(log: WriteLog, kind: Kind, interval: Interval, chance: random.Random) -> Cut:
    if kind == "none":
        return Cut(interval.end, kind)
    position = chance.randint(interval.volatile[0] + 1, interval.end)
    volatile = [place for place in interval.volatile if place < position]
    if kind == "all":
        return Cut(position, kind, tuple(volatile))
    torn = chance.choice(volatile)
    share = chance.random()
    kept = tuple(place for place in volatile if place != torn and chance.random() < share)
    return Cut(position, kind, kept, _tear(log, torn, chance))


def _tear(log: WriteLog, entry: int, chance: random.Random) -> Torn | None:
    """The beginning or the end of it; nothing of a single sector."""
    sectors = log.entries[entry].byte_count // log.sector_bytes
    if sectors < 2:
        return None
    count = chance.randint(1, sectors - 1)
    first = chance.choice((0, sectors - count))
    return Torn(entry, first * log.sector_bytes, count * log.sector_bytes)


class Medium:
    """The disk's content, brought forward from cut to cut; the cuts come in the order of the log."""

    def __init__(self, content: bytearray, log: WriteLog) -> None:
        self.content = content  # what is durable
        self._log = log
        self._intervals = iter(intervals(log.entries))
        self._current = next(self._intervals)

    def advance(self, cut: Cut) -> list[Patch]:
        """Make `content` what was durable at the cut; what lies on top of it is returned, in order."""
        while self._current.end < cut.position:
            for place in sorted((*self._current.volatile, *self._current.durable)):
                apply(self.content, patch_of(self._log.entries[place]))
            self._current = next(self._intervals)
        if cut.position < self._current.first:
            raise ValueError(f"the cut at {cut.position} is before the flush at {self._current.first}")
        return list(self._on_top(cut))

    def _on_top(self, cut: Cut) -> Iterator[Patch]:
        forced = (place for place in self._current.durable if place < cut.position)
        torn = (cut.torn.entry,) if cut.torn else ()
        for place in sorted((*forced, *cut.kept, *torn)):
            whole = patch_of(self._log.entries[place])
            yield _part(whole, cut.torn) if cut.torn and place == cut.torn.entry else whole


def patch_of(entry: Entry) -> Patch:
    return Patch(entry.first_byte, entry.byte_count, entry.data if len(entry.data) else None)


def _part(patch: Patch, torn: Torn) -> Patch:
    data = None if patch.data is None else patch.data[torn.first_byte : torn.first_byte + torn.byte_count]
    return Patch(patch.first_byte + torn.first_byte, torn.byte_count, data)


def apply(content: bytearray, patch: Patch) -> None:
    """Raises `ValueError` for what is not on this disk."""
    end = patch.first_byte + patch.byte_count
    if end > len(content):
        raise ValueError(f"a write to byte {end} of a disk of {len(content)}")
    content[patch.first_byte : end] = bytes(patch.byte_count) if patch.data is None else patch.data
