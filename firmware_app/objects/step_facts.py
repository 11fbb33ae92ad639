"""Facts of the performed procedure step that an exam is: equal in each of its instances and in its MPPS.

The columns of PS3.4 table F.7.2-1 that PS3.17 annex J wants to be the same in both come from here, so that they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from firmware_app.dicom.uids import MODALITY_PERFORMED_PROCEDURE_STEP
from firmware_app.model import Code, Exam, ReferencedInstance, WorklistItem
from firmware_app.objects.compose import Fact
from firmware_app.objects.facts import (
    code_facts,
    dicom_date,
    dicom_time,
    parse_time,
    reference_facts,
    request_facts,
)

# Protocol Name is type 1 in a performed series, and an unscheduled exam has no protocol of anybody else's.
OWN_PROTOCOL = "Corneal endothelium"


@dataclass(frozen=True, slots=True)
class PerformedSeries:
    """One series that the step has made, with everything in it. `images` and `others` as they were stored."""

    series_instance_uid: str
    description: str = ""
    protocol_name: str = ""
    images: tuple[ReferencedInstance, ...] = ()
    others: tuple[ReferencedInstance, ...] = ()


def step_facts(exam: Exam) -> dict[str, Fact]:
    """What instances and MPPS both say of the step."""
    started_at = parse_time(exam.started_at, "the start of the exam")
    kept = ReferencedInstance(MODALITY_PERFORMED_PROCEDURE_STEP, exam.mpps_sop_instance_uid)
    return {
        "step.id": exam.performed_procedure_step_id,
        "step.start_date": dicom_date(started_at),
        "step.start_time": dicom_time(started_at),
        "step.description": step_description(exam),
        "step.performed_protocol_codes": code_facts(performed_protocol_codes(exam)),
        "step.references": reference_facts((kept,) if exam.mpps_sop_instance_uid else ()),
    }


def begin_facts(exam: Exam, *, station_ae_title: str, station_name: str) -> dict[str, Fact]:
    """What only the N-CREATE says."""
    return {
        "step.status": "IN PROGRESS",
        "step.station_ae_title": station_ae_title,
        "step.station_name": station_name,
        "step.requests": scheduled_steps(exam),
    }


def end_facts(
    exam: Exam, status: str, ended_at: datetime, reason: Code | None, series: Iterable[PerformedSeries], archive: str
) -> dict[str, Fact]:
    """What only the final N-SET says; `archive` is the AE title that the instances can be retrieved from."""
    made = tuple(series) or (PerformedSeries(exam.series_instance_uid),)  # type 1: a series even where nothing was made
    return {
        "step.status": status,
        "step.end_date": dicom_date(ended_at),
        "step.end_time": dicom_time(ended_at),
        "step.discontinuation_reasons": code_facts((reason,) if reason else ()),
        "step.series": [_series(exam, each, archive) for each in made],
    }


def scheduled_steps(exam: Exam) -> list[dict[str, Fact]]:
    """One item for each request, with the Study Instance UID that it was scheduled with (PS3.17 J.4.1).

    An unscheduled step has one item that holds our Study Instance UID and nothing else (PS3.4 F.7.2.1.2 note 3).
    """
    items = exam.worklist_items or (WorklistItem(exam.patient),)
    return [
        {**request_facts(item), "request.study_instance_uid": item.study_instance_uid or exam.study_instance_uid}
        for item in items
    ]


def protocol_name(exam: Exam) -> str:
    """The scheduled protocol in words; empty where nobody named one."""
    meanings = [code.meaning for code in performed_protocol_codes(exam) if code.meaning]
    return _first(meanings) or _first(item.scheduled_procedure_step_description for item in exam.worklist_items)


def step_description(exam: Exam) -> str:
    """What was asked for is what was done; each description once."""
    words = (
        item.scheduled_procedure_step_description or item.requested_procedure_description
        for item in exam.worklist_items
    )
    return "; ".join(dict.fromkeys(word for word in words if word))


def performed_protocol_codes(exam: Exam) -> tuple[Code, ...]:
    """The scheduled protocols of all requests: the instrument has no other."""
    return tuple(dict.fromkeys(code for item in exam.worklist_items for code in item.scheduled_protocol_codes))


def _series(exam: Exam, series: PerformedSeries, archive: str) -> dict[str, Fact]:
    physicians = (item.scheduled_performing_physician for item in exam.worklist_items)
    return {
        "performed.series_instance_uid": series.series_instance_uid,
        "performed.series_description": series.description,
        "performed.protocol_name": series.protocol_name or protocol_name(exam) or OWN_PROTOCOL,
        "performed.performing_physician": _first(physicians),
        "performed.operator": exam.operator,
        "performed.retrieve_ae_title": archive if series.images or series.others else "",
        "performed.images": reference_facts(series.images),
        "performed.others": reference_facts(series.others),
    }


def _first(words: Iterable[str]) -> str:
    return next((word for word in words if word), "")
