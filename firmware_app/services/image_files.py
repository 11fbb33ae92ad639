"""Measure image files: read PNG, TIFF, JPEG and DICOM, and write one result, label image and overlay per file.

A file that cannot be read is a result too: status `refused` with the file's problem as the reason. Only a fault of
the caller (`OutputClash`, a bad scale) or of the output folder (`OSError`) stops the run.
"""

from __future__ import annotations

import contextlib
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.processing import apply_color_lut

from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import Measurement, Morphometry
from firmware_app.report.overlay import draw_overlay

FILE_BYTES_MAX = 256 * 2**20
PIXELS_MAX = 64 * 10**6
# BT.601, as Pillow's own conversion; 8-bit weights would lose the low bits of 16-bit colour.
LUMINANCE = np.array([0.299, 0.587, 0.114])
PICTURE_FORMATS = ("PNG", "TIFF", "JPEG")
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


class OutputClash(ValueError):
    """Two outputs would have the same name, or an output would overwrite an input."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageFile:
    """The luminance of one image file. `um_per_px` is None where the file states no scale."""

    pixels: AnyPixels
    bits_stored: int
    um_per_px: float | None


def analyze_files(
    paths: Sequence[str | Path],
    *,
    um_per_px: float | None = None,
    labels_dir: str | Path | None = None,
    overlay_dir: str | Path | None = None,
    parameters: Parameters | None = None,
) -> Iterator[dict[str, object]]:
    """One result per file, in order, with the keys of the command line's table; a given scale overrules the file's.

    Raises `OutputClash` or `ValueError` before the first file is read, `OSError` when an output cannot be written.
    """
    if um_per_px is not None and not 0 < um_per_px < float("inf"):
        raise ValueError(f"um_per_px must be positive, not {um_per_px}")
    files = [Path(path) for path in paths]
    folders = [None if folder is None else Path(folder) for folder in (labels_dir, overlay_dir)]
    check_outputs(files, [folder for folder in folders if folder is not None])
    for folder in folders:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    labels, overlay = folders
    return (analyze_file(file, um_per_px, labels, overlay, parameters or Parameters()) for file in files)


def check_outputs(files: Sequence[Path], folders: Sequence[Path]) -> None:
    """Refuse any set of arguments under which one file would be written twice or an input overwritten."""
    writers: dict[Path, Path] = {}
    inputs = {file.resolve() for file in files}
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise OutputClash(f"labels and overlays need two different folders, not both {folders[0]}")
    for folder in folders:
        for file in files:
            target = output_path(folder, file).resolve()
            if target in inputs:
                raise OutputClash(f"{output_path(folder, file)} would overwrite an input image")
            earlier = writers.setdefault(target, file)
            if earlier.resolve() != file.resolve():
                raise OutputClash(f"{earlier} and {file} would both write {output_path(folder, file)}")


def output_path(folder: Path, file: Path) -> Path:
    return folder / f"{file.stem}.png"


def analyze_file(
    file: Path, um_per_px: float | None, labels_dir: Path | None, overlay_dir: Path | None, parameters: Parameters
) -> dict[str, object]:
    """Read, measure and write one file. `seconds` covers reading and measuring, not the writing of pictures."""
    began = time.perf_counter()
    targets = [output_path(folder, file) for folder in (labels_dir, overlay_dir) if folder is not None]
    for target in targets:
        # what an earlier run left there is not the result of this one
        target.unlink(missing_ok=True)
    try:
        image = read_image(file, scale_given=um_per_px is not None)
    except ImageFileError as problem:
        return result_row(file, None, str(problem), um_per_px, time.perf_counter() - began)
    scale = um_per_px if um_per_px is not None else image.um_per_px
    measurement = measure(image.pixels, image.bits_stored, scale, parameters)
    seconds = time.perf_counter() - began
    if labels_dir is not None and measurement.mosaic is not None:
        save_png(Image.fromarray(measurement.mosaic.labels.astype(np.uint16)), output_path(labels_dir, file))
    if overlay_dir is not None:
        picture = draw_overlay(image.pixels, image.bits_stored, measurement)
        save_png(Image.fromarray(picture), output_path(overlay_dir, file))
    return result_row(file, measurement, "", scale, seconds)


def result_row(
    file: Path, measurement: Measurement | None, file_problem: str, um_per_px: float | None, seconds: float
) -> dict[str, object]:
    """The row of the command line's table; every key is always there, null where there is no number."""
    numbers = measurement.morphometry if measurement is not None else None
    reason = file_problem
    if measurement is not None and measurement.refusal is not None:
        reason = measurement.refusal.reason
    elif numbers is not None:
        reason = "; ".join(numbers.warnings)
    return {
        "file": str(file),
        "status": "refused" if numbers is None else "ok",
        "reason": reason or None,
        "cd_per_mm2": numbers and numbers.cd_per_mm2,
        "cv_percent": numbers and numbers.cv_percent,
        "hex_percent": numbers and numbers.hex_percent,
        "n": numbers and numbers.n,
        "area_um2": numbers and area_row(numbers),
        "sides": numbers and {str(number): count for number, count in numbers.sides.items()},
        "analysed_area_mm2": numbers and numbers.analysed_area_mm2,
        "quality": measurement and measurement.quality.grade,
        "um_per_px": um_per_px,
        "mean_area_px": numbers and numbers.mean_area_px,
        "seconds": seconds,
    }


def area_row(numbers: Morphometry) -> dict[str, float | None] | None:
    if numbers.area_mean_um2 is None:
        return None
    return {
        "min": numbers.area_min_um2,
        "max": numbers.area_max_um2,
        "mean": numbers.area_mean_um2,
        "sd": numbers.area_sd_um2,
    }


def save_png(picture: Image.Image, path: Path) -> None:
    """Write beside and rename, so that a stopped run leaves whole files or none."""
    part = path.with_name(path.name + ".part")
    try:
        picture.save(part, format="PNG")
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def read_image(file: Path, *, scale_given: bool = False) -> ImageFile:
    """The one image of a file, as luminance. Every problem is an `ImageFileError`.

    With `scale_given` the file's own scale is not looked at, so that an unusable one does not matter.
    """
    return read_file(file, lambda path: read_dicom(path, scale_given), read_picture)


def read_file(file: Path, from_dicom: Callable[[Path], T], from_picture: Callable[[Path], T]) -> T:
    """What the reader for its kind makes of a file. Every problem is an `ImageFileError`, decoders' errors too."""
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise ImageFileError("not a regular file")
        if size == 0:
            raise ImageFileError("the file is empty")
        if size > FILE_BYTES_MAX:
            raise ImageFileError(f"the file is too large: {size} bytes, at most {FILE_BYTES_MAX}")
        with file.open("rb") as stream:
            is_dicom = stream.read(132)[128:] == b"DICM"
        with warnings.catch_warnings():
            # the decoders warn about oddities they cope with; what they do not cope with is an error
            warnings.simplefilter("ignore")
            return from_dicom(file) if is_dicom else from_picture(file)
    except ImageFileError:
        raise
    except UnidentifiedImageError as error:
        raise ImageFileError("the file is none of PNG, TIFF, JPEG and DICOM") from error
    except DECODER_ERRORS as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        detail = (text or type(error).__name__).splitlines()[0]
        raise ImageFileError(f"the file cannot be read as an image: {detail}") from error


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
