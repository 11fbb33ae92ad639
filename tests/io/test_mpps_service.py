"""Performed procedure steps to an information system of another toolkit: order, refusals, lost answers, absence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from delivery_peer import LOCAL, Watch
from failing_sqlite import FailingWrite
from mpps_peer import ABORT, HANG, LOSE_ANSWER, InformationSystem
from mpps_samples import SCHEDULED_STEP, composer
from mpps_steps import POLICY, STARTED, begin, end, step_of, uid_of, whole

from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from firmware_app.net.attributes import encode_attributes
from firmware_app.records.mpps import MppsDelivery, MppsMessage
from firmware_app.records.store import Records, open_records
from firmware_app.services.mpps import MppsService

BOUND_S = 20.0  # of a wait that would otherwise never end; nothing is measured against it


@pytest.fixture(scope="module")
def shared_system() -> Iterator[InformationSystem]:
    system = InformationSystem()
    system.start()
    yield system
    system.stop()


@pytest.fixture
def system(shared_system: InformationSystem) -> InformationSystem:
    """One server for all tests that leave it up: pynetdicom takes half a second to end one."""
    fresh = InformationSystem(port=shared_system.port)
    for name in ("answers", "asked", "octets", "steps", "performed", "associations", "response_s"):
        setattr(shared_system, name, getattr(fresh, name))
    return shared_system


@pytest.fixture
def own_system() -> Iterator[InformationSystem]:
    system = InformationSystem()
    system.start()
    yield system
    system.stop()


class Running:
    def __init__(self, records: Records, service: MppsService, watch: Watch) -> None:
        self.records = records
        self.service = service
        self.watch = watch

    async def until(self, kind: str, count: int) -> None:
        with trio.move_on_after(BOUND_S):
            await self.watch.until(lambda: self.kinds().count(kind) == count)
            return
        pytest.fail(f"no {count} x {kind}: {self.watch.events}")

    def kinds(self) -> list[str]:
        return [event.kind.removeprefix("mpps.") for event in self.watch.events]

    async def rows(self) -> list[MppsDelivery]:
        return await self.records.mpps.messages()

    async def states(self) -> list[str]:
        return [row.state.value for row in await self.rows()]


@asynccontextmanager
async def reporting(state_dir: Path, system: InformationSystem, *steps: int) -> AsyncIterator[Running]:
    """Records with these steps begun and ended, and the service that reports them."""
    watch = Watch()
    async with open_records(state_dir) as records, trio.open_nursery() as nursery:
        for number in steps:
            await begin(records, number)
            await end(records, number)
        service = MppsService(records, system.node, LOCAL, watch.publish, POLICY)
        nursery.start_soon(service.run)
        yield Running(records, service, watch)
        nursery.cancel_scope.cancel()


async def test_steps_go_over_one_association_in_order(tmp_path: Path, system: InformationSystem) -> None:
    async with reporting(tmp_path, system, 1, 2) as running:
        await running.until("sent", 4)
        assert await running.states() == ["done"] * 4
        assert running.watch.levels() == ["info"] * 4
        assert running.service.status.trouble == ""
    assert system.asked == whole(1, 2)
    assert system.associations == 1
    assert system.performed[uid_of(1)].PerformedProcedureStepStatus == "COMPLETED"


async def test_a_step_is_reported_while_the_exam_goes_on(tmp_path: Path, system: InformationSystem) -> None:
    async with reporting(tmp_path, system) as running:
        await begin(running.records, 1)
        running.service.wake()
        await running.until("sent", 1)
        assert system.performed[uid_of(1)].PerformedProcedureStepStatus == STARTED
        await end(running.records, 1, wrong_patient=True)
        running.service.wake()
        await running.until("sent", 2)
    step = system.performed[uid_of(1)]
    assert step.PerformedProcedureStepStatus == "DISCONTINUED"
    assert step.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110514"
    assert [item.SeriesInstanceUID for item in step.PerformedSeriesSequence] == [SCHEDULED_STEP.series_instance_uid]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
async def test_either_syntax_carries_the_same_octets_of_text(
    tmp_path: Path, own_system: InformationSystem, syntax: str
) -> None:
    own_system.stop()
    own_system.syntaxes = (syntax,)
    own_system.start()
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    patient = replace(SCHEDULED_STEP.patient, name=name)
    item = replace(SCHEDULED_STEP.worklist_items[0], specific_character_set=("", "ISO 2022 IR 87"))
    exam = replace(SCHEDULED_STEP, patient=patient, worklist_items=(item,))
    # A spelling that no encoder of ours would choose: an escape sequence too many.
    came_as = b"Yamada^Tarou=" + name.split("=", 1)[1].encode("iso2022_jp").replace(b"\x1b(B", b"\x1b(B\x1b(B")
    octets = encode_attributes(composer().begin(exam).dataset, EXPLICIT_VR_LITTLE_ENDIAN, {name: came_as})
    async with reporting(tmp_path, own_system) as running:
        uid = exam.mpps_sop_instance_uid
        await running.records.begin_exam(exam, MppsMessage(uid, exam.exam_id, "mpps", "IN PROGRESS", octets))
        running.service.wake()
        await running.until("sent", 1)
    start = octets.index(b"Yamada^Tarou")
    written = octets[start : start + int.from_bytes(octets[start - 2 : start], "little")]
    assert written.rstrip() == came_as
    assert written in own_system.octets[0]


# ------------------------------------------------------------------------------------------- answers


async def test_a_warning_counts_as_done_and_is_shown(tmp_path: Path, system: InformationSystem) -> None:
    system.answers.extend([0x0116, 0x0107])
    async with reporting(tmp_path, system, 1) as running:
        await running.until("sent", 2)
        first, second = await running.rows()
    assert (first.state, first.status, second.state, second.status) == ("done", 0x0116, "done", 0x0107)
    assert "out of range" in first.reason
    assert running.watch.levels() == ["warning", "warning"]


async def test_a_refused_n_create_parks_its_n_set_too_and_the_other_steps_go_on(
    tmp_path: Path, system: InformationSystem
) -> None:
    system.answers.append(0x0106)
    async with reporting(tmp_path, system, 1, 2) as running:
        await running.until("sent", 2)
        rows = await running.rows()
        assert [row.state for row in rows] == ["failed", "failed", "done", "done"]
        assert (rows[0].status, rows[1].status) == (0x0106, None)
        assert "invalid attribute value" in rows[0].reason and "told to refuse" in rows[0].reason
        assert rows[1].reason.startswith("not sent, because the N-CREATE of this step failed: ")
        assert system.asked == [("N-CREATE", uid_of(1), STARTED), *whole(2)]
        assert system.associations == 1
        # Somebody has decided: the whole step goes again, in its order.
        assert await running.records.mpps.retry(uid_of(1)) == 2
        running.service.wake()
        await running.until("sent", 4)
    assert system.asked[3:] == whole(1)


async def test_an_n_set_that_is_recorded_after_the_refusal_is_parked_unsent(
    tmp_path: Path, system: InformationSystem
) -> None:
    system.answers.append(0x0120)
    async with reporting(tmp_path, system) as running:
        await begin(running.records, 1)
        running.service.wake()
        await running.until("failed", 1)
        await end(running.records, 1)
        running.service.wake()
        await running.until("failed", 2)
    assert system.asked == [("N-CREATE", uid_of(1), STARTED)]


async def test_a_step_that_is_final_there_may_no_longer_be_updated(tmp_path: Path, system: InformationSystem) -> None:
    async with reporting(tmp_path, system) as running:
        await begin(running.records, 1)
        running.service.wake()
        await running.until("sent", 1)
        system.performed[uid_of(1)].PerformedProcedureStepStatus = "COMPLETED"
        await end(running.records, 1)
        running.service.wake()
        await running.until("failed", 1)
        _, second = await running.rows()
    assert (second.state, second.status) == ("failed", 0x0110)
    assert "may no longer be updated" in second.reason


async def test_an_unknown_step_is_told_as_such(tmp_path: Path, system: InformationSystem) -> None:
    system.answers.extend([0x0000, 0x0112])
    async with reporting(tmp_path, system, 1) as running:
        await running.until("failed", 1)
        _, second = await running.rows()
    assert "not known there" in second.reason


async def test_out_of_resources_is_tried_again_before_anything_younger(
    tmp_path: Path, system: InformationSystem
) -> None:
    system.answers.extend([0x0213, 0x0110])
    async with reporting(tmp_path, system, 1, 2) as running:
        await running.until("sent", 4)
        rows = await running.rows()
    assert system.asked == [("N-CREATE", uid_of(1), STARTED)] * 2 + whole(1, 2)
    assert [row.attempts for row in rows] == [3, 1, 1, 1]
    assert running.kinds()[:4] == ["retry", "retry", "recovered", "sent"]
    assert running.watch.levels()[:2] == ["warning", "debug"]


async def test_the_uid_of_somebody_else_is_no_success(tmp_path: Path, system: InformationSystem) -> None:
    system.answers.append(0x0111)
    async with reporting(tmp_path, system, 1) as running:
        await running.until("failed", 2)
        first, second = await running.rows()
    assert (first.state, first.status, second.state) == ("failed", 0x0111, "failed")
    assert "another step has this UID" in first.reason


# ------------------------------------------------------------------------------------------- lost answers


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1)], ids=["N-CREATE", "N-SET", "both"])
async def test_after_a_lost_answer_already_means_done(
    tmp_path: Path, system: InformationSystem, lost: tuple[int, ...]
) -> None:
    answers = {(0,): [LOSE_ANSWER], (1,): [0, LOSE_ANSWER], (0, 1): [LOSE_ANSWER, 0, LOSE_ANSWER]}
    system.answers.extend(answers[lost])
    async with reporting(tmp_path, system, 1, 2) as running:
        await running.until("sent", 4)
        rows = await running.rows()
    assert [row.state for row in rows] == ["done"] * 4
    for index, row in enumerate(rows):
        assert row.in_doubt is (index in lost)
        if index in lost:
            assert row.status == (0x0111 if row.operation == "N-CREATE" else 0x0110)
            assert "whose answer was lost" in row.reason
    assert list(dict.fromkeys(system.asked)) == whole(1, 2)


async def test_an_abort_before_the_message_was_taken_in_costs_nothing_but_time(
    tmp_path: Path, system: InformationSystem
) -> None:
    system.answers.extend([ABORT, ABORT, 0, ABORT])
    async with reporting(tmp_path, system, 1, 2) as running:
        await running.until("sent", 4)
        assert [row.status for row in await running.rows()] == [0] * 4
    assert list(dict.fromkeys(system.asked)) == whole(1, 2)


async def test_a_peer_that_says_nothing_is_left_after_the_time_out(
    tmp_path: Path, own_system: InformationSystem
) -> None:
    own_system.response_s = 0.1
    own_system.answers.append(HANG)
    async with reporting(tmp_path, own_system, 1) as running:
        await running.until("retry", 1)
        (row, _) = await running.rows()
        own_system.released.set()
        assert "within 0.1 s" in row.reason
        await running.until("sent", 2)
        assert await running.states() == ["done", "done"]


async def test_what_was_answered_stands_although_the_release_fails(
    tmp_path: Path, own_system: InformationSystem
) -> None:
    own_system.abort_release = True
    async with reporting(tmp_path, own_system, 1) as running:
        await running.until("sent", 2)
        await begin(running.records, 2)
        running.service.wake()
        await running.until("sent", 3)
        assert await running.states() == ["done"] * 3
        assert "retry" not in running.kinds()


# ------------------------------------------------------------------------------------------- absence


@pytest.mark.parametrize("refuse", [True, False], ids=["refusing", "down"])
async def test_a_system_that_is_not_there_hears_everything_in_order_when_it_returns(
    tmp_path: Path, own_system: InformationSystem, refuse: bool
) -> None:
    own_system.stop()
    own_system.refuse = refuse
    if refuse:
        own_system.start()
    async with reporting(tmp_path, own_system, 1) as running:
        await running.until("retry", 3)
        assert running.watch.levels()[:3] == ["warning", "debug", "debug"]
        assert "mpps (RIS at 127.0.0.1" in running.service.detail
        assert running.service.status.trouble
    async with reporting(tmp_path, own_system, 2) as running:  # after a restart
        await running.until("retry", 1)
        assert await running.states() == ["queued"] * 4
        if refuse:
            own_system.stop()
            own_system.refuse = False
        own_system.start()
        await running.until("sent", 4)
        assert running.kinds().count("recovered") == 1
        assert [row.in_doubt for row in await running.rows()] == [False] * 4
    assert own_system.asked == whole(1, 2)


async def test_a_node_without_the_service_parks_what_is_due_with_its_answer(
    tmp_path: Path, own_system: InformationSystem
) -> None:
    own_system.stop()
    own_system.sop_class_uid = "1.2.840.10008.1.1"
    own_system.start()
    async with reporting(tmp_path, own_system, 1) as running:
        await running.until("failed", 2)
        rows = await running.rows()
    assert [row.state for row in rows] == ["failed", "failed"]
    assert "abstract syntax" in rows[0].reason
    assert own_system.asked == []


async def test_a_message_that_was_on_its_way_when_the_service_ended_is_in_doubt(
    tmp_path: Path, own_system: InformationSystem
) -> None:
    own_system.answers.append(HANG)
    async with reporting(tmp_path, own_system, 1) as running:
        with trio.fail_after(10):
            while not own_system.asked:
                await trio.lowlevel.checkpoint()
    own_system.released.set()
    async with open_records(tmp_path) as records:
        first, second = await records.mpps.messages()
    assert (first.state, first.in_doubt, second.in_doubt) == ("queued", True, False)
    async with reporting(tmp_path, own_system) as running:
        await running.until("sent", 2)
    assert list(dict.fromkeys(own_system.asked)) == whole(1)


async def test_without_a_node_nothing_runs(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        service = MppsService(records, None, None, Watch().publish, POLICY)
        await service.run()
        assert service.detail == "no mpps node is configured: mpps.ip_address, mpps.port and mpps.ae_title"


DAMAGED = {
    "sequence": b"\x40\x00\x70\x02SQ\x00\x00\xff\xff\xff\xffno items, no data set",
    "items": b"\x40\x00\x70\x02SQ\x00\x00\x03\x00\x00\x00abc",
}


@pytest.mark.parametrize("damage", DAMAGED)
async def test_a_damaged_message_is_parked_and_alarms(tmp_path: Path, system: InformationSystem, damage: str) -> None:
    async with open_records(tmp_path) as records:
        exam = step_of(1)
        await records.begin_exam(exam, MppsMessage(uid_of(1), exam.exam_id, "mpps", "IN PROGRESS", DAMAGED[damage]))
    async with reporting(tmp_path, system, 2) as running:
        await running.until("sent", 2)
        assert (await running.rows())[0].state == "failed"
        assert running.watch.levels()[0] == "alert"
    assert system.asked == whole(2)


async def test_events_hold_no_patient_data(tmp_path: Path, system: InformationSystem) -> None:
    system.answers.extend([0x0213, 0x0106])
    async with reporting(tmp_path, system, 1, 2) as running:
        await running.until("sent", 2)
    told = str(running.watch.events)
    for secret in ("Doe", "P-001", "ACC-1", "told to refuse"):
        assert secret not in told
    assert "status 0213" in told and "status 0106" in told


# ------------------------------------------------------------------------------------------- a disk that refuses


@pytest.mark.parametrize("at", [3, 6, 9, 11, 12, 20, 21])  # each kind of write, and its commit
@pytest.mark.parametrize("answer", [0x0000, LOSE_ANSWER])
async def test_a_write_that_fails_loses_and_doubles_nothing(
    tmp_path: Path, system: InformationSystem, monkeypatch: pytest.MonkeyPatch, at: int, answer: int
) -> None:
    disk = FailingWrite(monkeypatch)
    async with reporting(tmp_path, system) as running:
        await begin(running.records, 1)
        await end(running.records, 1)
        system.answers.append(answer)
        disk.at = at
        running.service.wake()
        await running.until("sent", 2)
        assert await running.states() == ["done", "done"]
        assert disk.failed
    assert system.performed[uid_of(1)].PerformedProcedureStepStatus == "COMPLETED"
    assert list(dict.fromkeys(system.asked)) == whole(1)
