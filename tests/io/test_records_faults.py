"""A disk that refuses, at every step: nothing is reported that is not safe, and the next capture works."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from failing_sqlite import make_sqlite_fail
from records_material import CAPTURED, NODE, exam_of, frame_of, instance, uid_of

from firmware_app.model import CALCULATION_FAILURE, DeliveryState, Measurement, Quality, Refusal
from firmware_app.records.database import open_database
from firmware_app.records.errors import CommitUncertain, DatabaseDamaged, StorageFault
from firmware_app.records.store import DATABASE_NAME, Records, open_records

MEASUREMENT = Measurement(Quality("D", 0.1, 0.1, 0.1), None, None, Refusal(CALCULATION_FAILURE, "dark"))


class FailingDisk:
    """The file calls of `os` and `pathlib`, of which the `at`-th fails. SQLite's own are C and go by undisturbed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, code: int) -> None:
        self._code = code
        self._remaining = at
        for owner, name in ((os, "open"), (os, "write"), (os, "fsync"), (Path, "replace"), (Path, "mkdir")):
            monkeypatch.setattr(owner, name, self._failing(getattr(owner, name)))

    @property
    def has_failed(self) -> bool:
        return self._remaining <= 0

    def _failing(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **keywords: object) -> object:
            self._remaining -= 1
            if self._remaining == 0:
                raise OSError(self._code, os.strerror(self._code))
            return call(*arguments, **keywords)

        return wrapped


Operation = Callable[[Records], Awaitable[object]]


async def new_capture(records: Records) -> object:
    return await records.save_capture(exam_of(), frame_of(7), **CAPTURED)


async def new_measurement(records: Records) -> object:
    return await records.save_measurement((await records.captures("exam-1"))[0].capture_id, MEASUREMENT)


OPERATIONS: dict[str, Operation] = {
    "exam": lambda records: records.begin_exam(exam_of(2)),
    "capture": new_capture,
    "measurement": new_measurement,
    "object": lambda records: records.save_object("exam-1", None, **instance(1), enqueue_for=NODE),
}


async def recorded(records: Records) -> tuple[object, ...]:
    captures = await records.captures("exam-1")
    return (
        await records.exams(),
        captures,
        (await records.measurement(captures[0].capture_id)) is not None,
        await records.objects("exam-1"),
        await records.deliveries(),
    )


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(DATABASE_NAME)}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_fault_at_every_file_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        await new_capture(records)
        before, files_before = await recorded(records), files_below(tmp_path)
        for at in range(1, 100):
            with monkeypatch.context() as patch:
                disk = FailingDisk(patch, at, code)
                try:
                    await OPERATIONS[name](records)
                except StorageFault as fault:
                    assert fault.reason == os.strerror(code)
                    assert str(fault.path).startswith(str(tmp_path))
                if not disk.has_failed:
                    break
            assert await recorded(records) == before
            assert files_below(tmp_path) == files_before
        assert at > 6
        after = await recorded(records)
        assert after != before
    async with open_records(tmp_path) as records:
        assert await recorded(records) == after


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The kernel itself refuses writes beyond this offset (EFBIG), SQLite's among them; Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_the_kernel_refuses_the_database_at_every_page(tmp_path: Path) -> None:
    faults = 0
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        log = tmp_path / (DATABASE_NAME + "-wal")
        while log.stat().st_size < 40_000:  # the sidecars stay below every limit that follows
            await new_capture(records)
        for extra in range(0, 40_000, 1000):
            before = await records.captures("exam-1")
            with no_file_longer_than(log.stat().st_size + extra):
                try:
                    await new_capture(records)
                except StorageFault as fault:
                    faults += 1
                    assert fault.path.name.startswith(DATABASE_NAME)
                    assert await records.captures("exam-1") == before
            capture = await new_capture(records)
            assert capture in await records.captures("exam-1")
        after = await records.captures("exam-1")
    assert 5 < faults < 40
    async with open_records(tmp_path) as records:
        assert await records.captures("exam-1") == after
        for capture in after:
            await records.load_frame(capture.capture_id)


# What SQLite says, what we make of it, and whether the files of the row may stay behind.
SQLITE_FAULTS = [
    ("BEGIN", sqlite3.SQLITE_BUSY, StorageFault, False),
    ("INSERT", sqlite3.SQLITE_READONLY, StorageFault, False),
    ("INSERT", sqlite3.SQLITE_IOERR_READ, StorageFault, False),
    ("INSERT", sqlite3.SQLITE_CORRUPT_INDEX, DatabaseDamaged, True),
    ("INSERT", sqlite3.SQLITE_MISUSE, sqlite3.OperationalError, False),
    ("COMMIT", sqlite3.SQLITE_FULL, StorageFault, False),
    ("COMMIT", sqlite3.SQLITE_IOERR_FSYNC, CommitUncertain, True),
]


