"""Patients of an archive as SCU of C-FIND (PS3.4 annex C): in the model and at the level that the profile names.

Patient Root has the level PATIENT: one response is one patient. Study Root has none above STUDY (C.6.2.1): there the
studies of one patient are told as one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from firmware_app.dicom.charset import DEFAULT_FALLBACKS
from firmware_app.dicom.found_patient import read_found_patient
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.model import FoundPatient, Patient
from firmware_app.net.association import ContextPair, associate
from firmware_app.net.find import find
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.query import UNICODE, build_identifier, checked_character_set, composed
from firmware_app.profiles.profile import CharacterSets, PatientQueryModel, QueryKey

DEFAULT_MAX_RESPONSES = 5000
# A study's unique key is asked for at its level (PS3.4 C.4.1.2.1); a patient's is Patient ID, in every table of ours.
UNIQUE_KEYS = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientQuery:
    """Matching keys; an empty one matches everything. Both take the wildcards `*` and `?`."""

    patient_name: str = ""
    patient_id: str = ""

    def values(self) -> dict[str, str]:
        """Keyword of each key that has one to its value."""
        values = {"PatientName": self.patient_name, "PatientID": self.patient_id}
        return composed(values)


def contexts_for(model: PatientQueryModel, contexts: Sequence[ContextPair]) -> tuple[ContextPair, ...]:
    """What is proposed: only the class of the model, whatever else the application entity has."""
    of_model = tuple(pair for pair in contexts if pair[0] == model.abstract_syntax)
    return of_model or ((model.abstract_syntax, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)),)


async def find_patients(
    node: Node,
    local: LocalApplicationEntity,
    query: PatientQuery,
    keys: Sequence[QueryKey],
    model: PatientQueryModel,
    *,
    contexts: Sequence[ContextPair] = (),
    character_sets: CharacterSets = UNICODE,
    preferred_character_set: Sequence[str] = (),
    max_responses: int = DEFAULT_MAX_RESPONSES,
    fallback_character_sets: Sequence[str] = DEFAULT_FALLBACKS,
) -> AsyncGenerator[FoundPatient, None]:
    """The patients as they arrive. NetworkError if the query fails, `QueryRefused` for keys that the profile lacks.

    Close it with `contextlib.aclosing` where it may not be read to its end: that sends C-CANCEL and releases.
    """
    terms = checked_character_set(query.values(), keys, character_sets, preferred_character_set)
    async with associate(node, local, contexts_for(model, contexts)) as association:
        context = association.context(model.abstract_syntax)
        explicit_vr = context.transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN
        identifier = build_identifier(
            query.values(),
            keys,
            explicit_vr=explicit_vr,
            character_set=terms,
            level=model.level,
            unique_key=UNIQUE_KEYS[model.level],
        )
        known: set[Patient] = set()
        async with aclosing(find(association, context, identifier, max_matches=max_responses)) as matches:
            async for match in matches:
                found = read_found_patient(
                    match.identifier, explicit_vr=explicit_vr, fallback_character_sets=fallback_character_sets
                )
                if model.level == "STUDY" and is_same_person_again(found.patient, known):
                    continue
                if match.problems:
                    found = replace(found, problems=(*found.problems, *match.problems))
                yield found


def is_same_person_again(patient: Patient, known: set[Patient]) -> bool:
    """Only where an ID and everything else is equal: without an ID two people may share all the rest."""
    if not patient.patient_id:
        return False
    if patient in known:
        return True
    known.add(patient)
    return False
