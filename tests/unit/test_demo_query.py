"""What the embedded archive answers at each level of a query."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from firmware_app.demo.query_scp import LEVELS, entries, level_is_complete


def header(patient: str, study: str, series: str, instance: str, modality: str = "OP") -> Dataset:
    data_set = Dataset()
    data_set.PatientID, data_set.PatientName = patient, f"{patient}^X"
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.SOPInstanceUID = study, series, instance
    data_set.Modality = modality
    data_set.PatientWeight, data_set.StudyDate, data_set.SeriesNumber, data_set.Rows = "61.5", "20260105", "1", 480
    data_set.EthnicGroup = "X"
    return data_set


HEADERS = [
    header("A", "1.1", "1.1.1", "1.1.1.1"),
    header("A", "1.1", "1.1.1", "1.1.1.2"),
    header("A", "1.1", "1.1.2", "1.1.2.1", "OT"),
    header("A", "1.2", "1.2.1", "1.2.1.1"),
    header("B", "1.3", "1.3.1", "1.3.1.1"),
]


@pytest.mark.parametrize(("level", "count"), [("PATIENT", 2), ("STUDY", 3), ("SERIES", 4), ("IMAGE", 5)])
def test_one_entry_per_entity(level: str, count: int) -> None:
    assert len(entries(HEADERS, level)) == count


def test_counts_below() -> None:
    patient = entries(HEADERS, "PATIENT")[0]
    assert patient.NumberOfPatientRelatedStudies == 2
    assert patient.NumberOfPatientRelatedSeries == 3
    assert patient.NumberOfPatientRelatedInstances == 4
    study = entries(HEADERS, "STUDY")[0]
    assert study.NumberOfStudyRelatedSeries == 2
    assert study.NumberOfStudyRelatedInstances == 3
    assert list(study.ModalitiesInStudy) == ["OP", "OT"]
    assert entries(HEADERS, "SERIES")[0].NumberOfSeriesRelatedInstances == 2


def test_a_level_shows_nothing_of_the_levels_below() -> None:
    for place, level in enumerate(LEVELS):
        shown = entries(HEADERS, level)[0]
        below = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")[place:]
        assert [keyword for keyword in below if keyword in shown] == []


FIRST_SHOWN = {
    "PATIENT": ("PatientName", "PatientID", "EthnicGroup"),
    "STUDY": ("StudyInstanceUID", "StudyDate", "PatientWeight"),
    "SERIES": ("SeriesInstanceUID", "SeriesNumber", "Modality"),
    "IMAGE": ("SOPInstanceUID", "Rows"),
}


@pytest.mark.parametrize("level", LEVELS)
def test_what_each_level_shows(level: str) -> None:
    entry = entries(HEADERS, level)[0]
    place = LEVELS.index(level)
    shown = [keyword for upper in LEVELS[: place + 1] for keyword in FIRST_SHOWN[upper]]
    hidden = [keyword for lower in LEVELS[place + 1 :] for keyword in FIRST_SHOWN[lower]]
    assert [keyword for keyword in shown if keyword not in entry] == []
    assert [keyword for keyword in hidden if keyword in entry] == []


def test_the_stored_data_sets_stay_as_they_are() -> None:
    entries(HEADERS, "PATIENT")
    assert HEADERS[0] == header("A", "1.1", "1.1.1", "1.1.1.1")


STUDY_ROOT = LEVELS[1:]
COMPLETENESS = [
    ("PATIENT", {}, LEVELS, True),
    ("PATIENT", {}, STUDY_ROOT, False),  # Study Root has no PATIENT level: the SP-1P statement's own mistake
    ("STUDY", {"PatientID": "A"}, LEVELS, True),
    ("STUDY", {}, LEVELS, False),
    ("STUDY", {}, STUDY_ROOT, True),
    ("SERIES", {"StudyInstanceUID": "1.1"}, STUDY_ROOT, True),
    ("SERIES", {"StudyInstanceUID": ["1.1", "1.2"]}, STUDY_ROOT, False),
    ("STUDY", {"PatientID": "A*"}, LEVELS, False),
    ("IMAGE", {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, STUDY_ROOT, True),
    ("IMAGE", {"StudyInstanceUID": "1.1", "SeriesInstanceUID": ""}, STUDY_ROOT, False),
    ("", {}, LEVELS, False),
    ("WORKITEM", {}, LEVELS, False),
]


@pytest.mark.parametrize(("level", "keys", "levels", "complete"), COMPLETENESS)
def test_hierarchical_queries_only(
    level: str, keys: dict[str, object], levels: tuple[str, ...], complete: bool
) -> None:
    identifier = Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    assert level_is_complete(identifier, level, levels) is complete
