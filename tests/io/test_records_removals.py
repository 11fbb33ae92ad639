"""Which exams may go, that nothing else ever does, and that a crash in between leaves nothing dangling."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import trio
from records_material import CAPTURED, NODE, StandingClock, exam_of, frame_of, instance, uid_of

from firmware_app.model import Code, Measurement, Quality, Refusal, Reject
from firmware_app.records.documents import ExamSidecar, RemovalSidecar
from firmware_app.records.errors import ExamRemoved, StorageFault
from firmware_app.records.removals import SafeWhen
from firmware_app.records.steering import Chosen
from firmware_app.records.store import DATABASE_NAME, Records, open_records
from firmware_app.services.standing import Standing, standing_of

STRICT = SafeWhen()
SENT = ("sending", "stored", "committed")
STAYS = {"exam.json", "end.json", "removed.json"}


async def sent(records: Records, number: int, *steps: str, node: str = NODE) -> None:
    """Let one instance go so far."""
    uid = uid_of(number)
    for step in steps:
        if step == "sending":
            await records.mark_sending(uid, node)
        elif step == "stored":
            await records.mark_stored(uid, node, 0)
        elif step == "failed":
            await records.mark_failed(uid, node, 0xC000, "no")
        elif step == "held":
            await records.steering.hold(Chosen(sop_instance_uid=uid))
        else:
            await said(records, uid, step, node)


async def said(records: Records, uid: str, commitment: str, node: str) -> None:
    """As a commitment report leaves it: that it does is test_commitment_service's to show."""

    def write() -> None:
        with records._queue._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET commitment = ? WHERE sop_instance_uid = ? AND node = ?", (commitment, uid, node)
            )

    await records._call(write)


async def exam(records: Records, number: int, *, instances: int = 2, node: str | None = NODE, steps: str = "") -> None:
    """A finished exam with a capture that its first instance shows; its instances are 10 * number + 1, ..."""
    await records.begin_exam(exam_of(number))
    capture = await records.save_capture(exam_of(number), frame_of(number), **CAPTURED)
    refused = Measurement(Quality("D", 0, 0, 0), refusal=Refusal(Code("114006", "DCM", "x"), "too dark"))
    await records.save_measurement(capture.capture_id, refused)
    await records.save_picture(f"exam-{number}", "report.png", b"picture")
    for n in range(1, instances + 1):
        made = instance(10 * number + n)
        await records.save_object(f"exam-{number}", capture.capture_id if n == 1 else None, **made, enqueue_for=node)
    await records.finish_exam(f"exam-{number}")
    for n in range(1, instances + 1):
        await sent(records, 10 * number + n, *steps.split())


async def may_go(records: Records, safe_when: SafeWhen = STRICT) -> list[str]:
    return [each.exam_id for each in await records.removals.removable(safe_when, limit=100)]


def names(state: Path, number: int) -> set[str]:
    return {path.name for path in (state / "exams" / f"exam-{number}").rglob("*")}


@pytest.mark.parametrize("last", ["", "sending", "sending stored", "sending stored requested",
                                  "sending stored refused", "sending failed", "held"])  # fmt: skip
async def test_one_instance_that_is_not_committed_keeps_the_whole_exam(tmp_path: Path, last: str) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, instances=0)
        await exam(records, 2, steps=" ".join(SENT))
        await records.begin_exam(exam_of(3))
        for n, steps in ((31, " ".join(SENT)), (32, last)):
            await records.save_object("exam-3", None, **instance(n), enqueue_for=NODE)
            await sent(records, n, *steps.split())
        await records.finish_exam("exam-3")
        assert await may_go(records) == ["exam-2"]
        assert await records.removals.remove("exam-3", "to make room", STRICT) is None
        assert f"{uid_of(32)}.dcm" in names(tmp_path, 3)


async def test_every_node_that_it_was_meant_for_has_to_commit(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, instances=1, steps=" ".join(SENT))
        await records.enqueue(uid_of(11), "backup")
        assert await may_go(records) == []
        await sent(records, 11, "sending", "stored", node="backup")
        assert await may_go(records) == []
        assert await may_go(records, SafeWhen(stored_is_enough_at=("backup",))) == ["exam-1"]
        await sent(records, 11, "committed", node="backup")
        assert await may_go(records) == ["exam-1"]


async def test_where_nobody_commits_nothing_goes_unless_storing_is_enough(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, steps="sending stored")
        enough = SafeWhen(stored_is_enough_at=(NODE,))
        assert (await may_go(records), await may_go(records, enough)) == ([], ["exam-1"])
        await sent(records, 11, "refused")
        assert await may_go(records, enough) == []


