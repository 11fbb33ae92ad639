"""What the records write, and read back: pixels, numbers, mosaics. No files here."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mosaic_samples import same
from PIL import Image

from firmware_app.model import CALCULATION_FAILURE, Measurement, Method, Morphometry, Mosaic, Quality, Refusal
from firmware_app.records import documents
from firmware_app.records.frames import decode_png, encode_png
from firmware_app.records.schema import clock_moment, clock_text

QUALITY = Quality("B", 0.8, 0.7, 0.9, ("a little dark",))
NUMBERS = Morphometry(
    n=1, mean_area_px=400.25, cv_percent=1 / 3, hex_percent=None, n_complete_ring=0, sides={6: 1, 7: 0}
)


def pixels_of(bits: int) -> np.ndarray:
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(bits).integers(0, 1 << bits, (5, 7)).astype(dtype)


@pytest.mark.parametrize("bits", [1, 8, 9, 12, 16])
def test_pixels_come_back_exactly_and_read_only(bits: int) -> None:
    pixels = pixels_of(bits)
    back = decode_png(encode_png(pixels, bits))
    assert back.dtype == pixels.dtype
    assert np.array_equal(back, pixels)
    assert not back.flags.writeable


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_any_16_bit_frame_comes_back_exactly(pixels: np.ndarray) -> None:
    assert np.array_equal(decode_png(encode_png(pixels[::-1, ::-1], 16)), pixels[::-1, ::-1])


@pytest.mark.parametrize(
    ("pixels", "bits"),
    [
        (np.zeros((2, 2), np.uint16), 8),
        (np.zeros((2, 2), np.uint8), 12),
        (np.zeros((2, 2, 3), np.uint8), 8),
        (np.zeros((0, 2), np.uint8), 8),
        (np.zeros((2, 2), np.uint16), 17),
        (np.zeros((2, 2), np.uint8), 0),
        (np.full((2, 2), 4096, np.uint16), 12),
    ],
)
def test_what_is_not_a_frame_is_refused(pixels: np.ndarray, bits: int) -> None:
    with pytest.raises(ValueError, match=f"not a frame of {bits} bits"):
        encode_png(pixels, bits)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not a PNG"),
        (b"not an image", "not a PNG"),
        (encode_png(pixels_of(8), 8)[:-40], "not a PNG"),
        (png(Image.new("RGB", (3, 3))), "not a grey PNG"),
        (png(Image.new("1", (3, 3))), "not a grey PNG"),
    ],
)
def test_other_image_data_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        decode_png(data)


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement(QUALITY, None, NUMBERS, None, 0.25),
        Measurement(QUALITY, None, None, Refusal(CALCULATION_FAILURE, "zu dunkel, 暗い"), 0.0),
    ],
)
def test_numbers_come_back_exactly(measurement: Measurement) -> None:
    numbers = documents.numbers_of(measurement)
    text = documents.encode(numbers).decode()
    assert documents.decode_numbers(text) == numbers
    json.loads(text)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_json_cannot_carry_is_refused_when_written_not_when_read(wrong: float) -> None:
    measurement = Measurement(QUALITY, None, Morphometry(1, wrong, 0.0, None, 0, {}), None)
    with pytest.raises(ValueError, match="MeasurementNumbers cannot be recorded"):
        documents.encode(documents.numbers_of(measurement))


def test_a_mosaic_comes_back_exactly() -> None:
    labels = np.zeros((4, 4), np.int32)
    labels[1:3, 1:3] = 1
    mosaic = Mosaic(labels, np.array([4.0]), np.array([6], np.int32), np.array([[1.5, 1.5]]))
    back = documents.decode_mosaic(documents.encode_mosaic(mosaic))
    for name in ("labels", "area_px", "sides", "centroid_px"):
        assert np.array_equal(getattr(back, name), getattr(mosaic, name))
        assert getattr(back, name).dtype == getattr(mosaic, name).dtype


def test_region_and_guttae_come_back_with_it() -> None:
    labels = np.zeros((4, 4), np.int32)
    labels[1:3, 1:3] = 1
    region, guttae = labels > 0, np.eye(4, dtype=bool)
    mosaic = Mosaic(labels, np.array([4.0]), np.array([6], np.int32), np.array([[1.5, 1.5]]), region, guttae)
    back = documents.decode_mosaic(documents.encode_mosaic(mosaic))
    assert same(back, mosaic)
    assert back.region is not None
    assert back.region.dtype == np.bool_
    alone = documents.decode_mosaic(documents.encode_mosaic(replace(mosaic, guttae=None)))
    assert alone.guttae is None
    assert np.array_equal(alone.region, region)


def test_a_mosaic_of_the_first_release_has_neither() -> None:
    """It wrote these four arrays and nothing else."""
    old = npz(
        labels=np.ones((2, 2), np.int32), area_px=np.array([4.0]), sides=np.array([0], np.int32),
        centroid_px=np.array([[0.5, 0.5]]),
    )  # fmt: skip
    back = documents.decode_mosaic(old)
    assert (back.region, back.guttae) == (None, None)
    assert back.n == 1


def test_numbers_of_the_first_release_are_read() -> None:
    text = (
        '{"quality":{"grade":"B","focus":0.8,"contrast":0.7,"exposure":0.9,"reasons":[]},"morphometry":{"n":1,'
        '"mean_area_px":4.0,"cv_percent":0.0,"hex_percent":null,"n_complete_ring":0,"sides":{"6":0},"um_per_px":0.85,'
        '"cd_per_mm2":2500.5,"area_min_um2":null,"area_max_um2":null,"area_mean_um2":null,"area_sd_um2":null,'
        '"analysed_area_mm2":null,"warnings":["few cells"]},"refusal":null,"seconds":0.25}'
    )
    numbers = documents.decode_numbers(text)
    assert numbers.edit is None
    assert numbers.morphometry is not None
    assert numbers.morphometry.method is Method.AUTOMATIC
    assert numbers.morphometry.cd_interval is None


def npz(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


FOUR = {
    "labels": np.ones((2, 2), np.int32),
    "area_px": np.ones(1),
    "sides": np.zeros(1, np.int32),
    "centroid_px": np.zeros((1, 2)),
}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        npz(labels=np.zeros((2, 2))),
        npz(**FOUR, region=np.ones((2, 3), bool)),
        npz(**FOUR, guttae=np.ones((2, 2))),
    ],
)
def test_what_is_not_a_mosaic_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a mosaic"):
        documents.decode_mosaic(data)


MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2900, 1, 1), timezones=st.timezones())


@given(MOMENTS, MOMENTS)
def test_text_order_of_the_queues_times_is_time_order(one: datetime, other: datetime) -> None:
    assert (clock_text(one) < clock_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))
    assert clock_moment(clock_text(one)) == one.astimezone(UTC)
