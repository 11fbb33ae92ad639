"""The audit trail on disk: files that only grow, chained, of bounded size; and how far it has been sent.

Beside the database and not in it: it must outlive it, and an investigator reads it without us. A segment is named after
the number of its first entry. When the trail is larger than it may be, the oldest segment goes, and the next one tells
the digest that it followed. Entries name patients: the files are for their owner alone.

Every method works on the disk: call them in one thread at a time. Each may raise `StorageFault`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from firmware_app.audit.chain import ORIGIN, BadEntry, Entry, breaks, decode, encode, next_entry
from firmware_app.records import files
from firmware_app.records.errors import StorageFault

SEGMENTS = 16  # of the whole: what goes at once when it is full
SUFFIX = ".jsonl"
SENT_NAME = "sent.json"
# A line of ours has some KiB; a longer one is not ours, and would have to fit into memory.
LINE_MAX_BYTES = 1 << 20


class AuditTrail:
    """Made by `open_audit_trail`. `next_number` and `tip` are of the entry that comes next and of the last one."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = max(1, max_bytes // SEGMENTS)
        self.next_number, self.tip = 1, ORIGIN
        self.trouble = ""  # what was found wrong when it was opened

    # ------------------------------------------------------------------------------------------- writing

    def open(self) -> None:
        """Find the end. What a crash left half written behind it is cut off: nobody was told that it is there.

        A line before the end that cannot be read stays where it is, and so do the entries behind it.
        """
        files.make_folder(self.folder)
        segments = self._segments()
        if not segments:
            return
        last = segments[-1]
        first_number, count, end = int(last.stem), 0, 0
        for segment in segments[-2:]:  # a crash may have left nothing of the last one
            count = end = 0
            for entry, end_of_entry in _entries(segment):
                end = end_of_entry
                self.next_number, self.tip = entry.number + 1, entry.digest
                count += 1
        self.next_number = max(self.next_number, first_number)
        with files.naming(last):
            if end < last.stat().st_size:
                self.trouble = f"{last.name} was cut off behind entry {self.next_number - 1}"
                os.truncate(last, end)
            elif count < self.next_number - first_number:
                self.trouble = f"{self.next_number - first_number - count} entries of {last.name} cannot be read"

    def append(self, messages: Sequence[tuple[str, str]]) -> None:
        """Time and XML of each, on disk when this returns; all of them or none."""
        number, previous, lines = self.next_number, self.tip, []
        for at, message in messages:
            entry = next_entry(number, at, message, previous)
            lines.append(encode(entry))
            number, previous = number + 1, entry.digest
        self._write(b"".join(lines))
        self.next_number, self.tip = number, previous
        self._trim()

    def _write(self, data: bytes) -> None:
        with files.naming(self.folder):
            path = self._current_segment()
        with files.naming(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, files.FILE_MODE)
            before = os.fstat(descriptor).st_size
            try:
                files.write_all(descriptor, data)
                os.fsync(descriptor)
                if not before:
                    files.flush_folder(self.folder)
            except (OSError, StorageFault):
                os.ftruncate(descriptor, before)
                raise
            finally:
                os.close(descriptor)

    def _current_segment(self) -> Path:
        segments = self._segments()
        if segments and segments[-1].stat().st_size < self._segment_bytes:
            return segments[-1]
        return self.folder / f"{self.next_number:012d}{SUFFIX}"

    def _trim(self) -> None:
        with files.naming(self.folder):
            segments = self._segments()
            sizes = [segment.stat().st_size for segment in segments]
        while len(segments) > 1 and sum(sizes) > self._max_bytes:
            files.remove_files([segments.pop(0)])
            sizes.pop(0)

    # ------------------------------------------------------------------------------------------- reading

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """From the one behind `after`, in order, as far as they can be read."""
        segments = self._segments()
        for number, segment in enumerate(segments):
            if number + 1 < len(segments) and int(segments[number + 1].stem) <= after + 1:
                continue
            for entry, _ in _entries(segment):
                if entry.number > after:
                    yield entry

    def first_number(self) -> int:
        """Of the oldest entry that is left."""
        segments = self._segments()
        return int(segments[0].stem) if segments else self.next_number

    def last(self, count: int) -> list[Entry]:
        return list(self.entries(max(0, self.next_number - 1 - count)))

    def problems(self) -> list[str]:
        """What was changed, taken out or cannot be read; at most ten."""
        found = list(islice(breaks(self.entries()), 10))
        present = sum(1 for _ in self.entries())
        expected = self.next_number - self.first_number()
        return found or ([] if present == expected else [f"{expected - present} entries cannot be read"])

    def _segments(self) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"*{SUFFIX}") if path.stem.isdigit())

    # ------------------------------------------------------------------------------------------- how far sent

    def sent(self) -> int:
        """The number of the last entry that the receiver has; 0 where none."""
        try:
            said = json.loads((self.folder / SENT_NAME).read_bytes())
            return min(int(said["number"]), self.next_number - 1)
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # twice is better than never

    def keep_sent(self, number: int) -> None:
        files.replace_file(self.folder / SENT_NAME, json.dumps({"number": number}).encode())


def _entries(path: Path) -> Iterator[tuple[Entry, int]]:
    """Each with the offset behind it. What is no whole line, or no entry, is passed over."""
    end = 0
    with files.naming(path), path.open("rb") as file:
        while line := file.readline(LINE_MAX_BYTES):
            end += len(line)
            try:
                entry = decode(line)
            except BadEntry:
                continue
            if line.endswith(b"\n"):
                yield entry, end
