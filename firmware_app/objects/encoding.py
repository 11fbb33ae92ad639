"""Data sets -> DICOM files (PS3.10)."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from firmware_app.dicom.text_elements import with_text_octets


def encode_part10(dataset: Dataset, as_received: Mapping[str, bytes] | None = None) -> bytes:
    """The file, with preamble and file meta information, in the syntax that its meta information names.

    `as_received`: see `dicom.text_encoder`.
    """
    if "PixelData" in dataset:
        pixel_data = dataset["PixelData"]
        is_encapsulated = bool(dataset.file_meta.TransferSyntaxUID.is_compressed)
        pixel_data.is_undefined_length = is_encapsulated
        # PS3.5 A.1 to A.4: OW in Implicit VR and above 8 bits, OB elsewhere.
        is_words = dataset.file_meta.TransferSyntaxUID.is_implicit_VR or dataset.BitsAllocated > 8
        pixel_data.VR = "OW" if is_words and not is_encapsulated else "OB"
    stream = BytesIO()
    is_implicit_vr = bool(dataset.file_meta.TransferSyntaxUID.is_implicit_VR)
    written = with_text_octets(dataset, implicit_vr=is_implicit_vr, as_received=as_received)
    dcmwrite(stream, written, enforce_file_format=True)
    return stream.getvalue()
