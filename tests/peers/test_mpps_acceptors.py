"""Performed procedure steps, as the service sends them, at two acceptors that share no code: pynetdicom and dcmjs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from dcmjs_acceptor import MppsAcceptor
from mpps_peer import InformationSystem
from mpps_samples import ENDED_AT, GROUP, SCHEDULED_STEP, UNSCHEDULED_STEP, composer, pictures
from mpps_steps import POLICY
from objects_samples import ITEM
from pydicom.uid import generate_uid

from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from firmware_app.model import Code, Event, Exam, Patient
from firmware_app.net.association import associate
from firmware_app.net.attributes import encode_attributes, kept_attributes
from firmware_app.net.mpps import MPPS_CONTEXTS, send_step
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.objects.discontinuation import REASONS
from firmware_app.records.mpps import MppsMessage, StepStatus
from firmware_app.records.store import open_records
from firmware_app.services.mpps import MppsService

CASES = {
    "scheduled": SCHEDULED_STEP,
    "unscheduled": UNSCHEDULED_STEP,
    "group": GROUP,
    "appended": replace(SCHEDULED_STEP, appended_to="exam-0", series_instance_uid="2.25.79"),
}


@dataclass
class Step:
    """What an acceptor says of one step: each operation with its answer, and texts of what it has read."""

    operations: list[tuple[str, str]]
    patient_name: str
    accession_numbers: list[str]
    study_uids: list[str]
    series: int
    images: int
    status: str
    reasons: list[str]


class Acceptor:
    """Either of the two, with one face."""

    def __init__(self, node: Node, read: Callable[[str], Step]) -> None:
        self.node = node
        self.read = read


def from_pynetdicom(system: InformationSystem, uid: str) -> Step:
    step = system.performed[uid]
    items = step.ScheduledStepAttributesSequence
    series = step.PerformedSeriesSequence
    reasons = step.PerformedProcedureStepDiscontinuationReasonCodeSequence
    return Step(
        [(operation, "0000") for operation, asked, _ in system.asked if asked == uid],
        str(step.PatientName),
        [str(item.AccessionNumber) for item in items],
        [str(item.StudyInstanceUID) for item in items],
        len(series),
        sum(len(item.ReferencedImageSequence) for item in series),
        str(step.PerformedProcedureStepStatus),
        [str(reason.CodeValue) for reason in reasons],
    )


def from_dcmjs(acceptor: MppsAcceptor, uid: str) -> Step:
    requests = acceptor.requests(uid)
    step: dict[str, Any] = {}
    for request in requests:
        if request["status"] == "0000":
            step |= request["attributes"]
    items = listed(step["ScheduledStepAttributesSequence"])
    series = listed(step["PerformedSeriesSequence"])
    reasons = listed(step.get("PerformedProcedureStepDiscontinuationReasonCodeSequence"))
    groups = step["PatientName"][0]
    return Step(
        [(request["operation"], request["status"]) for request in requests],
        "=".join(groups[name] for name in ("Alphabetic", "Ideographic", "Phonetic") if name in groups),
        [item.get("AccessionNumber") or "" for item in items],
        [item["StudyInstanceUID"] for item in items],
        len(series),
        sum(len(listed(item.get("ReferencedImageSequence"))) for item in series),
        step["PerformedProcedureStepStatus"],
        [reason["CodeValue"] for reason in reasons],
    )


def listed(value: Any) -> list[Any]:
    """dcmjs gives a sequence of one item as an object."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def pynetdicom_system() -> Iterator[InformationSystem]:
    system = InformationSystem()
    system.start()
    yield system
    system.stop()


@pytest.fixture(params=["pynetdicom", pytest.param("dcmjs", marks=pytest.mark.peer("dcmjs"))])
def acceptor(request: pytest.FixtureRequest) -> Acceptor:
    if request.param == "dcmjs":
        dcmjs: MppsAcceptor = request.getfixturevalue("dcmjs_mpps")
        return Acceptor(dcmjs.node, partial(from_dcmjs, dcmjs))
    system: InformationSystem = request.getfixturevalue("pynetdicom_system")
    return Acceptor(system.node, partial(from_pynetdicom, system))


