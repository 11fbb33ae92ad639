from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from objects_samples import build, camera, frame, image_file, read_back, report
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.picture import Picture
from firmware_app.objects.pixels import encode_pixels, to_depth

LOSSLESS = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
@pytest.mark.parametrize("bits_stored", [8, 12])
def test_pixels_come_back_equal(syntax: str, bits_stored: int) -> None:
    dataset = read_back(build(camera(bits_stored), transfer_syntax_uid=syntax))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.BitsAllocated == (8 if bits_stored == 8 else 16)
    assert (dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation) == (bits_stored, bits_stored - 1, 0)
    assert (dataset.SamplesPerPixel, dataset.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert "PlanarConfiguration" not in dataset
    assert len(dataset.PixelData) % 2 == 0
    assert np.array_equal(dataset.pixel_array, frame(bits_stored))


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
def test_a_page_comes_back_equal(syntax: str) -> None:
    picture = report()
    dataset = read_back(build(picture, transfer_syntax_uid=syntax))
    assert (dataset.SamplesPerPixel, dataset.PlanarConfiguration) == (3, 0)
    assert dataset.PhotometricInterpretation == ("YBR_RCT" if syntax == JPEG2000Lossless else "RGB")
    assert dataset.LossyImageCompression == "00"
    assert "LossyImageCompressionRatio" not in dataset
    assert np.array_equal(dataset.pixel_array, picture.pixels)


@pytest.mark.parametrize("picture", [camera(8), camera(12), report()], ids=["8bit", "12bit", "colour"])
def test_pillow_reads_the_jpeg_2000_stream(picture: Picture) -> None:
    dataset = read_back(build(picture, transfer_syntax_uid=JPEG2000Lossless))
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    shown = np.asarray(Image.open(BytesIO(stream))).astype(int)
    # Pillow spreads the bits of a grey picture over all 16.
    assert np.array_equal(shown >> (4 if picture.bits_stored == 12 else 0), picture.pixels)


@pytest.mark.parametrize("shape", [(1, 64), (3, 3)])
def test_a_picture_too_small_for_jpeg_2000_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ObjectError, match="cannot be compressed"):
        encode_pixels(np.zeros(shape, np.uint8), 8, JPEG2000Lossless)


@pytest.mark.parametrize(
    ("bits", "wanted", "highest", "words"),
    [
        (8, 8, 255, ""),
        (8, 12, 255 << 4, "8 stored bits multiplied by 16 to 12 bits"),
        (12, 8, 4095 >> 4, "12 stored bits divided by 16 to 8 bits"),
        (12, 16, 4095 << 4, "12 stored bits multiplied by 16 to 16 bits"),
        (16, 12, 65535 >> 4, "16 stored bits divided by 16 to 12 bits"),
        (10, 12, 1023 << 2, "10 stored bits multiplied by 4 to 12 bits"),
    ],
)
def test_a_depth_is_reached_by_a_shift_that_is_said(bits: int, wanted: int, highest: int, words: str) -> None:
    pixels = np.array([[0, (1 << bits) - 1]], np.uint8 if bits == 8 else np.uint16)
    scaled, done = to_depth(pixels, bits, wanted)
    assert scaled.dtype == (np.uint8 if wanted == 8 else np.uint16)
    assert scaled.tolist() == [[0, highest]]
    assert done == words


@pytest.mark.parametrize(
    ("setting", "bits", "stored", "words"),
    [
        ("OP", 8, (8, 8, 7), None),
        ("OP", 12, (16, 16, 15), "12 stored bits multiplied by 16 to 16 bits"),
        ("XC", 12, (8, 8, 7), "12 stored bits divided by 16 to 8 bits"),
        ("CR", 8, (16, 12, 11), "8 stored bits multiplied by 16 to 12 bits"),
        ("CR", 12, (16, 12, 11), None),
        ("SC", 12, (16, 12, 11), None),
    ],
)
def test_each_object_has_its_depth(setting: str, bits: int, stored: tuple[int, int, int], words: str | None) -> None:
    dataset = read_back(build(camera(bits), storage_setting=setting))
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == stored
    assert dataset.get("DerivationDescription") == words
    shift = stored[1] - bits
    wide = frame(bits).astype(int)
    assert np.array_equal(dataset.pixel_array, wide << shift if shift > 0 else wide >> -shift)


def test_jpeg_makes_a_deep_frame_an_8_bit_photograph_and_is_no_radiograph() -> None:
    dataset = read_back(build(camera(12), storage_setting="OP", transfer_syntax_uid=JPEGBaseline8Bit))
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    assert dataset.DerivationDescription == "12 stored bits divided by 16 to 8 bits"
    with pytest.raises(ObjectError, match=r"Computed Radiography Image: has 12 stored bits, and JPEG Base.* has 8"):
        build(camera(12), storage_setting="CR", transfer_syntax_uid=JPEGBaseline8Bit)


def test_a_grey_object_refuses_colour() -> None:
    colour = replace(image_file(), pixels=report().pixels)
    with pytest.raises(ObjectError, match="Computed Radiography Image: colour pictures are not for this object"):
        build(colour, storage_setting="CR")
    assert read_back(build(colour, storage_setting="OP")).PhotometricInterpretation == "RGB"


