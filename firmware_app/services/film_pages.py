"""From recorded pictures and settings to the attributes that a printer gets. Slow: run it in a worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from firmware_app.model import Frame
from firmware_app.net.film_print import Film
from firmware_app.objects.film_attributes import film_box_attributes, image_box_attributes
from firmware_app.objects.film_image import FilmPixels, film_pixels
from firmware_app.objects.film_settings import FilmSettings
from firmware_app.profiles.profile import PrintTables
from firmware_app.services.film_files import read_film_image

Picture = Frame | Path


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
    return read_film_image(picture)
