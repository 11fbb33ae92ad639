"""Image files: PNG, TIFF, JPEG and DICOM to grey pixels. Whatever is wrong with a file is an `ImageFileError`."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.processing import apply_color_lut

FILE_BYTES_MAX = 256 * 2**20
PIXELS_MAX = 64 * 10**6
# BT.601, as Pillow's own conversion; 8-bit weights would lose the low bits of 16-bit colour.
LUMINANCE = np.array([0.299, 0.587, 0.114])
PICTURE_FORMATS = ("PNG", "TIFF", "JPEG")
PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
DICOM_START_BYTES, DICOM_PREFIX = 132, b"DICM"  # PS3.10 7.1
# What the decoders are known to throw at damaged files, beside their own errors. MemoryError: a header that lies.
DECODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    EOFError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
    InvalidDicomError,
    BytesLengthException,
    Image.DecompressionBombError,
)

T = TypeVar("T")
AnyPixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class ImageFileError(ValueError):
    """A file that gives no image; the text is the reason, without the file's name."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """The luminance of one image file. `um_per_px` is None where the file states no scale."""

    pixels: AnyPixels
    bits_stored: int
    um_per_px: float | None


def read_image(file: Path, *, scale_given: bool = False) -> ImageFile:
    """The one image of a file, as luminance. Every problem is an `ImageFileError`.

    With `scale_given` the file's own scale is not looked at, so that an unusable one does not matter.
    """
    return read_file(file, lambda path: read_dicom(path, scale_given), read_picture)


def read_file(file: Path, from_dicom: Callable[[Path], T], from_picture: Callable[[Path], T]) -> T:
    """What the reader for its kind makes of a file. Every problem is an `ImageFileError`, decoders' errors too."""
    with told_as_file_error():
        check_file(file)
        with file.open("rb") as stream:
            is_dicom = starts_dicom(stream.read(DICOM_START_BYTES))
        with warnings.catch_warnings():
            # the decoders warn about oddities they cope with; what they do not cope with is an error
            warnings.simplefilter("ignore")
            return from_dicom(file) if is_dicom else from_picture(file)


def file_octets(file: Path) -> bytes:
    """What is in a file that may be an image, to be read elsewhere. Every problem is an `ImageFileError`."""
    with told_as_file_error():
        check_file(file)
        return file.read_bytes()


@contextmanager
def told_as_file_error() -> Iterator[None]:
    try:
        yield
    except ImageFileError:
        raise
    except UnidentifiedImageError as error:
        raise ImageFileError("the file is none of PNG, TIFF, JPEG and DICOM") from error
    except DECODER_ERRORS as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        detail = (text or type(error).__name__).splitlines()[0]
        raise ImageFileError(f"the file cannot be read as an image: {detail}") from error


def check_file(file: Path) -> None:
    size = file.stat().st_size
    if not file.is_file():
        raise ImageFileError("not a regular file")
    if size == 0:
        raise ImageFileError("the file is empty")
    if size > FILE_BYTES_MAX:
        raise ImageFileError(f"the file is too large: {size} bytes, at most {FILE_BYTES_MAX}")


def starts_dicom(start: bytes) -> bool:
    return start[-len(DICOM_PREFIX) :] == DICOM_PREFIX and len(start) == DICOM_START_BYTES


def holds_image(file: Path) -> bool:
    """Whether the first bytes are those of a format that we read; a file that cannot be opened does, to be refused."""
    try:
        with file.open("rb") as stream:
            start = stream.read(DICOM_START_BYTES)
    except OSError:
        return True
    return start.startswith(PICTURE_STARTS) or starts_dicom(start)


def check_size(rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise ImageFileError(f"the image has no pixels: {columns}x{rows}")
    if rows * columns > PIXELS_MAX:
        raise ImageFileError(f"the image is too large: {columns}x{rows} pixels, at most {PIXELS_MAX}")


def read_picture(file: Path) -> ImageFile:
    with Image.open(file, formats=PICTURE_FORMATS) as picture:
        check_picture(picture)
        return ImageFile(*luminance(picture), None)


def check_picture(picture: Image.Image) -> None:
    check_size(picture.height, picture.width)
    pages = int(getattr(picture, "n_frames", 1))
    if pages != 1 and picture.format != "MPO":  # MPO: a JPEG with previews behind it
        raise ImageFileError(f"the file holds {pages} images, one is expected")


def luminance(picture: Image.Image) -> tuple[AnyPixels, int]:
    """The grey pixels of a picture, and how many bits they have."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise ImageFileError(f"the pixel values {low}..{high} do not fit in 16 bits")
        return values.astype(np.uint16), likely_bits(high)
    if picture.mode == "F":
        raise ImageFileError("floating-point pixels are not supported")
    return np.asarray(picture.convert("L")), 8


def likely_bits(highest: int) -> int:
    """Picture files of more than 8 bits do not say how many the camera used: the smallest usual depth that fits."""
    return next(bits for bits in (8, 10, 12, 14, 16) if highest < 2**bits)


def read_dicom(file: Path, scale_given: bool) -> ImageFile:
    dataset = pydicom.dcmread(file)
    check_dataset(dataset)
    if str(dataset.get("ConversionType", "")) == "WSD":
        raise ImageFileError("a page drawn by a workstation (Conversion Type WSD), not a camera picture")
    scale = None if scale_given else dicom_scale(dataset)
    return ImageFile(*dicom_luminance(dataset), scale)


def check_dataset(dataset: pydicom.Dataset) -> None:
    if "PixelData" not in dataset:
        raise ImageFileError("the DICOM file holds no image: PixelData (7FE0,0010) is missing")
    check_size(int(dataset.Rows), int(dataset.Columns))
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageFileError(f"the DICOM file holds {frames} frames, one is expected")


def dicom_luminance(dataset: pydicom.Dataset) -> tuple[AnyPixels, int]:
    """The grey pixels of a data set with black as 0, and how many bits they have."""
    values = dataset.pixel_array
    bits = int(dataset.BitsStored)
    interpretation = str(dataset.PhotometricInterpretation)
    if interpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        bits = 8 * values.dtype.itemsize
    if values.ndim == 3:
        values = np.rint(values.astype(np.float64) @ LUMINANCE[: values.shape[2]])
    values = values.astype(np.int64)
    if int(dataset.PixelRepresentation) == 1:
        values = values + 2 ** (bits - 1)
    if not 1 <= bits <= 16 or int(values.min()) < 0 or int(values.max()) >= 2**bits:
        raise ImageFileError(f"the pixel values {values.min()}..{values.max()} do not fit in BitsStored {bits}")
    if interpretation == "MONOCHROME1":
        values = 2**bits - 1 - values
    return (values.astype(np.uint8), bits) if bits <= 8 else (values.astype(np.uint16), bits)


def dicom_scale(dataset: pydicom.Dataset) -> float | None:
    """PixelSpacing (0028,0030) in um, None where absent or empty. Not Imager Pixel Spacing: that is the sensor's."""
    spacing = dataset.get("PixelSpacing")
    if not spacing:
        return None
    numbers = [float(value) for value in spacing]
    if len(numbers) != 2 or not all(0 < number < float("inf") for number in numbers):
        raise ImageFileError(f"PixelSpacing (0028,0030) is not usable: {spacing}")
    row_mm, column_mm = numbers
    if abs(row_mm - column_mm) > 0.01 * row_mm:
        raise ImageFileError(f"the pixels are not square: PixelSpacing (0028,0030) is {spacing}")
    return 1e3 * (row_mm + column_mm) / 2