async def report(
    state_dir: Path,
    acceptor: Acceptor,
    local: LocalApplicationEntity,
    exam: Exam,
    status: StepStatus = "COMPLETED",
    reason: Code | None = None,
) -> Step:
    """The exam begun, ended and reported by the service."""
    assert status != "IN PROGRESS"
    uid = exam.mpps_sop_instance_uid
    files = [data for _, data in pictures(exam)] if status == "COMPLETED" else []
    begun = composer().begin(exam)
    ended = composer().end(exam, status, ENDED_AT, files, reason)
    sent = trio.Event()
    told: list[Event] = []

    def publish(event: Event) -> None:
        told.append(event)
        if [each.kind for each in told].count("mpps.sent") == 2 or event.kind == "mpps.failed":
            sent.set()

    async with open_records(state_dir) as records, trio.open_nursery() as nursery:
        first = encode_attributes(begun.dataset, EXPLICIT_VR_LITTLE_ENDIAN, begun.as_received)
        last = encode_attributes(ended.dataset, EXPLICIT_VR_LITTLE_ENDIAN, ended.as_received)
        await records.begin_exam(exam, MppsMessage(uid, exam.exam_id, "mpps", "IN PROGRESS", first))
        await records.finish_exam(exam.exam_id, MppsMessage(uid, exam.exam_id, "mpps", status, last))
        node = replace(acceptor.node, name="mpps")
        service = MppsService(records, node, local, publish, POLICY)
        nursery.start_soon(service.run)
        with trio.fail_after(30):
            await sent.wait()
        nursery.cancel_scope.cancel()
    assert [event.level for event in told] == ["info", "info"], told
    step = acceptor.read(uid)
    assert step.operations == [("N-CREATE", "0000"), ("N-SET", "0000")]
    return step


def fresh(exam: Exam) -> Exam:
    return replace(exam, mpps_sop_instance_uid=str(generate_uid()))


@pytest.mark.parametrize("case", CASES)
async def test_every_case_arrives_whole(
    tmp_path: Path, acceptor: Acceptor, local: LocalApplicationEntity, case: str
) -> None:
    exam = fresh(CASES[case])
    step = await report(tmp_path, acceptor, local, exam)
    assert step.status == "COMPLETED"
    assert step.patient_name == "Doe^Jane"
    assert step.accession_numbers == [item.accession_number for item in exam.worklist_items] or [""]
    assert step.study_uids == ([item.study_instance_uid for item in exam.worklist_items] or [exam.study_instance_uid])
    assert (step.series, step.images, step.reasons) == (2, 2, [])


async def test_the_wrong_patient_is_discontinued(
    tmp_path: Path, acceptor: Acceptor, local: LocalApplicationEntity
) -> None:
    exam = fresh(SCHEDULED_STEP)
    step = await report(tmp_path, acceptor, local, exam, "DISCONTINUED", REASONS["wrong-patient"])
    assert (step.status, step.reasons, step.series, step.images) == ("DISCONTINUED", ["110514"], 1, 0)


def named(name: str, *terms: str) -> Exam:
    patient = Patient(name, "P-1")
    item = replace(ITEM, patient=patient, specific_character_set=terms)
    return fresh(replace(SCHEDULED_STEP, patient=patient, worklist_items=(item,)))


@pytest.mark.parametrize(
    ("term", "name"), [("ISO_IR 192", "Wang^XiaoDong=王^小東"), ("ISO_IR 100", "Buc^Jérôme")], ids=["192", "100"]
)
async def test_a_name_is_read_as_it_was_written(
    tmp_path: Path, acceptor: Acceptor, local: LocalApplicationEntity, term: str, name: str
) -> None:
    assert (await report(tmp_path, acceptor, local, named(name, term))).patient_name == name


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (("GB18030",), "Wang^XiaoDong=王^小东"),
        (("ISO_IR 144",), "Люкceмбypг"),
        (("ISO_IR 148",), "Çavuşoğlu^İbrahim"),
    ],
    ids=["87", "13-87", "GB18030", "144", "148"],
)
async def test_a_name_in_a_set_that_dcmjs_does_not_read(
    tmp_path: Path,
    pynetdicom_system: InformationSystem,
    local: LocalApplicationEntity,
    terms: tuple[str, ...],
    name: str,
) -> None:
    acceptor = Acceptor(pynetdicom_system.node, partial(from_pynetdicom, pynetdicom_system))
    assert (await report(tmp_path, acceptor, local, named(name, *terms))).patient_name == name


async def test_both_keep_the_same_state_machine(acceptor: Acceptor, local: LocalApplicationEntity) -> None:
    exam = fresh(SCHEDULED_STEP)
    uid = exam.mpps_sop_instance_uid
    messages = (composer().begin(exam), composer().end(exam, "COMPLETED", ENDED_AT, []))
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
    begin, end = (kept_attributes(encode_attributes(each.dataset, syntax), syntax) for each in messages)
    async with associate(acceptor.node, local, MPPS_CONTEXTS) as association:
        answers = [
            await send_step(association, "N-SET", uid, end),
            await send_step(association, "N-CREATE", uid, end),
            await send_step(association, "N-CREATE", uid, begin),
            await send_step(association, "N-CREATE", uid, begin),
            await send_step(association, "N-CREATE", uid, begin, in_doubt=True),
            await send_step(association, "N-SET", uid, end),
            await send_step(association, "N-SET", uid, end),
            await send_step(association, "N-SET", uid, end, in_doubt=True),
        ]
    assert [answer.category for answer in answers] == [
        "permanent",
        "permanent",
        "done",
        "permanent",
        "warning",
        "done",
        "permanent",
        "warning",
    ]
    assert [answer.status for answer in answers if answer.category == "warning"] == [0x0111, 0x0110]
    assert answers[0].status == 0x0112
