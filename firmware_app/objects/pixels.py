"""Pixel arrays <-> the Image Pixel module (PS3.3 C.7.6.3) in each transfer syntax."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from firmware_app.objects.errors import ObjectError
from firmware_app.objects.picture import Pixels

UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
LOSSLESS = (RLELossless, JPEG2000Lossless)
# At 95 the error on specular frames stays below their noise; the statement offers JPEG, but lossless is the default.
JPEG_QUALITY = 95
# Baseline is 8 bits (ISO 10918-1); the 12 bits of JPEG Extended are another transfer syntax.
JPEG_BITS = 8


@dataclass(frozen=True, slots=True)
class EncodedPixels:
    """The values of the Image Pixel module. `lossy_ratio` is None where nothing was lost now."""

    data: bytes
    samples_per_pixel: int
    photometric_interpretation: str
    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    low: int
    high: int
    lossy_ratio: float | None = None


def bits_at_most(transfer_syntax_uid: str) -> int:
    """The stored bits that a transfer syntax can hold."""
    return JPEG_BITS if transfer_syntax_uid == JPEGBaseline8Bit else 16


def to_depth(pixels: Pixels, bits_stored: int, wanted: int) -> tuple[Pixels, str]:
    """The pixels with `wanted` stored bits, scaled by a power of two, and what was done in words."""
    _check(pixels, bits_stored)
    shift = wanted - bits_stored
    if shift == 0:
        return pixels, ""
    wide = pixels.astype(np.uint16)
    scaled = wide << shift if shift > 0 else wide >> -shift
    stored: Pixels = scaled.astype(np.uint8) if wanted == 8 else scaled.astype(np.uint16)
    changed = f"multiplied by {1 << shift}" if shift > 0 else f"divided by {1 << -shift}"
    return stored, f"{bits_stored} stored bits {changed} to {wanted} bits"


def encode_pixels(pixels: Pixels, bits_stored: int, transfer_syntax_uid: str) -> EncodedPixels:
    """The pixels in that syntax. Raises ObjectError for a syntax or an array that no object can hold."""
    _check(pixels, bits_stored)
    rows, columns, samples = _shape(pixels)
    interpretation = "RGB" if samples == 3 else "MONOCHROME2"
    ratio = None
    if transfer_syntax_uid in UNCOMPRESSED:
        data = _even(np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes())
    elif transfer_syntax_uid in LOSSLESS:
        # The reversible colour transform is half of what JPEG 2000 gains in colour (PS3.5 8.2.4).
        interpretation = "YBR_RCT" if samples == 3 and transfer_syntax_uid == JPEG2000Lossless else interpretation
        data = encapsulate([_lossless(pixels, bits_stored, interpretation, transfer_syntax_uid)], has_bot=True)
    elif transfer_syntax_uid == JPEGBaseline8Bit:
        stream = _jpeg(pixels, bits_stored)
        interpretation = "YBR_FULL_422" if samples == 3 else "MONOCHROME2"
        # Bits, not bytes, are what the compression started from (PS3.3 C.7.6.1.1.5.2).
        ratio = pixels.size * bits_stored / (8 * len(stream))
        data = encapsulate([stream], has_bot=True)
    else:
        raise ObjectError(f"transfer syntax {transfer_syntax_uid} cannot be written")
    return EncodedPixels(
        data,
        samples,
        interpretation,
        rows,
        columns,
        pixels.dtype.itemsize * 8,
        bits_stored,
        int(pixels.min()),
        int(pixels.max()),
        ratio,
    )


def _lossless(pixels: Pixels, bits_stored: int, interpretation: str, transfer_syntax_uid: str) -> bytes:
    # 0.1 s to import, and the default is uncompressed.
    from pydicom.pixels.encoders.base import get_encoder

    rows, columns, samples = _shape(pixels)
    try:
        return get_encoder(transfer_syntax_uid).encode(
            np.ascontiguousarray(pixels),
            encoding_plugin="pylibjpeg",
            rows=rows,
            columns=columns,
            samples_per_pixel=samples,
            planar_configuration=0,
            photometric_interpretation=interpretation,
            number_of_frames=1,
            bits_allocated=pixels.dtype.itemsize * 8,
            bits_stored=bits_stored,
            pixel_representation=0,
        )
    except RuntimeError as error:  # OpenJPEG refuses pictures of fewer pixels than its wavelet has levels
        reason = str(error).splitlines()[-1].strip()
        raise ObjectError(f"a picture of {columns}x{rows} cannot be compressed: {reason}") from error


def _jpeg(pixels: Pixels, bits_stored: int) -> bytes:
    if bits_stored > JPEG_BITS:
        raise ObjectError(f"JPEG Baseline holds {JPEG_BITS} bits, not {bits_stored}")
    stream = BytesIO()
    # 4:2:2 is what YBR_FULL_422 promises (PS3.5 8.2.1).
    options = {"subsampling": 1} if pixels.ndim == 3 else {}
    Image.fromarray(pixels).save(stream, "JPEG", quality=JPEG_QUALITY, **options)
    return stream.getvalue()


def _check(pixels: Pixels, bits_stored: int) -> None:
    expected = _type_of(bits_stored)
    if not 8 <= bits_stored <= 16 or pixels.dtype != expected:
        raise ObjectError(f"pixels are {pixels.dtype} where {bits_stored} stored bits need {expected.__name__}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and (pixels.shape[2] != 3 or bits_stored != 8)):
        raise ObjectError(f"pixels of shape {pixels.shape} are neither grey nor 8-bit RGB")
    if not all(1 <= side <= 65535 for side in pixels.shape[:2]):
        raise ObjectError(f"pixels of shape {pixels.shape} do not fit Rows and Columns")
    if bits_stored < 16 and int(pixels.max()) >> bits_stored:
        raise ObjectError(f"a pixel value is above {bits_stored} stored bits")


def _type_of(bits_stored: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if bits_stored == 8 else np.uint16


def _shape(pixels: Pixels) -> tuple[int, int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1]), 3 if pixels.ndim == 3 else 1


def _even(raw: bytes) -> bytes:
    return raw + b"\0" if len(raw) % 2 else raw
