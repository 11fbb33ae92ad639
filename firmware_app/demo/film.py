"""What a grayscale printer is told in one association: PS3.4 Annex H as a state machine, and the page that comes out.

A film session has film boxes, a film box has the image boxes of its display format. Everything is checked as a printer
would: the order, the attributes that must be there, and the values that the standard enumerates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmBox,
    BasicFilmSession,
    BasicGrayscaleImageBox,
)

# PS3.7 annex C
INVALID_ATTRIBUTE_VALUE = 0x0106
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_SOP_CLASS = 0x0118
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
NO_SUCH_ACTION_TYPE = 0x0123
RESOURCE_LIMITATION = 0x0213
# PS3.4 H.4.1.2.4, H.4.2.2.4
SESSION_WITHOUT_FILM_BOXES = 0xC600
EMPTY_PAGE = 0xB603

PRINT = 1  # PS3.4 H.4.1.2.4.1.1
MAX_FILM_BOXES = 20
MAX_IMAGES_SIDE = 10  # 1x1 to 10x10 images on a film
MAX_PIXELS = 64 * 1024 * 1024

DOTS_PER_INCH = 150
FILM_INCHES = {
    "8INX10IN": (8.0, 10.0),
    "10INX12IN": (10.0, 12.0),
    "11INX14IN": (11.0, 14.0),
    "14INX14IN": (14.0, 14.0),
    "14INX17IN": (14.0, 17.0),
    "24CMX24CM": (9.45, 9.45),
    "24CMX30CM": (9.45, 11.81),
    "A4": (8.27, 11.69),
    "A3": (11.69, 16.54),
}
MARGIN = 0.02  # of the film's width around each image

SESSION_VALUES: Mapping[str, tuple[str, ...]] = {
    "PrintPriority": ("HIGH", "MED", "LOW"),
    "MediumType": ("PAPER", "CLEAR FILM", "BLUE FILM", "MAMMO CLEAR FILM", "MAMMO BLUE FILM"),
    "FilmDestination": ("MAGAZINE", "PROCESSOR", *(f"BIN_{number}" for number in range(1, 11))),
}
FILM_VALUES: Mapping[str, tuple[str, ...]] = {
    "FilmOrientation": ("PORTRAIT", "LANDSCAPE"),
    "FilmSizeID": tuple(FILM_INCHES),
    "MagnificationType": ("REPLICATE", "BILINEAR", "CUBIC", "NONE"),
    "Trim": ("YES", "NO"),
}
BOX_VALUES: Mapping[str, tuple[str, ...]] = {
    "Polarity": ("NORMAL", "REVERSE"),
    "MagnificationType": FILM_VALUES["MagnificationType"],
    "RequestedDecimateCropBehavior": ("DECIMATE", "CROP", "FAIL"),
}
# PS3.3 C.13.5, of each image
PIXEL_ATTRIBUTES = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
BIT_DEPTHS = ((8, 8, 7), (16, 12, 11))  # PS3.3 C.13.5: allocated, stored, high bit


class PrintRefused(Exception):
    """A request that the printer does not perform; `status` is its answer."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status = status


@dataclass(slots=True)
class ImageBox:
    position: int
    pixels: npt.NDArray[np.uint8] | None = None  # as it is to be seen: 0 is black
    facts: dict[str, object] = field(default_factory=dict)  # of what was sent, for an event line


@dataclass(slots=True)
class FilmBox:
    attributes: Dataset
    columns: int
    rows: int
    images: dict[str, ImageBox]


@dataclass(frozen=True, slots=True)
class Page:
    """One film as it comes out of the printer."""

    picture: Image.Image
    copies: int
    film_size: str
    images: tuple[dict[str, object], ...]

    @property
    def is_empty(self) -> bool:
        return not self.images


