"""Every kind of instance of every profile in every transfer syntax, judged by dicom3tools."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from objects_samples import (
    APPENDED,
    CALIBRATION,
    GROUP,
    ITEM,
    PATIENT,
    SCHEDULED,
    UNSCHEDULED,
    WITH_MPPS,
    build,
    camera,
    image_file,
    report,
)
from pydicom.uid import ImplicitVRLittleEndian

from firmware_app.gaze import gaze_at
from firmware_app.model import Eye, Patient
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.instance import Instance
from firmware_app.objects.picture import Picture
from firmware_app.profiles import Profile, load_profile
from firmware_app.profiles.loader import available_profiles

pytestmark = pytest.mark.peer("dicom3tools")

# The line in which dciodvfy says which IOD it has taken the instance for.
IOD_NAMES = {
    "1.2.840.10008.5.1.4.1.1.7": "SCImage",
    "1.2.840.10008.5.1.4.1.1.1": "CRImage",
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VLPhotographicImage",
    "1.2.840.10008.5.1.4.1.1.77.1.5.1": "OphthalmicPhotography8BitImage",
    "1.2.840.10008.5.1.4.1.1.77.1.5.2": "OphthalmicPhotography16BitImage",
}
# What a statement that is reproduced to the letter makes wrong by today's standard, by profile and storage modality.
LATERALITY_EMPTY = (
    "Warning - </Laterality(0020,0060)> - is only permitted to be empty when actually unknown; "
    "should be absent (not empty) if an unpaired body part, and have a value if a paired body part"
)
SP_1P_SC = "Warning - </Modality(0008,0060)[1]> - Unrecognized defined term = <SC>"
SP_1P_VL = "Warning - </Modality(0008,0060)[1]> - Unrecognized defined term = <VL>"
STATEMENTS_OWN: dict[tuple[str, str], frozenset[str]] = {
    ("sp-1p", "SC"): frozenset({SP_1P_SC, LATERALITY_EMPTY}),
    ("sp-1p", "OP"): frozenset({SP_1P_VL}),
    ("sp-1p", "XC"): frozenset({SP_1P_VL, LATERALITY_EMPTY}),
    ("sp-1p", "OT"): frozenset({SP_1P_VL, LATERALITY_EMPTY}),
    ("kodakqc", "CR"): frozenset({LATERALITY_EMPTY}),
}
# An empty Study ID is what the standard wants of an unscheduled exam, and our test codes are of a made-up scheme.
HARMLESS = ("that would be needed to build DICOMDIR", "Unrecognized defined term = <99TEST>")
PICTURES: dict[str, Callable[[], Picture]] = {
    "8bit": lambda: camera(8),
    "12bit": lambda: camera(12, Eye.LEFT),
    "uncalibrated": lambda: camera(8, um_per_px=None),
    "simulated": lambda: camera(12, simulated=True),
    "report": report,
    "simulated-report": lambda: report(simulated=True),
    "gaze": lambda: replace(camera(8), gaze="left-up"),
    "target": lambda: camera(8, gaze=gaze_at("down-right", 10.0), calibration=CALIBRATION),
    "ahead": lambda: replace(camera(8), gaze="ahead"),
    "jpeg-file": image_file,
}
EXAMS = {
    "scheduled": SCHEDULED,
    "with-mpps": WITH_MPPS,
    "group": GROUP,
    "unscheduled": UNSCHEDULED,
    "appended": APPENDED,
}
NAMES = {
    "kanji": ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87")),
    "half-width": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
    "gb18030": ("Wang^XiaoDong=王^小东", ("GB18030",)),
    "cyrillic": ("Люкceмбypг", ("ISO_IR 144",)),
    "turkish": ("Çavuşoğlu^Işıl", ("ISO_IR 148",)),
    "latin-1": ("Buc^Jérôme", ("ISO_IR 100",)),
    "utf-8": ("Buc^Jérôme=山田", ("ISO_IR 100",)),
}


def verdicts(instances: Iterable[Instance], folder: Path) -> set[str]:
    """Errors, and warnings that are none of the harmless ones, of all instances together."""
    recognised = []
    for number, instance in enumerate(instances):
        (folder / f"{number:04}.dcm").write_bytes(encode_part10(instance.dataset))
        recognised.append(IOD_NAMES[instance.sop_class_uid])
    # One shell for all: dciodvfy takes one file, and to fork our own process for each costs more than the judgement.
    judge_all = 'for file in "$0"/*.dcm; do dciodvfy -new "$file" 2>&1; done'
    judged = subprocess.run(["sh", "-c", judge_all, str(folder)], capture_output=True, timeout=300)
    said = judged.stdout.decode("utf-8", "replace").splitlines()
    assert [line for line in said if line in IOD_NAMES.values()] == recognised
    return {line for line in said if line.startswith("Error") or ("Warn" in line and not line.endswith(HARMLESS))}


def syntaxes_for(profile: Profile, sop_class_uid: str) -> set[str]:
    contexts = profile.application_entity["storage"].contexts
    return {uid for each in contexts if each.abstract_syntax == sop_class_uid for uid in each.transfer_syntaxes}


def every_instance(profile: Profile, setting: str) -> Iterator[Instance]:
    """Each picture in each exam, and in each transfer syntax that the profile proposes for what it becomes."""
    for picture in (make() for make in PICTURES.values()):
        if picture.kind not in profile.storage_pictures:
            continue
        made = [build(picture, exam, profile=profile, storage_setting=setting) for exam in EXAMS.values()]
        yield from made
        for uid in syntaxes_for(profile, made[0].sop_class_uid) - {ImplicitVRLittleEndian}:
            yield build(picture, WITH_MPPS, profile=profile, storage_setting=setting, transfer_syntax_uid=uid)


CASES = [
    pytest.param(name, setting, id=f"{name}-{setting}")
    for name in available_profiles()
    for setting in load_profile(name).storage_modality
]


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_no_error_but_the_statements_own(name: str, setting: str, tmp_path: Path) -> None:
    found = verdicts(every_instance(load_profile(name), setting), tmp_path)
    assert found == STATEMENTS_OWN.get((name, setting), frozenset())


@pytest.mark.parametrize("setting", ["SC", "OP", "XC", "CR"])
def test_no_error_in_any_character_set(setting: str, tmp_path: Path) -> None:
    exams = [
        replace(
            SCHEDULED,
            patient=replace(PATIENT, name=value),
            worklist_items=(replace(ITEM, specific_character_set=terms),),
        )
        for value, terms in NAMES.values()
    ]
    assert errors_in((build(camera(), exam, storage_setting=setting) for exam in exams), tmp_path) == set()


@pytest.mark.parametrize("setting", ["SC", "OP", "XC", "CR"])
def test_no_error_for_an_unknown_patient_and_odd_values(setting: str, tmp_path: Path) -> None:
    odd = Patient(name="x" * 70, patient_id="9" * 70, birth_date="1.1.1950", sex="female", weight_kg="much")
    exams = [replace(UNSCHEDULED, patient=patient) for patient in (Patient(), odd)]
    assert errors_in((build(camera(), exam, storage_setting=setting) for exam in exams), tmp_path) == set()


def errors_in(instances: Iterable[Instance], folder: Path) -> set[str]:
    return {line for line in verdicts(instances, folder) if line.startswith("Error")}
