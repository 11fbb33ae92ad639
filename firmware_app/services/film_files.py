"""Files to print: PNG, TIFF, JPEG and DICOM, read as film pixels."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom

from firmware_app.objects.errors import ObjectError
from firmware_app.objects.film_image import FILM_BITS, FilmPixels, film_pixels, film_pixels_of
from firmware_app.services.image_files import (
    DECODER_ERRORS,
    FILE_BYTES_MAX,
    ImageFileError,
    read_image,
)

DICOM_PREFIX = slice(128, 132)


class NotPrintable(ValueError):
    """The file gives no film image; the text names it and says why."""


def read_film_image(file: Path) -> FilmPixels:
    """The one image of a file. Raises `NotPrintable`.

    Picture files do not say how many of 16 bits a camera used: up to 12 are taken as they are, so that a dark picture
    stays dark.
    """
    try:
        with file.open("rb") as stream:
            is_dicom = stream.read(DICOM_PREFIX.stop)[DICOM_PREFIX] == b"DICM"
        if is_dicom:
            return _read_dicom(file)
        picture = read_image(file, scale_given=True)
        deep = picture.pixels.dtype == np.uint16
        return film_pixels(picture.pixels, max(picture.bits_stored, FILM_BITS) if deep else picture.bits_stored)
    except OSError as error:
        raise NotPrintable(f"{file}: {error.strerror or error}") from error
    except (ImageFileError, ObjectError) as error:
        raise NotPrintable(f"{file}: {error}") from error


def _read_dicom(file: Path) -> FilmPixels:
    if file.stat().st_size > FILE_BYTES_MAX:
        raise ImageFileError(f"the file is too large: at most {FILE_BYTES_MAX} bytes")
    try:
        with warnings.catch_warnings():
            # pydicom warns about oddities that it copes with; what it does not cope with is an error
            warnings.simplefilter("ignore")
            return film_pixels_of(pydicom.dcmread(file))
    except ObjectError:
        raise
    except DECODER_ERRORS as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise ImageFileError(f"the file cannot be read as an image: {detail}") from error
