"""What arrives in the archive for each storage modality, transfer syntax and bit depth of the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from instrument_bench import Bench, bench, service
from PIL import Image
from pydicom import dcmread

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
OP_8 = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OP_16 = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
CASES = [
    ("SC", "implicit-vr-little-endian", 12, SECONDARY_CAPTURE, "1.2.840.10008.1.2", (16, 12)),
    ("OP", "jpeg-baseline", 12, OP_8, "1.2.840.10008.1.2.4.50", (8, 8)),
    ("OP", "rle-lossless", 12, OP_16, "1.2.840.10008.1.2.5", (16, 16)),
    ("XC", "jpeg-2000-lossless", 8, VL_PHOTOGRAPHIC, "1.2.840.10008.1.2.4.90", (8, 8)),
    ("CR", "explicit-vr-little-endian", 8, COMPUTED_RADIOGRAPHY, "1.2.840.10008.1.2.1", (16, 12)),
]


@pytest.mark.parametrize(("modality", "name", "bits", "sop_class", "uid", "depth"), CASES)
def test_the_archive_holds_what_was_captured(
    around: Bench, modality: str, name: str, bits: int, sop_class: str, uid: str, depth: tuple[int, int]
) -> None:
    paths = around.paths(f"{modality}-{name}")
    text = paths.configuration.read_text(encoding="utf-8")
    of_storage = 'modality = "OP"\ntransfer_syntax = "explicit-vr-little-endian"'
    assert of_storage in text
    text = text.replace(of_storage, f'modality = "{modality}"\ntransfer_syntax = "{name}"')
    text = text.replace("bits_stored = 8", f"bits_stored = {bits}")
    paths.configuration.write_text(text, encoding="utf-8")
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        items = running.run("worklist")["items"]
        running.run("exam start 2")
        running.run("eye L")
        capture_id = running.run("capture L")["capture_id"]
        finished = running.run("exam finish")
        running.wait("stored", lambda: set(running.states()) == {"stored"})
    kinds = {instance["kind"]: instance["sop_instance_uid"] for instance in finished["instances"]}
    assert set(kinds) == {"image", "report"}
    image = dcmread(around.root / "archive" / f"{kinds['image']}.dcm")
    assert (image.SOPClassUID, image.file_meta.TransferSyntaxUID) == (sop_class, uid)
    assert (image.BitsAllocated, image.BitsStored) == depth
    assert (image.get("ImageLaterality") if modality == "OP" else image.Laterality) == "L"
    assert image.BurnedInAnnotation == "NO"
    assert str(image.PatientName) == items[1]["patient"]["name"]
    assert image.StudyInstanceUID == items[1]["study_instance_uid"]
    assert image.AccessionNumber == items[1]["accession_number"]
    assert "SIMULATED" in image.SeriesDescription
    (picture,) = Path(paths.state).glob(f"exams/*/{capture_id}.png")
    captured = np.asarray(Image.open(picture)).astype(float) * 2.0 ** (depth[1] - bits)
    if name == "jpeg-baseline":
        assert np.abs(image.pixel_array - captured).mean() < 3
    else:
        assert np.array_equal(image.pixel_array, captured)
    report = dcmread(around.root / "archive" / f"{kinds['report']}.dcm")
    assert (report.SOPClassUID, report.BurnedInAnnotation) == (SECONDARY_CAPTURE, "YES")
    assert report.StudyInstanceUID == image.StudyInstanceUID
    assert report.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
