"""Exams as performed procedure steps, from opening to the information system: every case of PS3.17 annex J."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from delivery_peer import Watch
from exam_bench import ExamBench, configuration, exam_bench
from mpps_peer import InformationSystem
from mpps_samples import OTHER_ITEM
from objects_samples import ITEM, PATIENT
from pydicom import dcmread
from pydicom.dataset import Dataset
from records_material import CAPTURED, frame_of

from firmware_app.gaze import gaze_at
from firmware_app.model import Exam, Eye, FixationPoint, Patient
from firmware_app.net.node import Node
from firmware_app.objects.discontinuation import REASONS, UNSPECIFIED, discontinuation_reason
from firmware_app.objects.errors import ObjectError
from firmware_app.records.errors import StorageFault, UnknownRecord
from firmware_app.records.mpps import MessageState
from hw.errors import Refused

DOWN = Node("mpps", "127.0.0.1", 1, "RIS")


@pytest.fixture(scope="module")
def system() -> Iterator[InformationSystem]:
    system = InformationSystem()
    system.start()
    yield system
    system.stop()


async def reported(bench: ExamBench, system: InformationSystem, exam: Exam) -> Dataset:
    """The step as the information system has it, once everything has been sent."""
    while True:
        seen = len(bench.watch.events)
        states = [row.state for row in await bench.records.mpps.messages(exam_id=exam.exam_id)]
        assert MessageState.FAILED not in states
        if states and set(states) == {MessageState.DONE}:
            return system.performed[exam.mpps_sop_instance_uid]
        await bench.watch.until(partial(_has_more_than, bench.watch, seen))


def _has_more_than(watch: Watch, seen: int) -> bool:
    return len(watch.events) > seen


# ------------------------------------------------------------------------------------------- the cases


async def test_a_scheduled_exam_from_worklist_to_image_to_step(tmp_path: Path, system: InformationSystem) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "Op^Otto")
        begun = await reported(bench, system, exam)
        assert begun.PerformedProcedureStepStatus == "IN PROGRESS"
        finished = await bench.finish_with_pictures(exam, Eye.RIGHT, Eye.LEFT)
        step = await reported(bench, system, exam)
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert len(exam.performed_procedure_step_id) <= 16
    images = [dcmread(file, stop_before_pixels=True) for file in finished.files]
    listed = {
        (item.SeriesInstanceUID, image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID)
        for item in step.PerformedSeriesSequence
        for image in item.ReferencedImageSequence
    }
    assert listed == {(image.SeriesInstanceUID, image.SOPClassUID, image.SOPInstanceUID) for image in images}
    assert len(images) == 3
    for image in images:
        (reference,) = image.ReferencedPerformedProcedureStepSequence
        assert reference.ReferencedSOPInstanceUID == exam.mpps_sop_instance_uid
        (scheduled,) = step.ScheduledStepAttributesSequence
        assert image.StudyInstanceUID == scheduled.StudyInstanceUID == ITEM.study_instance_uid
        assert image.AccessionNumber == scheduled.AccessionNumber
        for keyword in (
            "PatientName",
            "PatientID",
            "IssuerOfPatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyID",
            "PerformedProcedureStepID",
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepStartTime",
            "PerformedProcedureStepDescription",
            "PerformedProtocolCodeSequence",
            "ProcedureCodeSequence",
        ):
            assert image[keyword].value == step[keyword].value, keyword
    assert {item.RetrieveAETitle for item in step.PerformedSeriesSequence} == {"ARCHIVE"}


async def test_an_unscheduled_exam_has_a_study_of_ours(tmp_path: Path, system: InformationSystem) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        exam = await bench.exams.start((), Patient("Roe^Ron", "U-1"), "")
        step = await reported(bench, system, exam)
    (item,) = step.ScheduledStepAttributesSequence
    assert item.StudyInstanceUID == exam.study_instance_uid
    assert item["AccessionNumber"].is_empty and exam.study_instance_uid.startswith("2.25.")


@pytest.mark.parametrize("uid", ["1.2.3..4", "DOE^JANE", "1." + "2" * 70])
async def test_a_study_instance_uid_that_is_none_costs_no_exam(
    tmp_path: Path, system: InformationSystem, uid: str
) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        exam = await bench.exams.start([replace(ITEM, study_instance_uid=uid)], PATIENT, "")
        finished = await bench.finish_with_pictures(exam, Eye.RIGHT)
        step = await reported(bench, system, exam)
    (scheduled,) = step.ScheduledStepAttributesSequence
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert exam.study_instance_uid.startswith("2.25.")
    for file in finished.files:
        assert dcmread(file, stop_before_pixels=True).StudyInstanceUID == exam.study_instance_uid
    assert (scheduled.StudyInstanceUID, scheduled.AccessionNumber) == (exam.study_instance_uid, ITEM.accession_number)


async def test_a_group_is_one_step_in_the_study_of_the_first_request(tmp_path: Path, system: InformationSystem) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        exam = await bench.exams.start([OTHER_ITEM, ITEM], PATIENT, "")
        step = await reported(bench, system, exam)
    assert exam.study_instance_uid == OTHER_ITEM.study_instance_uid
    assert [item.AccessionNumber for item in step.ScheduledStepAttributesSequence] == ["ACC-2", "ACC-1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patient_id": "P-002"}, "the patient IDs differ: P-001 and P-002"),
        ({"issuer_of_patient_id": "ELSEWHERE"}, "issuers of the patient ID differ"),
        ({"name": "Doe^John"}, "the names differ: Doe^Jane and Doe^John"),
        ({"birth_date": "19510102"}, "the birth dates differ"),
        ({"sex": "M"}, "the sexes differ"),
        ({"patient_id": ""}, "a patient has no ID"),
    ],
)
async def test_different_patients_are_no_group(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    other = replace(OTHER_ITEM, patient=replace(PATIENT, **changes))
    async with exam_bench(tmp_path, None) as bench:
        with pytest.raises(Refused, match=re.escape(words)):
            await bench.exams.start([ITEM, other], PATIENT, "")
        with pytest.raises(Refused, match="named twice"):
            await bench.exams.start([ITEM, ITEM], PATIENT, "")
        assert await bench.records.exams() == []


async def test_what_one_item_leaves_out_does_not_contradict_the_other(tmp_path: Path) -> None:
    other = replace(OTHER_ITEM, patient=replace(PATIENT, birth_date="", issuer_of_patient_id=""))
    async with exam_bench(tmp_path, None) as bench:
        assert (await bench.exams.start([ITEM, other], PATIENT, "")).worklist_items == (ITEM, other)


async def test_an_append_is_a_new_step_in_the_same_study(tmp_path: Path, system: InformationSystem) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        first = await bench.exams.start([ITEM], PATIENT, "")
        with pytest.raises(Refused, match="is open"):
            await bench.exams.append(first.exam_id, "")
        await bench.exams.abandon(REASONS["equipment-failure"])
        former = await reported(bench, system, first)
        second = await bench.exams.append(first.exam_id, "Op^Olga")
        step = await reported(bench, system, second)
    assert (second.appended_to, second.worklist_items) == (first.exam_id, first.worklist_items)
    assert second.study_instance_uid == first.study_instance_uid
    for name in ("series_instance_uid", "mpps_sop_instance_uid", "performed_procedure_step_id", "exam_id"):
        assert getattr(second, name) != getattr(first, name)
    assert step.ScheduledStepAttributesSequence == former.ScheduledStepAttributesSequence
    assert former.PerformedProcedureStepStatus == "DISCONTINUED"
    assert step.PerformedProcedureStepStatus == "IN PROGRESS"


async def test_an_exam_that_was_never_closed_is_resumed_not_appended_to(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None) as bench:
        first = await bench.exams.start([ITEM], PATIENT, "")
    async with exam_bench(tmp_path, None) as bench:
        with pytest.raises(Refused, match=f"exam resume {first.exam_id}"):
            await bench.exams.append(first.exam_id, "")
        with pytest.raises(UnknownRecord):
            await bench.exams.append("nowhere", "")


async def test_a_peripheral_picture_takes_no_central_ones_place(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None) as bench:
        exam = await bench.exams.start([], PATIENT, "Op")
        for number, point in enumerate((FixationPoint.CENTRE, FixationPoint.UP)):
            saved = await bench.records.save_capture(
                exam, frame_of(number), **(CAPTURED | {"gaze": gaze_at(point, 10)})
            )
            assert saved.point is point
        bench.exams.exam = None  # as after a crash
        await bench.exams.resume(exam.exam_id, lambda text: None)
        accepted = (await bench.exams.result(Eye.LEFT)).captured.capture
        assert accepted.point is FixationPoint.CENTRE


async def test_the_wrong_patient_is_discontinued_with_its_code(tmp_path: Path, system: InformationSystem) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
        await bench.exams.abandon(REASONS["wrong-patient"])
        step = await reported(bench, system, exam)
    (reason,) = step.PerformedProcedureStepDiscontinuationReasonCodeSequence
    assert (reason.CodeValue, reason.CodingSchemeDesignator) == ("110514", "DCM")
    (series,) = step.PerformedSeriesSequence
    assert list(series.ReferencedImageSequence) == []


async def test_what_an_interrupted_finish_had_made_is_listed_in_the_discontinued_step(
    tmp_path: Path, system: InformationSystem
) -> None:
    async with exam_bench(tmp_path, system.node) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
        finished = await bench.finish_with_pictures(exam, Eye.RIGHT)
        image = finished.deliverables[0]
        other = await bench.exams.start([OTHER_ITEM], PATIENT, "")
        await bench.records.save_object(
            other.exam_id,
            None,
            kind="image",
            sop_class_uid=image.sop_class_uid,
            sop_instance_uid="2.25.4000",
            transfer_syntax_uid=image.transfer_syntax_uid,
            data=image.data,
        )
        await bench.records.save_object(
            other.exam_id,
            None,
            kind="image",
            sop_class_uid=image.sop_class_uid,
            sop_instance_uid="2.25.4001",
            transfer_syntax_uid=image.transfer_syntax_uid,
            data=b"no DICOM file any more",
        )
        await bench.exams.abandon(UNSPECIFIED)
        step = await reported(bench, system, other)
        (alarm,) = [event for event in bench.watch.events if event.level == "alert"]
    (series,) = step.PerformedSeriesSequence
    assert len(series.ReferencedImageSequence) == 1
    assert "2.25.4001.dcm cannot be read and is not listed" in alarm.text


# ------------------------------------------------------------------------------------------- nothing stops an exam


async def test_an_information_system_that_is_down_stops_no_exam(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, DOWN) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
        finished = await bench.finish_with_pictures(exam, Eye.LEFT)
        assert len(finished.files) == 2
        rows = await bench.records.mpps.messages()
    assert [(row.operation, row.state) for row in rows] == [("N-CREATE", "queued"), ("N-SET", "queued")]


async def test_without_an_mpps_node_no_object_refers_to_a_step_but_its_id_is_there(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
        finished = await bench.finish_with_pictures(exam, Eye.RIGHT)
        assert await bench.records.mpps.messages() == []
    assert exam.mpps_sop_instance_uid == ""
    for file in finished.files:
        image = dcmread(file, stop_before_pixels=True)
        assert "ReferencedPerformedProcedureStepSequence" not in image
        assert image.PerformedProcedureStepID == exam.performed_procedure_step_id != ""


@pytest.mark.parametrize("error", [ObjectError, ValueError, AttributeError])
async def test_a_step_that_cannot_be_composed_alarms_and_the_exam_goes_on_without(
    tmp_path: Path, error: type[Exception]
) -> None:
    def broken() -> Any:
        raise error("PatientName: Doe^Jane cannot be said")

    async with exam_bench(tmp_path, DOWN, compose=broken) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
        assert exam.mpps_sop_instance_uid == ""
        assert await bench.records.mpps.messages() == []
        (alarm,) = [event for event in bench.watch.events if event.level == "alert"]
    assert alarm.kind == "mpps.failed" and "Doe" not in alarm.text


async def test_an_exam_begun_with_a_step_is_ended_with_it_after_a_restart(
    tmp_path: Path, system: InformationSystem
) -> None:
    async with exam_bench(tmp_path, DOWN) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
    async with exam_bench(tmp_path, system.node) as bench:
        assert await bench.exams.interrupted() == (exam.exam_id,)
        await bench.finish_with_pictures(exam, Eye.RIGHT)
        step = await reported(bench, system, exam)
    assert step.PerformedProcedureStepStatus == "COMPLETED"
    assert system.asked[-2:] == [
        ("N-CREATE", exam.mpps_sop_instance_uid, "IN PROGRESS"),
        ("N-SET", exam.mpps_sop_instance_uid, "COMPLETED"),
    ]


async def test_exam_and_message_are_recorded_together_or_not_at_all(tmp_path: Path) -> None:
    """A trigger of the database's own refuses the message: then the exam is neither opened nor closed."""

    def refuse_messages(*, refuse: bool) -> None:
        sql = "CREATE TRIGGER no BEFORE INSERT ON mpps_messages BEGIN SELECT RAISE(ABORT, 'no'); END"
        connection = sqlite3.connect(tmp_path / "records.sqlite3")
        connection.execute(sql if refuse else "DROP TRIGGER no")
        connection.commit()
        connection.close()

    async with exam_bench(tmp_path, DOWN) as bench:
        refuse_messages(refuse=True)
        with pytest.raises((sqlite3.IntegrityError, StorageFault)):
            await bench.exams.start([ITEM], PATIENT, "")
        assert await bench.records.exams() == [] and bench.exams.exam is None
        refuse_messages(refuse=False)
        exam = await bench.exams.start([ITEM], PATIENT, "")
        refuse_messages(refuse=True)
        with pytest.raises((sqlite3.IntegrityError, StorageFault)):
            await bench.exams.abandon()
        assert not await bench.records.exam_is_finished(exam.exam_id)
        assert bench.exams.exam == exam
        refuse_messages(refuse=False)
        await bench.exams.abandon()
        assert await bench.records.exam_is_finished(exam.exam_id)
        await bench.records.finish_exam(exam.exam_id)  # again: the first time and the first message stand
        rows = await bench.records.mpps.messages()
    assert [row.step_status for row in rows] == ["IN PROGRESS", "DISCONTINUED"]


