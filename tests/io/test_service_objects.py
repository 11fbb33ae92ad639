"""What arrives in the archive for each transfer syntax and bit depth of the configuration."""

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


CASES = [
    ("implicit-vr-little-endian", 12, "1.2.840.10008.1.2", (16, 12)),
    ("explicit-vr-little-endian", 8, "1.2.840.10008.1.2.1", (8, 8)),
    ("jpeg-baseline", 12, "1.2.840.10008.1.2.4.50", (8, 8)),
]


@pytest.mark.parametrize(("name", "bits", "uid", "depth"), CASES)
def test_the_archive_holds_what_was_captured(
    around: Bench, name: str, bits: int, uid: str, depth: tuple[int, int]
) -> None:
    paths = around.paths(name)
    text = paths.configuration.read_text(encoding="utf-8")
    text = text.replace('"explicit-vr-little-endian"', f'"{name}"').replace("bits_stored = 8", f"bits_stored = {bits}")
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
    assert image.file_meta.TransferSyntaxUID == uid
    assert (image.BitsAllocated, image.BitsStored) == depth
    assert image.Laterality == "L"
    assert image.BurnedInAnnotation == "NO"
    assert str(image.PatientName) == items[1]["patient"]["name"]
    assert image.StudyInstanceUID == items[1]["study_instance_uid"]
    assert image.AccessionNumber == items[1]["accession_number"]
    assert "SIMULATED" in image.SeriesDescription
    (picture,) = Path(paths.state).glob(f"exams/*/{capture_id}.png")
    captured = np.asarray(Image.open(picture)).astype(float)
    if name == "jpeg-baseline":
        assert np.abs(image.pixel_array - captured / 16).mean() < 3
    else:
        assert np.array_equal(image.pixel_array, captured)
    report = dcmread(around.root / "archive" / f"{kinds['report']}.dcm")
    assert report.BurnedInAnnotation == "YES"
    assert report.StudyInstanceUID == image.StudyInstanceUID
    assert report.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
