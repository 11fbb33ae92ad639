"""Delivery against a real peer of another toolkit: answers of every category, refusals, aborts, and its absence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio
from delivery_peer import ABORT, LOCAL, Archive, Watch, dicom_instance
from records_material import SC_CLASS, exam_of, instance, uid_of

from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    VISIBLE_LIGHT_PHOTOGRAPHIC_STORAGE,
)
from firmware_app.model import Delivery, DeliveryState
from firmware_app.records.store import Records, open_records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.delivery import run_delivery, send_in_order

POLICY = BackoffPolicy(first_s=0.002, max_s=0.02, step_aside_after=3)
OTHER_CLASS = VISIBLE_LIGHT_PHOTOGRAPHIC_STORAGE
CONTEXTS = ((SC_CLASS, (IMPLICIT_VR_LITTLE_ENDIAN,)), (SC_CLASS, (EXPLICIT_VR_LITTLE_ENDIAN,)))


@pytest.fixture(scope="module")
def shared_archive() -> Iterator[Archive]:
    archive = Archive()
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def archive(shared_archive: Archive) -> Archive:
    """One server for all tests that leave it up: pynetdicom takes half a second to end one."""
    shared_archive.forget()
    return shared_archive


@pytest.fixture
def own_archive() -> Iterator[Archive]:
    archive = Archive()
    archive.start()
    yield archive
    archive.stop()


@dataclass
class Running:
    records: Records
    watch: Watch
    wake: trio.MemorySendChannel[None]
    settled: int = 0

    def on_settled(self) -> None:
        self.settled += 1

    async def queue(self, *numbers: int) -> None:
        await self.records.begin_exam(exam_of())
        for number in numbers:
            made = instance(number, data=dicom_instance(number))
            await self.records.save_object("exam-1", None, **made, enqueue_for="archive")

    async def until(self, kind: str, count: int) -> None:
        await self.watch.until(lambda: self.watch.kinds().count(kind) == count)

    async def rows(self) -> list[Delivery]:
        return await self.records.deliveries()

    async def states(self) -> list[str]:
        return [row.state.value for row in await self.rows()]


@asynccontextmanager
async def delivering(state_dir: Path, archive: Archive, *numbers: int) -> AsyncIterator[Running]:
    """Records with these instances queued, and their delivery."""
    watch = Watch()
    wake, woken = trio.open_memory_channel[None](1)
    async with open_records(state_dir) as records, trio.open_nursery() as nursery:
        running = Running(records, watch, wake)
        await running.queue(*numbers)
        nursery.start_soon(
            partial(
                run_delivery,
                records,
                archive.node,
                LOCAL,
                woken,
                watch.publish,
                POLICY,
                store=partial(send_in_order, contexts=CONTEXTS),
                on_settled=running.on_settled,
            )
        )
        yield running
        nursery.cancel_scope.cancel()


async def test_an_exam_goes_over_one_association_in_order_and_intact(tmp_path: Path, archive: Archive) -> None:
    async with delivering(tmp_path, archive, 1, 2, 3) as running:
        await running.until("stored", 3)
        assert await running.states() == ["stored"] * 3
        assert running.watch.levels() == ["info"] * 3
    assert archive.stored == [uid_of(1), uid_of(2), uid_of(3)]
    assert archive.associations == 1
    for number in (1, 2, 3):
        assert dicom_instance(number).endswith(archive.data_sets[uid_of(number)])


async def test_a_warning_counts_as_stored_and_is_shown(tmp_path: Path, archive: Archive) -> None:
    archive.answers.extend([0xB000, 0xB007])
    async with delivering(tmp_path, archive, 1, 2) as running:
        await running.until("stored", 2)
        first, second = await running.rows()
        assert running.settled == 2
    assert (first.state, first.status, second.status) == (DeliveryState.STORED, 0xB000, 0xB007)
    assert "coercion" in first.reason
    assert running.watch.levels() == ["warning", "warning"]


async def test_a_permanent_refusal_parks_one_and_the_others_go_on(tmp_path: Path, archive: Archive) -> None:
    archive.answers.extend([0xC000, 0x0000, 0xA900])
    async with delivering(tmp_path, archive, 1, 2, 3, 4) as running:
        await running.until("stored", 2)
        rows = await running.rows()
        assert [row.state for row in rows] == ["failed", "stored", "failed", "stored"]
        assert (rows[0].status, rows[2].status) == (0xC000, 0xA900)
        assert "cannot understand" in rows[0].reason
        assert rows[0].next_attempt_at == ""
        assert running.settled == 4
        assert archive.associations == 1
        await running.records.retry_all()
        running.wake.send_nowait(None)
        await running.until("stored", 4)
        assert await running.states() == ["stored"] * 4
    assert sorted(archive.stored) == [uid_of(number) for number in (1, 2, 3, 4)]


async def test_out_of_resources_is_tried_again_before_the_younger(tmp_path: Path, archive: Archive) -> None:
    archive.answers.extend([0x0000, 0xA700, 0xA702, 0x0000])
    async with delivering(tmp_path, archive, 1, 2, 3) as running:
        await running.until("stored", 3)
        rows = await running.rows()
    assert archive.asked == [uid_of(number) for number in (1, 2, 2, 2, 3)]
    assert archive.stored == [uid_of(number) for number in (1, 2, 3)]
    assert [row.attempts for row in rows] == [1, 3, 1]
    assert running.watch.kinds() == ["stored", "retry", "retry", "recovered", "stored", "stored"]
    assert running.watch.levels() == ["info", "warning", "debug", "info", "info", "info"]


async def test_an_abort_after_some_costs_nothing_but_time(tmp_path: Path, archive: Archive) -> None:
    archive.answers.extend([0x0000, ABORT, 0x0000, ABORT, ABORT])
    async with delivering(tmp_path, archive, 1, 2, 3, 4) as running:
        await running.until("stored", 4)
        assert await running.states() == ["stored"] * 4
        assert len(await running.rows()) == 4
    assert archive.stored == [uid_of(number) for number in (1, 2, 3, 4)]


async def test_an_instance_that_always_breaks_the_association_lets_the_others_past(
    tmp_path: Path, archive: Archive
) -> None:
    archive.answers.extend([ABORT] * POLICY.step_aside_after)
    async with delivering(tmp_path, archive, 1, 2, 3) as running:
        await running.until("stored", 3)
    assert archive.stored == [uid_of(2), uid_of(3), uid_of(1)]


async def test_after_a_lost_answer_duplicate_means_stored(tmp_path: Path, archive: Archive) -> None:
    archive.answers.extend([ABORT, 0x0111, 0x0111])
    async with delivering(tmp_path, archive, 1, 2) as running:
        await running.until("failed", 1)
        first, second = await running.rows()
    assert (first.state, first.status) == (DeliveryState.STORED, 0x0111)
    # Nobody can have stored the second: another image has its UID, and a person must look.
    assert (second.state, second.status) == (DeliveryState.FAILED, 0x0111)


async def test_a_class_that_is_not_accepted_is_parked_with_the_answer(tmp_path: Path, own_archive: Archive) -> None:
    own_archive.stop()
    own_archive.sop_class_uid = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    own_archive.start()
    async with delivering(tmp_path, own_archive, 1, 2) as running:
        await running.until("failed", 2)
        rows = await running.rows()
    assert [row.state for row in rows] == ["failed", "failed"]
    assert "abstract syntax" in rows[0].reason
    assert own_archive.asked == []


@pytest.mark.parametrize("refuse", [True, False], ids=["refusing", "down"])
async def test_an_archive_that_is_not_there_gets_everything_when_it_returns(
    tmp_path: Path, own_archive: Archive, refuse: bool
) -> None:
    own_archive.stop()
    own_archive.refuse = refuse
    if refuse:
        own_archive.start()
    async with delivering(tmp_path, own_archive, 1, 2) as running:
        await running.until("retry", 4)
        assert running.watch.levels()[:4] == ["warning", "debug", "debug", "debug"]
    async with delivering(tmp_path, own_archive, 3) as running:
        await running.until("retry", 2)
        first, second, third = await running.rows()
        assert (first.state, second.attempts, third.attempts) == (DeliveryState.QUEUED, 0, 0)
        assert "archive (ARCHIVE at 127.0.0.1" in first.reason
        if refuse:
            own_archive.stop()
            own_archive.refuse = False
        own_archive.start()
        await running.until("stored", 3)
        assert running.watch.kinds().count("recovered") == 1
        assert await running.states() == ["stored"] * 3
    assert own_archive.stored == [uid_of(1), uid_of(2), uid_of(3)]


async def test_a_class_that_is_not_declared_is_parked_and_nobody_is_asked(tmp_path: Path, archive: Archive) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        for number, sop_class_uid in ((1, OTHER_CLASS), (2, SC_CLASS), (3, OTHER_CLASS)):
            made = instance(number, data=dicom_instance(number, sop_class_uid))
            await records.save_object("exam-1", None, **made, enqueue_for="archive")
    async with delivering(tmp_path, archive) as running:
        await running.until("failed", 2)
        rows = await running.rows()
    assert [row.state for row in rows] == ["failed", "stored", "failed"]
    assert rows[0].reason.startswith("VL Photographic Image Storage is not declared")
    assert archive.stored == [uid_of(2)]


async def test_nothing_to_propose_opens_no_association(tmp_path: Path, archive: Archive) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        made = instance(1, data=dicom_instance(1, OTHER_CLASS))
        await records.save_object("exam-1", None, **made, enqueue_for="archive")
    async with delivering(tmp_path, archive) as running:
        await running.until("failed", 1)
    assert archive.associations == 0


async def test_more_than_one_batch_arrives_in_order(tmp_path: Path, archive: Archive) -> None:
    numbers = range(1, 41)
    async with delivering(tmp_path, archive, *numbers) as running:
        await running.until("stored", 40)
    assert archive.stored == [uid_of(number) for number in numbers]
    assert archive.associations >= 2


async def test_a_wake_up_is_enough_for_what_is_queued_later(tmp_path: Path, archive: Archive) -> None:
    async with delivering(tmp_path, archive, 1) as running:
        await running.until("stored", 1)
        await running.queue(2)
        running.wake.send_nowait(None)
        await running.until("stored", 2)
    assert archive.stored == [uid_of(1), uid_of(2)]


async def test_a_damaged_file_is_never_sent(tmp_path: Path, archive: Archive) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        for number in (1, 2):
            made = instance(number, data=dicom_instance(number))
            record = await records.save_object("exam-1", None, **made, enqueue_for="archive")
            if number == 1:
                damage(tmp_path / record.file)
        made = instance(3, data=b"correctly recorded, but no DICOM instance")
        await records.save_object("exam-1", None, **made, enqueue_for="archive")
    async with delivering(tmp_path, archive) as running:
        await running.until("stored", 1)
        first, second, third = await running.rows()
        assert (first.state, second.state, third.state) == ("failed", "stored", "failed")
        assert "the checksum differs" in first.reason
        assert running.watch.levels() == ["alert", "alert", "info"]
        made = instance(4, data=b"neither is this")
        await running.records.save_object("exam-1", None, **made, enqueue_for="archive")
        running.wake.send_nowait(None)
        await running.until("failed", 3)
    assert archive.asked == [uid_of(2)]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


async def test_events_hold_no_patient_data(tmp_path: Path, archive: Archive) -> None:
    archive.answers.extend([0xA700, 0xC123])
    async with delivering(tmp_path, archive, 1, 2) as running:
        await running.until("failed", 1)
        await running.until("stored", 1)
    for event in running.watch.events:
        assert set(event.data) <= {"sop_instance_uid", "node", "standing", "status", "attempts", "next_attempt_at"}
        for secret in ("Yamada", "ID-1", "Test^"):
            assert secret not in event.text
    assert SC_CLASS not in str(running.watch.events)