# ------------------------------------------------------------------------------------------- sending by hand


async def test_with_automatic_sending_off_instances_wait_until_somebody_sends_them(tmp_path: Path) -> None:
    table = {"ip_address": "127.0.0.1", "port": 104, "ae_title": "ARCHIVE", "automatic": False}
    async with exam_bench(tmp_path, None, configuration(storage=table)) as bench:
        exam = await bench.exams.start([ITEM], PATIENT, "")
        finished = await bench.finish_with_pictures(exam, Eye.RIGHT)
        assert (finished.queued_for, finished.storage_node) == ("", "storage")
        assert [row.state for row in await bench.records.deliveries()] == ["captured", "captured"]
        (one,) = await bench.exams.send(finished.deliverables[1].sop_instance_uid)
        assert (one.sop_instance_uid, one.state) == (finished.deliverables[1].sop_instance_uid, "queued")
        assert [each.state for each in await bench.exams.send(exam.exam_id)] == ["queued", "queued"]
        with pytest.raises(UnknownRecord):
            await bench.exams.send("1.2.3")


async def test_without_an_archive_nothing_can_be_sent(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None, configuration(storage={})) as bench:
        with pytest.raises(Refused, match="no storage node is configured"):
            await bench.exams.send("1.2.3")


# ------------------------------------------------------------------------------------------- reasons


def test_a_reason_is_a_word_or_its_code() -> None:
    assert discontinuation_reason("wrong-patient") == discontinuation_reason("110514") == REASONS["wrong-patient"]
    assert discontinuation_reason(" Doctor-Cancelled ").value == "110500"
    with pytest.raises(ValueError, match=r"unspecified \(110513\)"):
        discontinuation_reason("because")


def test_every_reason_is_of_the_context_group() -> None:
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr._concepts_dict import concepts

    group = cid_concepts[9301]["DCM"]
    of_standard = {
        value: meaning for name in group for value, (meaning, groups) in concepts["DCM"][name].items() if 9301 in groups
    }
    assert {code.value: code.meaning for code in REASONS.values()} == of_standard
    assert {code.scheme for code in REASONS.values()} == {"DCM"}


async def test_whoever_waits_for_closed_exams_is_told_of_each(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None) as bench:
        exam = await bench.exams.start((ITEM,), ITEM.patient, "")
        await bench.finish_with_pictures(exam, Eye.RIGHT)
        assert bench.closed == ["closed"]
        await bench.exams.start((), PATIENT, "")
        await bench.exams.abandon()
        assert bench.closed == ["closed", "closed"]
