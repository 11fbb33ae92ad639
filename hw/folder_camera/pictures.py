"""Image files as frames: grey PNG, TIFF and JPEG of 8 to 16 bits, through Pillow. Blocking: called in a thread."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg"})
FORMATS = ("PNG", "TIFF", "JPEG")
MAX_FILES = 10_000
MAX_FILE_BYTES = 256 * 2**20
MAX_SIDE = 8192
# What Pillow raises at damaged files.
DECODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    EOFError,
    MemoryError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


class PictureError(ValueError):
    """A file that gives no frame; the text is the reason, without the file's name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the head of a file says. `is_deep`: more than 8 bits a pixel, how many the file does not say."""

    width: int
    height: int
    is_deep: bool


def image_files(folder: Path) -> list[Path]:
    """The picture files of a folder in name order, without its subfolders. OSError where it cannot be listed."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: path.name)[:MAX_FILES]


def read_shape(path: Path) -> Shape:
    """From the head of a file alone. `PictureError` where it is no picture that can be played."""
    return _read(path, decode=False)[1]


def read_pixels(path: Path, bits_stored: int) -> Pixels:
    """(rows, columns), read-only, values below 2**bits_stored. `PictureError` for a damaged or unsuitable file."""
    pixels, shape = _read(path, decode=True)
    if shape.is_deep is not (bits_stored > 8):
        raise PictureError(f"{'more than 8' if shape.is_deep else '8'} bits a pixel, {bits_stored} are configured")
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >> bits_stored:
        raise PictureError(f"pixel values of {low} to {high}, {bits_stored} bits are configured")
    kept: Pixels = pixels.astype(np.uint16, copy=False) if shape.is_deep else pixels.astype(np.uint8, copy=False)
    kept.flags.writeable = False
    return kept


def _read(path: Path, *, decode: bool) -> tuple[Pixels, Shape]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PictureError(f"larger than {MAX_FILE_BYTES} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities that Pillow copes with
            with Image.open(path, formats=FORMATS) as picture:
                shape = _shape(picture)
                return (_grey(picture) if decode else np.empty((0, 0), np.uint8)), shape
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError("none of PNG, TIFF and JPEG") from error
    except DECODER_ERRORS as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PictureError(" ".join(text.split()) or type(error).__name__) from error


def _shape(picture: Image.Image) -> Shape:
    if not (0 < picture.width <= MAX_SIDE and 0 < picture.height <= MAX_SIDE):
        raise PictureError(f"{picture.width}x{picture.height} px: up to {MAX_SIDE}x{MAX_SIDE} can be played")
    if picture.mode == "F":
        raise PictureError("floating-point pixels")
    return Shape(picture.width, picture.height, picture.mode.startswith("I"))


def _grey(picture: Image.Image) -> Pixels:
    return np.array(picture if picture.mode.startswith("I") else picture.convert("L"))
