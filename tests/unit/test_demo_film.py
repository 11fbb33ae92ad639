"""The hospital's printer: the order of a print session, its attributes, and the page that comes out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pynetdicom.sop_class import BasicFilmBox, BasicFilmSession, BasicGrayscaleImageBox, PresentationLUT

from firmware_app.demo.film import EMPTY_PAGE, FilmSession, PrintRefused

SESSION, FILM = "1.2.1", "1.2.2"
assert EMPTY_PAGE == 0xB603


def session_attributes(**attributes: object) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def film_attributes(layout: str = "STANDARD\\1,1", session: str = SESSION, **attributes: object) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = BasicFilmSession, session
    made = session_attributes(FilmSizeID="8INX10IN", FilmOrientation="PORTRAIT", **attributes)
    made.ImageDisplayFormat = layout
    made.ReferencedFilmSessionSequence = [reference]
    return made


def image(pixels: np.ndarray, position: int = 1, bits_stored: int = 8, **attributes: object) -> Dataset:
    item = Dataset()
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = pixels.shape
    item.BitsAllocated, item.BitsStored, item.HighBit = pixels.itemsize * 8, bits_stored, bits_stored - 1
    item.PixelRepresentation = 0
    item.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    made = session_attributes(**attributes)
    made.ImageBoxPosition = position
    made.BasicGrayscaleImageSequence = [item]
    return made


class Printing:
    """A session with one film box."""

    def __init__(self, layout: str = "STANDARD\\1,1", **film: object) -> None:
        self.session = FilmSession()
        self.session.create(BasicFilmSession, SESSION, session_attributes(NumberOfCopies="2", PrintPriority="MED"))
        answer = self.session.create(BasicFilmBox, FILM, film_attributes(layout, **film))
        self.boxes = [item.ReferencedSOPInstanceUID for item in answer.ReferencedImageBoxSequence]

    def set_image(self, index: int, attributes: Dataset) -> None:
        self.session.change(BasicGrayscaleImageBox, self.boxes[index], attributes)


def refused(act: Callable[[], object]) -> int:
    with pytest.raises(PrintRefused) as caught:
        act()
    assert str(caught.value)
    return caught.value.status


GREY = np.full((30, 40), 200, np.uint8)


def test_a_page_shows_each_image_in_its_cell() -> None:
    printing = Printing("STANDARD\\2,1")
    printing.set_image(0, image(GREY))
    printing.set_image(1, image(np.full((30, 40), 90 * 16, np.uint16), 2, bits_stored=12))
    (page,) = printing.session.act(BasicFilmBox, FILM, 1)
    assert page.copies == 2
    assert page.picture.size == (1200, 1500)
    assert [page.picture.getpixel((x, 750)) for x in (300, 900)] == [200, 90]
    assert page.picture.getpixel((300, 10)) == 0
    assert [(one["position"], one["bits_stored"]) for one in page.images] == [(1, 8), (2, 12)]


def test_landscape_turns_the_film_and_a_white_border_is_white() -> None:
    printing = Printing(BorderDensity="WHITE")
    printing.session.change(BasicFilmBox, FILM, session_attributes(FilmOrientation="LANDSCAPE"))
    printing.set_image(0, image(GREY))
    (page,) = printing.session.act(BasicFilmSession, SESSION, 1)
    assert page.picture.size == (1500, 1200)
    assert page.picture.getpixel((2, 2)) == 255


@pytest.mark.parametrize(("photometric", "polarity"), [("MONOCHROME1", "NORMAL"), ("MONOCHROME2", "REVERSE")])
def test_an_inverted_image(photometric: str, polarity: str) -> None:
    printing = Printing()
    attributes = image(GREY, Polarity=polarity)
    attributes.BasicGrayscaleImageSequence[0].PhotometricInterpretation = photometric
    printing.set_image(0, attributes)
    (page,) = printing.session.act(BasicFilmBox, FILM, 1)
    assert page.picture.getpixel((600, 750)) == 55


def test_a_page_without_images_is_empty_and_an_image_can_be_erased() -> None:
    printing = Printing()
    assert printing.session.act(BasicFilmBox, FILM, 1)[0].is_empty
    printing.set_image(0, image(GREY))
    assert not printing.session.act(BasicFilmBox, FILM, 1)[0].is_empty
    erased = session_attributes(ImageBoxPosition=1)
    erased.BasicGrayscaleImageSequence = []
    printing.set_image(0, erased)
    assert printing.session.act(BasicFilmBox, FILM, 1)[0].is_empty


def test_the_order_of_a_session() -> None:
    session = FilmSession()
    assert refused(lambda: session.create(BasicFilmBox, FILM, film_attributes())) == 0x0106
    session.create(BasicFilmSession, SESSION, Dataset())
    assert refused(lambda: session.create(BasicFilmSession, "1.2.5", Dataset())) == 0x0213
    assert refused(lambda: session.act(BasicFilmSession, SESSION, 1)) == 0xC600
    assert refused(lambda: session.create(BasicFilmBox, FILM, film_attributes(session="1.2.5"))) == 0x0106
    assert refused(lambda: session.act(BasicFilmBox, FILM, 1)) == 0x0112
    session.create(BasicFilmBox, FILM, film_attributes())
    assert refused(lambda: session.create(BasicFilmBox, FILM, film_attributes())) == 0x0111
    assert refused(lambda: session.act(BasicFilmBox, FILM, 2)) == 0x0123
    session.delete(BasicFilmBox, FILM)
    assert refused(lambda: session.delete(BasicFilmBox, FILM)) == 0x0112
    session.delete(BasicFilmSession, SESSION)
    assert refused(lambda: session.act(BasicFilmSession, SESSION, 1)) == 0x0112


def test_the_session_takes_its_film_boxes_with_it() -> None:
    printing = Printing()
    printing.session.delete(BasicFilmSession, SESSION)
    assert refused(lambda: printing.set_image(0, image(GREY))) == 0x0112


def test_a_uid_that_the_printer_chooses() -> None:
    answer = FilmSession().create(BasicFilmSession, "", Dataset())
    assert answer.AffectedSOPInstanceUID


@pytest.mark.parametrize(
    ("keyword", "value", "status"),
    [
        ("ImageDisplayFormat", None, 0x0121),
        ("ImageDisplayFormat", "ROW\\1,2", 0x0106),
        ("ImageDisplayFormat", "STANDARD\\0,1", 0x0106),
        ("ImageDisplayFormat", "STANDARD\\11,1", 0x0106),
        ("FilmSizeID", "A0", 0x0106),
        ("FilmOrientation", "UPRIGHT", 0x0106),
        ("MagnificationType", "LANCZOS", 0x0106),
        ("ReferencedFilmSessionSequence", [], 0x0121),
    ],
)
def test_a_film_box_that_is_refused(keyword: str, value: object, status: int) -> None:
    session = FilmSession()
    session.create(BasicFilmSession, SESSION, Dataset())
    attributes = film_attributes()
    setattr(attributes, keyword, value)
    assert refused(lambda: session.create(BasicFilmBox, FILM, attributes)) == status
    del attributes[keyword]
    if status == 0x0121:
        assert refused(lambda: session.create(BasicFilmBox, FILM, attributes)) == 0x0120


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PrintPriority", "URGENT"), ("MediumType", "GLASS"), ("FilmDestination", "BIN_0"), ("NumberOfCopies", "0")],
)
def test_a_film_session_that_is_refused(keyword: str, value: object) -> None:
    attributes = session_attributes(**{keyword: value})
    assert refused(lambda: FilmSession().create(BasicFilmSession, SESSION, attributes)) == 0x0106


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BitsStored", 10),
        ("SamplesPerPixel", 3),
        ("PixelRepresentation", 1),
        ("PhotometricInterpretation", "RGB"),
        ("Rows", 31),
        ("PixelData", bytes(7)),
    ],
)
def test_an_image_that_is_refused(keyword: str, value: object) -> None:
    printing = Printing()
    attributes = image(GREY)
    setattr(attributes.BasicGrayscaleImageSequence[0], keyword, value)
    assert refused(lambda: printing.set_image(0, attributes)) == 0x0106
    del attributes.BasicGrayscaleImageSequence[0][keyword]
    assert refused(lambda: printing.set_image(0, attributes)) == 0x0120


def test_a_pixel_above_its_bits_and_a_wrong_position() -> None:
    printing = Printing()
    bright = np.full((2, 2), 4096, np.uint16)
    assert refused(lambda: printing.set_image(0, image(bright, bits_stored=12))) == 0x0106
    assert refused(lambda: printing.set_image(0, image(GREY, position=2))) == 0x0106
    assert refused(lambda: printing.set_image(0, image(GREY, Polarity="INVERSE"))) == 0x0106


def test_other_classes_are_none_of_its_business() -> None:
    session = FilmSession()
    for act in (
        lambda: session.create(PresentationLUT, "1.2", Dataset()),
        lambda: session.change(PresentationLUT, "1.2", Dataset()),
        lambda: session.act(PresentationLUT, "1.2", 1),
        lambda: session.delete(PresentationLUT, "1.2"),
    ):
        assert refused(act) == 0x0118
