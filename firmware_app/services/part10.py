"""What a C-STORE needs to know of a DICOM file before it is sent, read from its beginning only."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from firmware_app.net.storage import InstanceFile

# What pydicom is known to raise at damaged files, beside its own errors.
_DAMAGED = (
    InvalidDicomError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    NotImplementedError,
)


class NotPart10(ValueError):
    """A file that is no DICOM file (PS3.10), or does not say what instance it holds."""


def instance_file(path: Path) -> InstanceFile:
    """The instance in a file. Raises `NotPart10` with the reason, without the file's name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities of a file are the receiver's to judge
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        uids = {
            "SOPClassUID (0008,0016)": dataset.get("SOPClassUID"),
            "SOPInstanceUID (0008,0018)": dataset.get("SOPInstanceUID"),
            "TransferSyntaxUID (0002,0010)": dataset.file_meta.get("TransferSyntaxUID"),
        }
    except _DAMAGED as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NotPart10(f"not a readable DICOM file: {' '.join(text.split()) or type(error).__name__}") from error
    for name, uid in uids.items():
        if not uid:
            raise NotPart10(f"not a DICOM instance: {name} is missing")
    sop_class_uid, sop_instance_uid, transfer_syntax_uid = (str(uid) for uid in uids.values())
    return InstanceFile(
        path=path,
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=transfer_syntax_uid,
    )
