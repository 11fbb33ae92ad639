"""The seventeen character set files of pydicom: identifier to screen, into an object and an MPPS, and back."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from objects_samples import EQUIPMENT, PATIENT, PROFILE, SCHEDULED, build, camera
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from firmware_app.config import Config
from firmware_app.dicom.worklist_item import read_worklist_item
from firmware_app.model import Exam, WorklistItem
from firmware_app.net.attributes import decode_attributes, encode_attributes
from firmware_app.objects.encoding import encode_part10
from firmware_app.profiles import load_profile
from firmware_app.services import screens
from firmware_app.services.step_reports import step_composer
from firmware_app.services.worklist import WorklistStatus

FILES = {Path(file).name: Path(file) for file in get_charset_files("*.dcm")}
NAMES = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrFrenMulti.dcm": "Buc^Jérôme",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti.dcm": "やまだ^たろう",
    "chrJapMultiExplicitIR6.dcm": "やまだ^たろう",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",
    "chrSQEncoding.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrSQEncoding1.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrX1.dcm": "Wang^XiaoDong=王^小東=",
    "chrX2.dcm": "Wang^XiaoDong=王^小东=",
}


def raw(data_set: Dataset, keyword: str) -> bytes:
    value: bytes = data_set.get_item(keyword).value
    return value.rstrip(b" ")


def outer(data_set: Dataset) -> Dataset:
    """Two files have the name only inside a sequence: that item stands for the whole there."""
    if "PatientName" in data_set:
        return data_set
    item = data_set.RequestedProcedureCodeSequence[0]
    if "SpecificCharacterSet" not in item:
        item.SpecificCharacterSet = list(data_set.SpecificCharacterSet)
    return item


def identifier(data_set: Dataset) -> bytes:
    """As a worklist server would send it: the name's octets are the file's."""
    elements = b""
    for tag, value in (
        (0x00080005, "\\".join(terms(data_set)).encode()),
        (0x00100010, data_set.get_item("PatientName").value),
        (0x00100020, b"P1"),
        (0x0020000D, b"1.2.3"),
    ):
        value += b" " * (len(value) % 2)
        elements += (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
        elements += len(value).to_bytes(4, "little") + value
    return elements + bytes.fromhex("40000001 12000000 FEFF00E0 0A000000 08006000 02000000") + b"OP"


def terms(data_set: Dataset) -> tuple[str, ...]:
    value = data_set.SpecificCharacterSet
    return (value,) if isinstance(value, str) else tuple(value)


def exam_of(item: WorklistItem) -> Exam:
    patient = replace(PATIENT, name=item.patient.name)
    return replace(SCHEDULED, patient=patient, worklist_items=(replace(item, patient=patient),))


def written(exam: Exam, **options: Any) -> Dataset:
    instance = build(camera(), exam, **options)
    return pydicom.dcmread(BytesIO(encode_part10(instance.dataset, instance.as_received)))


def test_there_are_seventeen() -> None:
    assert set(FILES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_goes_through_and_its_octets_stay(name: str) -> None:
    source = outer(pydicom.dcmread(FILES[name]))
    octets = raw(source, "PatientName")
    item = read_worklist_item(identifier(source), explicit_vr=False)
    assert item.patient.name == NAMES[name]
    assert (item.problems, item.undecoded) == ((), ())
    screen = screens.worklist(WorklistStatus((item,), "now"), PROFILE.worklist_keys)
    assert NAMES[name] in screen.text
    data_set = written(exam_of(item))
    assert raw(data_set, "PatientName") == octets
    assert terms(data_set) == terms(source)


@pytest.mark.parametrize("name", ["chrArab.dcm", "chrKoreanMulti.dcm", "chrX2.dcm"])
def test_a_profile_without_the_set_has_the_text_in_another_or_says_that_it_is_left_out(name: str) -> None:
    source = outer(pydicom.dcmread(FILES[name]))
    item = read_worklist_item(identifier(source), explicit_vr=False)
    instance = build(camera(), exam_of(item), profile=load_profile("sp-1p"), storage_setting="SC")
    data_set = pydicom.dcmread(BytesIO(encode_part10(instance.dataset, instance.as_received)))
    assert "?" not in str(data_set.PatientName)
    assert any(problem.startswith("PatientName: ") for problem in instance.problems)


def test_what_was_a_guess_is_told_in_the_image() -> None:
    octets = bytes.fromhex("10001000 08000000") + b"J\xe9r\xf4me  "
    item = read_worklist_item(octets, explicit_vr=False)
    data_set = written(exam_of(item))
    assert str(data_set.PatientName) == "Jérôme"
    assert data_set.SpecificCharacterSet == "ISO_IR 192"
    told = "PatientName: a guess, because its octets are not of its character set (none declared): 4AE972F46D65"
    assert told in data_set.ImageComments


def test_the_equipment_may_need_more_than_the_patient() -> None:
    """Then the whole object is in Unicode, and the text is the same; octets of another set are not mixed in."""
    source = pydicom.dcmread(FILES["chrH31.dcm"])
    item = read_worklist_item(identifier(source), explicit_vr=False)
    data_set = written(exam_of(item), equipment=replace(EQUIPMENT, institution_name="Łódź"))
    assert data_set.SpecificCharacterSet == "ISO_IR 192"
    assert str(data_set.PatientName) == NAMES["chrH31.dcm"]


@pytest.mark.parametrize("name", NAMES)
def test_a_performed_procedure_step_has_the_same_octets(name: str) -> None:
    source = outer(pydicom.dcmread(FILES[name]))
    octets = raw(source, "PatientName")
    item = read_worklist_item(identifier(source), explicit_vr=False)
    exam = replace(exam_of(item), performed_procedure_step_id="PPS1", mpps_sop_instance_uid="1.2.3.4")
    made = step_composer(Config(), PROFILE).begin(exam)
    message = encode_attributes(made.dataset, ExplicitVRLittleEndian, made.as_received)
    sent = decode_attributes(message, ExplicitVRLittleEndian)
    assert octets + b" " * (len(octets) % 2) in message
    assert terms(sent) == terms(source)
