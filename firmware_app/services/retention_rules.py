"""When exams whose archives have committed to them are removed, and when no new exam may begin. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from firmware_app.records.steering import Tally
from firmware_app.services.standing import Standing, standing_of

MIN_FREE_FILES = 1000  # an exam has some dozens


class Room(StrEnum):
    AMPLE = "ample"
    LOW = "low"  # the oldest exams that may go are removed
    NEARLY_FULL = "nearly full"  # what is left is for the exam that is open


@dataclass(frozen=True, slots=True)
class Space:
    """Of the file system of the records. `free_bytes` is what an unprivileged service may still write.

    `free_files`: how many more files it can hold; None where it does not say.
    """

    total_bytes: int
    free_bytes: int
    free_files: int | None = None

    @property
    def free_percent(self) -> float:
        return 100.0 * self.free_bytes / self.total_bytes if self.total_bytes else 0.0

    @property
    def words(self) -> str:
        files = f", room for {self.free_files} more files" if self._is_short_of_files else ""
        return f"{amount(self.free_bytes)} of {amount(self.total_bytes)} free ({self.free_percent:.0f} %){files}"

    @property
    def _is_short_of_files(self) -> bool:
        return self.free_files is not None and self.free_files < MIN_FREE_FILES

    def room(self, rules: RetentionRules) -> Room:
        if self.free_bytes < rules.reserve_bytes or self._is_short_of_files:
            return Room.NEARLY_FULL
        return Room.LOW if self.free_percent < rules.min_free_percent else Room.AMPLE


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """`keep_days`: older exams go, 0: as long as there is room. `reserve_bytes`: below it no exam begins."""

    keep_days: int = 0
    min_free_percent: float = 10.0
    reserve_bytes: int = 500_000_000


def why_remove(finished_at: datetime, space: Space, rules: RetentionRules, now: datetime) -> str | None:
    """Why an exam that may go goes now; None: it stays."""
    if rules.keep_days and now - finished_at > timedelta(days=rules.keep_days):
        return f"older than {rules.keep_days} days"
    if space.room(rules) is not Room.AMPLE:
        return f"to make room: {space.words}"
    return None


def blocked_words(blocking: Sequence[Tally], unfinished: int, *, stored_stays: bool) -> str:
    """Which exams wait for what before they can go: `12 exams: commitment requested of storage; ...`."""
    told = []
    for each in sorted(blocking, key=lambda each: (-each.count, each.node, standing_of(each))):
        word = standing_of(each)
        if word is Standing.STORED:
            wait = f"stored at {each.node}" + (", where nobody commits to them" if stored_stays else "")
        elif word is Standing.CAPTURED:
            wait = "captured and sent nowhere (send EXAM_ID)"
        elif word is Standing.FAILED:
            wait = f"failed at {each.node} (queue retry, queue redirect)"
        elif word is Standing.HELD:
            wait = f"held for {each.node} (queue release)"
        else:
            wait = f"{word} at {each.node}"
        told.append(f"{exams(each.count)} {wait}")
    if unfinished:
        told.append(f"{exams(unfinished)} never closed (exam resume)")
    return "; ".join(told) or "no exam waits for anything"


def exams(count: int) -> str:
    return "1 exam" if count == 1 else f"{count} exams"


def amount(octets: int) -> str:
    """For people: `512 MB`, `57.9 GB`."""
    return f"{octets / 1e9:.1f} GB" if octets >= 1e9 else f"{octets / 1e6:.0f} MB"
