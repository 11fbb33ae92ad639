"""What an exam leaves behind under each profile: which pictures are sent, as what, and how they refer to each other."""

from __future__ import annotations

from io import BytesIO

import msgspec
import numpy as np
import pydicom
import pytest
from objects_samples import CREATED_AT, WITH_MPPS, capture
from pydicom.dataset import Dataset
from report_samples import mosaic_measurement, pixels

from firmware_app.config.reading import default_config
from firmware_app.model import Eye, Frame
from firmware_app.profiles import load_profile
from firmware_app.services.analysis import Analysed
from firmware_app.services.capture import Captured
from firmware_app.services.deliverables import Deliverable, build_deliverables

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
RESULTS = {
    eye: Analysed(Captured(capture(eye, um_per_px=3.0), Frame(pixels(), 8, 1, 1)), mosaic_measurement()) for eye in Eye
}


def delivered(name: str, **storage: str) -> tuple[Deliverable, ...]:
    profile = load_profile(name)
    config = default_config(profile)
    config = msgspec.structs.replace(config, storage=msgspec.structs.replace(config.storage, **storage))
    made, drawn = build_deliverables(config, profile, WITH_MPPS, RESULTS, CREATED_AT)
    assert [file for file, _ in drawn] == ["report.png", "overlay-R.png", "overlay-L.png"]
    return made


def read(deliverable: Deliverable) -> Dataset:
    return pydicom.dcmread(BytesIO(deliverable.data))


@pytest.mark.parametrize(
    ("name", "modality", "kinds", "image_class"),
    [
        ("specular", "SC", ["image", "image", "report"], SECONDARY_CAPTURE),
        ("specular", "OP", ["image", "image", "report"], "1.2.840.10008.5.1.4.1.1.77.1.5.1"),
        ("specular", "CR", ["image", "image", "report"], "1.2.840.10008.5.1.4.1.1.1"),
        ("sp-1p", "OP", ["image", "image", "report"], SECONDARY_CAPTURE),
        ("kodakqc", "CR", ["image", "image"], "1.2.840.10008.5.1.4.1.1.1"),
    ],
)
def test_the_profile_says_which_pictures_are_sent(name: str, modality: str, kinds: list[str], image_class: str) -> None:
    made = delivered(name, modality=modality)
    assert [each.kind for each in made] == kinds
    assert {each.sop_class_uid for each in made if each.kind == "image"} == {image_class}
    assert len({each.sop_instance_uid for each in made}) == len(made)
    for each in made:
        dataset = read(each)
        assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == (each.sop_class_uid, each.sop_instance_uid)
        assert dataset.file_meta.TransferSyntaxUID == each.transfer_syntax_uid


def test_a_report_names_the_images_that_were_sent_with_it() -> None:
    *images, report = delivered("specular", modality="OP")
    named = [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in read(report).SourceImageSequence]
    assert named == [(image.sop_class_uid, image.sop_instance_uid) for image in images]


@pytest.mark.parametrize("syntax", ["rle-lossless", "jpeg-2000-lossless"])
def test_the_configured_syntax_loses_nothing(syntax: str) -> None:
    image = delivered("specular", modality="OP", transfer_syntax=syntax)[0]
    assert np.array_equal(read(image).pixel_array, pixels())


def test_an_exam_that_is_finished_again_makes_the_same_instances() -> None:
    first, second = delivered("specular"), delivered("specular")
    assert [each.sop_instance_uid for each in first] == [each.sop_instance_uid for each in second]
