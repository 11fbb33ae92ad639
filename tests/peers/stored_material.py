"""One picture in every transfer syntax that a profile declares, and what an archive must have kept of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from peers_material import SECONDARY_CAPTURE, secondary_capture, write_instances
from pydicom.uid import JPEG2000Lossless, RLELossless

from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    RLE_LOSSLESS,
)

SYNTAXES = {
    "implicit": IMPLICIT_VR_LITTLE_ENDIAN,
    "explicit": EXPLICIT_VR_LITTLE_ENDIAN,
    "jpeg": JPEG_BASELINE,
    "rle": RLE_LOSSLESS,
    "j2k": JPEG_2000_LOSSLESS,
}
# Of a profile: each syntax in a context of its own, in its order.
CONTEXTS = tuple((SECONDARY_CAPTURE, (syntax,)) for syntax in SYNTAXES.values())


def write_all(folder: Path) -> dict[str, Path]:
    written = write_instances(folder)
    pixels = np.random.default_rng(8).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    for name, syntax in (("rle", RLELossless), ("j2k", JPEG2000Lossless)):
        image = secondary_capture(pixels)
        image.compress(syntax, pixels, generate_instance_uid=False)
        written[name] = folder / f"{name}.dcm"
        image.save_as(written[name], enforce_file_format=True)
    return written


def check_same_instance(kept: Path, sent: Path) -> None:
    """The same instance, pixel by pixel, with its UID and whatever it says of lossy compression."""
    theirs, ours = pydicom.dcmread(kept), pydicom.dcmread(sent)
    assert theirs.SOPInstanceUID == ours.SOPInstanceUID
    assert theirs.file_meta.MediaStorageSOPInstanceUID == ours.SOPInstanceUID
    assert theirs.PatientName == ours.PatientName
    for keyword in ("LossyImageCompression", "LossyImageCompressionMethod", "Rows", "Columns", "BitsStored"):
        assert theirs.get(keyword) == ours.get(keyword), keyword
    compressed = ours.file_meta.TransferSyntaxUID.is_compressed
    if theirs.file_meta.TransferSyntaxUID == ours.file_meta.TransferSyntaxUID:
        assert theirs.PixelData == ours.PixelData
    else:
        assert not theirs.file_meta.TransferSyntaxUID.is_compressed
        assert theirs.PhotometricInterpretation == ("RGB" if compressed else ours.PhotometricInterpretation)
        assert np.array_equal(theirs.pixel_array, ours.pixel_array)