async def test_captures_that_no_instance_shows_keep_their_exam_unless_told_otherwise(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, steps=" ".join(SENT))
        await records.save_capture(exam_of(1), frame_of(9), **CAPTURED)
        assert await may_go(records) == []
        assert await may_go(records, SafeWhen(unsent_captures_too=True)) == ["exam-1"]


async def test_what_is_open_or_never_queued_or_to_be_printed_stays(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await records.begin_exam(exam_of(1))
        await records.save_object("exam-1", None, **instance(11), enqueue_for=NODE)
        await sent(records, 11, *SENT)
        await exam(records, 2, node=None)
        assert await may_go(records) == []
        await records.finish_exam("exam-1")
        assert await may_go(records) == ["exam-1"]
        with records._queue._database.transaction() as connection:
            connection.execute(
                "INSERT INTO print_jobs (exam_id, node, automatic, film, images, state, next_attempt_at, created_at, "
                "changed_at) VALUES ('exam-1', 'print', 0, '{}', '[]', 'queued', 'x', 'x', 'x')"
            )
        assert await may_go(records) == []


async def test_what_goes_and_what_stays_of_an_exam(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        for number in (1, 2):
            await exam(records, number, steps=" ".join(SENT))
        assert await may_go(records) == ["exam-1", "exam-2"]
        before = names(tmp_path, 2)
        removal = await records.removals.remove("exam-1", "older than 30 days", STRICT)
        assert removal is not None
        assert removal.instances == (uid_of(11), uid_of(12))
        assert (removal.files_left, removal.freed_bytes > 400) == (False, True)
        assert names(tmp_path, 1) == STAYS
        assert names(tmp_path, 2) == before
        assert await may_go(records) == ["exam-2"]
        (capture,) = await records.captures("exam-1")
        folder = tmp_path / "exams" / "exam-1"
        told = msgspec.json.decode((folder / "removed.json").read_bytes(), type=RemovalSidecar)
        assert (told.exam_id, told.instances) == ("exam-1", removal.instances)
        assert msgspec.json.decode((folder / "exam.json").read_bytes(), type=ExamSidecar).exam == exam_of(1)
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert await records.exam("exam-1") == exam_of(1)  # the history keeps it
        rows = await records.deliveries(exam_id="exam-1")
        assert [standing_of(row) for row in rows] == [Standing.REMOVED] * 2
        await records.steering.hold_node(NODE)
        await records.begin_exam(exam_of(3))
        await records.save_object("exam-3", None, **instance(31), enqueue_for=NODE)
        by_exam = {each.exam_id: dict(each.deliveries) for each in await records.history("", 10)}
        assert by_exam == {"exam-1": {"removed": 2}, "exam-2": {"committed": 2}, "exam-3": {"held": 1}}
        said_when = r"exam exam-1 was removed from this instrument on 2026-03-01 \(older than 30 days\)"
        with pytest.raises(ExamRemoved, match=said_when):
            await records.enqueue(uid_of(11), "backup")
        with pytest.raises(ExamRemoved, match="the archive has it"):
            await records.load_frame(capture.capture_id)
        assert await records.removals.remove("exam-1", "again", STRICT) is None


async def test_rejected_frames_go_with_their_exam(tmp_path: Path) -> None:
    rejects = tmp_path / "exams" / "exam-1" / "rejects"
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, steps=" ".join(SENT))
        (capture,) = await records.captures("exam-1")
        listed = await records.save_rejects(capture, [Reject(frame_of(9), "smeared: the eye moved")])
        assert sorted(each.name for each in rejects.iterdir()) == [f"{capture.capture_id}-1.png", listed.name]
        (rejects / "half.png.tmp").write_bytes(b"half")
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert len(list(rejects.iterdir())) == 2, "what a crash left half written is removed"
        assert records.notices == ()
        assert await records.removals.remove("exam-1", "older than 30 days", STRICT)
        assert names(tmp_path, 1) == STAYS


class Killed(BaseException):
    """Stands for SIGKILL within one process: nothing of ours handles it."""


@contextmanager
def removing_stops(monkeypatch: pytest.MonkeyPatch, files_before: int, stop: BaseException) -> Iterator[None]:
    left, unlink = [files_before], Path.unlink

    def unlink_some(path: Path, missing_ok: bool = False) -> None:
        if left[0] == 0:
            raise stop
        left[0] -= 1
        unlink(path, missing_ok)

    with monkeypatch.context() as context:
        context.setattr(Path, "unlink", unlink_some)
        yield


@pytest.mark.parametrize("steps_before", range(8))
@pytest.mark.parametrize("how", ["killed", "the disk refuses"])
async def test_broken_off_at_every_file_it_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_before: int, how: str
) -> None:
    """The exam has 8 files to remove: after any number of them the rest is removed by the next start, or try."""
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, steps=" ".join(SENT))
        await exam(records, 2)
        others = names(tmp_path, 2)
        assert len(names(tmp_path, 1) - {"exam.json", "end.json", "pictures"}) == 8
        stop = Killed() if how == "killed" else OSError(5, "Input/output error")
        with removing_stops(monkeypatch, steps_before, stop), pytest.raises((Killed, StorageFault)):
            await records.removals.remove("exam-1", "to make room", STRICT)
        assert [standing_of(row) for row in await records.deliveries(exam_id="exam-1")] == [Standing.REMOVED] * 2
        if how != "killed":
            assert await records.removals.finish() == ["exam-1"]
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert await records.removals.finish() == []
        removal = await records.removals.removal("exam-1")
        assert removal is not None and not removal.files_left
        assert names(tmp_path, 1) == STAYS
        assert names(tmp_path, 2) == others
        await records.verify_object(uid_of(21))


