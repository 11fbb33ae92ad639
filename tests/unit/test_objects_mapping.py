"""The whole mapping table: what the worklist said stands equal in every object and in both MPPS messages."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from mapping_table import TABLE, Row, expected, values_at
from mpps_samples import ENDED_AT, composer
from objects_samples import APPENDED, GROUP, SCHEDULED, UNSCHEDULED, WITH_MPPS, build, camera, read_back, report
from pydicom.dataset import Dataset

from firmware_app.model import Exam, WorklistItem
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.mpps_facts import OWN_PROTOCOL

EXAMS = {
    "scheduled": SCHEDULED,
    "with-mpps": WITH_MPPS,
    "group": GROUP,
    "unscheduled": UNSCHEDULED,
    "appended": APPENDED,
}
OBJECTS = {
    "sc": ("SC", camera(8)),
    "sc-report": ("SC", report()),
    "op-8": ("OP", camera(8)),
    "op-16": ("OP", camera(12)),
    "vl": ("XC", camera(8)),
    "cr": ("CR", camera(12)),
    "cr-report": ("CR", report()),
}
STEPS = [name for name, exam in EXAMS.items() if exam.mpps_sop_instance_uid]


@cache
def objects(exam: str) -> dict[str, Dataset]:
    return {
        name: read_back(build(picture, EXAMS[exam], storage_setting=setting))
        for name, (setting, picture) in OBJECTS.items()
    }


def step_of(exam: str) -> Exam:
    return replace(EXAMS[exam], mpps_sop_instance_uid="2.25.5", performed_procedure_step_id="PPS-5")


@cache
def messages(exam: str) -> tuple[Dataset, Dataset]:
    visit = step_of(exam)
    files = [encode_part10(build(camera(8), visit).dataset)]
    return composer().begin(visit).dataset, composer().end(visit, "COMPLETED", ENDED_AT, files, None).dataset


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@pytest.mark.parametrize("exam", EXAMS)
def test_every_object_says_it(exam: str, row: Row) -> None:
    visit = EXAMS[exam]
    for name, dataset in objects(exam).items():
        assert values_at(dataset, row.image) == expected(row, visit, visit.worklist_items), name


def scheduled_items(exam: Exam) -> tuple[WorklistItem, ...]:
    """An unscheduled step has one item that holds our Study Instance UID and nothing else (PS3.4 F.7.2.1.2 note 3)."""
    return exam.worklist_items or (WorklistItem(exam.patient, exam.study_instance_uid),)


@pytest.mark.parametrize("row", [row for row in TABLE if row.n_create], ids=lambda row: row.name)
@pytest.mark.parametrize("exam", [*STEPS, "unscheduled"])
def test_n_create_says_it(exam: str, row: Row) -> None:
    visit = step_of(exam)
    message, _ = messages(exam)
    is_of_request = row.n_create.startswith("Scheduled")
    items = scheduled_items(visit) if is_of_request else visit.worklist_items
    assert values_at(message, row.n_create) == expected(row, visit, items)


@pytest.mark.parametrize("row", [row for row in TABLE if row.n_set], ids=lambda row: row.name)
@pytest.mark.parametrize("exam", [*STEPS, "unscheduled"])
def test_n_set_says_it(exam: str, row: Row) -> None:
    visit = step_of(exam)
    _, message = messages(exam)
    wanted = expected(row, visit, visit.worklist_items)
    if row.n_set.endswith("ProtocolName") and not wanted:
        wanted = [OWN_PROTOCOL]  # type 1 there
    assert values_at(message, row.n_set) == wanted


def test_one_visit_for_two_requests_has_one_item_for_each_and_no_accession_number_of_its_own() -> None:
    dataset = read_back(build(camera(8), GROUP, storage_setting="OP"))
    assert dataset["AccessionNumber"].is_empty
    assert [item.AccessionNumber for item in dataset.RequestAttributesSequence] == ["ACC-1", "ACC-2"]
    assert dataset["StudyID"].is_empty
    same = replace(
        GROUP, worklist_items=tuple(replace(item, accession_number="ACC-1") for item in GROUP.worklist_items)
    )
    assert read_back(build(camera(8), same)).AccessionNumber == "ACC-1"


def test_every_column_of_the_table_has_rows() -> None:
    assert len([row for row in TABLE if row.image]) == len(TABLE)
    assert len([row for row in TABLE if row.n_create]) >= 15
    assert len([row for row in TABLE if row.n_set]) == 3
