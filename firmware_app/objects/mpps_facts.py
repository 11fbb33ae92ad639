"""Facts of the two messages of a performed procedure step; what instances say of it too comes from where they have it.

N-CREATE says what is known at the start, N-SET what became of it (PS3.4 table F.7.2-1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from firmware_app.dicom.uids import is_uid
from firmware_app.model import Code, Exam, ReferencedInstance, WorklistItem
from firmware_app.objects.compose import Fact
from firmware_app.objects.requests import (
    code_items,
    performing_physician,
    protocol_name,
    reference_items,
    request_facts,
)
from firmware_app.objects.times import dicom_date, dicom_time

# Protocol Name is type 1 in a performed series, and an unscheduled exam has no protocol of anybody else's.
OWN_PROTOCOL = "Corneal endothelium"


@dataclass(frozen=True, slots=True)
class PerformedSeries:
    """One series that the step has made, with everything in it, `images` and others as the instances say."""

    series_instance_uid: str
    description: str = ""
    protocol_name: str = ""
    images: tuple[ReferencedInstance, ...] = ()
    others: tuple[ReferencedInstance, ...] = ()


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
    made = tuple(series) or (PerformedSeries(exam.series_instance_uid),)  # a series even where nothing was made
    return {
        "step.status": status,
        "step.end_date": dicom_date(ended_at),
        "step.end_time": dicom_time(ended_at),
        "step.discontinuation_reasons": code_items((reason,) if reason else ()),
        "step.series": [_series(exam, each, archive) for each in made],
    }


def scheduled_steps(exam: Exam) -> list[dict[str, Fact]]:
    """One item for each request, with the Study Instance UID that it was scheduled with (PS3.17 J.4.1).

    An unscheduled step has one item that holds our Study Instance UID and nothing else (PS3.4 F.7.2.1.2 note 3).
    """
    items = exam.worklist_items or (WorklistItem(exam.patient),)
    return [{**request_facts(item), "request.study_instance_uid": _study_of(item, exam)} for item in items]


def _study_of(item: WorklistItem, exam: Exam) -> str:
    """Type 1: where nothing usable was scheduled, it is the study that the images are in."""
    return item.study_instance_uid if is_uid(item.study_instance_uid) else exam.study_instance_uid


def _series(exam: Exam, series: PerformedSeries, archive: str) -> dict[str, Fact]:
    return {
        "performed.series_instance_uid": series.series_instance_uid,
        "performed.series_description": series.description,
        "performed.protocol_name": series.protocol_name or protocol_name(exam) or OWN_PROTOCOL,
        "performed.performing_physician": performing_physician(exam),
        "performed.operator": exam.operator,
        "performed.retrieve_ae_title": archive if series.images or series.others else "",
        "performed.images": reference_items(series.images),
        "performed.others": reference_items(series.others),
    }