class FilmSession:
    """The one film session of an association, from its N-CREATE to its N-DELETE."""

    def __init__(self) -> None:
        self._uid = ""
        self._attributes = Dataset()
        self._films: dict[str, FilmBox] = {}

    def create(self, sop_class_uid: str, uid: str, attributes: Dataset) -> Dataset:
        """N-CREATE: the attributes of the answer, Affected SOP Instance UID among them. Raises `PrintRefused`."""
        uid = uid or generate_uid()
        answer = Dataset()
        answer.update(attributes)
        answer.AffectedSOPInstanceUID = uid
        if sop_class_uid == BasicFilmSession:
            self._begin(uid, attributes)
        elif sop_class_uid == BasicFilmBox:
            film = self._add_film(uid, attributes)
            answer.ReferencedImageBoxSequence = [_reference(box) for box in film.images]
        else:
            raise PrintRefused(NO_SUCH_SOP_CLASS, "only film sessions and film boxes are created")
        return answer

    def change(self, sop_class_uid: str, uid: str, attributes: Dataset) -> None:
        """N-SET. Raises `PrintRefused`."""
        if sop_class_uid == BasicGrayscaleImageBox:
            film, box = self._image_box(uid)
            _fill(box, attributes, film.columns * film.rows)
        elif sop_class_uid == BasicFilmSession:
            self._check_session(uid)
            _check_values(attributes, SESSION_VALUES)
            self._attributes.update(attributes)
        elif sop_class_uid == BasicFilmBox:
            film = self._film(uid)
            _check_values(attributes, FILM_VALUES)
            film.attributes.update(attributes)
        else:
            raise PrintRefused(NO_SUCH_SOP_CLASS, "nothing of this class can be set")

    def act(self, sop_class_uid: str, uid: str, action_type: int) -> list[Page]:
        """N-ACTION: the pages to print, one for each film box that is meant. Raises `PrintRefused`."""
        if sop_class_uid == BasicFilmBox:
            films = [self._film(uid)]
        elif sop_class_uid == BasicFilmSession:
            self._check_session(uid)
            films = list(self._films.values())
        else:
            raise PrintRefused(NO_SUCH_SOP_CLASS, "only film sessions and film boxes are printed")
        if action_type != PRINT:
            raise PrintRefused(NO_SUCH_ACTION_TYPE, f"action type {action_type}")
        if not films:
            raise PrintRefused(SESSION_WITHOUT_FILM_BOXES, "the film session has no film boxes")
        return [draw_page(film, int(self._attributes.get("NumberOfCopies") or 1)) for film in films]

    def delete(self, sop_class_uid: str, uid: str) -> None:
        """N-DELETE; that of the session deletes its film boxes. Raises `PrintRefused`."""
        if sop_class_uid == BasicFilmBox:
            self._film(uid)
            del self._films[uid]
        elif sop_class_uid == BasicFilmSession:
            self._check_session(uid)
            self._uid = ""
            self._films.clear()
        else:
            raise PrintRefused(NO_SUCH_SOP_CLASS, "only film sessions and film boxes are deleted")

    def _begin(self, uid: str, attributes: Dataset) -> None:
        if self._uid:
            raise PrintRefused(RESOURCE_LIMITATION, "an association has one film session")
        _check_values(attributes, SESSION_VALUES)
        copies = attributes.get("NumberOfCopies")
        if copies is not None and not 1 <= int(copies) <= 99:
            raise PrintRefused(INVALID_ATTRIBUTE_VALUE, f"Number of Copies {copies}")
        self._uid = uid
        self._attributes = attributes

    def _add_film(self, uid: str, attributes: Dataset) -> FilmBox:
        _require(attributes, ("ImageDisplayFormat", "ReferencedFilmSessionSequence"))
        reference = attributes.ReferencedFilmSessionSequence[0]
        _require(reference, ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"))
        if reference.ReferencedSOPClassUID != BasicFilmSession or reference.ReferencedSOPInstanceUID != self._uid:
            raise PrintRefused(INVALID_ATTRIBUTE_VALUE, "the film box refers to another film session")
        if uid in self._films:
            raise PrintRefused(DUPLICATE_SOP_INSTANCE, "there is such a film box")
        if len(self._films) >= MAX_FILM_BOXES:
            raise PrintRefused(RESOURCE_LIMITATION, f"{MAX_FILM_BOXES} film boxes are there")
        _check_values(attributes, FILM_VALUES)
        columns, rows = _layout(attributes)
        images = {str(generate_uid()): ImageBox(position) for position in range(1, columns * rows + 1)}
        film = self._films[uid] = FilmBox(attributes, columns, rows, images)
        return film

    def _check_session(self, uid: str) -> None:
        if not self._uid or uid != self._uid:
            raise PrintRefused(NO_SUCH_SOP_INSTANCE, "no such film session")

    def _film(self, uid: str) -> FilmBox:
        if uid not in self._films:
            raise PrintRefused(NO_SUCH_SOP_INSTANCE, "no such film box")
        return self._films[uid]

    def _image_box(self, uid: str) -> tuple[FilmBox, ImageBox]:
        for film in self._films.values():
            if uid in film.images:
                return film, film.images[uid]
        raise PrintRefused(NO_SUCH_SOP_INSTANCE, "no such image box")


def draw_page(film: FilmBox, copies: int) -> Page:
    """The film as people see it: every image in its cell, as large as it fits."""
    attributes = film.attributes
    film_size = str(attributes.get("FilmSizeID") or "8INX10IN")
    width, height = (round(inches * DOTS_PER_INCH) for inches in FILM_INCHES[film_size])
    if attributes.get("FilmOrientation") == "LANDSCAPE":
        width, height = height, width
    page = Image.new("L", (width, height), 255 if attributes.get("BorderDensity") == "WHITE" else 0)
    margin = round(width * MARGIN)
    cell_width, cell_height = width // film.columns, height // film.rows
    for box in film.images.values():
        if box.pixels is None:
            continue
        picture = Image.fromarray(box.pixels)
        scale = min((cell_width - 2 * margin) / picture.width, (cell_height - 2 * margin) / picture.height)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        row, column = divmod(box.position - 1, film.columns)
        left = column * cell_width + (cell_width - size[0]) // 2
        top = row * cell_height + (cell_height - size[1]) // 2
        page.paste(picture.resize(size, Image.Resampling.BILINEAR), (left, top))
    images = tuple(box.facts for box in film.images.values() if box.pixels is not None)
    return Page(page, copies, film_size, images)


def _fill(box: ImageBox, attributes: Dataset, count: int) -> None:
    """N-SET of an image box; an empty image sequence erases it (PS3.4 H.4.3.1.2.1)."""
    _require(attributes, ("ImageBoxPosition",))
    if "BasicGrayscaleImageSequence" not in attributes:
        raise PrintRefused(MISSING_ATTRIBUTE, "no Basic Grayscale Image Sequence")
    if attributes.ImageBoxPosition != box.position:
        text = f"Image Box Position {attributes.ImageBoxPosition}: this is box {box.position} of {count}"
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, text)
    _check_values(attributes, BOX_VALUES)
    items = attributes.BasicGrayscaleImageSequence
    if not items:
        box.pixels, box.facts = None, {}
        return
    pixels = _pixels(items[0])
    sha256 = hashlib.sha256(pixels.tobytes()).hexdigest()
    bits_stored = int(items[0].BitsStored)
    box.facts = {
        "position": box.position,
        "rows": pixels.shape[0],
        "columns": pixels.shape[1],
        "bits_stored": bits_stored,
        "pixels_sha256": sha256,
    }
    seen = (pixels >> (bits_stored - 8)).astype(np.uint8)
    inverted = (items[0].PhotometricInterpretation == "MONOCHROME1") != (attributes.get("Polarity") == "REVERSE")
    box.pixels = 255 - seen if inverted else seen


