from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from objects_samples import (
    CALIBRATION,
    CREATED_AT,
    EQUIPMENT,
    ITEM,
    PROFILE,
    SCHEDULED,
    UNSCHEDULED,
    build,
    camera,
    capture,
    read_back,
    report,
)

from firmware_app.gaze import FIXATION_TARGETS, gaze_at
from firmware_app.model import Code, Exam, Eye, Measurement, Morphometry, Patient, Quality, Refusal, WorklistItem
from firmware_app.objects import facts, requests
from firmware_app.objects.compose import CONSTANTS
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import new_uid
from firmware_app.objects.picture import GAZE_OF_TARGET, GAZES, report_picture
from firmware_app.objects.pixels import encode_pixels
from firmware_app.profiles import Profile, load_profile
from firmware_app.profiles.loader import available_profiles
from firmware_app.profiles.profile import StorageSetting
from firmware_app.profiles.sources import ITEM_SOURCE_WORDS, ITEM_SOURCES, SOURCES


def changed_item(**changes: Any) -> Exam:
    return replace(SCHEDULED, worklist_items=(replace(ITEM, **changes),))


def changed_patient(**changes: Any) -> Exam:
    return replace(SCHEDULED, patient=replace(SCHEDULED.patient, **changes))


def all_facts() -> dict[str, Any]:
    picture = camera()
    known: dict[str, Any] = {
        **CONSTANTS,
        **facts.patient_facts(SCHEDULED, False),
        **requests.study_facts(SCHEDULED, CREATED_AT),
        **requests.step_facts(SCHEDULED, CREATED_AT),
        **facts.series_facts(SCHEDULED, picture, "OP", CREATED_AT),
        **facts.equipment_facts(EQUIPMENT),
        **facts.image_facts(picture, CREATED_AT),
        **facts.pixel_facts(encode_pixels(picture.pixels, 8, "1.2.840.10008.1.2"), picture),
        **facts.radiography_facts(picture, EQUIPMENT),
    }
    built_apart = ("sop_class_uid", "sop_instance_uid", "comments", "character_set", "derivation_description")
    return known | dict.fromkeys((f"image.{name}" for name in built_apart), "")


@pytest.mark.parametrize("name", available_profiles())
def test_every_source_that_an_object_names_has_a_fact(name: str) -> None:
    profile = load_profile(name)
    modules = {use.module for definition in profile.iod.values() for use in definition.modules}
    rows = [row for module in modules for row in profile.module[module].attributes if row.source and not row.parent]
    known = all_facts()
    assert {row.source for row in rows} <= known.keys()
    assert known.keys() <= SOURCES.keys() | ITEM_SOURCES.keys()
    (request,) = known["series.requests"]
    nested = {name for name in ITEM_SOURCES if name.startswith("request.")}
    assert request.keys() == ITEM_SOURCES["series.requests"].keys() | nested


def test_every_source_is_explained() -> None:
    assert ITEM_SOURCE_WORDS.keys() == ITEM_SOURCES.keys()
    assert all(SOURCES.values())
    assert all(ITEM_SOURCE_WORDS.values())


def test_a_scheduled_exam_carries_what_the_worklist_said() -> None:
    dataset = read_back(build(camera()))
    assert str(dataset.PatientName) == "Doe^Jane"
    assert (dataset.PatientID, dataset.IssuerOfPatientID) == ("P-001", "HOSPITAL")
    assert (dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientWeight) == ("19500102", "F", 61.5)
    assert dataset.StudyInstanceUID == ITEM.study_instance_uid
    assert dataset.AccessionNumber == "ACC-1"
    assert dataset.StudyID == "RP-1"
    assert dataset.StudyDescription == "Specular microscopy both eyes"
    assert str(dataset.ReferringPhysicianName) == "Refer^Rita"
    assert str(dataset.PerformingPhysicianName) == "Perform^Paul"
    assert str(dataset.OperatorsName) == "Op^Otto"
    assert dataset.ProtocolName == "Endothelium, both eyes"
    assert dataset.ReferencedStudySequence[0].ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.9.2"
    assert dataset.ProcedureCodeSequence[0].CodeValue == "SPM"
    (request,) = dataset.RequestAttributesSequence
    assert request.RequestedProcedureID == "RP-1"
    assert request.ScheduledProcedureStepID == "SPS-1"
    assert request.ScheduledProcedureStepDescription == "Endothelium OU"
    assert request.AccessionNumber == "ACC-1"
    assert request.StudyInstanceUID == ITEM.study_instance_uid
    assert request.ScheduledProtocolCodeSequence[0].CodeMeaning == "Endothelium, both eyes"
    assert request.RequestedProcedureCodeSequence[0].CodingSchemeDesignator == "99TEST"


