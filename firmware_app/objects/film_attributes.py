"""The data sets of a film, row by row of the profile's tables (PS3.3 C.13.1, C.13.3 and C.13.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from firmware_app.objects.film_image import FILM_BITS
from firmware_app.objects.film_settings import BadFilm, FilmSettings, check_value
from firmware_app.profiles.profile import PrintAttribute, PrintTables

IMAGE = "BasicGrayscaleImageSequence"
Values = Mapping[str, str | bytes]


def film_session_attributes(tables: PrintTables, settings: FilmSettings) -> Dataset:
    return compose(tables.film_session, settings.attributes())


def film_box_attributes(tables: PrintTables, settings: FilmSettings) -> Dataset:
    """Without the reference to the film session, whose UID the printer gives."""
    return compose(tables.film_box, settings.attributes())


def image_box_attributes(
    tables: PrintTables, settings: FilmSettings, pixels: npt.NDArray[np.uint16], position: int
) -> Dataset:
    """`pixels` are film pixels (rows, columns), 0 black to 4095 white; `position` is from 1 to the film's places."""
    if not 1 <= position <= settings.places:
        raise BadFilm(f"ImageBoxPosition {position} is outside the film's {settings.places} image boxes")
    rows, columns = pixels.shape
    raw = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    image: dict[str, str | bytes] = {
        "SamplesPerPixel": "1",
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": str(rows),
        "Columns": str(columns),
        "PixelAspectRatio": "1\\1",
        "BitsAllocated": "16",
        "BitsStored": str(FILM_BITS),
        "HighBit": str(FILM_BITS - 1),
        "PixelRepresentation": "0",
        "PixelData": raw,
    }
    values: dict[str, str | bytes] = {**settings.attributes(), "ImageBoxPosition": str(position)}
    values |= {f"{IMAGE}.{keyword}": value for keyword, value in image.items()}
    return compose(tables.image_box, values)


def compose(rows: Sequence[PrintAttribute], values: Values) -> Dataset:
    """The rows that have a value, and those mandatory ones that the table gives the only value of."""
    attributes = Dataset()
    for row in rows:
        if row.path.startswith("ReferencedFilmSessionSequence"):
            continue  # the UID in it comes from the printer
        value = values.get(row.path, "")
        if not value and row.usage.startswith("M") and len(row.values) == 1:
            value = row.values[0]
        if isinstance(value, str) and value:
            check_value(row, value)
        if value:
            put(attributes, row.path, value)
    return attributes


def put(attributes: Dataset, path: str, value: str | bytes) -> None:
    parent, _, keyword = path.rpartition(".")
    target = attributes
    if parent:
        if parent not in attributes:
            setattr(attributes, parent, [Dataset()])
        target = attributes[parent].value[0]
    vr = dictionary_VR(keyword)
    if isinstance(value, bytes):
        target.add_new(keyword, "OW", value)
    elif vr == "ST":
        target.add_new(keyword, vr, value)  # of Image Display Format too the backslash is a character
    else:
        values = [int(word) if vr == "US" else word for word in value.split("\\")]
        target.add_new(keyword, vr, values if len(values) > 1 else values[0])
