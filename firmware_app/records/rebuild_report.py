"""What a rebuild of the database brought back and what not, kept until somebody has read it and longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from firmware_app.records import files

SET_ASIDE_FOLDER = "set-aside"
REPORT_FILE, ACKNOWLEDGED_FILE = "report.json", "acknowledged.json"
PROBLEMS_KEPT = 200
PROBLEMS_TOLD = 5
_REPORT_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """`rebuilt_at` and `copied_at` are ISO 8601 with offset; `copied_at` is empty where no copy could be used.

    `problems` name files that could not be read or are not whole, never what is in them.
    """

    rebuilt_at: str
    reason: str
    folder: str  # of what was set aside, below the state folder
    set_aside: tuple[str, ...]
    copied_at: str
    why_no_copy: str
    from_copy: Mapping[str, int]
    from_sidecars: Mapping[str, int]
    problem_count: int = 0
    problems: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """One sentence, for the status."""
        return f"the database was damaged and rebuilt on {self.rebuilt_at}: {self._rebuilt()}{self._unread()}"

    def sentences(self) -> Iterator[str]:
        """All that a person should know."""
        aside = ", ".join(self.set_aside) or "nothing: there was no file"
        yield f"the database was damaged ({self.reason}) and rebuilt on {self.rebuilt_at}; set aside: {aside}"
        yield f"rebuilt: {self._rebuilt()}"
        if self.problem_count:
            yield f"{self.problem_count} files are not as they should be: {'; '.join(self.problems)}"
        since = f"since the copy of {self.copied_at}" if self.copied_at else f"at all ({self.why_no_copy})"
        yield (
            f"no file says what was sent, committed or printed {since}: {self.from_sidecars.get('deliveries', 0)} "
            "instances are queued again, which is harmless (same UIDs, the archive keeps one of each); commitment is "
            "asked for again, and reports to requests that are not known any more are refused; procedure steps are "
            "reported again as ones that may be known"
        )
        yield (
            "not rebuilt: films that were asked for, what was decided by hand in the queues, and all else that only "
            f"the database had, {since}; films that waited in the copy are not printed by themselves"
        )

    def _rebuilt(self) -> str:
        copy = f"from the copy of {self.copied_at}: {_counted(self.from_copy)}; " if self.copied_at else ""
        return f"{copy}from the files beside the images: {_counted(self.from_sidecars)}"

    def _unread(self) -> str:
        if not self.problem_count:
            return ""
        more = f" and {self.problem_count - PROBLEMS_TOLD} more" if self.problem_count > PROBLEMS_TOLD else ""
        return f"; not as they should be: {'; '.join(self.problems[:PROBLEMS_TOLD])}{more}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "nothing"


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    at: str
    by: str


@dataclass(slots=True)
class Problems:
    """The first of them in words, and how many there were."""

    count: int = 0
    texts: list[str] = field(default_factory=list)

    def add(self, more: Sequence[str]) -> None:
        self.count += len(more)
        self.texts += more[: PROBLEMS_KEPT - len(self.texts)]


def new_folder(state_dir: Path, now: datetime) -> Path:
    """One of its own for what is set aside now."""
    name = f"{now:%Y%m%dT%H%M%S}"
    folder, number = state_dir / SET_ASIDE_FOLDER / name, 1
    while folder.exists():
        number += 1
        folder = state_dir / SET_ASIDE_FOLDER / f"{name}-{number}"
    files.make_folder(folder)
    return folder


def write_report(state_dir: Path, report: RebuildReport) -> None:
    files.replace_file(state_dir / report.folder / REPORT_FILE, msgspec.json.encode(report))


def unacknowledged(state_dir: Path) -> tuple[RebuildReport, ...]:
    """What nobody has acknowledged, oldest first. A report that cannot be read is told as one."""
    reports = sorted((state_dir / SET_ASIDE_FOLDER).glob(f"*/{REPORT_FILE}"))
    return tuple(_read(path) for path in reports if not path.with_name(ACKNOWLEDGED_FILE).exists())


def acknowledge(state_dir: Path, reports: Sequence[RebuildReport], by: str, now: datetime) -> None:
    """On the disk when this returns. `StorageFault`."""
    for report in reports:
        data = msgspec.json.encode(Acknowledgement(now.isoformat(timespec="seconds"), by))
        files.replace_file(state_dir / report.folder / ACKNOWLEDGED_FILE, data)


def _read(path: Path) -> RebuildReport:
    try:
        with files.naming(path), path.open("rb") as file:
            data = file.read(_REPORT_MAX_BYTES)
        return msgspec.json.decode(data, type=RebuildReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        folder = f"{SET_ASIDE_FOLDER}/{path.parent.name}"
        reason = f"its report cannot be read: {type(error).__name__}"
        return RebuildReport(path.parent.name, reason, folder, (), "", reason, {}, {})
