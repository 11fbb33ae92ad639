"""Data sets -> DICOM files (PS3.10)."""

from __future__ import annotations

from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset


def encode_part10(dataset: Dataset) -> bytes:
    """The file, with preamble and file meta information, in the syntax that its meta information names."""
    if "PixelData" in dataset:
        pixel_data = dataset["PixelData"]
        is_encapsulated = bool(dataset.file_meta.TransferSyntaxUID.is_compressed)
        pixel_data.is_undefined_length = is_encapsulated
        # PS3.5 A.1 to A.4: OW in Implicit VR and above 8 bits, OB elsewhere.
        is_words = dataset.file_meta.TransferSyntaxUID.is_implicit_VR or dataset.BitsAllocated > 8
        pixel_data.VR = "OW" if is_words and not is_encapsulated else "OB"
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
