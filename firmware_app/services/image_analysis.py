"""One image file to its result: the row, and the pictures that were asked for, as PNG. Writes nothing.

A file that cannot be read, and a fault of our own on one odd image, are results too: status `refused` with the reason.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.parameters import Parameters
from firmware_app.model import CALCULATION_FAILURE
from firmware_app.report.review import draw_review
from firmware_app.services.analysis_rows import Row, measured_row, unmeasured_row
from firmware_app.services.image_files import ImageFile, ImageFileError, read_image


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of every image; a given scale overrules the file's."""

    um_per_px: float | None = None
    labels: bool = False
    overlay: bool = False
    parameters: Parameters | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The row and the pictures, PNG; None where none was asked for or there are no cells to label.

    `lost`: whoever measured it went away, so that the row says nothing about the image.
    """

    row: Row
    labels: bytes | None = None
    overlay: bytes | None = None
    lost: bool = False


def lost(name: Path, reason: str, wanted: Wanted) -> Answer:
    return Answer(unmeasured_row(name, reason, wanted.um_per_px, 0.0, CALCULATION_FAILURE), lost=True)


def answer(name: Path, wanted: Wanted, content: Path | None = None) -> Answer:
    """Of the file `name`, whose octets may lie elsewhere. `seconds` covers reading and measuring, not the pictures."""
    began = time.perf_counter()
    try:
        image = read_image(content or name, scale_given=wanted.um_per_px is not None)
    except ImageFileError as problem:
        return Answer(unmeasured_row(name, str(problem), wanted.um_per_px, time.perf_counter() - began))
    scale = wanted.um_per_px if wanted.um_per_px is not None else image.um_per_px
    try:
        return measured(name, image, scale, wanted, began)
    except Exception as error:  # noqa: BLE001 - one odd image must not end the run over all others
        reason = f"the analysis failed on this image: {type(error).__name__}: {error}"
        return Answer(unmeasured_row(name, reason, scale, time.perf_counter() - began, CALCULATION_FAILURE))


def measured(name: Path, image: ImageFile, scale: float | None, wanted: Wanted, began: float) -> Answer:
    measurement = measure(image.pixels, image.bits_stored, scale, wanted.parameters)
    row = measured_row(name, measurement, scale, time.perf_counter() - began)
    labels = overlay = None
    if wanted.labels and measurement.mosaic is not None:
        labels = png(measurement.mosaic.labels.astype(np.uint16))
    if wanted.overlay:
        overlay = png(draw_review(image.pixels, image.bits_stored, measurement, name.name, scale))
    return Answer(row, labels, overlay)


def png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()
