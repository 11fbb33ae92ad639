"""From recorded pictures and settings to the attributes that a printer gets. Slow: run it in a worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_app.model import Frame
from firmware_app.net.film_print import Film
from firmware_app.objects.film_attributes import film_box_attributes, image_box_attributes
from firmware_app.objects.film_image import FilmPixels, check_size, film_pixels
from firmware_app.objects.film_settings import FilmSettings
from firmware_app.profiles.profile import PrintTables
from firmware_app.report.film_caption import WIDTH_MIN, FilmCaption, draw_caption
from firmware_app.services.film_files import read_film_image


@dataclass(frozen=True, slots=True, eq=False)
class CaptionedFrame:
    """A camera frame, and what stands below it on the film."""

    frame: Frame
    caption: FilmCaption


Picture = Frame | CaptionedFrame | Path


def compose_film(tables: PrintTables, settings: FilmSettings, pictures: Sequence[Picture]) -> Film:
    """One film of these pictures. Raises `NotPrintable` or another ObjectError."""
    images = [
        image_box_attributes(tables, settings, pixels_of(picture), position)
        for position, picture in enumerate(pictures, start=1)
    ]
    return Film(film_box_attributes(tables, settings), images, settings.places)


def pixels_of(picture: Picture) -> FilmPixels:
    if isinstance(picture, Frame):
        return film_pixels(picture.pixels, picture.bits_stored)
    if isinstance(picture, CaptionedFrame):
        return captioned(pixels_of(picture.frame), picture.caption)
    return read_film_image(picture)


def captioned(image: FilmPixels, caption: FilmCaption) -> FilmPixels:
    """The image with every pixel as it is, and the caption below it; a narrow image has black on both sides."""
    rows, columns = image.shape
    width = max(columns, WIDTH_MIN)
    strip = film_pixels(draw_caption(caption, width), 8)
    check_size((rows + strip.shape[0], width))
    film = np.zeros((rows + strip.shape[0], width), np.uint16)
    left = (width - columns) // 2
    film[:rows, left : left + columns] = image
    film[rows:] = strip
    return film
