from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from objects_samples import build, camera, frame, read_back, report
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.pixels import encode_pixels, to_depth


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("bits_stored", [8, 12])
def test_uncompressed_pixels_come_back_equal(syntax: str, bits_stored: int) -> None:
    dataset = read_back(build(camera(bits_stored), transfer_syntax_uid=syntax))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.BitsAllocated == (8 if bits_stored == 8 else 16)
    assert (dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation) == (bits_stored, bits_stored - 1, 0)
    assert (dataset.SamplesPerPixel, dataset.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert "PlanarConfiguration" not in dataset
    assert len(dataset.PixelData) % 2 == 0
    assert np.array_equal(dataset.pixel_array, frame(bits_stored))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_page_comes_back_equal(syntax: str) -> None:
    picture = report()
    dataset = read_back(build(picture, transfer_syntax_uid=syntax))
    assert (dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration) == (3, "RGB", 0)
    assert np.array_equal(dataset.pixel_array, picture.pixels)


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