def test_an_unscheduled_exam_makes_nothing_up() -> None:
    dataset = read_back(build(camera(), UNSCHEDULED))
    assert dataset.StudyInstanceUID == "2.25.4711"
    assert dataset["AccessionNumber"].is_empty
    assert dataset["StudyID"].is_empty
    assert dataset["ReferringPhysicianName"].is_empty
    for absent in ("RequestAttributesSequence", "ProcedureCodeSequence", "ReferencedStudySequence", "StudyDescription"):
        assert absent not in dataset
    assert str(dataset.PatientName) == "Doe^Jane"


def test_an_unknown_patient_has_empty_type_2_attributes() -> None:
    dataset = read_back(build(camera(), replace(UNSCHEDULED, patient=Patient())))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        assert dataset[keyword].is_empty


def test_a_camera_frame_is_original_and_clean() -> None:
    dataset = read_back(build(camera()))
    assert list(dataset.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert dataset.ConversionType == "DI"
    assert dataset.BurnedInAnnotation == "NO"
    assert dataset.LossyImageCompression == "00"
    assert list(dataset.PatientOrientation) == ["L", "F"]
    assert dataset.DeviceSerialNumber == "SN-1"
    assert dataset["DeviceSerialNumber"].tag == 0x00181000
    assert dataset.ManufacturerModelName == "Specular"
    assert list(dataset.PixelSpacing) == [0.00085, 0.00085]
    assert "QualityControlImage" not in dataset
    assert "Not for clinical use." in dataset.ImageComments


def test_a_report_is_derived_and_says_that_it_shows_the_patient() -> None:
    dataset = read_back(build(report()))
    assert list(dataset.ImageType) == ["DERIVED", "SECONDARY"]
    assert dataset.ConversionType == "WSD"
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.ImageLaterality == "B"
    assert "Laterality" not in dataset
    assert "PixelSpacing" not in dataset
    assert "AcquisitionDateTime" not in dataset
    assert dataset["PatientOrientation"].is_empty
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == "2.25.99"


def test_each_eye_has_its_own_series_in_one_study() -> None:
    right, left, page = (read_back(build(each)) for each in (camera(eye=Eye.RIGHT), camera(eye=Eye.LEFT), report()))
    assert (right.Laterality, left.Laterality) == ("R", "L")
    assert "ImageLaterality" not in right
    assert len({right.SeriesInstanceUID, left.SeriesInstanceUID, page.SeriesInstanceUID}) == 3
    assert [each.SeriesNumber for each in (right, left, page)] == [1, 2, 3]
    assert right.StudyInstanceUID == left.StudyInstanceUID == page.StudyInstanceUID
    again = read_back(build(camera(eye=Eye.RIGHT)))
    assert again.SeriesInstanceUID == right.SeriesInstanceUID


def test_a_kodakqc_object_tells_the_eye_by_its_series_number() -> None:
    """10.1.1.4 has Laterality of zero length, and there is no other room."""
    options = {"profile": load_profile("kodakqc"), "storage_setting": "CR"}
    right, left = (read_back(build(camera(eye=eye), **options)) for eye in (Eye.RIGHT, Eye.LEFT))
    assert [(each.Laterality, each.SeriesNumber) for each in (right, left)] == [("", 1), ("", 2)]


def test_a_report_of_one_eye_is_in_the_series_of_reports() -> None:
    page = report_picture(np.zeros((8, 8, 3), np.uint8), [capture(Eye.LEFT)], instance_number=2)
    dataset = read_back(build(page))
    assert (dataset.SeriesNumber, dataset.ImageLaterality) == (3, "L")
    assert dataset.SeriesInstanceUID == read_back(build(report())).SeriesInstanceUID


def test_times_are_those_of_the_exams_zone() -> None:
    dataset = read_back(build(camera()))
    assert (dataset.StudyDate, dataset.StudyTime) == ("20240401", "083000.000000")
    assert (dataset.ContentDate, dataset.ContentTime) == ("20240401", "082930.500000")
    assert dataset.AcquisitionDateTime == "20240401082930.500000+0900"
    assert (dataset.InstanceCreationDate, dataset.InstanceCreationTime) == ("20240401", "083005.250000")
    assert dataset.TimezoneOffsetFromUTC == "+0900"


SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
OP_8 = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
OP_16 = "1.2.840.10008.5.1.4.1.1.77.1.5.2"
VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"
COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"


@pytest.mark.parametrize(
    ("setting", "modality", "class_of_8_bits", "class_of_12_bits", "report_modality"),
    [
        ("SC", "OP", SECONDARY_CAPTURE, SECONDARY_CAPTURE, "OP"),
        ("OT", "OT", SECONDARY_CAPTURE, SECONDARY_CAPTURE, "OT"),
        ("OP", "OP", OP_8, OP_16, "OP"),
        ("XC", "XC", VL_PHOTOGRAPHIC, VL_PHOTOGRAPHIC, "XC"),
        ("CR", "CR", COMPUTED_RADIOGRAPHY, COMPUTED_RADIOGRAPHY, "OP"),
    ],
)
def test_the_modality_setting_gives_class_and_modality(
    setting: str, modality: str, class_of_8_bits: str, class_of_12_bits: str, report_modality: str
) -> None:
    for picture, expected in ((camera(8), class_of_8_bits), (camera(12), class_of_12_bits)):
        dataset = read_back(build(picture, storage_setting=setting))
        assert (dataset.Modality, dataset.SOPClassUID) == (modality, expected)
    page = read_back(build(report(), storage_setting=setting))
    assert (page.Modality, page.SOPClassUID) == (report_modality, SECONDARY_CAPTURE)


def test_a_simulated_instrument_cannot_be_taken_for_a_patient() -> None:
    for picture in (camera(simulated=True), report(simulated=True)):
        dataset = read_back(build(picture))
        assert dataset.SeriesDescription.startswith("SIMULATED INSTRUMENT")
        assert dataset.ImageComments.startswith("SIMULATED INSTRUMENT")
        assert dataset.QualityControlImage == dataset.QualityControlSubject == "YES"
        assert dataset.ManufacturerModelName == "Specular"


@pytest.mark.parametrize(
    ("gaze", "commanded", "code"), [("", None, None), ("ahead", "NO", None), ("right-down", "YES", "255524005")]
)
def test_where_the_patient_was_asked_to_look(gaze: str, commanded: str | None, code: str | None) -> None:
    dataset = read_back(build(replace(camera(), gaze=gaze), storage_setting="OP"))
    assert (dataset.PatientEyeMovementCommanded or None) == commanded
    items = dataset.get("PatientEyeMovementCommandCodeSequence", [])
    assert [item.CodeValue for item in items] == ([code] if code else [])


@pytest.mark.parametrize("target", FIXATION_TARGETS)
def test_the_fixation_target_of_a_capture_is_the_gaze_of_its_photograph(target: str) -> None:
    dataset = read_back(build(camera(gaze=gaze_at(target, 10.0)), storage_setting="OP"))
    if target == "centre":
        assert dataset.PatientEyeMovementCommanded == "NO"
        assert "PatientEyeMovementCommandCodeSequence" not in dataset
        assert "Gaze" not in dataset.ImageComments
        return
    assert dataset.PatientEyeMovementCommanded == "YES"
    (item,) = dataset.PatientEyeMovementCommandCodeSequence
    assert (item.CodeValue, item.CodingSchemeDesignator) == (GAZES[GAZE_OF_TARGET[target]].value, "SCT")
    for word in target.split("-"):
        assert {"up": "upward", "down": "downward"}.get(word, word) in item.CodeMeaning.lower()
    left = gaze_at(target, 10.0).horizontal_deg
    assert f"Gaze {left:+.1f} deg to the patient's left" in dataset.ImageComments


@pytest.mark.parametrize("setting", ["SC", "OP", "XC", "CR"])
def test_an_object_says_when_and_on_what_its_scale_was_measured(setting: StorageSetting) -> None:
    dataset = read_back(build(camera(calibration=CALIBRATION), storage_setting=setting))
    # The instance's own time zone: 16:05 in Paris is after midnight in Tokyo.
    assert (dataset.DateOfLastCalibration, dataset.TimeOfLastCalibration[:6]) == ("20240302", "000500")
    if setting in ("SC", "CR"):  # the modules with the Basic Pixel Spacing Calibration Macro
        assert dataset.PixelSpacingCalibrationType == "GEOMETRY"
        words = dataset.PixelSpacingCalibrationDescription
        assert words.startswith("0.85 um/px +-0.12 % 2024-03-01, grid of 50 um")
        assert len(words) <= 64
    assert dataset.get("PixelSpacing", None) == (None if setting == "XC" else [0.00085, 0.00085])


def test_a_scale_that_was_only_stated_and_a_report_claim_no_calibration() -> None:
    for picture in (camera(), report(calibration=CALIBRATION)):
        dataset = read_back(build(picture))
        for keyword in ("DateOfLastCalibration", "PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription"):
            assert keyword not in dataset


@pytest.mark.parametrize(("name", "setting"), [("sp-1p", "SC"), ("kodakqc", "CR")])
def test_a_statement_that_knows_neither_gaze_nor_calibration_sends_neither(name: str, setting: StorageSetting) -> None:
    options: dict[str, Any] = {"profile": load_profile(name), "storage_setting": setting}
    plain = build(camera(), **options)
    told = build(camera(gaze=gaze_at("up", 10.0), calibration=CALIBRATION), **options)
    assert encode_part10(plain.dataset) == encode_part10(told.dataset)


def test_an_ophthalmic_photograph_says_what_took_it_of_what() -> None:
    dataset = read_back(build(camera(), storage_setting="OP"))
    assert "Laterality" not in dataset
    assert dataset.ImageLaterality == "R"
    assert (dataset.NumberOfFrames, dataset.FrameIncrementPointer) == (1, 0x0008002A)
    coded = {
        "AnatomicRegionSequence": ("28726007", "SCT", "Cornea"),
        "AcquisitionDeviceTypeCodeSequence": ("409899004", "SCT", "Specular Microscope"),
        "IlluminationTypeCodeSequence": ("410462008", "SCT", "Fine slit beam direct illumination"),
    }
    for keyword, expected in coded.items():
        (item,) = dataset[keyword].value
        assert (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning) == expected
    assert (dataset.SynchronizationTrigger, dataset.AcquisitionTimeSynchronized) == ("NO TRIGGER", "N")
    assert dataset.PresentationLUTShape == "IDENTITY"


def test_an_uncalibrated_frame_has_no_spacing_and_says_so() -> None:
    dataset = read_back(build(camera(um_per_px=None)))
    assert "PixelSpacing" not in dataset
    assert "Not calibrated" in dataset.ImageComments


def test_the_result_stands_in_the_comments_with_its_n() -> None:
    numbers = Morphometry(98, 560.0, 31.24, 58.06, 80, {6: 47}, 0.85, 2456.3)
    measured = Measurement(Quality("A", 1, 1, 1), morphometry=numbers)
    refused = Measurement(Quality("D", 0, 0, 0), refusal=Refusal(Code("114006", "DCM", "x"), "out of focus"))
    picture = replace_measurements(camera(), measured)
    assert "R: CD 2456 /mm2, N 98, CV 31.2 %, HEX 58.1 %" in read_back(build(picture)).ImageComments
    assert "R: not measured: out of focus" in read_back(build(replace_measurements(camera(), refused))).ImageComments


def replace_measurements(picture: Any, measurement: Measurement) -> Any:
    return replace(picture, measurements=(measurement,))


def test_an_identifier_that_is_too_long_is_left_out_and_said() -> None:
    instance = build(camera(), changed_item(accession_number="A" * 20))
    dataset = read_back(instance)
    assert dataset["AccessionNumber"].is_empty
    assert instance.problems == ("AccessionNumber: longer than 16 characters; it was left out, not cut",)
    assert f"Problem: {instance.problems[0]}" in dataset.ImageComments


def test_odd_worklist_values_are_said_and_never_stop_the_image() -> None:
    exam = changed_item(
        requested_procedure_description="A\\B" + "x" * 80,
        requested_procedure_codes=(Code("", "99X", "no value"), Code("ok", "99X", "fine")),
    )
    exam = replace(exam, patient=replace(exam.patient, birth_date="02.01.1950", sex="female", weight_kg="61,5"))
    instance = build(camera(), exam)
    dataset = read_back(instance)
    assert [code.CodeValue for code in dataset.ProcedureCodeSequence] == ["ok"]
    assert dataset.StudyDescription.endswith("...")
    assert dataset["PatientBirthDate"].is_empty
    assert "PatientWeight" not in dataset
    named = " ".join(instance.problems)
    for keyword in ("StudyDescription", "ProcedureCodeSequence", "PatientBirthDate", "PatientSex", "PatientWeight"):
        assert keyword in named


def test_an_item_with_nothing_but_a_study_survives() -> None:
    bare = WorklistItem(Patient(), study_instance_uid="1.2.3")
    dataset = read_back(build(camera(), replace(SCHEDULED, patient=bare.patient, worklist_items=(bare,))))
    (request,) = dataset.RequestAttributesSequence
    assert request.StudyInstanceUID == "1.2.3"
    assert "RequestedProcedureID" not in request


@pytest.mark.parametrize("uid", ["", "1.2.not-a-uid", "1." + "2" * 64])
def test_an_unusable_study_uid_stops_the_object_and_is_named(uid: str) -> None:
    with pytest.raises(ObjectError, match="Secondary Capture Image: no value for StudyInstanceUID"):
        build(camera(), replace(UNSCHEDULED, study_instance_uid=uid))


@pytest.mark.parametrize("text", ["", "yesterday", "2024-04-01T08:30:00"])
def test_a_time_without_zone_stops_the_object_and_is_named(text: str) -> None:
    with pytest.raises(ObjectError, match="the start of the exam is"):
        build(camera(), replace(SCHEDULED, started_at=text))
    with pytest.raises(ObjectError, match="the time of the capture is"):
        build(camera(captured_at=text))
    with pytest.raises(ObjectError, match="the creation time"):
        build(camera(), created_at=CREATED_AT.replace(tzinfo=None))


def test_uids_are_fresh_unless_given() -> None:
    made = {build(camera(), make_uid=new_uid).sop_instance_uid for _ in range(50)}
    assert len(made) == 50
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in made)


