"""deploy/power-cuts reads the log of a disk and says what the disk may hold after a power cut."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from power_log import DISCARD, FLUSH, FUA, MARK, SECTOR, Made, discard, flush, letters, log_bytes, write

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.power_cuts.cut_states import Cut, Medium, Torn, apply, choose_cuts, intervals
from deploy.power_cuts.write_log import BadLog, Flag, WriteLog, entry_count, of_partition, read_write_log

SECTORS = 8


def log_of(*entries: Made) -> WriteLog:
    return read_write_log(log_bytes(entries))


def after(log: WriteLog, *cuts: Cut) -> list[str]:
    """The disk's sectors after each cut."""
    medium = Medium(bytearray(SECTORS * SECTOR), log)
    states = []
    for cut in cuts:
        patches = medium.advance(cut)
        content = bytearray(medium.content)
        for patch in patches:
            apply(content, patch)
        states.append(letters(content, SECTORS))
    return states


# ---------------------------------------------------------------------------------------------- reading


def test_entries_as_they_were_logged() -> None:
    log = log_of(write(3, "a", "b"), flush(), discard(1, 2), write(0, "c", flags=FUA))
    assert log.sector_bytes == SECTOR
    found = [(entry.first_byte, entry.byte_count, entry.flags, bytes(entry.data[:1])) for entry in log.entries]
    assert found == [
        (3 * SECTOR, 2 * SECTOR, Flag.NONE, b"a"),
        (0, 0, Flag.FLUSH, b""),
        (SECTOR, 2 * SECTOR, Flag.DISCARD, b""),
        (0, SECTOR, Flag.FUA, b"c"),
    ]


def test_of_a_partition_every_entry_keeps_its_place_in_the_log() -> None:
    log = of_partition(log_of(write(1, "a"), write(3, "b", "c"), flush(), write(6, "d", flags=FLUSH), discard(3, 1)),
                       3 * SECTOR, 2 * SECTOR)  # fmt: skip
    found = [(entry.first_byte, entry.byte_count, entry.flags, entry.writes) for entry in log.entries]
    assert found == [
        (0, 0, Flag.NONE, False),
        (0, 2 * SECTOR, Flag.NONE, True),
        (0, 0, Flag.FLUSH, False),
        (0, 0, Flag.FLUSH, False),
        (0, SECTOR, Flag.DISCARD, True),
    ]
    with pytest.raises(BadLog, match="crosses the partition's edge"):
        of_partition(log_of(write(2, "a", "b")), 3 * SECTOR, 2 * SECTOR)


def test_how_many_entries_a_log_has_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    assert entry_count(log) == 0
    log.write_bytes(log_bytes([write(0, "a"), flush()]))
    assert entry_count(log) == 2


def test_sectors_of_another_size() -> None:
    data = b"x" * 4096
    log = read_write_log(log_bytes([(2, 1, 0, data)], 4096))
    assert [(entry.first_byte, bytes(entry.data)) for entry in log.entries] == [(8192, data)]


WHOLE = log_bytes([write(0, "a"), write(1, "b")])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes are no log"),
        (b"x" * 512, "magic 0x7878"),
        (WHOLE[:8] + b"\2" + WHOLE[9:], "version 2"),
        (WHOLE[:24] + b"\1\0\0\0" + WHOLE[28:], "sectors of 1 bytes"),
        (WHOLE[:24] + b"\xff\xff\xff\xff" + WHOLE[28:], "sectors of 4294967295 bytes"),
        (WHOLE[: 3 * SECTOR], "ends before its entry 1 of 2"),
        (WHOLE[: 4 * SECTOR], "ends in the data of its entry 1 of 2"),
        (WHOLE[: SECTOR + 16] + b"\x10" + WHOLE[SECTOR + 17 :], "entry 0 has the flags 0x10"),
    ],
)
def test_what_is_no_log_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(BadLog, match=says):
        read_write_log(data)


# ---------------------------------------------------------------------------------------------- cutting

EXAMPLE = (write(0, "a", "b"), write(4, "c"), flush(), write(0, "d", "e", "f"), write(4, "g"), flush(), write(7, "h"))


def test_before_the_last_flush_all_is_there_and_after_it_what_was_kept() -> None:
    log = log_of(*EXAMPLE)
    assert after(
        log,
        Cut(0, "none"),
        Cut(2, "none"),
        Cut(2, "some", kept=(1,)),
        Cut(2, "all", kept=(0, 1)),
        Cut(3, "none"),
        Cut(5, "none"),
        Cut(5, "some", kept=(4,)),
        Cut(5, "all", kept=(3, 4)),
        Cut(6, "none"),
        Cut(7, "none"),
        Cut(7, "all", kept=(6,)),
    ) == [
        "........",
        "........",
        "....c...",
        "ab..c...",
        "ab..c...",
        "ab..c...",
        "ab..g...",
        "def.g...",
        "def.g...",
        "def.g...",
        "def.g..h",
    ]


def test_a_torn_write_has_some_of_its_sectors() -> None:
    log = log_of(*EXAMPLE)
    first, last = Torn(3, 0, SECTOR), Torn(3, 2 * SECTOR, SECTOR)
    assert after(log, Cut(5, "some", torn=first), Cut(5, "some", kept=(4,), torn=last)) == ["db..c...", "abf.g..."]


