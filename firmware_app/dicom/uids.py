"""The UIDs that this instrument speaks, and their names for people (PS3.6 annex A)."""

from __future__ import annotations

import re
from typing import Final

_FORM = re.compile(r"[0-9]+(\.[0-9]+)*")
MAX_UID_LENGTH = 64

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
UNCOMPRESSED: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
DECOMPRESSIBLE: Final = frozenset({JPEG_BASELINE, JPEG_2000_LOSSLESS, JPEG_2000, RLE_LOSSLESS})

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
BASIC_GRAYSCALE_PRINT_MANAGEMENT_META: Final = "1.2.840.10008.5.1.1.9"
BASIC_FILM_SESSION: Final = "1.2.840.10008.5.1.1.1"
BASIC_FILM_BOX: Final = "1.2.840.10008.5.1.1.2"
BASIC_GRAYSCALE_IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4"
PRINT_JOB: Final = "1.2.840.10008.5.1.1.14"
PRINTER: Final = "1.2.840.10008.5.1.1.16"
PRINTER_INSTANCE: Final = "1.2.840.10008.5.1.1.17"

NAMES: Final[dict[str, str]] = {
    APPLICATION_CONTEXT: "DICOM Application Context",
    IMPLICIT_VR_LITTLE_ENDIAN: "Implicit VR Little Endian",
    EXPLICIT_VR_LITTLE_ENDIAN: "Explicit VR Little Endian",
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: "Deflated Explicit VR Little Endian",
    EXPLICIT_VR_BIG_ENDIAN: "Explicit VR Big Endian",
    JPEG_BASELINE: "JPEG Baseline",
    JPEG_2000_LOSSLESS: "JPEG 2000 Lossless",
    JPEG_2000: "JPEG 2000",
    RLE_LOSSLESS: "RLE Lossless",
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
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META: "Basic Grayscale Print Management",
    BASIC_FILM_SESSION: "Basic Film Session",
    BASIC_FILM_BOX: "Basic Film Box",
    BASIC_GRAYSCALE_IMAGE_BOX: "Basic Grayscale Image Box",
    PRINT_JOB: "Print Job",
    PRINTER: "Printer",
}


def is_uid(text: str) -> bool:
    """Whether it can be sent as one (PS3.5 9.1). Leading zeros are the business of whoever made it."""
    return len(text) <= MAX_UID_LENGTH and _FORM.fullmatch(text) is not None


def uid_name(uid: str) -> str:
    """The name people know, or the UID itself."""
    return NAMES.get(uid, uid)