def _pixels(image: Dataset) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    _require(image, PIXEL_ATTRIBUTES)
    depth = (image.BitsAllocated, image.BitsStored, image.HighBit)
    if depth not in BIT_DEPTHS or image.PixelRepresentation != 0 or image.SamplesPerPixel != 1:
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, "neither 8 bits nor 12 of 16, one sample, unsigned")
    if image.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        text = f"Photometric Interpretation {image.PhotometricInterpretation}"
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, text)
    rows, columns, data = int(image.Rows), int(image.Columns), bytes(image.PixelData)
    if not 0 < rows * columns <= MAX_PIXELS:
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, f"{columns} x {rows} pixels")
    length = rows * columns * image.BitsAllocated // 8
    if len(data) != length + length % 2:
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, f"Pixel Data of {len(data)} octets, not {length}")
    dtype: type[np.uint8 | np.uint16] = np.uint16 if image.BitsAllocated == 16 else np.uint8
    pixels = np.frombuffer(data[:length], np.dtype(dtype).newbyteorder("<")).reshape(rows, columns)
    if int(pixels.max()) >> image.BitsStored:
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, f"a pixel value above {image.BitsStored} bits")
    return pixels


def _layout(attributes: Dataset) -> tuple[int, int]:
    """Columns and rows of `STANDARD\\C,R` (PS3.3 C.13.3)."""
    value = attributes.ImageDisplayFormat
    kind, _, sides = (value if isinstance(value, str) else "\\".join(value)).partition("\\")
    columns, _, rows = sides.partition(",")
    if kind != "STANDARD" or not (columns.isdigit() and rows.isdigit()):
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, "Image Display Format is not STANDARD\\C,R")
    layout = int(columns), int(rows)
    if not all(1 <= side <= MAX_IMAGES_SIDE for side in layout):
        raise PrintRefused(INVALID_ATTRIBUTE_VALUE, f"Image Display Format {sides}")
    return layout


def _reference(image_box_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = BasicGrayscaleImageBox, image_box_uid
    return item


def _require(attributes: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if keyword not in attributes:
            raise PrintRefused(MISSING_ATTRIBUTE, f"no {dictionary_description(keyword)}")
        if attributes[keyword].is_empty:
            raise PrintRefused(MISSING_ATTRIBUTE_VALUE, f"{dictionary_description(keyword)} without a value")


def _check_values(attributes: Dataset, allowed: Mapping[str, tuple[str, ...]]) -> None:
    for keyword, values in allowed.items():
        value = attributes.get(keyword)
        if value not in (None, "", *values):
            text = f"{dictionary_description(keyword)} {value!r}"
            raise PrintRefused(INVALID_ATTRIBUTE_VALUE, text)
