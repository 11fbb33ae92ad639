"""Image files as they are, to be wrapped in objects: their colours, their depth, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image, ImageOps
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from firmware_app.model import Eye
from firmware_app.objects.facts import JPEG_METHOD
from firmware_app.objects.picture import Loss, Pixels
from firmware_app.services.image_files import (
    PICTURE_FORMATS,
    ImageFileError,
    check_dataset,
    check_picture,
    dicom_luminance,
    dicom_scale,
    luminance,
    read_file,
)

GREY_MODES = ("1", "L", "LA", "La", "I", "F")
LOSSY_SYNTAXES = (JPEGBaseline8Bit, JPEGExtended12Bit)


@dataclass(frozen=True, slots=True, eq=False)
class PictureFile:
    """One image of a file. `um_per_px`, `eye` and `taken_at` (ISO 8601 with offset) are None where it does not say."""

    pixels: Pixels  # (rows, columns), or (rows, columns, 3) uint8 RGB where it has colour
    bits_stored: int
    um_per_px: float | None = None
    eye: Eye | None = None
    taken_at: str | None = None
    burned_in: bool = False
    loss: Loss | None = None


def read_picture_file(file: Path) -> PictureFile:
    """The one image of a PNG, TIFF, JPEG or DICOM file. Every problem is an `ImageFileError`."""
    return read_file(file, _dicom, _picture)


def _picture(file: Path) -> PictureFile:
    with Image.open(file, formats=PICTURE_FORMATS) as picture:
        check_picture(picture)
        loss = _loss_of_jpeg(file, picture)
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.partition(";")[0] in GREY_MODES:
            return PictureFile(*_at_least_8_bits(*luminance(upright)), loss=loss)
        return PictureFile(_without_needless_colour(np.asarray(upright.convert("RGB"))), 8, loss=loss)


def _dicom(file: Path) -> PictureFile:
    dataset = pydicom.dcmread(file)
    check_dataset(dataset)
    if str(dataset.PhotometricInterpretation) == "PALETTE COLOR":
        raise ImageFileError("palette colour is not supported")
    pixels: Pixels
    if int(dataset.SamplesPerPixel) == 3:
        if int(dataset.BitsStored) != 8:
            raise ImageFileError(f"colour of {dataset.BitsStored} bits is not supported, only of 8")
        pixels, bits_stored = _without_needless_colour(np.asarray(dataset.pixel_array, np.uint8)), 8
    else:
        pixels, bits_stored = _at_least_8_bits(*dicom_luminance(dataset))
    return PictureFile(
        pixels,
        bits_stored,
        dicom_scale(dataset),
        _eye(dataset),
        _taken_at(dataset),
        str(dataset.get("BurnedInAnnotation", "")) == "YES",
        _loss_of_dicom(dataset),
    )


def _at_least_8_bits(pixels: Pixels, bits_stored: int) -> tuple[Pixels, int]:
    return (pixels, bits_stored) if bits_stored > 8 else ((pixels << (8 - bits_stored)).astype(np.uint8), 8)


def _without_needless_colour(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Many programs export grey pictures as RGB; an object for grey pictures may hold them all the same."""
    red = pixels[:, :, 0]
    is_grey = bool(np.array_equal(red, pixels[:, :, 1]) and np.array_equal(red, pixels[:, :, 2]))
    return np.ascontiguousarray(red) if is_grey else pixels


def _loss_of_jpeg(file: Path, picture: Image.Image) -> Loss | None:
    if picture.format not in ("JPEG", "MPO") and picture.info.get("compression") != "jpeg":
        return None
    octets = picture.height * picture.width * len(picture.getbands())
    return Loss((octets / file.stat().st_size,), (JPEG_METHOD,))


def _loss_of_dicom(dataset: pydicom.Dataset) -> Loss | None:
    if str(dataset.get("LossyImageCompression", "")) == "01":
        ratios = tuple(float(str(ratio)) for ratio in _values(dataset.get("LossyImageCompressionRatio")))
        return Loss(ratios, tuple(str(method) for method in _values(dataset.get("LossyImageCompressionMethod"))))
    if dataset.file_meta.TransferSyntaxUID in LOSSY_SYNTAXES:
        bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsStored)
        return Loss((bits / (8 * len(dataset.PixelData)),), (JPEG_METHOD,))
    return None


def _values(value: object) -> Sequence[object]:
    """A value of any multiplicity as a sequence: pydicom gives None, one value or several."""
    if value is None or value == "":
        return ()
    return value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _eye(dataset: pydicom.Dataset) -> Eye | None:
    said = str(dataset.get("ImageLaterality") or dataset.get("Laterality") or "")
    return Eye(said) if said in tuple(Eye) else None


def _taken_at(dataset: pydicom.Dataset) -> str | None:
    """When it was exposed; the file's time zone, or ours where it names none."""
    for kind in ("Acquisition", "Content"):
        date, time = str(dataset.get(f"{kind}Date") or ""), str(dataset.get(f"{kind}Time") or "")
        zone = str(dataset.get("TimezoneOffsetFromUTC") or "").strip()
        for form in ("%Y%m%d%H%M%S.%f", "%Y%m%d%H%M%S", "%Y%m%d%H%M"):
            try:
                moment = datetime.strptime(date + time + zone, form + ("%z" if zone else ""))
            except ValueError:
                continue
            return (moment if moment.tzinfo else moment.astimezone()).isoformat()
    return None
