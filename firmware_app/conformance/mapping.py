"""Worklist -> image -> MPPS (PS3.2 table B, PS3.17 J.2.1): which attributes draw on one and the same value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firmware_app.conformance.attributes import attribute_name, tag_words
from firmware_app.conformance.document import Table
from firmware_app.profiles.profile import Attribute, Profile

COLUMNS = ("Modality Worklist", "Image IOD", "Performed Procedure Step")
CHARACTER_SET = "SpecificCharacterSet"
STEP = "ScheduledProcedureStepSequence."
# Attribute of a worklist item -> the sources that hand it on (profiles.sources).
SOURCES_OF: Mapping[str, tuple[str, ...]] = {
    CHARACTER_SET: ("image.character_set", "step.character_set"),
    "PatientName": ("patient.name",),
    "PatientID": ("patient.id",),
    "IssuerOfPatientID": ("patient.issuer_of_id",),
    "PatientBirthDate": ("patient.birth_date",),
    "PatientSex": ("patient.sex",),
    "PatientWeight": ("patient.weight_kg",),
    "ReferringPhysicianName": ("study.referring_physician",),
    "StudyInstanceUID": ("study.instance_uid", "request.study_instance_uid"),
    "ReferencedStudySequence": ("study.referenced_studies", "request.referenced_studies"),
    "AccessionNumber": ("study.accession_number", "request.accession_number"),
    "RequestedProcedureID": ("request.requested_procedure_id", "study.id"),
    "RequestedProcedureDescription": ("request.requested_procedure_description", "study.description"),
    "RequestedProcedureCodeSequence": ("study.procedure_codes", "request.requested_procedure_codes"),
    f"{STEP}ScheduledProcedureStepID": ("request.scheduled_procedure_step_id",),
    f"{STEP}ScheduledProcedureStepDescription": ("request.scheduled_procedure_step_description", "step.description"),
    f"{STEP}ScheduledProtocolCodeSequence": (
        "request.scheduled_protocol_codes",
        "step.performed_protocol_codes",
        "series.protocol_name",
        "performed.protocol_name",
    ),
    f"{STEP}ScheduledPerformingPhysicianName": ("series.performing_physician", "performed.performing_physician"),
}
# What no worklist says, and what is all the same equal in every instance and in the step.
GENERATED: Mapping[str, tuple[str, ...]] = {
    "generated": ("step.id",),
    "generated: start": ("step.start_date", "step.start_time"),
    "generated: instance of the step": ("step.references",),
    "entered or configured": ("series.operator", "performed.operator"),
    "generated: series": ("series.instance_uid", "performed.series_instance_uid"),
    "generated: series description": ("series.description", "performed.series_description"),
}


def mapping(profile: Profile) -> Table:
    """Rows for what is asked of a worklist, then for what the instrument itself makes."""
    image = [row for module in profile.module.values() for row in module.attributes]
    step: list[Attribute] = []
    if profile.mpps is not None:
        step = [*profile.mpps.n_create.attributes, *profile.mpps.n_set.attributes]
    asked = {key.path for key in profile.worklist_keys} | {CHARACTER_SET}
    rows = [
        (_named(path), _using(image, sources), _using(step, sources))
        for path, sources in SOURCES_OF.items()
        if path in asked
    ]
    rows += [(words, _using(image, sources), _using(step, sources)) for words, sources in GENERATED.items()]
    caption = "Attribute mapping between worklist, image and performed procedure step"
    return Table(caption, COLUMNS, tuple(row for row in rows if row[1] or row[2]))


def _using(rows: Iterable[Attribute], sources: tuple[str, ...]) -> str:
    """The attributes that draw on any of the sources, by name and tag, in the order of the sources."""
    found = {source: [row.path for row in rows if row.source == source] for source in sources}
    return "; ".join(dict.fromkeys(_named(path) for paths in found.values() for path in paths))


def _named(path: str) -> str:
    """Such as `Request Attributes Sequence > Accession Number (0008,0050)`."""
    words = path.split(".")
    return " > ".join(attribute_name(word) for word in words) + f" {tag_words(words[-1])}"
