"""A damaged database is set aside and rebuilt: from its last sound copy, and from the sidecars of what came since.

The new one is built under a name of its own and takes its place when it is whole and on the disk. Whatever happens
before, the next start finds either the damaged one or none while there are exams, and begins anew. Nothing of the old
one is deleted: it goes with its log into `set-aside/<date>`, where the report of the rebuild is, too.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from firmware_app.records import files, rebuild_report, safekeeping, schema, sidecars
from firmware_app.records.database import create_private, fault
from firmware_app.records.folders import EXAM_FILE, EXAMS_FOLDER, is_identifier
from firmware_app.records.integrity import check_whole
from firmware_app.records.rebuild_report import Problems, RebuildReport
from firmware_app.records.take_up import TakenUp, is_removed, known_names, take_up

WORK_NAME = "records.rebuilding.sqlite3"
MARKER_NAME = "records.damaged"  # what was found damaged while the service ran; its text is the reason
_EXAMS_AT_ONCE = 200

Progress = Callable[[str], None]

# What was on its way when the copy was made may have arrived since.
_DOUBTS = (
    "UPDATE mpps_messages SET in_doubt = 1 WHERE state IN ('queued', 'sending')",
    "UPDATE print_jobs SET state = 'failed', next_attempt_at = '', "
    "reason = 'may have been printed: the records were restored from a copy' "
    "WHERE state IN ('queued', 'sending', 'printing')",
)
_COUNTED = ("exams", "captures", "measurements", "objects", "deliveries", "mpps_messages", "print_jobs")


def has_exams(state_dir: Path) -> bool:
    """Whether there is anything that a database should know of."""
    return next((state_dir / EXAMS_FOLDER).glob("*/*.json"), None) is not None


def rebuild(path: Path, reason: str, now: datetime, default_node: str, progress: Progress) -> RebuildReport:
    """Put a sound database in the place of the damaged one at `path`, and say what it holds.

    `default_node`: see `take_up`. Raises `StorageFault`, or `DatabaseDamaged` where the disk damages the new one, too.
    """
    state_dir, work = path.parent, path.with_name(WORK_NAME)
    copy, why_none = safekeeping.sound_copy(state_dir)
    copied_at = safekeeping.copied_at(state_dir) if copy else None
    problems = Problems()
    with _building(work, copy) as connection:
        if copy:
            for doubt in _DOUBTS:
                connection.execute(doubt)
        from_copy = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _COUNTED}
        taken = _take_up_all(connection, state_dir, now, default_node, problems, progress)
        progress("checking what was rebuilt")
        check_whole(connection, work)
    files.flush_file(work)
    folder = rebuild_report.new_folder(state_dir, now)
    report = RebuildReport(
        rebuilt_at=now.isoformat(timespec="seconds"),
        reason=reason,
        folder=str(folder.relative_to(state_dir)),
        set_aside=tuple(_set_aside(path, folder)),
        copied_at=copied_at.isoformat(timespec="seconds") if copied_at else "",
        why_no_copy=why_none,
        from_copy=from_copy,
        from_sidecars=asdict(taken),
        problem_count=problems.count,
        problems=tuple(problems.texts),
    )
    rebuild_report.write_report(state_dir, report)
    files.rename(work, path)
    return report


@contextmanager
def _building(work: Path, copy: Path | None) -> Iterator[sqlite3.Connection]:
    """The new database, with this release's schema. Nothing is flushed: after a crash it is built anew."""
    safekeeping.remove_database(work)
    create_private(work)
    try:
        if copy is not None:
            shutil.copyfile(copy, work)
        with closing(sqlite3.connect(work, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA foreign_keys = ON")
            schema.migrate(connection, work)
            yield connection
    except sqlite3.Error as error:
        raise fault(work, error) from error


def _take_up_all(
    connection: sqlite3.Connection,
    state_dir: Path,
    now: datetime,
    default_node: str,
    problems: Problems,
    progress: Progress,
) -> TakenUp:
    """What the database does not know yet, in the order in which the exams were begun."""
    wanted = [exam_id for _, exam_id in sorted(_with_news(connection, state_dir, problems, progress))]
    taken = TakenUp()
    for start in range(0, len(wanted), _EXAMS_AT_ONCE):
        progress(f"taking up exam {start + 1} of {len(wanted)}")
        connection.execute("BEGIN")
        for exam_id in wanted[start : start + _EXAMS_AT_ONCE]:
            known = known_names(connection, exam_id)
            found = sidecars.read_folder(state_dir, exam_id, known, checksums=False)
            taken += take_up(connection, found, now, default_node)
            problems.add(found.problems)
        connection.execute("COMMIT")
    return taken


def _with_news(
    connection: sqlite3.Connection, state_dir: Path, problems: Problems, progress: Progress
) -> Iterator[tuple[tuple[datetime, float], str]]:
    """When an exam was begun, and which."""
    exam_ids = sorted(each.name for each in (state_dir / EXAMS_FOLDER).iterdir())
    for number, exam_id in enumerate(exam_ids):
        if number % (10 * _EXAMS_AT_ONCE) == 0:
            progress(f"looking at exam {number + 1} of {len(exam_ids)}")
        try:
            names = set(sidecars.names(state_dir / EXAMS_FOLDER / exam_id)) if is_identifier(exam_id) else set()
        except OSError as error:
            problems.add([f"{EXAMS_FOLDER}/{exam_id}: {error.strerror}"])
            continue
        if names - known_names(connection, exam_id) and not is_removed(connection, exam_id):
            yield _begun(state_dir, exam_id), exam_id


def _begun(state_dir: Path, exam_id: str) -> tuple[datetime, float]:
    """By the exam's own second, then by the file's time; by that alone where the exam cannot be read."""
    folder = state_dir / EXAMS_FOLDER / exam_id
    path = folder / EXAM_FILE
    written_s = (path if path.exists() else folder).stat().st_mtime
    beginning = sidecars.read_exam(state_dir, exam_id)
    try:
        moment = datetime.fromisoformat(beginning.exam.started_at) if beginning else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        moment = datetime.fromtimestamp(written_s, UTC)
    return moment, written_s


def _set_aside(path: Path, folder: Path) -> Iterator[str]:
    """The database first: without it the next start knows that it has to go on here."""
    for each in (path, *(path.with_name(path.name + side) for side in safekeeping.SIDE_FILES)):
        if each.exists():
            files.rename(each, folder / each.name)
            yield f"{folder.parent.name}/{folder.name}/{each.name}"
    marker = path.with_name(MARKER_NAME)
    if marker.exists():
        files.rename(marker, folder / marker.name)
