"""Every audit message is valid by the schema of PS3.15 A.5.1, has its codes, and what A.5.3 asks of it."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import pytest
from audit_schema import problems
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.audit import builders, messages
from firmware_app.audit.builders import Peer, Subject, Us
from firmware_app.audit.messages import AuditMessage, AuditSource, Code, Instances, Participant
from firmware_app.audit.xml import message_xml

AT = "2026-03-01T09:00:00.123+01:00"
US = Us("specular[17]", "SPECULAR", "127.0.0.2", "Op^Otto")
ARCHIVE = Peer("ARCHIVE", "archive.clinic.example")
SOURCE = AuditSource("ROOM1", "Eye Clinic")
WHO = Subject("ID-1", "Yamada^Tarou=山田^太郎", "1.2.3", ("ACC1",), ("1.2.3.9",))
IMAGES = (Instances("1.2.840.10008.5.1.4.1.1.7", 2, ("1.2.3.1", "1.2.3.2")),)

# Message, event code, action, type code, roles of the participants, and for each object its role and its kind of ID.
CASES: dict[str, tuple[AuditMessage, str, str, str, list[str], list[tuple[str, str]]]] = {
    "start": (builders.application_activity(US, AT, starts=True), "110100", "E", "110120", ["110150"], []),
    "stop": (builders.application_activity(US, AT, starts=False), "110100", "E", "110121", ["110150"], []),
    "log used": (builders.audit_log_used(US, "anna", "file:///audit", AT), "110101", "R", "", [""], [("13", "12")]),
    "begin": (
        builders.begin_transferring(US, ARCHIVE, WHO, IMAGES, AT), "110102", "E", "", ["110153", "110152"],
        [("3", "110180"), ("1", "2")],
    ),
    "transferred": (
        builders.instances_transferred(US, ARCHIVE, WHO, IMAGES, AT, "0"), "110104", "C", "", ["110153", "110152"],
        [("3", "110180"), ("1", "2")],
    ),
    "refused": (
        builders.instances_transferred(US, ARCHIVE, WHO, IMAGES, AT, "8", "status A900"), "110104", "C", "",
        ["110153", "110152"], [("3", "110180"), ("1", "2")],
    ),
    "deleted": (builders.study_deleted(US, WHO, IMAGES, AT), "110105", "D", "", [""], [("3", "110180"), ("1", "2")]),
    "export": (
        builders.export(US, ARCHIVE, messages.FILM, WHO, AT), "110106", "R", "", ["110153", "110154"],
        [("3", "110180"), ("1", "2")],
    ),
    "patient": (builders.patient_record(US, WHO, "C", AT), "110110", "C", "", ["", ""], [("1", "2")]),
    "procedure": (
        builders.procedure_record(US, WHO, "U", AT, "finished"), "110111", "U", "", ["", ""],
        [("3", "110180"), ("1", "2")],
    ),
    "query": (
        builders.query(US, ARCHIVE, "1.2.840.10008.5.1.4.31", b"\x10\x00", "1.2.840.10008.1.2.1", AT), "110112", "E",
        "", ["110153", "110152"], [("3", "110181")],
    ),
    "node refused": (
        builders.security_alert(
            US, messages.NODE_AUTHENTICATION, "no certificate", AT, "4", ARCHIVE.participant(), "ARCHIVE"
        ),
        "110113", "E", "110126", ["", ""], [("13", "110182")],
    ),
    "recording stopped": (
        builders.security_alert(US, messages.AUDIT_RECORDING_STOPPED, "disk full", AT, "8"), "110113", "E", "110133",
        [""], [("13", "110182")],
    ),
    "login": (builders.user_authentication(US, "anna", "Anna", AT, comes=True), "110114", "E", "110122", ["", ""], []),
    "logout": (builders.user_authentication(US, "anna", "", AT, comes=False), "110114", "E", "110123", ["", ""], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_valid_and_with_its_codes(name: str) -> None:
    message, event, action, kind, roles, objects = CASES[name]
    document = message_xml(message, SOURCE)
    assert problems(document) == []
    root = ElementTree.fromstring(document)
    identification = root.find("EventIdentification")
    assert identification is not None
    assert identification.find("EventID").get("csd-code") == event  # type: ignore[union-attr]
    assert identification.get("EventActionCode") == action
    kinds = [each.get("csd-code") for each in identification.findall("EventTypeCode")]
    assert kinds == ([kind] if kind else [])
    participants = root.findall("ActiveParticipant")
    assert ["".join(role.get("csd-code", "") for role in each.findall("RoleIDCode")) for each in participants] == roles
    assert sum(each.get("UserIsRequestor") == "true" for each in participants) <= 1
    found = [
        (each.get("ParticipantObjectTypeCodeRole"), each.find("ParticipantObjectIDTypeCode").get("csd-code"))
        for each in root.findall("ParticipantObjectIdentification")
    ]
    assert found == objects


def test_codes_are_those_of_the_dictionary() -> None:
    """pydicom has them from the standard's own tables (PS3.16 annex D)."""
    from pydicom.sr._concepts_dict import concepts

    known = {value: meaning for by_value in concepts["DCM"].values() for value, (meaning, _) in by_value.items()}
    ours = [each for each in vars(messages).values() if isinstance(each, Code) and each.system == "DCM"]
    assert len(ours) > 25
    for code in ours:
        assert known[code.value] == code.meaning


