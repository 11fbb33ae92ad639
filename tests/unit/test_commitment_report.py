"""What a report of storage commitment says, how far it is believed, and what each failure asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from firmware_app.dicom.commitment import (
    FAILURE_REASONS,
    MAX_INSTANCES,
    CommitmentReport,
    FailedInstance,
    Reaction,
    describe_failure,
    judge,
    reaction_to,
)
from firmware_app.dicom.errors import LocalProtocolError
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_PUSH_MODEL
from firmware_app.model import ReferencedInstance
from firmware_app.net.attributes import encode_attributes
from firmware_app.net.commitment import UnusableReport, action_information, read_report
from firmware_app.net.performer import EventReport, PeerIdentity

SC, CR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.1"
ONE, TWO = ReferencedInstance(SC, "1.2.1"), ReferencedInstance(SC, "1.2.2")
WELL_KNOWN = "1.2.840.10008.1.20.1.1"


def event(information: Dataset | bytes | None, **changes: Any) -> EventReport:
    syntax = changes.pop("syntax", IMPLICIT_VR_LITTLE_ENDIAN)
    octets = encode_attributes(information, syntax) if isinstance(information, Dataset) else information
    values: dict[str, Any] = {
        "peer": PeerIdentity("ARCHIVE", "127.0.0.1"),
        "sop_class_uid": STORAGE_COMMITMENT_PUSH_MODEL,
        "sop_instance_uid": WELL_KNOWN,
        "event_type_id": 1,
        "information": octets,
        "transfer_syntax": syntax,
    }
    return EventReport(**values | changes)


def item(instance: ReferencedInstance, **values: Any) -> Dataset:
    made = Dataset()
    made.add(DataElement(0x00081150, "UI", instance.sop_class_uid, validation_mode=IGNORE))
    made.add(DataElement(0x00081155, "UI", instance.sop_instance_uid, validation_mode=IGNORE))
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def information(committed: list[Dataset] | None = None, failed: list[Dataset] | None = None) -> Dataset:
    made = Dataset()
    made.TransactionUID = "1.2.3"
    if committed is not None:
        made.ReferencedSOPSequence = committed
    if failed is not None:
        made.FailedSOPSequence = failed
    return made


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
@pytest.mark.parametrize("event_type", [1, 2, None])
def test_the_contents_decide(syntax: str, event_type: int | None) -> None:
    said = information([item(ONE)], [item(TWO, FailureReason=0x0112)])
    report = read_report(event(said, syntax=syntax, event_type_id=event_type))
    assert report == CommitmentReport("1.2.3", (ONE,), (FailedInstance(TWO, 0x0112),))


def test_what_a_report_may_leave_out() -> None:
    assert read_report(event(information([item(ONE)], []), sop_instance_uid="")) == CommitmentReport("1.2.3", (ONE,))
    report = read_report(event(information(failed=[item(ONE), Dataset(), item(TWO, FailureReason=[0x0112, 0x0110])])))
    assert [each.reason for each in report.failed] == [None, None, None]
    assert report.failed[1].instance == ReferencedInstance("", "")


@pytest.mark.parametrize(
    "reason",
    [
        b"UV\0\0\x08\0\0\0" + b"\xff" * 8,
        b"IS\x0c\x0099999999999 ",
        b"SS\x02\0\xff\xff",
        b"UL\x04\0\0\0\1\0",
        b"SQ" + bytes(6),
    ],
)
def test_a_failure_reason_of_another_kind_is_none(reason: bytes) -> None:
    failed = b"\x08\x00\x55\x11UI\x06\x001.2.1\0" + b"\x08\x00\x97\x11" + reason
    items = b"\xfe\xff\x00\xe0" + len(failed).to_bytes(4, "little") + failed
    said = b"\x08\x00\x95\x11UI\x06\x001.2.3\0"
    said += b"\x08\x00\x98\x11SQ\0\0" + len(items).to_bytes(4, "little") + items
    (instance,) = read_report(event(said, syntax=EXPLICIT_VR_LITTLE_ENDIAN)).failed
    assert (instance.instance.sop_instance_uid, instance.reason) == ("1.2.1", None)


def test_a_report_that_is_longer_than_any_is_not_read() -> None:
    said = encode_attributes(information([item(ONE)]), IMPLICIT_VR_LITTLE_ENDIAN)
    with pytest.raises(UnusableReport, match="a report of 131073 octets") as caught:
        read_report(event(said + bytes(128 * 1024 + 1 - len(said))))
    assert caught.value.status == 0x0213


def test_a_report_about_other_instances_is_remarked_upon_in_a_few_words() -> None:
    others = tuple(ReferencedInstance(SC, f"1.9.{number}") for number in range(6000))
    remarks = judge(CommitmentReport("1.2.3", others), [ONE]).remarks
    assert (len(remarks), remarks[0], remarks[-1]) == (20, "1.9.0 was not asked for", "5982 more like these")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_no_uid_goes_into_no_log() -> None:
    bad = ReferencedInstance("DOE^JOHN", "1.2.\n3")
    (instance,) = read_report(event(information([item(bad)]))).committed
    assert instance == ReferencedInstance("(no UID)", "(no UID)")


def no_transaction(value: str | None) -> Dataset:
    made = information([item(ONE)])
    del made.TransactionUID
    if value is not None:
        made.add(DataElement(0x00081195, "UI", value, validation_mode=IGNORE))
    return made


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("report", "status"),
    [
        (event(information(), sop_class_uid="1.2.840.10008.5.1.1.16"), 0x0118),
        (event(information(), sop_class_uid="DOE^JOHN"), 0x0118),
        (event(information(), sop_instance_uid="DOE^JOHN"), 0x0112),
        (event(no_transaction("DOE^JOHN")), 0x0115),
        (event(information(), sop_instance_uid="1.2.840.10008.5.1.1.17"), 0x0112),
        (event(information(), event_type_id=3), 0x0113),
        (event(information(), event_type_id=0), 0x0113),
        (event(None), 0x0115),
        (event(no_transaction(None)), 0x0115),
        (event(no_transaction("")), 0x0115),
        (event(no_transaction("1.2.x")), 0x0115),
        (event(no_transaction("1." * 32 + "1")), 0x0115),
        (event(information()), 0x0115),
        (event(information([], [])), 0x0115),
        (event(b"\x08\x00\x95\x11\xff\xff\xff\x7f1.2.3"), 0x0115),  # truncated behind the Transaction UID
        (event(b"\x08\x00\x99\x11SQDOE^JOHN"), 0x0110),
    ],
)
def test_what_cannot_be_taken_has_its_status(report: EventReport, status: int) -> None:
    with pytest.raises(UnusableReport) as caught:
        read_report(report)
    assert caught.value.status == status
    assert len(str(caught.value)) < 300 and "DOE" not in str(caught.value)


@given(st.binary(max_size=400), st.sampled_from([IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_octets_are_a_report_or_an_unusable_one(octets: bytes, syntax: str) -> None:
    try:
        report = read_report(event(octets, syntax=syntax))
    except UnusableReport as error:
        assert error.status in (0x0110, 0x0115)
    else:
        assert report.transaction_uid


@given(st.binary(max_size=60))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_octets_as_a_reference(octets: bytes) -> None:
    front = encode_attributes(no_transaction("1.2.3"), IMPLICIT_VR_LITTLE_ENDIAN)
    prefix = b"\x08\x00\x95\x11\x06\x00\x00\x001.2.3\x00"
    assert front.startswith(prefix)
    sequence = b"\x08\x00\x99\x11" + len(octets).to_bytes(4, "little") + octets
    try:
        report = read_report(event(prefix + sequence))
    except UnusableReport as error:
        assert error.status in (0x0110, 0x0115)
    else:
        assert report.transaction_uid == "1.2.3" and report.committed


# ------------------------------------------------------------------ judging


def report(committed: list[ReferencedInstance], failed: dict[ReferencedInstance, int | None]) -> CommitmentReport:
    return CommitmentReport("1.2.3", tuple(committed), tuple(FailedInstance(*each) for each in failed.items()))


def test_exactly_the_instances_of_the_request() -> None:
    said = judge(report([ONE], {TWO: 0x0213}), [ONE, TWO])
    assert (said.committed, said.failed, said.missing, said.remarks) == (("1.2.1",), {"1.2.2": 0x0213}, (), ())


def test_what_is_missing_has_no_result() -> None:
    said = judge(report([ONE], {}), [ONE, TWO])
    assert (said.committed, said.missing) == (("1.2.1",), ("1.2.2",))
    assert said.remarks == ("1.2.2 is missing from the report",)


def test_what_was_not_asked_for_is_passed_over() -> None:
    said = judge(report([ONE, TWO], {ReferencedInstance(SC, "1.2.9"): None}), [ONE])
    assert (said.committed, said.failed, said.missing) == (("1.2.1",), {}, ())
    assert sorted(said.remarks) == ["1.2.2 was not asked for", "1.2.9 was not asked for"]


def test_both_committed_and_failed_has_failed() -> None:
    said = judge(report([ONE, ONE], {ONE: 0x0110}), [ONE])
    assert (said.committed, said.failed, said.missing) == ((), {"1.2.1": 0x0110}, ())
    assert "both" in said.remarks[0]


def test_another_class_is_another_instance_and_none_is_no_matter() -> None:
    said = judge(report([ReferencedInstance(CR, "1.2.1"), ReferencedInstance("", "1.2.2")], {}), [ONE, TWO])
    assert (said.committed, said.missing) == (("1.2.2",), ("1.2.1",))


def test_twice_in_the_report_is_once() -> None:
    twice = CommitmentReport("1.2.3", (ONE, ONE), (FailedInstance(TWO, 1), FailedInstance(TWO, 2)))
    said = judge(twice, [ONE, TWO])
    assert (said.committed, said.failed) == (("1.2.1",), {"1.2.2": 1})


REFERENCES = st.lists(
    st.builds(ReferencedInstance, st.sampled_from([SC, CR, ""]), st.sampled_from("abcdef")), max_size=8
)


@given(REFERENCES, REFERENCES, st.sets(st.sampled_from("abcd")))
def test_every_instance_of_the_request_has_exactly_one_place(
    committed: list[ReferencedInstance], failed: list[ReferencedInstance], asked: set[str]
) -> None:
    request = [ReferencedInstance(SC, uid) for uid in asked]
    said = judge(CommitmentReport("1", tuple(committed), tuple(FailedInstance(each, 1) for each in failed)), request)
    assert sorted((*said.committed, *said.failed, *said.missing)) == sorted(asked)


# ------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("reason", "words", "reaction"),
    [
        (0x0110, "0110H processing failure", Reaction.ASK_LATER),
        (0x0112, "0112H no such object instance", Reaction.STORE_AGAIN),
        (0x0119, "0119H class and instance conflict", Reaction.GIVE_UP),
        (0x0122, "0122H referenced SOP class not supported", Reaction.GIVE_UP),
        (0x0131, "0131H duplicate transaction UID", Reaction.ASK_ANEW),
        (0x0213, "0213H resource limitation", Reaction.ASK_LATER),
        (0x0001, "0001H a reason that the standard does not define", Reaction.GIVE_UP),
        (None, "failed, without a reason", Reaction.GIVE_UP),
    ],
)
def test_failure_reasons(reason: int | None, words: str, reaction: Reaction) -> None:
    assert (describe_failure(reason), reaction_to(reason)) == (words, reaction)


def test_the_table_is_that_of_the_standard() -> None:
    assert sorted(FAILURE_REASONS) == [0x0110, 0x0112, 0x0119, 0x0122, 0x0131, 0x0213]


# ------------------------------------------------------------------ asking


def test_the_request_names_each_instance_once() -> None:
    made = action_information("1.2.3", [ONE, TWO])
    assert made.TransactionUID == "1.2.3"
    references = [(each.ReferencedSOPClassUID, each.ReferencedSOPInstanceUID) for each in made.ReferencedSOPSequence]
    assert references == [(SC, "1.2.1"), (SC, "1.2.2")]
    assert len(made) == 2


@pytest.mark.parametrize("count", [0, MAX_INSTANCES + 1])
def test_a_request_is_bounded(count: int) -> None:
    many = [ReferencedInstance(SC, f"1.2.{number}") for number in range(count)]
    with pytest.raises(LocalProtocolError, match="1 to 200"):
        action_information("1.2.3", many)


def test_no_instance_twice_in_a_request() -> None:
    with pytest.raises(LocalProtocolError, match="twice"):
        action_information("1.2.3", [ONE, ONE])