NUMBER = "AcquisitionNumber"


def test_another_profile_changes_the_object_without_a_branch_on_its_name() -> None:
    table: dict[str, Any] = msgspec.to_builtins(PROFILE)
    table["storage_modality"]["SC"]["modality"] = "SC"
    rows = {row["path"]: row for row in table["module"]["sc_equipment"]["attributes"]}
    rows["ConversionType"] |= {"source": "", "value": "DF"}
    image = table["module"]["general_image"]["attributes"]
    (number,) = (row for row in table["module"]["general_acquisition"]["attributes"] if row["path"] == NUMBER)
    number["settings"] = ["OP"]
    table["module"]["general_image"]["attributes"] = [row for row in image if row["path"] != "ImageComments"]
    table["character_sets"] = {"accepted": [["ISO_IR 6"]], "fallback": ["ISO_IR 6"]}
    other = msgspec.convert(table, Profile)

    exam = changed_patient(name="Yamada^Tarou=山田^太郎")
    instance = build(camera(), exam, profile=other)
    dataset = read_back(instance)
    assert dataset.Modality == "SC"
    assert dataset.ConversionType == "DF"
    assert NUMBER not in dataset
    assert "ImageComments" not in dataset
    assert str(dataset.PatientName) == "Yamada^Tarou"
    assert instance.problems == ("PatientName: ISO_IR 6 cannot hold every component group; it was left out",)
    assert NUMBER in read_back(build(camera(), exam, profile=other, storage_setting="OP"))