def test_the_patient_and_the_study() -> None:
    root = ElementTree.fromstring(message_xml(CASES["transferred"][0], SOURCE))
    study, patient = root.findall("ParticipantObjectIdentification")
    assert (patient.get("ParticipantObjectID"), patient.findtext("ParticipantObjectName")) == (
        "ID-1",
        "Yamada^Tarou=山田^太郎",
    )
    assert study.get("ParticipantObjectID") == "1.2.3"
    uids = [each.get("UID") for each in study.findall(".//Instance")]
    assert uids == ["1.2.3.1", "1.2.3.2"]
    assert study.find(".//SOPClass").get("NumberOfInstances") == "2"  # type: ignore[union-attr]
    assert study.find(".//Accession").get("Number") == "ACC1"  # type: ignore[union-attr]


def test_the_query_is_as_dicom_encodes_it() -> None:
    root = ElementTree.fromstring(message_xml(CASES["query"][0], SOURCE))
    asked = root.find("ParticipantObjectIdentification")
    assert asked is not None
    assert base64.b64decode(asked.findtext("ParticipantObjectQuery") or "") == b"\x10\x00"
    assert base64.b64decode(asked.find("ParticipantObjectDetail").get("value")) == b"1.2.840.10008.1.2.1"


def test_addresses_and_machine_names() -> None:
    root = ElementTree.fromstring(message_xml(CASES["transferred"][0], SOURCE))
    ours, theirs = root.findall("ActiveParticipant")
    assert (ours.get("NetworkAccessPointID"), ours.get("NetworkAccessPointTypeCode")) == ("127.0.0.2", "2")
    assert theirs.get("NetworkAccessPointTypeCode") == "1"
    assert ours.get("AlternativeUserID") == "AETITLES=SPECULAR"


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_a_name_holds_the_message_is_valid(name: str, number: str) -> None:
    """Names come from outside: control characters, markup, characters that XML does not have."""
    subject = Subject(number, name, "1.2.3", (number,) if number.strip() else ())
    message = builders.instances_transferred(US, Peer(name, number), subject, IMAGES, AT, "8", name)
    document = message_xml(message, SOURCE)
    assert problems(document) == []
    assert "\n" not in document or "\n" in name


@pytest.mark.parametrize("break_it", [
    lambda text: text.replace("EventOutcomeIndicator=\"0\"", "EventOutcomeIndicator=\"1\""),
    lambda text: text.replace("csd-code=\"110104\" ", ""),
    lambda text: text.replace("UserIsRequestor=\"true\" ", "").replace(" UserIsRequestor=\"true\"", ""),
    lambda text: re.sub("<ParticipantObjectName>.*?</ParticipantObjectName>", "", text),
    lambda text: re.sub("(<AuditSourceIdentification.*?</AuditSourceIdentification>)", "", text),
    lambda text: text.replace("+01:00", " o'clock"),
])  # fmt: skip
def test_the_validator_finds_what_is_wrong(break_it) -> None:  # type: ignore[no-untyped-def]
    good = message_xml(CASES["transferred"][0], SOURCE)
    broken = break_it(good)
    assert broken != good
    assert problems(broken) != []


def test_nothing_without_a_value_is_written() -> None:
    nobody = Participant(user_id="", is_requestor=True)
    message = AuditMessage(event=messages.QUERY, action="E", at=AT, participants=(nobody,))
    document = message_xml(message, AuditSource("X"))
    assert problems(document) == []
    assert "UserName" not in document
