"""The hospital's schedule is one that a strict reader accepts, in every character set it uses."""

from __future__ import annotations

from datetime import date
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from firmware_app.demo.scheduled_patients import APPOINTMENTS, schedule

TODAY = date(2026, 3, 15)
STATION = "TP_AM_SP1P_001"


def over_the_wire(item: Dataset) -> Dataset:
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, True
    write_dataset(encoded, item)
    return dcmread(BytesIO(encoded.getvalue()), force=True)


def test_names_survive_their_own_character_set() -> None:
    for appointment, item in zip(APPOINTMENTS, schedule(TODAY, STATION, "x"), strict=True):
        assert str(over_the_wire(item).PatientName) == appointment.name
    sets = {appointment.character_set for appointment in APPOINTMENTS}
    assert {("ISO_IR 100",), ("", "ISO 2022 IR 87"), ("GB18030",), ("ISO_IR 144",), ("ISO_IR 192",), ()} <= sets


def test_uids_are_unique_and_stay_the_same_for_the_same_hospital() -> None:
    first = [item.StudyInstanceUID for item in schedule(TODAY, STATION, "a")]
    assert len(set(first)) == len(first)
    assert first == [item.StudyInstanceUID for item in schedule(TODAY, STATION, "a")]
    assert not set(first) & {item.StudyInstanceUID for item in schedule(TODAY, STATION, "b")}


def test_type_1_return_keys_are_there() -> None:
    """PS3.4 table K.6-1."""
    for item in schedule(TODAY, STATION, "x"):
        step = item.ScheduledProcedureStepSequence[0]
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID"):
            assert item[keyword].value
        for keyword in (
            "ScheduledStationAETitle",
            "ScheduledProcedureStepStartDate",
            "ScheduledProcedureStepStartTime",
            "Modality",
            "ScheduledProcedureStepID",
        ):
            assert step[keyword].value


def test_another_station_and_another_day_are_on_the_schedule() -> None:
    steps = [item.ScheduledProcedureStepSequence[0] for item in schedule(TODAY, STATION, "x")]
    assert sum(step.ScheduledStationAETitle == STATION for step in steps) == len(steps) - 1
    assert [step.ScheduledProcedureStepStartDate for step in steps].count("20260316") == 1
