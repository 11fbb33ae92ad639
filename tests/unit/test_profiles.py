from __future__ import annotations

from importlib import resources
from typing import get_args

import pytest
from pydicom.datadict import dictionary_VR
from pydicom.uid import UID, UID_dictionary

from firmware_app.profiles import Profile, ProfileError, load_profile, parse_profile
from firmware_app.profiles.loader import available_profiles
from firmware_app.profiles.profile import EntityName
from firmware_app.profiles.sources import ITEM_SOURCES

STEP = "ScheduledProcedureStepSequence"
# The SP-1P statement, 4.2.2.2.5.3: every attribute with its matching and display columns.
STATEMENT_WORKLIST_KEYS = {
    STEP: ("", False),
    f"{STEP}.ScheduledStationAETitle": ("S+", False),
    f"{STEP}.ScheduledProcedureStepStartDate": ("S", True),
    f"{STEP}.ScheduledProcedureStepStartTime": ("", False),
    f"{STEP}.Modality": ("S+", False),
    f"{STEP}.ScheduledPerformingPhysicianName": ("", False),
    f"{STEP}.ScheduledProcedureStepDescription": ("", False),
    f"{STEP}.ScheduledProcedureStepLocation": ("", False),
    f"{STEP}.ScheduledProtocolCodeSequence": ("", False),
    f"{STEP}.ScheduledProtocolCodeSequence.CodeValue": ("", False),
    f"{STEP}.ScheduledProtocolCodeSequence.CodingSchemeDesignator": ("", False),
    f"{STEP}.ScheduledProtocolCodeSequence.CodeMeaning": ("", False),
    f"{STEP}.ScheduledProcedureStepID": ("", False),
    "RequestedProcedureID": ("", False),
    "RequestedProcedureDescription": ("", False),
    "RequestedProcedureCodeSequence": ("", False),
    "RequestedProcedureCodeSequence.CodeValue": ("", False),
    "RequestedProcedureCodeSequence.CodingSchemeDesignator": ("", False),
    "RequestedProcedureCodeSequence.CodeMeaning": ("", False),
    "StudyInstanceUID": ("", False),
    "ReferencedStudySequence": ("", False),
    "AccessionNumber": ("", True),
    "RequestingPhysician": ("", False),
    "ReferringPhysicianName": ("", False),
    "CurrentPatientLocation": ("", False),
    "PatientName": ("*", True),
    "PatientID": ("*", True),
    "PatientBirthDate": ("", False),
    "PatientSex": ("", False),
    "PatientWeight": ("", False),
}
# Annex 8.2, all modules; Device Serial Number and Pixel Spacing at their right tags.
STATEMENT_ATTRIBUTES = """
PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime ReferringPhysicianName StudyID
AccessionNumber StudyDescription ReferencedStudySequence ProcedureCodeSequence Modality SeriesInstanceUID SeriesNumber
Laterality SeriesDescription SeriesDate SeriesTime RequestAttributesSequence Manufacturer ManufacturerModelName
DeviceSerialNumber SoftwareVersions InstanceNumber PatientOrientation ContentDate ContentTime ImageType
AcquisitionNumber AcquisitionDate AcquisitionTime AcquisitionDateTime BurnedInAnnotation LossyImageCompression
SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelData
PlanarConfiguration SOPClassUID SOPInstanceUID SpecificCharacterSet InstanceCreationDate InstanceCreationTime
ConversionType PixelSpacing
"""


@pytest.fixture(scope="module")
def profile() -> Profile:
    return load_profile()


def test_worklist_keys_cover_the_statement_and_show_what_prevents_mix_ups(profile: Profile) -> None:
    keys = {key.path: key for key in profile.worklist_keys}
    assert len(keys) == len(profile.worklist_keys)
    for path, (matching, display) in STATEMENT_WORKLIST_KEYS.items():
        assert not matching or keys[path].matching == matching, path
        assert not display or keys[path].display, path
    shown = {path for path, key in keys.items() if key.display}
    assert {"PatientBirthDate", "PatientSex", "AccessionNumber", "RequestedProcedureID"} <= shown


def test_every_key_below_a_sequence_follows_a_row_for_the_sequence(profile: Profile) -> None:
    for keys in (profile.worklist_keys, profile.patient_keys):
        seen: set[str] = set()
        for key in keys:
            parent, _, keyword = key.path.rpartition(".")
            assert not parent or (parent in seen and dictionary_VR(parent.rpartition(".")[2]) == "SQ")
            assert dictionary_VR(keyword)
            seen.add(key.path)


def test_patient_keys_are_those_of_the_statement(profile: Profile) -> None:
    keys = {key.path: key.matching for key in profile.patient_keys}
    assert keys["PatientName"] == keys["PatientID"] == "*"
    assert {"PatientBirthDate", "PatientSex", "EthnicGroup"} <= keys.keys()
    assert profile.patient_query_models["patient-root"].level == "PATIENT"


def test_one_product_has_one_implementation_class_uid(profile: Profile) -> None:
    entities = profile.application_entity
    assert set(entities) == set(get_args(EntityName))
    (uid,) = {entity.implementation_class_uid for entity in entities.values()}
    assert UID(uid).is_valid
    assert uid.startswith("2.25.")
    for entity in entities.values():
        assert 1 <= len(entity.implementation_version_name) <= 16
        assert entity.max_pdu_length == 16384
        assert entity.max_outstanding_operations == 1


IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BASELINE, JPEG_2000, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
# Class by its name in the standard: what it is proposed with.
PROPOSED = [
    ("verification", "Verification SOP Class", {IMPLICIT, EXPLICIT}),
    ("worklist", "Modality Worklist Information Model - FIND", {IMPLICIT, EXPLICIT}),
    ("patient_query", "Patient Root Query/Retrieve Information Model - FIND", {IMPLICIT, EXPLICIT}),
    ("patient_query", "Study Root Query/Retrieve Information Model - FIND", {IMPLICIT, EXPLICIT}),
    ("storage", "Secondary Capture Image Storage", {IMPLICIT, EXPLICIT, BASELINE, JPEG_2000, RLE}),
    ("storage", "Computed Radiography Image Storage", {IMPLICIT, EXPLICIT, JPEG_2000, RLE}),
    ("storage", "Ophthalmic Photography 8 Bit Image Storage", {IMPLICIT, EXPLICIT, BASELINE, JPEG_2000, RLE}),
    ("storage", "Ophthalmic Photography 16 Bit Image Storage", {IMPLICIT, EXPLICIT, JPEG_2000, RLE}),
    ("storage", "VL Photographic Image Storage", {IMPLICIT, EXPLICIT, BASELINE, JPEG_2000, RLE}),
    ("mpps", "Modality Performed Procedure Step SOP Class", {IMPLICIT, EXPLICIT}),
    ("commitment", "Storage Commitment Push Model SOP Class", {IMPLICIT, EXPLICIT}),
    ("print", "Basic Grayscale Print Management Meta SOP Class", {IMPLICIT, EXPLICIT}),
    ("listener", "Verification SOP Class", {IMPLICIT, EXPLICIT}),
    ("listener", "Storage Commitment Push Model SOP Class", {IMPLICIT, EXPLICIT}),
]


def test_every_entity_proposes_the_classes_of_its_service(profile: Profile) -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for entity, declared in profile.application_entity.items():
        for context in declared.contexts:
            name = UID_dictionary[context.abstract_syntax][0]
            found.setdefault((entity, name), set()).update(context.transfer_syntaxes)
    assert found == {(entity, name): syntaxes for entity, name, syntaxes in PROPOSED}


def test_a_storage_context_has_one_transfer_syntax(profile: Profile) -> None:
    assert all(len(each.transfer_syntaxes) == 1 for each in profile.application_entity["storage"].contexts)


def test_the_object_has_every_attribute_of_the_annex(profile: Profile) -> None:
    definition = profile.iod["secondary_capture"]
    rows = [row for use in definition.modules for row in profile.module[use.module].attributes]
    top = {row.keyword for row in rows if not row.parent}
    assert set(STATEMENT_ATTRIBUTES.split()) <= top
    for row in rows:
        is_sequence = dictionary_VR(row.keyword) == "SQ"
        assert is_sequence == (row.source in ITEM_SOURCES), row.path


def test_every_storage_setting_means_a_term_of_the_standard(profile: Profile) -> None:
    assert {name: target.modality for name, target in profile.storage_modality.items()} == {
        "SC": "OP",
        "OP": "OP",
        "XC": "XC",
        "OT": "OT",
        "CR": "CR",
    }


def test_profiles_are_package_data() -> None:
    assert "specular" in available_profiles()
    assert resources.files("firmware_app.profiles").joinpath("specular.toml").is_file()


def test_an_unknown_profile_names_those_that_exist() -> None:
    with pytest.raises(ProfileError, match=r"'nope' does not exist; there is .*specular"):
        load_profile("nope")


def test_a_path_is_not_a_profile_name() -> None:
    with pytest.raises(ProfileError):
        load_profile("../profiles/specular")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Specular"', 'title = "Specular"\nbaud = 1', "unknown field `baud`"),
        ('matching = "S+"', 'matching = "S-"', r"Invalid enum value 'S-' - at `\$.worklist_keys\[1\].matching`"),
        ('"SPECULAR_0.1"', '"SPECULAR_0.1_TOO_LONG"', "over 16 characters"),
        ('source = "patient.name"', 'source = "patient.nmae"', "PatientName: unknown source 'patient.nmae'"),
        ('source = "patient.name"', 'value = "X", source = "patient.name"', "exactly one of source and value"),
        ('path = "ProcedureCodeSequence", ', 'path = "StudyComments", ', "no row above it makes a sequence"),
        ('module = "sc_image"', 'module = "sc_imgae"', "iod.secondary_capture: no table module.sc_imgae"),
        ('iod = "secondary_capture"', 'iod = "secondary"', "storage_modality.SC: no table iod.secondary"),
        ('name = "specular"', "name =", "Invalid value .at line 2"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_key(old: str, new: str, message: str) -> None:
    text = resources.files("firmware_app.profiles").joinpath("specular.toml").read_text("utf-8")
    assert old in text
    with pytest.raises(ProfileError, match=f"specular-test.toml: .*{message}"):
        parse_profile(text.replace(old, new, 1), "specular-test.toml")
