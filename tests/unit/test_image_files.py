"""Image files in, rows out: formats, depths, scales, damage, and outputs that never overwrite each other."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from firmware_app.model import Eye
from firmware_app.services.analysis_run import analyze_files
from firmware_app.services.image_files import ImageFileError, read_image
from firmware_app.services.image_search import OutputClash
from hw.sim.eye import SimulatedHead

KEYS = [
    *("file", "status", "reason", "cd_per_mm2", "cv_percent", "hex_percent", "n", "area_um2", "sides"),
    *("analysed_area_mm2", "quality", "um_per_px", "mean_area_px", "seconds"),
    *("refusal_code", "method", "n_complete_ring", "cd_interval", "cv_interval", "hex_interval"),
    *("area_histogram", "guttae_percent", "quality_reasons"),
]


@lru_cache(maxsize=1)
def whole_frame() -> npt.NDArray[np.uint16]:
    head = SimulatedHead(2)
    return head.render(head.focus(Eye.RIGHT), 1.0, 12).astype(np.uint16)


def cells() -> npt.NDArray[np.uint8]:
    return (whole_frame()[100:340, 200:440] >> 4).astype(np.uint8)


def write_dicom(path: Path, pixels: np.ndarray, bits: int, **attributes: object) -> Path:
    dataset = pydicom.Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else pixels.shape[2]
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0
    dataset.add_new("PixelData", "OB" if pixels.dtype == np.uint8 else "OW", pixels.tobytes())
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def row_of(path: Path, **options: object) -> dict[str, object]:
    (row,) = analyze_files([path], **options)  # type: ignore[arg-type]
    assert list(row) == KEYS
    json.dumps(row)
    return row


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_eight_bits_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(cells()).save(path, quality=95)
    image = read_image(path)
    assert (image.bits_stored, image.um_per_px, image.pixels.dtype) == (8, None, np.uint8)
    assert np.abs(image.pixels.astype(int) - cells()).max() <= (0 if suffix != ".jpg" else 30)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_files_keep_their_depth(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(whole_frame()).save(path)
    image = read_image(path)
    assert image.bits_stored == 12  # the smallest usual depth that holds the brightest pixel
    assert np.array_equal(image.pixels, whole_frame())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "P", "LA", "1"])
def test_colour_becomes_luminance(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(cells()).convert(mode).save(path)
    image = read_image(path)
    assert image.pixels.shape == cells().shape
    assert image.pixels.ndim == 2


def test_dicom_brings_its_scale(tmp_path: Path) -> None:
    row = row_of(write_dicom(tmp_path / "a.dcm", cells(), 8, PixelSpacing=[0.00085, 0.00085]))
    assert row["status"] == "ok"
    assert row["um_per_px"] == pytest.approx(0.85)
    assert isinstance(row["cd_per_mm2"], float)
    assert isinstance(row["mean_area_px"], float)
    assert row["cd_per_mm2"] == pytest.approx(1e6 / (row["mean_area_px"] * 0.85**2))
    assert set(row["area_um2"]) == {"min", "max", "mean", "sd"}  # type: ignore[call-overload]
    assert list(row["sides"]) == [str(n) for n in range(3, 11)]  # type: ignore[call-overload]


def test_a_given_scale_overrules_the_file(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", cells(), 8, PixelSpacing=[0.0, 0.0])
    assert row_of(path, um_per_px=0.9)["um_per_px"] == 0.9
    refused = row_of(path)
    assert refused["status"] == "refused"
    assert "PixelSpacing" in str(refused["reason"])


def test_dicom_monochrome1_rgb_and_twelve_bits(tmp_path: Path) -> None:
    inverted = write_dicom(tmp_path / "i.dcm", 255 - cells(), 8, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_image(inverted).pixels, cells())
    colour = write_dicom(tmp_path / "c.dcm", np.repeat(cells()[:, :, None], 3, axis=2), 8)
    assert np.array_equal(read_image(colour).pixels, cells())
    deep = read_image(write_dicom(tmp_path / "d.dcm", whole_frame(), 12))
    assert deep.bits_stored == 12
    assert np.array_equal(deep.pixels, whole_frame())


def test_without_a_scale_everything_in_um_is_null(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(cells()).save(path)
    row = row_of(path)
    assert row["status"] == "ok"
    for key in ("cd_per_mm2", "area_um2", "analysed_area_mm2", "um_per_px"):
        assert row[key] is None
    for key in ("cv_percent", "hex_percent", "n", "mean_area_px", "quality", "sides"):
        assert row[key] is not None


def test_labels_are_sixteen_bit_and_overlays_are_pictures(tmp_path: Path) -> None:
    path = tmp_path / "in" / "eye.png"
    path.parent.mkdir()
    Image.fromarray(cells()).save(path)
    row = row_of(path, labels_dir=tmp_path / "l", overlay_dir=tmp_path / "o" / "deep")
    with Image.open(tmp_path / "l" / "eye.png") as labels:
        assert labels.mode == "I;16"
        values = np.asarray(labels)
    assert values.shape == cells().shape
    assert values.max() == row["n"]
    with Image.open(tmp_path / "o" / "deep" / "eye.png") as overlay:
        assert overlay.mode == "RGB"
    assert sorted(p.name for p in tmp_path.rglob("*.part")) == []


def damaged(folder: Path) -> dict[str, Path]:
    good = folder / "good.png"
    Image.fromarray(cells()).save(good)
    jpeg = folder / "good.jpg"
    Image.fromarray(cells()).save(jpeg)
    whole = write_dicom(folder / "good.dcm", cells(), 8)
    made = {}
    for name, source, share in (("cut.png", good, 0.5), ("cut.jpg", jpeg, 0.5), ("cut.dcm", whole, 0.5)):
        data = source.read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("this is not an image")
    (folder / "noise.dcm").write_bytes(b"\0" * 128 + b"DICM" + bytes(range(256)))
    Image.fromarray(cells().astype(np.float32)).save(folder / "float.tif")
    Image.fromarray(cells()).save(folder / "pages.tif", save_all=True, append_images=[Image.fromarray(cells())])
    write_dicom(folder / "no pixels.dcm", cells(), 8)
    bare = pydicom.dcmread(folder / "no pixels.dcm")
    del bare.PixelData
    bare.save_as(folder / "no pixels.dcm")
    write_dicom(folder / "page.dcm", cells(), 8)
    page = pydicom.dcmread(folder / "page.dcm")
    page.ConversionType = "WSD"
    page.save_as(folder / "page.dcm")
    write_dicom(folder / "lying.dcm", cells(), 8, Rows=60000, Columns=60000)
    write_dicom(folder / "oblong.dcm", cells(), 8, PixelSpacing=[0.001, 0.002])
    for name in (
        *("cut.png", "cut.jpg", "cut.dcm", "empty.png", "text.png", "noise.dcm", "float.tif", "pages.tif"),
        *("lying.dcm", "oblong.dcm", "no pixels.dcm", "page.dcm", "absent.png"),
    ):
        made[name] = folder / name
    return made


def test_damaged_files_are_results_with_a_reason(tmp_path: Path) -> None:
    files = damaged(tmp_path)
    expected = {
        "empty.png": "empty",
        "float.tif": "floating-point",
        "pages.tif": "2 images",
        "no pixels.dcm": "PixelData",
        "page.dcm": "Conversion Type WSD",
        "lying.dcm": "too large",
        "oblong.dcm": "not square",
        "absent.png": "No such file",
        "cut.png": "cannot be read",
        "cut.jpg": "cannot be read",
        "cut.dcm": "cannot be read",
        "text.png": "none of PNG",
    }
    rows = list(analyze_files(list(files.values())))
    assert [row["file"] for row in rows] == [str(path) for path in files.values()]
    for name, row in zip(files, rows, strict=True):
        assert row["status"] == "refused", name
        assert expected.get(name, "") in str(row["reason"]), (name, row["reason"])
        assert row["n"] is None
        assert row["quality"] is None


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    Image.fromarray(cells()).save(good)
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert [row["status"] for row in analyze_files([bad, good, bad])] == ["refused", "ok", "refused"]


def test_a_refused_image_leaves_no_label_of_an_earlier_run(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(cells()).save(path)
    row_of(path, labels_dir=tmp_path / "l")
    assert (tmp_path / "l" / "a.png").exists()
    Image.fromarray(np.zeros((100, 100), np.uint8)).save(path)
    assert row_of(path, labels_dir=tmp_path / "l", overlay_dir=tmp_path / "o")["status"] == "refused"
    assert not (tmp_path / "l" / "a.png").exists()
    assert (tmp_path / "o" / "a.png").exists()  # the overlay of a refusal says why


def test_outputs_never_overwrite_each_other_or_the_input(tmp_path: Path) -> None:
    one, other = tmp_path / "r" / "eye.png", tmp_path / "l" / "eye.tif"
    for path in (one, other):
        path.parent.mkdir()
        Image.fromarray(cells()).save(path)
    with pytest.raises(OutputClash, match=r"eye\.png and .*eye\.tif would both write"):
        analyze_files([one, other], labels_dir=tmp_path / "out")
    with pytest.raises(OutputClash, match="overwrite an input"):
        analyze_files([one], overlay_dir=one.parent)
    with pytest.raises(OutputClash, match="two different folders"):
        analyze_files([one], labels_dir=tmp_path / "out", overlay_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(list(analyze_files([one, other]))) == 2


def test_a_bad_scale_is_the_callers_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="um_per_px"):
        analyze_files([tmp_path / "a.png"], um_per_px=0.0)


def test_reading_says_what_is_wrong_without_the_name(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="No such file"):
        read_image(tmp_path / "absent.png")
