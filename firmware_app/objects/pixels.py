"""Pixel arrays <-> the Image Pixel module (PS3.3 C.7.6.3) in each transfer syntax."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from firmware_app.objects.errors import ObjectError
from firmware_app.objects.picture import Pixels

UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
# At 95 the error on specular frames stays below their noise; the statement offers JPEG, but lossless is the default.
JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class EncodedPixels:
    """The values of the Image Pixel module. `lossy_ratio` is None where nothing was lost."""

    data: bytes
    samples_per_pixel: int
    photometric_interpretation: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    lossy_ratio: float | None = None
    derivation: str = ""


def encode_pixels(pixels: Pixels, bits_stored: int, transfer_syntax_uid: str) -> EncodedPixels:
    """The pixels in that syntax. Raises ObjectError for a syntax or an array that no object can hold."""
    _check(pixels, bits_stored)
    if transfer_syntax_uid == JPEGBaseline8Bit:
        return _jpeg(pixels, bits_stored)
    if transfer_syntax_uid not in UNCOMPRESSED:
        raise ObjectError(f"transfer syntax {transfer_syntax_uid} cannot be written")
    bits_allocated = pixels.dtype.itemsize * 8
    raw = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()
    rows, columns, samples = _shape(pixels)
    interpretation = "RGB" if samples == 3 else "MONOCHROME2"
    return EncodedPixels(_even(raw), samples, interpretation, rows, columns, bits_allocated, bits_stored)


def _jpeg(pixels: Pixels, bits_stored: int) -> EncodedPixels:
    eight = pixels if bits_stored == 8 else (pixels >> (bits_stored - 8)).astype(np.uint8)
    rows, columns, samples = _shape(eight)
    stream = BytesIO()
    # 4:2:2 is what YBR_FULL_422 promises (PS3.5 8.2.1).
    options = {"subsampling": 1} if samples == 3 else {}
    Image.fromarray(eight).save(stream, "JPEG", quality=JPEG_QUALITY, **options)
    interpretation = "YBR_FULL_422" if samples == 3 else "MONOCHROME2"
    # Bits, not bytes, are what the compression started from (PS3.3 C.7.6.1.1.5.2).
    ratio = pixels.size * bits_stored / (8 * stream.tell())
    derivation = "" if bits_stored == 8 else f"{bits_stored} stored bits divided by {1 << (bits_stored - 8)} to 8 bits"
    frame = encapsulate([stream.getvalue()], has_bot=True)
    return EncodedPixels(frame, samples, interpretation, rows, columns, 8, 8, ratio, derivation)


def _check(pixels: Pixels, bits_stored: int) -> None:
    expected = np.uint8 if bits_stored == 8 else np.uint16
    if not 8 <= bits_stored <= 16 or pixels.dtype != expected:
        raise ObjectError(f"pixels are {pixels.dtype} where {bits_stored} stored bits need {expected.__name__}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and (pixels.shape[2] != 3 or bits_stored != 8)):
        raise ObjectError(f"pixels of shape {pixels.shape} are neither grey nor 8-bit RGB")
    if not all(1 <= side <= 65535 for side in pixels.shape[:2]):
        raise ObjectError(f"pixels of shape {pixels.shape} do not fit Rows and Columns")
    if bits_stored < 16 and int(pixels.max()) >> bits_stored:
        raise ObjectError(f"a pixel value is above {bits_stored} stored bits")


def _shape(pixels: Pixels) -> tuple[int, int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1]), 3 if pixels.ndim == 3 else 1


def _even(raw: bytes) -> bytes:
    return raw + b"\0" if len(raw) % 2 else raw