def test_a_later_write_of_the_same_sector_wins_where_both_are_kept() -> None:
    log = log_of(write(0, "a"), write(0, "b"))
    cuts = [Cut(2, "some", kept=kept) for kept in ((0,), (1,), (0, 1))]
    assert [state[0] for state in after(log, *cuts)] == ["a", "b", "b"]


def test_forced_unit_access_needs_no_flush() -> None:
    log = log_of(write(0, "a"), write(1, "b", flags=FUA), write(2, "c"))
    assert after(log, Cut(1, "none"), Cut(2, "none"), Cut(3, "some", kept=(2,))) == ["........", ".b......", ".bc....."]


def test_forced_unit_access_makes_nothing_else_durable() -> None:
    log = log_of(write(0, "a"), write(1, "b", flags=FUA))
    (only,) = intervals(log.entries)
    assert (only.volatile, only.durable) == ((0,), (1,))


def test_a_write_with_a_flush_comes_after_it() -> None:
    log = log_of(write(0, "a"), write(1, "b", flags=FLUSH), write(2, "c", flags=FLUSH | FUA))
    assert after(log, Cut(1, "none"), Cut(2, "none"), Cut(3, "none")) == ["........", "a.......", "abc....."]


def test_a_discard_reads_as_zeros_and_a_mark_as_nothing() -> None:
    log = log_of(write(0, "a", "b"), flush(), discard(1, 1), (0, 0, MARK, b""))
    assert after(log, Cut(4, "none"), Cut(4, "all", kept=(2,))) == ["ab......", "a......."]
    assert Flag(DISCARD) in log.entries[2].flags


def test_cuts_go_forward_and_stay_on_the_disk() -> None:
    log = log_of(*EXAMPLE)
    medium = Medium(bytearray(SECTORS * SECTOR), log)
    medium.advance(Cut(5, "none"))
    with pytest.raises(ValueError, match="before the flush"):
        medium.advance(Cut(1, "none"))
    with pytest.raises(ValueError, match="a write to byte 512 of a disk of 256"):
        Medium(bytearray(SECTOR // 2), log_of(write(0, "a"), flush())).advance(Cut(2, "none"))


# ---------------------------------------------------------------------------------------------- choosing


def busy_log(chance: random.Random) -> WriteLog:
    entries: list[Made] = []
    for _ in range(120):
        if chance.random() < 0.3:
            entries.append(flush())
        else:
            count = chance.randint(1, 3)
            flags = FUA if chance.random() < 0.1 else 0
            entries.append(write(chance.randint(0, SECTORS - 3), *chance.choices("abcdefgh", k=count), flags=flags))
    return log_of(*entries)


@pytest.mark.parametrize("seed", range(5))
def test_chosen_cuts_are_different_possible_and_of_every_kind(seed: int) -> None:
    log = busy_log(random.Random(seed))
    cuts = choose_cuts(log, 60, random.Random(seed))
    assert cuts == choose_cuts(log, 60, random.Random(seed)), "the same for the same seed"
    assert len(set(cuts)) == len(cuts) == 60
    assert {cut.kind for cut in cuts} == {"none", "some", "all"}
    assert any(cut.torn for cut in cuts)
    assert [cut.position for cut in cuts] == sorted(cut.position for cut in cuts)
    for cut in cuts:
        taken = log.entries[: cut.position]
        last_flush = max((place for place, entry in enumerate(taken) if entry.is_flush), default=-1)
        touched = {*cut.kept, *((cut.torn.entry,) if cut.torn else ())}
        assert all(last_flush <= place < cut.position for place in touched)
        volatile = {
            place
            for place in range(max(last_flush, 0), cut.position)
            if log.entries[place].writes and not log.entries[place].is_durable
        }
        assert touched <= volatile
        if cut.kind == "all":
            assert set(cut.kept) == volatile
        if cut.torn:
            assert 0 < cut.torn.byte_count < log.entries[cut.torn.entry].byte_count
    assert len(after(log, *cuts)) == 60


@pytest.mark.parametrize("seed", range(5))
def test_a_disk_after_a_cut_is_what_a_slow_disk_would_say(seed: int) -> None:
    """Against a second way of telling it: each sector is that of the last write that reached the medium."""
    log = busy_log(random.Random(seed))
    cuts = choose_cuts(log, 60, random.Random(seed))
    for cut, state in zip(cuts, after(log, *cuts), strict=True):
        flushes = [place for place in range(cut.position) if log.entries[place].is_flush]
        reached = {place for place in range(cut.position) if place < max(flushes, default=0)}
        reached |= {place for place in range(cut.position) if log.entries[place].is_durable} | set(cut.kept)
        expected = ["."] * SECTORS
        for place in range(cut.position):
            entry = log.entries[place]
            for sector in range(entry.byte_count // SECTOR):
                is_torn = cut.torn is not None and cut.torn.entry == place
                inside = is_torn and cut.torn.first_byte <= sector * SECTOR < cut.torn.first_byte + cut.torn.byte_count
                if place in reached or inside:
                    expected[entry.first_byte // SECTOR + sector] = chr(entry.data[sector * SECTOR])
        assert state == "".join(expected)


def test_a_short_log_has_fewer_cuts() -> None:
    assert [cut.kind for cut in choose_cuts(log_of(write(0, "a")), 30, random.Random(1))].count("none") == 1
    assert choose_cuts(log_of(), 30, random.Random(1)) == []