def test_a_radiograph_has_a_window_over_its_values() -> None:
    pixels = np.tile(np.linspace(100, 1123, 64).astype(np.uint16), (40, 1))
    dataset = read_back(build(replace(camera(12), pixels=pixels), storage_setting="CR"))
    # PS3.3 C.11.2.1.2.1: black up to c - 0.5 - (w - 1)/2, white from c - 0.5 + (w - 1)/2.
    center, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    assert (center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2) == (100, 1123)
    assert (dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType) == (0, 1, "US")


def test_loss_before_us_stays_said_and_ours_is_added() -> None:
    dataset = read_back(build(image_file()))
    assert dataset.LossyImageCompression == "01"
    assert (dataset.LossyImageCompressionRatio, dataset.LossyImageCompressionMethod) == (12.5, "ISO_10918_1")
    again = read_back(build(image_file(), transfer_syntax_uid=JPEGBaseline8Bit))
    assert list(again.LossyImageCompressionMethod) == ["ISO_10918_1"] * 2
    assert again.LossyImageCompressionRatio[0] == 12.5
    assert again.LossyImageCompressionRatio[1] < 12.5


def jpeg_of(dataset: object) -> Image.Image:
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)  # type: ignore[attr-defined]
    return Image.open(BytesIO(stream))


def test_a_jpeg_is_marked_lossy_with_ratio_and_method() -> None:
    smooth = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    encoded = encode_pixels(smooth, 8, JPEGBaseline8Bit)
    dataset = read_back(build(camera(), transfer_syntax_uid=JPEGBaseline8Bit))
    assert dataset.LossyImageCompression == "01"
    assert dataset.LossyImageCompressionMethod == "ISO_10918_1"
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    assert dataset.LossyImageCompressionRatio == pytest.approx(33 * 47 / len(stream), abs=0.01)
    (plain,) = generate_frames(encoded.data, number_of_frames=1)
    shown = np.asarray(Image.open(BytesIO(plain)))
    assert int(np.abs(shown.astype(int) - smooth).max()) <= 4


def test_a_12_bit_frame_in_jpeg_is_scaled_and_says_so() -> None:
    dataset = read_back(build(camera(12), transfer_syntax_uid=JPEGBaseline8Bit))
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (8, 8, 7)
    assert dataset.DerivationDescription == "12 stored bits divided by 16 to 8 bits"
    assert jpeg_of(dataset).mode == "L"


def test_12_bits_are_scaled_to_8_from_the_top() -> None:
    deep = np.repeat(np.repeat(np.array([[0, 1024, 2048, 4095]], np.uint16), 16, axis=0), 16, axis=1)
    eight, done = to_depth(deep, 12, 8)
    assert done == "12 stored bits divided by 16 to 8 bits"
    (stream,) = generate_frames(encode_pixels(eight, 8, JPEGBaseline8Bit).data, number_of_frames=1)
    shown = np.asarray(Image.open(BytesIO(stream)))[8, 8::16].astype(int)
    assert np.abs(shown - [0, 64, 128, 255]).max() <= 2


def test_a_colour_jpeg_is_ybr_422_as_it_says() -> None:
    dataset = read_back(build(report(), transfer_syntax_uid=JPEGBaseline8Bit))
    assert dataset.PhotometricInterpretation == "YBR_FULL_422"
    picture = jpeg_of(dataset)
    assert picture.layer[0][1:3] == (2, 1)  # type: ignore[attr-defined]
    assert dataset.pixel_array.shape == (37, 35, 3)


@pytest.mark.parametrize(
    ("pixels", "bits_stored", "message"),
    [
        (np.zeros((4, 4), np.uint16), 8, "8 stored bits need uint8"),
        (np.zeros((4, 4), np.uint8), 12, "12 stored bits need uint16"),
        (np.full((4, 4), 4096, np.uint16), 12, "above 12 stored bits"),
        (np.zeros((4, 4, 4), np.uint8), 8, "neither grey nor 8-bit RGB"),
        (np.zeros((4, 4, 3), np.uint16), 12, "neither grey nor 8-bit RGB"),
        (np.zeros((0, 4), np.uint8), 8, "do not fit Rows and Columns"),
        (np.zeros((1, 65536), np.uint8), 8, "do not fit Rows and Columns"),
    ],
)
def test_pixels_that_no_object_can_hold_are_refused(pixels: np.ndarray, bits_stored: int, message: str) -> None:
    with pytest.raises(ObjectError, match=message):
        encode_pixels(pixels, bits_stored, ImplicitVRLittleEndian)


def test_an_unknown_transfer_syntax_is_refused() -> None:
    with pytest.raises(ObjectError, match=r"1\.2\.840\.10008\.1\.2\.2 cannot be written"):
        build(camera(), transfer_syntax_uid="1.2.840.10008.1.2.2")


def test_a_file_has_preamble_meta_and_our_implementation() -> None:
    instance = build(camera())
    data = encode_part10(instance.dataset)
    assert data[:132] == b"\0" * 128 + b"DICM"
    assert len(data) % 2 == 0
    meta = read_back(instance).file_meta
    assert meta.MediaStorageSOPInstanceUID == instance.sop_instance_uid == instance.dataset.SOPInstanceUID
    assert meta.MediaStorageSOPClassUID == instance.sop_class_uid
    assert meta.ImplementationVersionName == "SPECULAR_0.1"
