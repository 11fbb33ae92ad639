"""Instances that an archive takes only uncompressed: the same instance in another transfer syntax, pixels unchanged.

What was compressed with loss stays marked as lossy (PS3.3 C.7.6.1.1.5): decoding brings nothing back. So the SOP
Instance UID stays as well: nobody who reads the pixels can tell the two apart.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError

TARGETS = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
# What pydicom and its decoders throw at damaged streams.
DECODER_ERRORS = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    OSError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    InvalidDicomError,
    BytesLengthException,
)


def transcode(data: bytes | Path, transfer_syntax_uid: str) -> bytes:
    """The file in Implicit or Explicit VR Little Endian. Raises ObjectError, also where the file cannot be read."""
    if transfer_syntax_uid not in TARGETS:
        raise ObjectError(f"transfer syntax {transfer_syntax_uid} is not one that files are transcoded to")
    where = str(data) if isinstance(data, Path) else "the instance"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about oddities that pydicom copes with
            dataset = pydicom.dcmread(data if isinstance(data, Path) else BytesIO(data))
            _decompress(dataset)
            dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
            return encode_part10(dataset)
    except DECODER_ERRORS as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise ObjectError(f"{where} cannot be transcoded: {detail}") from error


def _decompress(dataset: FileDataset) -> None:
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        # Colour comes out as RGB: YBR_FULL_422 and YBR_RCT are names for what was inside the compressed stream.
        dataset.decompress(as_rgb=True, generate_instance_uid=False)