@pytest.mark.parametrize(("statement", "code", "meaning", "files_stay"), SQLITE_FAULTS)
async def test_what_sqlite_says_and_what_it_means(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    code: int,
    meaning: type[Exception],
    files_stay: bool,
) -> None:
    failing_sqlite = make_sqlite_fail(monkeypatch)
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        files_before = files_below(tmp_path)
        failing_sqlite(statement, code)
        with pytest.raises(meaning) as caught:
            await records.save_object("exam-1", None, **instance(1), enqueue_for=NODE)
        assert type(caught.value) is meaning
        failing_sqlite("", 0)
        assert await records.objects("exam-1") == []
        assert (files_below(tmp_path) == files_before) is not files_stay
        await records.save_object("exam-1", None, **instance(1), enqueue_for=NODE)
        assert (await records.counts())[DeliveryState.QUEUED] == 1
        assert (tmp_path / "exams" / "exam-1" / f"{uid_of(1)}.dcm").exists()


async def test_files_of_an_uncertain_commit_stay_until_the_next_commit_has_succeeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_sqlite = make_sqlite_fail(monkeypatch)
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        files_before = files_below(tmp_path)
        failing_sqlite("COMMIT", sqlite3.SQLITE_IOERR_FSYNC)
        for _ in range(2):
            with pytest.raises(CommitUncertain):
                await new_capture(records)
        assert len(files_below(tmp_path) - files_before) == 4
        failing_sqlite("", 0)
        capture = await records.save_capture(exam_of(), frame_of(7), **CAPTURED)
        assert {path.stem for path in files_below(tmp_path) - files_before} == {capture.capture_id}


async def test_a_read_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_sqlite = make_sqlite_fail(monkeypatch)
    async with open_records(tmp_path) as records:
        failing_sqlite("SELECT", sqlite3.SQLITE_IOERR)
        with pytest.raises(StorageFault, match=r"records\.sqlite3: said SQLite"):
            await records.exams()
        failing_sqlite("", 0)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("PRAGMA journal_mode", sqlite3.SQLITE_IOERR),
        ("BEGIN", sqlite3.SQLITE_BUSY),
        ("CREATE", sqlite3.SQLITE_IOERR),
        ("COMMIT", sqlite3.SQLITE_FULL),
    ],
)
async def test_opening_on_a_refusing_disk_is_named_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, code: int
) -> None:
    failing_sqlite = make_sqlite_fail(monkeypatch)
    descriptors = len(os.listdir("/proc/self/fd"))
    failing_sqlite(statement, code)
    with pytest.raises(StorageFault, match=r"records\.sqlite3: said SQLite"):
        async with open_records(tmp_path):
            pass
    assert len(os.listdir("/proc/self/fd")) == descriptors
    failing_sqlite("", 0)
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())


async def test_a_database_that_sqlite_cannot_open_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*arguments: object, **keywords: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(StorageFault, match=r"records\.sqlite3: unable to open"):
        async with open_records(tmp_path):
            pass


def test_a_mistake_of_ours_rolls_back_and_stays_what_it_is(tmp_path: Path) -> None:
    with open_database(tmp_path / DATABASE_NAME) as database:
        for mistake in (KeyError("ours"), sqlite3.ProgrammingError("ours")):
            with pytest.raises(type(mistake)), database.transaction() as connection:
                connection.execute("CREATE TABLE half_done (step TEXT)")
                connection.execute("INSERT INTO half_done VALUES ('first')")
                raise mistake
        assert database.rows("SELECT name FROM sqlite_master WHERE name = 'half_done'") == []


async def test_a_refusing_disk_is_told_once_and_its_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[StorageFault | None] = []
    async with open_records(tmp_path) as records:
        records.disk.tell = told.append
        await records.begin_exam(exam_of())
        assert told == []
        with monkeypatch.context() as patch:
            FailingDisk(patch, 1, errno.ENOSPC)
            with pytest.raises(StorageFault):
                await new_capture(records)
        for attempt in range(2):
            with monkeypatch.context() as patch:
                FailingDisk(patch, 1 + attempt, errno.EROFS)
                with pytest.raises(StorageFault):
                    await new_capture(records)
            assert records.disk.detail.endswith(os.strerror(errno.EROFS))
            assert str(tmp_path) in records.disk.detail
        await records.captures("exam-1")
        await records.requeue_interrupted(NODE)  # a transaction that changes nothing, and so writes nothing
        (first,) = told
        assert first is not None
        assert first.reason == os.strerror(errno.ENOSPC)
        await new_capture(records)
        assert told == [first, None]
        assert records.disk.detail == "takes what is recorded"


async def test_what_a_dead_disk_does_not_let_us_remove_goes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        before = files_below(tmp_path)
        with monkeypatch.context() as patch:
            FailingDisk(patch, 3, errno.EROFS)
            patch.setattr(Path, "unlink", refuse)
            with pytest.raises(StorageFault):
                await new_capture(records)
            with pytest.raises(StorageFault):
                FailingDisk(patch, 5, errno.EROFS)  # behind the making of the folder
                await records.save_picture("exam-1", "report.png", b"png")
        assert len(files_below(tmp_path) - before) == 2
        capture = await records.save_capture(exam_of(), frame_of(7), **CAPTURED)
        names = {path.name for path in files_below(tmp_path) - before}
        assert names == {f"{capture.capture_id}.png", f"{capture.capture_id}.json"}
