"""Command sets: other toolkits' octets, the message table, and anything a peer may send."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.dimse_messages import _COMMAND_SET_KEYWORDS
from pynetdicom.tests import encoded_dimse_msg, encoded_dimse_n_msg

from firmware_app.dicom.command import (
    ATTRIBUTE_NAMES,
    ELEMENTS,
    MESSAGES,
    Command,
    CommandField,
    ValueForm,
    decode_command,
    encode_command,
)
from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError

few = settings(max_examples=100, deadline=None, derandomize=True)
SAMPLES = {
    f"{module.__name__.rsplit('.', 1)[1]}.{name}": getattr(module, name)[1:]  # without the message control header
    for module in (encoded_dimse_msg, encoded_dimse_n_msg)
    for name in dir(module)
    if "_cmd" in name
}
ECHO = Command(command_field=CommandField.C_ECHO_RQ, message_id=7, affected_sop_class_uid="1.2.840.10008.1.1")


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_samples_of_pynetdicom_are_read_and_written_back(name: str) -> None:
    command = decode_command(SAMPLES[name])
    again = decode_command(encode_command(fill_mandatory(command)))
    assert again == fill_mandatory(command)
    if "dup" not in name:  # that sample has two values where one is allowed
        written = sorted_elements(encode_command(fill_mandatory(command)))
        assert [one for one in sorted_elements(SAMPLES[name]) if one not in written] == []


def fill_mandatory(command: Command) -> Command:
    missing = [name for name in MESSAGES[command.command_field] if getattr(command, name) is None]
    forms = dict(ELEMENTS.values())
    return replace(command, **{name: "1.2" if forms[name] is ValueForm.UI else 0 for name in missing})  # type: ignore[arg-type]


def sorted_elements(octets: bytes) -> list[tuple[int, bytes]]:
    """All non-empty elements but the group length, which some samples have wrong."""
    elements, offset = [], 0
    while offset < len(octets):
        _, element, length = struct.unpack_from("<HHI", octets, offset)
        value = octets[offset + 8 : offset + 8 + length]
        offset += 8 + length
        if element and value:
            elements.append((element, value))
    return sorted(elements)


def test_fields_of_a_store_request() -> None:
    command = decode_command(SAMPLES["encoded_dimse_msg.c_store_rq_cmd"])
    assert command == Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=7,
        affected_sop_class_uid="1.1.1",
        affected_sop_instance_uid="1.2.1",
        priority=2,
        data_set_type=1,
        move_originator_ae_title="UNITTEST",
        move_originator_message_id=3,
    )
    assert command.has_data_set


def test_every_message_of_the_standard_is_in_the_table() -> None:
    theirs = {name.replace("_", "-") for name in _COMMAND_SET_KEYWORDS}
    assert {field.words for field in MESSAGES} == {field.words for field in CommandField} == theirs


def test_every_element_has_its_attribute_in_tag_order() -> None:
    assert list(ELEMENTS) == sorted(ELEMENTS)
    assert {name for name, _ in ELEMENTS.values()} == set(ATTRIBUTE_NAMES)


@pytest.mark.parametrize("field", [field for field in CommandField if not field.is_response])
def test_a_response_answers_its_request(field: CommandField) -> None:
    if field is not CommandField.C_CANCEL_RQ:
        assert field.response.is_response and field.response.words == field.words.replace("-RQ", "-RSP")


@pytest.mark.parametrize("field", list(CommandField))
def test_a_mandatory_field_cannot_be_left_out(field: CommandField) -> None:
    whole = fill_mandatory(Command(command_field=field))
    encode_command(whole)
    for name in MESSAGES[field]:
        with pytest.raises(LocalProtocolError, match=name):
            encode_command(replace(whole, **{name: None}))  # type: ignore[arg-type]


def element(number: int, value: bytes, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, number, len(value)) + value


RESPONSE = element(0x0100, b"\x30\x80") + element(0x0120, b"\x07\0") + element(0x0800, b"\x01\x01")


def test_optional_fields_may_be_missing_and_unknown_ones_present() -> None:
    octets = RESPONSE + element(0x0900, b"\0\0") + element(0x0010, b"ACR-NEMA") + element(0x1002, b"")
    assert decode_command(octets) == Command(
        command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=7, status=0
    )


def test_what_a_peer_says_of_a_failure_is_cut() -> None:
    octets = RESPONSE + element(0x0900, b"\x10\x01") + element(0x0901, b"\x10\0\x20\0" * 9000)
    command = decode_command(octets + element(0x0902, b"DOE " * 9000))
    assert command.offending_elements == (0x00100020,) * 64
    assert command.error_comment is not None
    assert len(command.error_comment) <= 256
    assert command.error_comment.startswith("DOE DOE")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "without a Command Field"),
        (RESPONSE, "C-ECHO-RSP without status"),
        (element(0x0100, b"\x30\x80") + element(0x0900, b"\0\0"), "Command Data Set Type"),
        (element(0x0100, b"\x31\x80") + RESPONSE[10:], "unknown Command Field 8031H"),
        (element(0x0100, b"\x30"), "1 octets is no 16-bit number"),
        (element(0x0901, b"\0\0\0"), "no list of tags"),
        (element(0x0100, b"\x30\x80", group=8), "not of group 0000"),
        (element(0x0002, b"1.2 ")[:-1], "does not fit"),
        (struct.pack("<HHI", 0, 2, 0xFFFFFFFF), "does not fit"),
        (RESPONSE + b"\0\0\0", "3 octets left"),
    ],
)
def test_a_useless_command_set_says_why(octets: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        decode_command(octets)


@few
@given(st.binary(max_size=200))
def test_any_octets_are_a_command_or_a_remote_protocol_error(octets: bytes) -> None:
    try:
        decode_command(octets)
    except RemoteProtocolError:
        return


@few
@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_a_damaged_command_is_a_command_or_a_remote_protocol_error(name: str, data: st.DataObject) -> None:
    octets = bytearray(SAMPLES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_command(bytes(octets))
    except RemoteProtocolError:
        return


@pytest.mark.parametrize(
    "bad", [{"message_id": 65536}, {"message_id": -1}, {"error_comment": "山"}, {"error_comment": "x" * 65536}]
)
def test_a_value_that_does_not_fit_is_not_written(bad: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        encode_command(replace(ECHO, **bad))  # type: ignore[arg-type]


def test_uids_are_padded_with_nul_and_text_with_space() -> None:
    octets = encode_command(replace(ECHO, error_comment="odd"))
    assert element(0x0002, b"1.2.840.10008.1.1\0") in octets
    assert octets.endswith(element(0x0902, b"odd "))
