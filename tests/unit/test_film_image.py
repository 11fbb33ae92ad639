"""Pixels for a film: twelve bits, exact, and looking as on a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from firmware_app.objects.errors import ObjectError
from firmware_app.objects.film_image import FILM_PIXELS_MAX, film_pixels, film_pixels_of
from firmware_app.services.film_files import NotPrintable, read_film_image

RAMP8 = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP12 = np.arange(4096, dtype=np.uint16).reshape(64, 64)
RAMP16 = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def image(pixels: np.ndarray[Any, Any], bits: int, **attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = pixels.dtype.itemsize * 8, bits, bits - 1
    dataset.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def test_eight_bits_become_twelve_and_come_back() -> None:
    shown = film_pixels(RAMP8, 8)
    assert shown.dtype == np.uint16
    assert (shown.min(), shown.max()) == (0, 4095)
    assert np.array_equal(shown, np.rint(RAMP8.astype(float) * 4095 / 255))
    assert np.array_equal(shown >> 4, RAMP8)
    assert np.array_equal(film_pixels_of(image(RAMP8, 8)), shown)


def test_twelve_bits_stay_and_more_lose_their_lowest() -> None:
    assert np.array_equal(film_pixels(RAMP12, 12), RAMP12)
    assert np.array_equal(film_pixels_of(image(RAMP12, 12)), RAMP12)
    assert np.array_equal(film_pixels(RAMP16, 16), RAMP16 >> 4)
    assert np.array_equal(film_pixels(RAMP16[:64, :256], 14), RAMP16[:64, :256] >> 2)


@pytest.mark.parametrize("bits", range(1, 13))
def test_no_two_grey_levels_fall_together(bits: int) -> None:
    levels = np.arange(1 << bits, dtype=np.uint16).reshape(1, -1)
    shown = film_pixels(levels, bits)
    assert (shown[0, 0], shown[0, -1]) == (0, 4095)
    assert (np.diff(shown[0].astype(int)) > 0).all()


def test_monochrome1_is_turned_over() -> None:
    turned = film_pixels_of(image(RAMP12, 12, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(turned, 4095 - RAMP12)


def test_signed_pixels_have_their_whole_range() -> None:
    signed = (RAMP12.astype(np.int32) - 2048).astype(np.int16)
    assert np.array_equal(film_pixels_of(image(signed, 12)), RAMP12)


def test_colour_is_luminance() -> None:
    colours = np.zeros((1, 4, 3), np.uint8)
    colours[0] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    assert (
        film_pixels_of(image(colours, 8)).tolist() == film_pixels(np.array([[76, 150, 29, 255]], np.uint8), 8).tolist()
    )


def test_a_window_over_everything_changes_nothing() -> None:
    """As our own CR objects have it."""
    assert np.array_equal(film_pixels_of(image(RAMP12, 12, WindowCenter="2048", WindowWidth="4096")), RAMP12)
    eight = film_pixels_of(image(RAMP8, 8, WindowCenter="128", WindowWidth="256"))
    assert np.array_equal(eight, film_pixels(RAMP8, 8))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_of_the_file_is_what_a_film_shows(function: str) -> None:
    from pydicom.pixels.processing import apply_windowing  # another hand than ours

    dataset = image(
        RAMP12, 12, WindowCenter=["1000", "5"], WindowWidth=["600", "9"], VOILUTFunction=function,
        RescaleSlope="2", RescaleIntercept="-500",
    )  # fmt: skip
    shown = film_pixels_of(dataset)
    theirs = apply_windowing(RAMP12.astype(np.float64) * 2 - 500, dataset)
    low, high = theirs.min(), theirs.max()
    if function != "SIGMOID":
        assert np.abs(shown - (theirs - low) / (high - low) * 4095).max() <= 0.51
    middle = shown.ravel()[750]  # 2 x 750 - 500 is the centre
    assert abs(int(middle) - 2048) <= 8
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()
    assert (shown.min(), shown.max()) == (0, 4095)


def test_a_window_of_one_is_a_threshold() -> None:
    shown = film_pixels_of(image(RAMP8, 8, WindowCenter="100", WindowWidth="1")).ravel()
    assert (shown[99], shown[100]) == (0, 4095)


def test_a_lookup_table_of_the_file_comes_first() -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = np.arange(255, -1, -1, dtype="<u2").tobytes()
    table["LUTData"].VR = "OW"
    dataset = image(RAMP8, 8, VOILUTSequence=[table], WindowCenter="10", WindowWidth="2")
    assert np.array_equal(film_pixels_of(dataset), film_pixels(255 - RAMP8, 8))


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"NumberOfFrames": "3"}, "holds 3 frames, one is expected"),
        ({"PixelAspectRatio": ["1", "2"]}, "not square: PixelAspectRatio is 1"),
        ({"PixelSpacing": ["0.1", "0.2"]}, "not square: PixelSpacing is 0.1"),
        ({"Rows": 65535, "Columns": 65535}, "an image of 65535x65535 pixels cannot be printed"),
        ({"Rows": 0}, "cannot be printed"),
        ({"WindowCenter": "1", "WindowWidth": "0"}, "WindowWidth .* is not usable"),
        ({"WindowCenter": "1", "WindowWidth": "-4", "VOILUTFunction": "SIGMOID"}, "WindowWidth .* is not usable"),
    ],
)
def test_what_cannot_be_printed(attributes: dict[str, object], why: str) -> None:
    with pytest.raises(ObjectError, match=why):
        film_pixels_of(image(RAMP8, 8, **attributes))


def test_an_array_that_is_too_large_or_too_deep() -> None:
    with pytest.raises(ObjectError, match="cannot be printed"):
        film_pixels(np.broadcast_to(np.uint8(0), (FILM_PIXELS_MAX // 1000 + 1, 1000)), 8)
    with pytest.raises(ObjectError, match="do not fit in 8 bits"):
        film_pixels(RAMP12, 8)


def test_files(tmp_path: Path) -> None:
    Image.fromarray(RAMP8).save(tmp_path / "eight.png")
    assert np.array_equal(read_film_image(tmp_path / "eight.png"), film_pixels(RAMP8, 8))
    Image.fromarray(RAMP12).save(tmp_path / "twelve.tif")
    assert np.array_equal(read_film_image(tmp_path / "twelve.tif"), RAMP12)
    Image.fromarray(RAMP16).save(tmp_path / "sixteen.png")
    assert np.array_equal(read_film_image(tmp_path / "sixteen.png"), RAMP16 >> 4)
    dark = np.full((4, 4), 200, np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert np.array_equal(read_film_image(tmp_path / "dark.png"), dark)  # a dark picture stays dark
    image(RAMP12, 12).save_as(tmp_path / "image.dcm", enforce_file_format=True)
    assert np.array_equal(read_film_image(tmp_path / "image.dcm"), RAMP12)
    Image.fromarray(RAMP8).save(tmp_path / "lossy.jpg", quality=95)
    assert read_film_image(tmp_path / "lossy.jpg").shape == (16, 16)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "empty"), (b"no image", "none of PNG, TIFF, JPEG and DICOM"), (b"\0" * 128 + b"DICM", "cannot be|no image")],
)
def test_files_that_are_none(content: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(NotPrintable, match=f"{file}: .*({why})"):
        read_film_image(file)
    with pytest.raises(NotPrintable, match=r"absent: No such file"):
        read_film_image(tmp_path / "absent")
