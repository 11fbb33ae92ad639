"""Room is made by age and for space, oldest first; when there is none, no exam begins and the operator hears why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from delivery_peer import Watch
from records_material import NODE, StandingClock
from test_records_removals import SENT, STRICT, exam

from firmware_app.records.removals import SafeWhen
from firmware_app.records.store import Records, open_records
from firmware_app.services.retention import LOOK_S, RetentionService, space_of
from firmware_app.services.retention_rules import RetentionRules, Space
from hw.errors import Refused

GB = 1_000_000_000
DAY_S = 86_400.0
COMMITTED = " ".join(SENT)
RULES = RetentionRules(keep_days=30, min_free_percent=10.0, reserve_bytes=GB // 2)


@dataclass
class Disk:
    """10 GB, of which each removed exam gives back `per_exam` bytes."""

    state: Path
    free: int = 5 * GB
    per_exam: int = 300_000_000
    fault: OSError | None = None
    removed: int = field(default=0)

    def __call__(self) -> Space:
        if self.fault is not None:
            raise self.fault
        gone = len(list(self.state.glob("exams/*/removed.json")))
        return Space(10 * GB, self.free + gone * self.per_exam)


@dataclass
class Bench:
    records: Records
    retention: RetentionService
    disk: Disk
    clock: StandingClock
    watch: Watch

    def removed(self) -> list[str]:
        return [path.parent.name for path in sorted(self.disk.state.glob("exams/*/removed.json"))]

    def told(self) -> list[tuple[str, object]]:
        return [(event.kind, event.level) for event in self.watch.events]


@asynccontextmanager
async def bench(
    state: Path, rules: RetentionRules = RULES, safe_when: SafeWhen = STRICT, **disk: int
) -> AsyncIterator[Bench]:
    clock, watch, there = StandingClock(), Watch(), Disk(state, **disk)
    async with open_records(state, clock=clock) as records:
        retention = RetentionService(records, rules, safe_when, there, watch.publish)
        yield Bench(records, retention, there, clock, watch)


async def test_with_room_and_before_its_time_nothing_goes(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        await exam(there.records, 1, steps=COMMITTED)
        await there.retention.make_room()
        there.clock.advance(30 * DAY_S)
        await there.retention.make_room()
        assert (there.removed(), there.told()) == ([], [])
        assert there.retention.detail == "5.0 GB of 10.0 GB free (50 %)"


async def test_by_age_only_what_is_committed(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        await exam(there.records, 1, steps=COMMITTED)
        await exam(there.records, 2)
        there.clock.advance(20 * DAY_S)
        await exam(there.records, 3, steps=COMMITTED)
        there.clock.advance(11 * DAY_S)
        await there.retention.make_room()
        assert there.removed() == ["exam-1"]
        (event,) = there.watch.events
        assert event.kind == "retention.removed"
        assert "exam exam-1 removed from this instrument (2 instances, 0 MB), older than 30 days" in event.text
        assert event.data["standing"] == "removed"
        there.clock.advance(365 * DAY_S)
        await there.retention.make_room()
        assert there.removed() == ["exam-1", "exam-3"]  # exam 2 was never sent


async def test_for_space_the_oldest_and_no_more_than_is_needed(tmp_path: Path) -> None:
    async with bench(tmp_path, free=600_000_000) as there:
        for number in range(1, 5):
            await exam(there.records, number, steps=COMMITTED)
        await there.retention.make_room()
        assert there.removed() == ["exam-1", "exam-2"]  # 0.6 + 2 * 0.3 GB are more than 10 %
        assert there.told() == [("retention.removed", "info")] * 2


async def test_room_is_made_before_an_exam_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, free=400_000_000) as there:
        await exam(there.records, 1, steps=COMMITTED)
        await there.retention.require_room()
        assert there.removed() == ["exam-1"]


async def test_a_full_disk_refuses_the_exam_and_says_what_waits_for_what(tmp_path: Path) -> None:
    async with bench(tmp_path, free=400_000_000) as there:
        await exam(there.records, 1, steps="sending stored requested")
        await exam(there.records, 2)
        await exam(there.records, 3, steps="sending failed")
        with pytest.raises(Refused) as refused:
            await there.retention.require_room()
        assert str(refused.value) == (
            "no new exam: the disk is nearly full, 400 MB of 10.0 GB free (4 %), and the last 500 MB are kept for an "
            "exam that is open. Removed as soon as the archives have committed to them: 1 exam commitment requested at "
            "archive; 1 exam failed at archive (queue retry, queue redirect); 1 exam queued at archive"
        )
        assert there.removed() == []
        assert there.told() == [("retention.low", "alert")]
        with pytest.raises(Refused):
            await there.retention.require_room()
        assert len(there.watch.events) == 1  # not at every try
        there.disk.free = 5 * GB
        await there.retention.require_room()
        await there.retention.make_room()
        assert there.told()[-1] == ("retention.room", "info")


async def test_without_commitment_nothing_goes_however_full_unless_storing_is_enough(tmp_path: Path) -> None:
    async with bench(tmp_path / "keep", free=400_000_000) as there:
        await exam(there.records, 1, steps="sending stored")
        there.clock.advance(9999 * DAY_S)
        with pytest.raises(Refused, match="1 exam stored at archive, where nobody commits to them"):
            await there.retention.require_room()
        assert there.removed() == []
    enough = SafeWhen(stored_is_enough_at=(NODE,))
    async with bench(tmp_path / "enough", safe_when=enough, free=400_000_000) as there:
        await exam(there.records, 1, steps="sending stored")
        await there.retention.require_room()
        assert there.removed() == ["exam-1"]


async def test_a_disk_that_does_not_say_refuses_nobody_and_is_told_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as there:
        there.disk.fault = OSError(5, "Input/output error")
        await there.retention.require_room()
        await there.retention.make_room()
        assert there.told() == [("retention.failed", "error")]
        assert "Input/output error" in there.watch.events[0].text


async def test_files_that_cannot_be_removed_are_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(30, "Read-only file system")

    async with bench(tmp_path, free=800_000_000) as there:
        await exam(there.records, 1, steps=COMMITTED)
        monkeypatch.setattr(Path, "unlink", refuse)
        await there.retention.make_room()
        assert there.told() == [("retention.failed", "error"), ("retention.low", "warning")]
        assert "report.png: Read-only file system" in there.watch.events[0].text
        monkeypatch.undo()
        await there.retention.make_room()
        assert there.removed() == ["exam-1"]


async def test_it_looks_when_woken_and_now_and_then(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    async with bench(tmp_path) as there, trio.open_nursery() as nursery:
        nursery.start_soon(there.retention.run)
        await exam(there.records, 1, steps=COMMITTED)
        there.clock.advance(31 * DAY_S)
        there.retention.wake()
        await there.watch.until(lambda: len(there.watch.events) == 1)
        await exam(there.records, 2, steps=COMMITTED)
        there.clock.advance(31 * DAY_S)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(LOOK_S)
        await there.watch.until(lambda: len(there.watch.events) == 2)
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------- a real file system

PROGRAM = """
import json, sys, trio
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from delivery_peer import Watch, dicom_instance
from functools import partial
from records_material import NODE, StandingClock, exam_of, instance, uid_of
from test_records_removals import STRICT, sent, SENT
from firmware_app.records.store import open_records
from firmware_app.services.retention import RetentionService, space_of
from firmware_app.services.retention_rules import RetentionRules
from hw.errors import Refused
MB = 1_000_000
async def main(state):
    watch, said, refused = Watch(), [], ""
    async with open_records(state, clock=StandingClock()) as records:
        rules = RetentionRules(0, 25.0, 3 * MB)
        retention = RetentionService(records, rules, STRICT, partial(space_of, state), watch.publish)
        async def begin(number):
            await retention.require_room()
            await records.begin_exam(exam_of(number))
        async def fill(number, *steps):
            made = instance(number, data=bytes([number % 256]) * MB)
            await records.save_object(f"exam-{number}", None, **made, enqueue_for=NODE)
            await records.finish_exam(f"exam-{number}")
            await sent(records, number, *steps)
        for number in range(1, 41):  # committed exams make room for the next ones
            await begin(number)
            await fill(number, *SENT)
            await retention.make_room()
        kept = len(list(state.glob("exams/*/*.dcm")))
        last = 0
        for number in range(41, 81):  # nobody commits any more
            try:
                await begin(number)
            except Refused as error:
                refused = str(error)
                break
            await fill(number)
            last = number
        # The exam that was open when it became tight is finished with the reserve.
        await records.save_object(f"exam-{last}", None, **instance(999, data=b"x" * MB), enqueue_for=NODE)
        for number in range(41, last + 1):
            await records.verify_object(uid_of(number))
        # An archive that commits again makes room.
        for number in range(41, last):
            await sent(records, number, *SENT)
        await begin(100)
    print(json.dumps({"kept": kept, "last": last, "refused": refused, "told": [e.kind for e in watch.events]}))
trio.run(main, Path(sys.argv[1]))
"""


def test_a_real_small_disk_is_filled_and_nothing_is_lost(tmp_path: Path) -> None:
    """A tmpfs of 16 MB in a mount namespace of its own: ends in Refused, and never in ENOSPC."""
    here = Path(__file__).resolve().parent
    mount = 'mount -t tmpfs -o size=16m tmpfs "$1" && shift && exec "$@"'
    program = [sys.executable, "-c", PROGRAM, str(tmp_path / "state"), str(here), str(here.parent)]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", mount, "sh", str(tmp_path), *program],
        capture_output=True, text=True, cwd=here.parents[1], check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert 5 <= said["kept"] < 16
    assert 41 < said["last"] < 60
    assert "no new exam: the disk is nearly full, " in said["refused"]
    assert f"{said['last'] - 40} exams queued at archive" in said["refused"]
    assert said["told"].count("retention.low") >= 1
    assert "retention.failed" not in said["told"]


def test_what_the_kernel_says_of_a_disk(tmp_path: Path) -> None:
    space = space_of(tmp_path)
    assert 0 < space.free_bytes <= space.total_bytes
