"""Image files as instances: what is read from them, what is made of them, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from objects_samples import CREATED_AT, EQUIPMENT, PROFILE, build, camera, frame, report
from PIL import Image
from pydicom.dataset import Dataset

from firmware_app.model import Eye, Patient, WorklistItem
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.picture import Radiography
from firmware_app.profiles import load_profile
from firmware_app.services import object_files
from firmware_app.services.image_files import ImageFileError
from firmware_app.services.object_files import BadOrder, ObjectOrder, OutputExists, object_rows, write_new
from firmware_app.services.picture_files import read_picture_file

IMPLICIT = "1.2.840.10008.1.2"
TAKEN_AT = "2024-02-29T10:15:00+01:00"
GREY = frame(8)
COLOUR = report().pixels


def order(kind: str = "sc", **changes: Any) -> ObjectOrder:
    numbers = count(1)
    made = ObjectOrder(kind, PROFILE, EQUIPMENT, IMPLICIT, CREATED_AT, make_uid=lambda: f"2.25.{next(numbers)}")
    return replace(made, **{"taken_at": TAKEN_AT, **changes})


def saved(path: Path, pixels: np.ndarray[Any, Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def wrapped(file: Path, **changes: Any) -> Dataset:
    """The instance made of one file."""
    kind = changes.pop("kind", "sc")
    out = file.parent / "made.dcm"
    (row,) = object_rows([file], out, order(kind, **changes))
    assert row["status"] == "ok", row["reason"]
    return pydicom.dcmread(out)


def refusal(file: Path, **changes: Any) -> str:
    kind = changes.pop("kind", "sc")
    out = file.parent / "made.dcm"
    (row,) = object_rows([file], out, order(kind, **changes))
    assert row["status"] == "refused"
    assert not out.exists()
    assert row["object"] is None
    return str(row["reason"])


WRITERS: dict[str, tuple[Callable[[Path], Path], np.ndarray[Any, Any], int]] = {
    "png": (lambda folder: saved(folder / "a.png", GREY), GREY, 8),
    "tiff": (lambda folder: saved(folder / "a.tif", GREY), GREY, 8),
    "png-12": (lambda folder: saved(folder / "a.png", frame(12)), frame(12), 12),
    "png-16": (lambda folder: saved(folder / "a.png", frame(16)), frame(16), 16),
    "tiff-12": (lambda folder: saved(folder / "a.tif", frame(12)), frame(12), 12),
    "colour": (lambda folder: saved(folder / "a.png", COLOUR), COLOUR, 8),
    "grey-as-rgb": (lambda folder: saved(folder / "a.png", np.dstack([GREY] * 3)), GREY, 8),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_pixels_are_those_of_the_file(name: str, tmp_path: Path) -> None:
    write, pixels, bits = WRITERS[name]
    dataset = wrapped(write(tmp_path))
    assert np.array_equal(dataset.pixel_array, pixels)
    assert dataset.BitsStored == bits
    assert dataset.LossyImageCompression == "00"


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_dicom_file_says_eye_scale_and_time_itself(bits: int, tmp_path: Path) -> None:
    file = tmp_path / "source.dcm"
    picture = replace(camera(8, Eye.LEFT), pixels=frame(bits), bits_stored=bits)
    file.write_bytes(encode_part10(build(picture).dataset))
    dataset = wrapped(file, kind="op", taken_at="")
    assert np.array_equal(dataset.pixel_array >> (16 - bits if bits > 8 else 0), frame(bits))
    assert dataset.ImageLaterality == "L"
    assert list(dataset.PixelSpacing) == [0.00085, 0.00085]
    assert dataset.AcquisitionDateTime == "20240401082930.500000+0900"
    assert dataset.StudyDate == "20240401"


def test_a_negative_or_inverted_dicom_image_has_black_as_0(tmp_path: Path) -> None:
    inverted = build(camera(8)).dataset
    inverted.PhotometricInterpretation = "MONOCHROME1"
    (tmp_path / "a.dcm").write_bytes(encode_part10(inverted))
    assert np.array_equal(read_picture_file(tmp_path / "a.dcm").pixels, 255 - GREY)


def test_colour_and_lossy_dicom_files_stay_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "page.dcm"
    file.write_bytes(encode_part10(build(report(), transfer_syntax_uid="1.2.840.10008.1.2.4.50").dataset))
    dataset = wrapped(file, kind="vl")
    assert dataset.PhotometricInterpretation == "RGB"
    assert np.array_equal(dataset.pixel_array, pydicom.dcmread(file).pixel_array)
    assert dataset.LossyImageCompression == "01"
    assert dataset.LossyImageCompressionRatio == pydicom.dcmread(file).LossyImageCompressionRatio
    assert dataset.BurnedInAnnotation == "YES"


def test_a_jpeg_file_is_marked_lossy(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.jpg", GREY, quality=60)
    dataset = wrapped(file)
    assert (dataset.LossyImageCompression, dataset.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert dataset.LossyImageCompressionRatio == pytest.approx(GREY.size / file.stat().st_size, abs=0.01)
    assert np.array_equal(dataset.pixel_array, np.asarray(Image.open(file)))


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    file = saved(tmp_path / "a.png", GREY, exif=exif)
    assert np.array_equal(wrapped(file).pixel_array, np.rot90(GREY, -1))


def test_patient_study_and_picture_are_as_given(tmp_path: Path) -> None:
    patient = Patient("Doe^Jane", "P-9", "HOSPITAL", "19500102", "F")
    request = WorklistItem(
        Patient(), accession_number="A-9", requested_procedure_id="RP-9", referring_physician="Refer^Rita"
    )
    dataset = wrapped(
        saved(tmp_path / "a.png", GREY),
        kind="op",
        patient=patient,
        requests=(request,),
        study_instance_uid="1.2.3",
        operator="Op^Otto",
        eye=Eye.RIGHT,
        um_per_px=0.5,
        gaze="left-up",
        burned_in=True,
        series_description="Follow-up",
    )
    assert (str(dataset.PatientName), dataset.PatientID, dataset.IssuerOfPatientID) == ("Doe^Jane", "P-9", "HOSPITAL")
    assert (dataset.PatientBirthDate, dataset.PatientSex) == ("19500102", "F")
    assert (dataset.StudyInstanceUID, dataset.AccessionNumber, dataset.StudyID) == ("1.2.3", "A-9", "RP-9")
    assert dataset.RequestAttributesSequence[0].RequestedProcedureID == "RP-9"
    assert str(dataset.ReferringPhysicianName) == "Refer^Rita"
    assert str(dataset.OperatorsName) == "Op^Otto"
    assert (dataset.ImageLaterality, list(dataset.PixelSpacing)) == ("R", [0.0005, 0.0005])
    assert "Laterality" not in dataset
    assert dataset.PatientEyeMovementCommanded == "YES"
    assert dataset.PatientEyeMovementCommandCodeSequence[0].CodeValue == "255525006"
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.SeriesDescription == "Follow-up"
    assert (dataset.StudyDate, dataset.StudyTime) == ("20240229", "101500.000000")
    assert "Not for clinical use." in dataset.ImageComments
    assert "SIMULATED" not in dataset.ImageComments


def test_a_radiograph_has_its_own_attributes(tmp_path: Path) -> None:
    known = Radiography("PLATE-7", "AP", "70", "1000", "2500", "1.5", "400")
    dataset = wrapped(saved(tmp_path / "a.png", GREY), kind="cr", radiography=known)
    assert (dataset.PlateID, dataset.ViewPosition, dataset.KVP) == ("PLATE-7", "AP", 70)
    assert (dataset.DistanceSourceToDetector, dataset.ExposureInuAs) == (1000, 2500)
    assert (dataset.ImageAndFluoroscopyAreaDoseProduct, dataset.RelativeXRayExposure) == (1.5, 400)
    assert wrapped_again(tmp_path, kind="cr").PlateID == EQUIPMENT.device_serial_number


def wrapped_again(folder: Path, **changes: Any) -> Dataset:
    (folder / "made.dcm").unlink()
    return wrapped(folder / "a.png", **changes)


def test_the_files_of_one_call_are_one_study_and_a_series_for_each_eye(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{number}.png", GREY) for number in (1, 2)]
    left = tmp_path / "left.dcm"
    left.write_bytes(encode_part10(build(camera(8, Eye.LEFT)).dataset))
    rows = list(object_rows([*files, left], tmp_path / "made", order("op", eye=None)))
    assert [row["status"] for row in rows] == ["refused", "refused", "ok"]
    rows = list(object_rows(files, tmp_path / "right", order("op", eye=Eye.RIGHT)))
    made = [pydicom.dcmread(str(row["object"])) for row in rows]
    assert [path.name for path in sorted((tmp_path / "right").iterdir())] == ["1.dcm", "2.dcm"]
    assert len({dataset.StudyInstanceUID for dataset in made}) == len({each.SeriesInstanceUID for each in made}) == 1
    assert [dataset.InstanceNumber for dataset in made] == [1, 2]
    assert len({dataset.SOPInstanceUID for dataset in made}) == 2
    assert all(row["sop_instance_uid"] == dataset.SOPInstanceUID for row, dataset in zip(rows, made, strict=True))


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("op", {}, "Ophthalmic Photography 8 Bit Image: nobody says which eye it shows: --laterality R or L"),
        ("cr", {"transfer_syntax_uid": "1.2.840.10008.1.2.4.50"}, "the profile specular declares no JPEG Baseline for"),
        ("sc", {"study_instance_uid": "1.2.x"}, "no value for StudyInstanceUID"),
    ],
)
def test_what_cannot_be_made_is_refused(kind: str, changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in refusal(saved(tmp_path / "a.png", GREY), kind=kind, **changes)


def test_a_colour_picture_is_no_radiograph(tmp_path: Path) -> None:
    assert "colour pictures are not for this object" in refusal(saved(tmp_path / "a.png", COLOUR), kind="cr")


def test_an_eye_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "left.dcm"
    file.write_bytes(encode_part10(build(camera(8, Eye.LEFT)).dataset))
    assert refusal(file, kind="op", eye=Eye.RIGHT) == (
        "the file says that it shows the left eye, the laterality asked for is R"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "none of PNG, TIFF, JPEG and DICOM"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "the file"),
        (b"\0" * 128 + b"DICM" + b"\0" * 40, "the"),
    ],
)
def test_a_file_that_is_no_image_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(content)
    assert reason in refusal(file)
    with pytest.raises(ImageFileError):
        read_picture_file(file)


def test_an_image_that_is_too_large_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firmware_app.services.image_files.PIXELS_MAX", 100)
    assert "too large: 47x33 pixels, at most 100" in refusal(saved(tmp_path / "a.png", GREY))


def test_a_profile_without_the_object_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    kodak = order("op", profile=load_profile("kodakqc"))
    with pytest.raises(BadOrder, match="the profile kodakqc has no object op, only cr"):
        object_rows([tmp_path / "nothing.png"], tmp_path / "out", kodak)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", GREY)
    there = tmp_path / "there.dcm"
    there.write_bytes(b"precious")
    with pytest.raises(OutputExists, match=r"there\.dcm exists and is not overwritten"):
        object_rows([file], there, order())
    with pytest.raises(FileExistsError):
        write_new(there, b"other")
    assert there.read_bytes() == b"precious"
    (tmp_path / "other").mkdir()
    twin = saved(tmp_path / "other" / "a.png", GREY)
    with pytest.raises(OutputExists, match=r"a\.png and .*a\.png would both become .*a\.dcm"):
        object_rows([file, twin], tmp_path / "out", order())
    with pytest.raises(OutputExists, match=r"there\.dcm is a file, where a folder is needed"):
        object_rows([file, twin], there, order())


def test_what_was_not_written_whole_is_not_left_behind(tmp_path: Path) -> None:
    target = tmp_path / "made.dcm"
    with pytest.raises(TypeError):
        write_new(target, object())  # type: ignore[arg-type]
    assert not target.exists()


def test_without_a_time_the_file_tells_when_it_changed(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.png", GREY)
    moment = datetime(2023, 5, 6, 7, 8, 9, tzinfo=UTC)
    os.utime(file, (moment.timestamp(),) * 2)
    dataset = wrapped(file, taken_at="")
    taken = datetime.strptime(dataset.AcquisitionDateTime, "%Y%m%d%H%M%S.%f%z")
    assert taken == moment


def test_every_row_has_the_same_keys(tmp_path: Path) -> None:
    good, bad = saved(tmp_path / "a.png", GREY), tmp_path / "b.png"
    bad.write_bytes(b"x")
    rows = list(object_rows([good, bad], tmp_path / "out", order()))
    assert [tuple(row) for row in rows] == [object_files.ROW_KEYS] * 2
    assert [row["status"] for row in rows] == ["ok", "refused"]
