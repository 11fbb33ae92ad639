"""Study Root and Patient Root FIND (PS3.4 Annex C) over what the archive holds, so that it can be asked over DICOM."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from firmware_app.demo.holdings import Holdings
from firmware_app.demo.matching import answer, matches, with_character_set
from firmware_app.demo.scp import UNCOMPRESSED, Report, Service, association

PENDING = 0xFF00
CANCELLED = 0xFE00
IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS = 0xA900

# PS3.4 C.6.1, C.6.2: the levels of a model, top first, and the unique key of each.
UNIQUE_KEY = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
LEVELS = tuple(UNIQUE_KEY)
MODELS = {
    PatientRootQueryRetrieveInformationModelFind: ("patient root", LEVELS),
    StudyRootQueryRetrieveInformationModelFind: ("study root", LEVELS[1:]),
}
# What an answer shows at a level and below it (PS3.4 C.6.1.1.2 to C.6.1.1.5). Anything of a lower level would be the
# value of one arbitrary child.
OWN_ATTRIBUTES = {
    "PATIENT": (
        "SpecificCharacterSet",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "PatientBirthDate",
        "PatientBirthTime",
        "PatientSex",
        "OtherPatientIDs",
        "OtherPatientNames",
        "EthnicGroup",
        "PatientComments",
    ),
    "STUDY": (
        "StudyInstanceUID",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyDescription",
        "ReferringPhysicianName",
        "ProcedureCodeSequence",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
    ),
    "SERIES": (
        "SeriesInstanceUID",
        "SeriesNumber",
        "SeriesDescription",
        "SeriesDate",
        "SeriesTime",
        "Modality",
        "Laterality",
        "PerformedProcedureStepID",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "RequestAttributesSequence",
    ),
}


def query(holdings: Holdings, ae_title: str, report: Report) -> Service:
    def on_find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        model, levels = MODELS[event.context.abstract_syntax]
        identifier = event.identifier
        level = str(identifier.get("QueryRetrieveLevel", ""))
        if not level_is_complete(identifier, level, levels):
            report("find", model=model, level=level, status="A900", **association(event))
            yield IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, None
            return
        headers = [instance.header for instance in holdings.instances()]
        found = [entry for entry in entries(headers, level) if matches(entry, identifier)]
        report("find", model=model, level=level, matches=len(found), **association(event))
        for entry in found:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            response = with_character_set(answer(entry, identifier), entry)
            response.QueryRetrieveLevel = level
            response.RetrieveAETitle = ae_title
            yield PENDING, response

    return Service(dict.fromkeys(MODELS, UNCOMPRESSED), {evt.EVT_C_FIND: on_find})


def entries(headers: list[Dataset], level: str) -> list[Dataset]:
    """One data set per entity of `level`, with the counts of what is below it (PS3.4 C.3.4)."""
    children: dict[str, list[Dataset]] = {}
    for header in headers:
        children.setdefault(str(header.get(UNIQUE_KEY[level], "")), []).append(header)
    return [_entry(members, level) for members in children.values()]


def _entry(members: list[Dataset], level: str) -> Dataset:
    first = members[0]
    shown = {keyword for upper in LEVELS[: LEVELS.index(level) + 1] for keyword in OWN_ATTRIBUTES.get(upper, ())}
    entry = Dataset()
    for element in first:
        if element.keyword in shown or level == "IMAGE":
            entry.add(element)
    if level == "PATIENT":
        entry.NumberOfPatientRelatedStudies = _distinct(members, "StudyInstanceUID")
        entry.NumberOfPatientRelatedSeries = _distinct(members, "SeriesInstanceUID")
        entry.NumberOfPatientRelatedInstances = len(members)
    elif level == "STUDY":
        entry.NumberOfStudyRelatedSeries = _distinct(members, "SeriesInstanceUID")
        entry.NumberOfStudyRelatedInstances = len(members)
        entry.ModalitiesInStudy = sorted({str(member.get("Modality", "")) for member in members})
    elif level == "SERIES":
        entry.NumberOfSeriesRelatedInstances = len(members)
    return entry


def _distinct(members: list[Dataset], keyword: str) -> int:
    return len({str(member.get(keyword, "")) for member in members})


def level_is_complete(identifier: Dataset, level: str, levels: tuple[str, ...]) -> bool:
    """Hierarchical search: every unique key above the level has one value (PS3.4 C.4.1.2.1)."""
    if level not in levels:
        return False
    above = levels[: levels.index(level)]
    values = (identifier.get(UNIQUE_KEY[upper]) for upper in above)
    return all(isinstance(value, str) and value and "*" not in value and "?" not in value for value in values)
