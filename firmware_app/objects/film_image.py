"""Pixels for a film: any single image -> (rows, columns) of 12 bits, 0 black to 4095 white (MONOCHROME2).

A film looks like the screen: where a DICOM file asks for a window (VOI LUT module), it is applied, as every viewer
does; where it does not, and for other pictures, the whole range of the stored bits becomes the whole range of the film.
Fewer bits are stretched to the nearest of the 4096 steps, so that black stays black, white stays white and no two grey
levels fall together (8 bits come back exactly by >> 4); 12 bits stay what they are; of more, the lowest are dropped.
Colour becomes luminance (BT.601).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from firmware_app.objects.errors import ObjectError

FILM_BITS: Final = 12
FILM_MAX: Final = (1 << FILM_BITS) - 1
# 35 x 43 cm at 100 um, the largest of the six films, has 15 million; a third of a GB is needed to send twice that.
FILM_PIXELS_MAX: Final = 32 * 10**6
SIDE_MAX: Final = 65535  # Rows and Columns are US
LUMINANCE = np.array([0.299, 0.587, 0.114])

FilmPixels = npt.NDArray[np.uint16]
Values = npt.NDArray[Any]


def film_pixels(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], bits_stored: int) -> FilmPixels:
    """Stored grey values (rows, columns), or 8-bit RGB, to film pixels. Raises ObjectError."""
    check_size(pixels.shape)
    values = luminance(pixels) if pixels.ndim == 3 else pixels
    if not 1 <= bits_stored <= 16 or int(values.max()) >> bits_stored:
        raise ObjectError(f"the pixel values up to {int(values.max())} do not fit in {bits_stored} bits")
    if bits_stored > FILM_BITS:
        return (values >> (bits_stored - FILM_BITS)).astype(np.uint16)
    highest = (1 << bits_stored) - 1
    steps = (np.arange(highest + 1, dtype=np.uint32) * FILM_MAX + highest // 2) // highest
    return steps.astype(np.uint16)[values]


def film_pixels_of(dataset: Dataset) -> FilmPixels:
    """The one frame of a DICOM image as a film shows it. Raises ObjectError, and whatever pydicom's decoders raise."""
    if "PixelData" not in dataset:
        raise ObjectError("the DICOM file holds no image: PixelData (7FE0,0010) is missing")
    check_size((int(dataset.Rows), int(dataset.Columns)))
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ObjectError(f"the DICOM file holds {frames} frames, one is expected")
    check_square(dataset)
    bits = int(dataset.BitsStored)
    values: Values = dataset.pixel_array
    interpretation = str(dataset.PhotometricInterpretation)
    if interpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        bits = 8 * values.dtype.itemsize
    if values.ndim == 3:
        return film_pixels(_unsigned(luminance(values), bits), bits)
    shown = windowed(dataset, values) if has_window(dataset) else _whole_range(dataset, values, bits)
    return FILM_MAX - shown if interpretation == "MONOCHROME1" else shown


def luminance(values: Values) -> FilmPixels:
    weighted: npt.NDArray[np.float64] = values[..., :3].astype(np.float64) @ LUMINANCE
    return np.rint(weighted).astype(np.uint16)


def has_window(dataset: Dataset) -> bool:
    return bool(dataset.get("VOILUTSequence")) or (
        dataset.get("WindowCenter") not in (None, "") and dataset.get("WindowWidth") not in (None, "")
    )


def windowed(dataset: Dataset, stored: Values) -> FilmPixels:
    """The first look that the file offers: its VOI LUT, or else its window (PS3.3 C.11.2)."""
    values = apply_modality_lut(stored, dataset)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return film_pixels(_unsigned(apply_voi(values, dataset), bits), bits)
    center, width = (_first(dataset[keyword].value) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    least = 1.0 if function == "LINEAR" else 0.0
    if not (np.isfinite(center) and np.isfinite(width)) or width < least or width == 0:
        raise ObjectError(f"WindowWidth (0028,1051) is not usable: {width:g}")
    x = values.astype(np.float64)
    if function == "SIGMOID":
        shown = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (x - center) / width, -700, 700)))
    elif function == "LINEAR_EXACT":
        shown = (x - center) / width + 0.5
    else:
        # A width of 1 is a threshold (C.11.2.1.2.1).
        low = center - 0.5 - (width - 1.0) / 2.0
        shown = (x > low).astype(np.float64) if width == 1.0 else (x - (center - 0.5)) / (width - 1.0) + 0.5
    return np.rint(np.clip(shown, 0.0, 1.0) * FILM_MAX).astype(np.uint16)


def _whole_range(dataset: Dataset, stored: Values, bits: int) -> FilmPixels:
    values = stored.astype(np.int64)
    if int(dataset.PixelRepresentation) == 1:
        values += 1 << (bits - 1)
    return film_pixels(_unsigned(values, bits), bits)


def _unsigned(values: Values, bits: int) -> npt.NDArray[np.uint16]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= 1 << min(bits, 16):
        raise ObjectError(f"the pixel values {low}..{high} do not fit in BitsStored {bits}")
    return values.astype(np.uint16)


def _first(value: object) -> float:
    return float(str(value[0] if isinstance(value, MultiValue) else value))


def check_size(shape: tuple[int, ...]) -> None:
    rows, columns = shape[:2]
    if not (1 <= rows <= SIDE_MAX and 1 <= columns <= SIDE_MAX and rows * columns <= FILM_PIXELS_MAX):
        raise ObjectError(f"an image of {columns}x{rows} pixels cannot be printed: 1 to {FILM_PIXELS_MAX} pixels")


def check_square(dataset: Dataset) -> None:
    """A film has square pixels: Pixel Aspect Ratio 1\\1."""
    for keyword in ("PixelAspectRatio", "PixelSpacing"):
        value = dataset.get(keyword)
        if not value:
            continue
        down, across = (float(str(each)) for each in value)
        if abs(down - across) > 0.01 * abs(across):
            raise ObjectError(f"the pixels are not square: {keyword} is {down:g}\\{across:g}")
