"""The UIDs that this instrument speaks, and their names for people (PS3.6 annex A)."""

from __future__ import annotations

from typing import Final

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
UNCOMPRESSED: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)

VERIFICATION: Final = "1.2.840.10008.1.1"
MODALITY_WORKLIST_FIND: Final = "1.2.840.10008.5.1.4.31"
PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
COMPUTED_RADIOGRAPHY_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.7"
VISIBLE_LIGHT_PHOTOGRAPHIC_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.4"
OPHTHALMIC_PHOTOGRAPHY_8_BIT_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OPHTHALMIC_PHOTOGRAPHY_16_BIT_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
STORAGE_COMMITMENT_PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
MODALITY_PERFORMED_PROCEDURE_STEP: Final = "1.2.840.10008.3.1.2.3.3"

NAMES: Final[dict[str, str]] = {
    APPLICATION_CONTEXT: "DICOM Application Context",
    IMPLICIT_VR_LITTLE_ENDIAN: "Implicit VR Little Endian",
    EXPLICIT_VR_LITTLE_ENDIAN: "Explicit VR Little Endian",
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: "Deflated Explicit VR Little Endian",
    EXPLICIT_VR_BIG_ENDIAN: "Explicit VR Big Endian",
    JPEG_BASELINE: "JPEG Baseline",
    VERIFICATION: "Verification",
    MODALITY_WORKLIST_FIND: "Modality Worklist FIND",
    PATIENT_ROOT_FIND: "Patient Root FIND",
    STUDY_ROOT_FIND: "Study Root FIND",
    COMPUTED_RADIOGRAPHY_STORAGE: "Computed Radiography Image Storage",
    SECONDARY_CAPTURE_STORAGE: "Secondary Capture Image Storage",
    VISIBLE_LIGHT_PHOTOGRAPHIC_STORAGE: "VL Photographic Image Storage",
    OPHTHALMIC_PHOTOGRAPHY_8_BIT_STORAGE: "Ophthalmic Photography 8 Bit Image Storage",
    OPHTHALMIC_PHOTOGRAPHY_16_BIT_STORAGE: "Ophthalmic Photography 16 Bit Image Storage",
    STORAGE_COMMITMENT_PUSH_MODEL: "Storage Commitment Push Model",
    MODALITY_PERFORMED_PROCEDURE_STEP: "Modality Performed Procedure Step",
}


def uid_name(uid: str) -> str:
    """The name people know, or the UID itself."""
    return NAMES.get(uid, uid)
