"""An identifier of a patient query's response becomes a `FoundPatient` (PS3.4 C.6.1.1.2 and C.6.2.1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from firmware_app.dicom.charset import DEFAULT_FALLBACKS
from firmware_app.dicom.elements import read_data_set
from firmware_app.dicom.item_reading import PATIENT_ID, PATIENT_NAME, ItemReading
from firmware_app.model import FoundPatient


def read_found_patient(
    identifier: bytes, *, explicit_vr: bool, fallback_character_sets: Sequence[str] = DEFAULT_FALLBACKS
) -> FoundPatient:
    """One patient for any octets whatsoever."""
    data_set = read_data_set(identifier, explicit_vr=explicit_vr, sequence_tags=frozenset())
    reading = ItemReading(data_set.elements, fallback_character_sets)
    reading.problems += data_set.problems
    patient = reading.patient(data_set.elements)
    reading.require(data_set.elements, (PATIENT_NAME, PATIENT_ID))
    findings: dict[str, Any] = reading.findings()
    return FoundPatient(patient, **findings)