PROGRAM = """
import os, signal, sys, trio
from pathlib import Path
from firmware_app.records.removals import SafeWhen
from firmware_app.records.store import open_records
state, left, unlink = Path(sys.argv[1]), [int(sys.argv[2])], Path.unlink
def counted(path, missing_ok=False):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    unlink(path, missing_ok)
async def main():
    async with open_records(state) as records:
        Path.unlink = counted
        await records.removals.remove("exam-1", "to make room", SafeWhen())
trio.run(main)
"""


@pytest.mark.parametrize("files_before", [0, 4])
async def test_a_process_killed_while_it_removes(tmp_path: Path, files_before: int) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, steps=" ".join(SENT))
        await exam(records, 2)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(files_before)]
    done = await trio.run_process(command, env={**os.environ, "PYTHONPATH": os.getcwd()}, check=False)
    assert done.returncode == -signal.SIGKILL
    async with open_records(tmp_path, clock=StandingClock()) as records:
        assert names(tmp_path, 1) == STAYS
        await records.verify_object(uid_of(21))
        assert (await records.deliveries(exam_id="exam-1"))[0].removed_at


@pytest.mark.parametrize("steps_before", [5, 7, 100])
@pytest.mark.parametrize("copied", [False, True], ids=["from sidecars", "from an older copy"])
async def test_a_rebuilt_database_knows_what_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps_before: int, copied: bool
) -> None:
    """Also where the removal was broken off: nothing of the exam comes back, nothing of it is sent again."""
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1)
        if copied:
            await records.soundness.keep_copy()
        for number in (11, 12):
            await sent(records, number, *SENT)
        with removing_stops(monkeypatch, steps_before, Killed()), suppress(Killed):
            await records.removals.remove("exam-1", "to make room", STRICT)
    (tmp_path / DATABASE_NAME).write_bytes(b"no database at all" * 1000)
    async with open_records(tmp_path, clock=StandingClock(), default_node=NODE) as records:
        (report,) = await records.soundness.rebuilds()
        assert report.problem_count == 0, report.problems
        assert await records.exam("exam-1") == exam_of(1)
        assert await records.exam_is_finished("exam-1")
        removal = await records.removals.removal("exam-1")
        assert removal is not None and (removal.reason, removal.files_left) == ("to make room", False)
        assert names(tmp_path, 1) == STAYS
        assert await records.next_due(NODE) == []
        rows = await records.deliveries(exam_id="exam-1")
        assert [standing_of(row) for row in rows] == [Standing.REMOVED] * (2 if copied else 0)
    async with open_records(tmp_path, clock=StandingClock(), default_node=NODE) as records:
        assert records.notices == ()


async def test_what_blocks_is_counted_in_exams(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        await exam(records, 1, steps=" ".join(SENT))
        await exam(records, 2)
        await exam(records, 3, steps="sending stored requested")
        await exam(records, 4, steps="sending stored requested")
        await records.begin_exam(exam_of(5))
        blocking, unfinished = await records.removals.blocking()
        assert {(str(standing_of(each)), each.count) for each in blocking} == {
            ("queued", 1),
            ("commitment requested", 2),
        }
        assert unfinished == 1
