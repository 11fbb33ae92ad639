"""Storage, worklist and cancellation against an acceptor that answers what each test says."""

from __future__ import annotations

import gc
import os
import struct
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

import pytest
import trio
from dicom_acceptor import HANG_UP, STALL, Acceptor, Answer, run_acceptor
from trio.testing import MockClock

from firmware_app.dicom import pdu
from firmware_app.dicom.command import NO_DATA_SET, Command, CommandField
from firmware_app.dicom.message import Message
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, SECONDARY_CAPTURE_STORAGE
from firmware_app.net import find
from firmware_app.net.association import associate
from firmware_app.net.data_source import BLOCK_LENGTH
from firmware_app.net.errors import ConnectFailed, DimseFailure, RemoteProtocolError, TimedOut, is_worth_retrying
from firmware_app.net.find import IGNORED_KEYS
from firmware_app.net.instance_file import InstanceFile, InstanceUnreadable, read_instance_file, transcode_uncompressed
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.query import build_identifier
from firmware_app.net.storage import StoreResult, store
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo
from firmware_app.net.worklist import WorklistQuery, find_worklist
from firmware_app.profiles.profile import QueryKey

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
KEYS = (
    QueryKey("PatientName", "*"),
    QueryKey("PatientID", "*"),
    QueryKey("ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate", "S"),
)


@pytest.fixture
def clock() -> MockClock:
    """Files are read in threads, so only long silence lets the clock jump."""
    return MockClock(autojump_threshold=0.2)


def element(tag: int, value: bytes, vr: bytes = b"UI") -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def write_instance(path: Path, number: int, length: int = 5000) -> InstanceFile:
    """A part-10 file whose data set is one long element; nobody here looks inside."""
    uid = f"1.2.3.{number}".encode()
    meta = element(0x00020002, SECONDARY_CAPTURE_STORAGE.encode() + b"\0")
    meta += element(0x00020003, uid + b"\0" * (len(uid) % 2))
    meta += element(0x00020010, IMPLICIT_VR_LITTLE_ENDIAN.encode() + b"\0")
    data_set = struct.pack("<HHI", 0x7FE0, 0x0010, length) + os.urandom(length)
    path.write_bytes(bytes(128) + b"DICM" + element(0x00020000, struct.pack("<I", len(meta)), b"UL") + meta + data_set)
    return read_instance_file(path)


@pytest.fixture
def files(tmp_path: Path) -> list[InstanceFile]:
    return [write_instance(tmp_path / f"{number}.dcm", number) for number in range(1, 5)]


async def store_all(acceptor: Acceptor, files: list[InstanceFile]) -> list[StoreResult]:
    return [result async for result in store(acceptor.node, LOCAL, files)]


# ------------------------------------------------------------------ storage


async def test_one_failed_instance_does_not_stop_the_next(files: list[InstanceFile]) -> None:
    statuses = iter([0xA700, 0xB007, 0xC001, 0x0000])
    async with run_acceptor(lambda message: [next(statuses)]) as acceptor:
        results = await store_all(acceptor, files)
        assert acceptor.ends == ["released"]
    assert [(one.status, one.category) for one in results] == [
        (0xA700, "retry"),
        (0xB007, "warning"),
        (0xC001, "permanent"),
        (0x0000, "stored"),
    ]
    assert results[0].reason == f"{acceptor.node.label}: A700H out of resources"


async def test_a_pending_answer_to_a_store_is_no_success_and_does_not_stop_the_next(files: list[InstanceFile]) -> None:
    statuses = iter([0xFF00, 0xFF01, 0x0000, 0x0000])
    async with run_acceptor(lambda message: [next(statuses)]) as acceptor:
        results = await store_all(acceptor, files)
        assert acceptor.ends == ["released"]
    assert [one.category for one in results] == ["permanent", "permanent", "stored", "stored"]


async def test_what_arrives_is_the_file(files: list[InstanceFile]) -> None:
    async with run_acceptor(lambda message: [0]) as acceptor:
        await store_all(acceptor, files)
    for message, file in zip(acceptor.messages, files, strict=True):
        assert message.command.affected_sop_instance_uid == file.sop_instance_uid
        assert message.data_set == file.path.read_bytes()[file.data_set_offset :]
    assert [message.command.message_id for message in acceptor.messages] == [1, 2, 3, 4]


async def test_a_file_longer_than_a_block(tmp_path: Path) -> None:
    file = write_instance(tmp_path / "long.dcm", 1, 2 * BLOCK_LENGTH + 12346)
    async with run_acceptor(lambda message: [0]) as acceptor:
        (result,) = await store_all(acceptor, [file])
    assert result.category == "stored"
    assert acceptor.messages[0].data_set == file.path.read_bytes()[file.data_set_offset :]


async def test_a_lost_association_leaves_the_rest_to_be_retried(files: list[InstanceFile]) -> None:
    answers: Iterable[Answer] = iter([0, HANG_UP])
    async with run_acceptor(lambda message: [next(iter(answers))]) as acceptor:
        results = await store_all(acceptor, files)
    assert [one.category for one in results] == ["stored", "retry", "retry", "retry"]
    assert "while waiting for C-STORE-RSP" in results[1].reason and results[1].status is None
    assert acceptor.associations == 1


async def test_a_silent_archive_is_left_in_time(files: list[InstanceFile], clock: MockClock) -> None:
    async with run_acceptor(lambda message: [STALL]) as acceptor:
        results = await store_all(acceptor, files[:2])
    assert [one.category for one in results] == ["retry", "retry"]
    assert results[0].reason.endswith("no C-STORE-RSP within 20 s")
    assert acceptor.ends == ["aborted"]


async def test_a_peer_that_stops_reading_is_left_in_time(tmp_path: Path, clock: MockClock) -> None:
    """Its window closes; what was meanwhile sent to us is not waited for either."""
    file = write_instance(tmp_path / "long.dcm", 1, 16 * BLOCK_LENGTH)
    accept = pdu.AssociateAccept("A", "B", (pdu.ContextResult(1, 0, IMPLICIT_VR_LITTLE_ENDIAN),)).encode()
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    node = Node("deaf", "127.0.0.1", listener.socket.getsockname()[1], "DEAF", Timeouts(write_s=7))

    async def serve() -> None:
        async with await listener.accept() as stream:
            await stream.receive_some()
            await stream.send_all(accept)
            await trio.sleep_forever()

    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        (result,) = [one async for one in store(node, LOCAL, [file])]
        nursery.cancel_scope.cancel()
    assert (result.category, result.reason) == ("retry", f"{node.label}: no room to send within 7 s")


async def test_a_file_cut_before_it_is_sent_costs_not_even_the_association(files: list[InstanceFile]) -> None:
    files[1].path.write_bytes(files[1].path.read_bytes()[:-100])
    async with run_acceptor(lambda message: [0]) as acceptor:
        results = await store_all(acceptor, files)
    assert [one.category for one in results] == ["stored", "permanent", "stored", "stored"]
    assert "has changed" in results[1].reason
    assert acceptor.associations == 1


async def test_a_file_cut_while_it_is_sent_costs_only_itself(files: list[InstanceFile], tmp_path: Path) -> None:
    """Half a data set cannot be taken back, only aborted: the rest goes over a new association."""
    long = write_instance(tmp_path / "long.dcm", 99, 32 * BLOCK_LENGTH)

    def cut(received: int) -> None:
        if received > BLOCK_LENGTH:
            os.truncate(long.path, 2 * BLOCK_LENGTH)

    async with run_acceptor(lambda message: [0]) as acceptor:
        acceptor.on_octets = cut
        results = await store_all(acceptor, [files[0], long, files[1]])
    assert [one.category for one in results] == ["stored", "permanent", "stored"]
    assert results[1].reason == f"{long.path}: shorter than it was"
    assert acceptor.associations == 2 and acceptor.ends == ["aborted", "released"]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "no DICM prefix"),
        (b"not an image at all" * 20, "no DICM prefix"),
        (bytes(128) + b"DICM" + element(0x00020000, struct.pack("<I", 500), b"UL"), "ends inside"),
        (bytes(128) + b"DICM" + element(0x00020000, bytes(4), b"UL"), "without"),
    ],
)
def test_what_is_no_instance_is_refused_by_name(tmp_path: Path, octets: bytes, message: str) -> None:
    path = tmp_path / "bad.dcm"
    path.write_bytes(octets)
    with pytest.raises(InstanceUnreadable, match=rf"bad\.dcm: .*{message}"):
        read_instance_file(path)


def test_a_truncated_or_missing_file_is_refused(tmp_path: Path) -> None:
    file = write_instance(tmp_path / "odd.dcm", 1)
    file.path.write_bytes(file.path.read_bytes()[:-1])
    with pytest.raises(InstanceUnreadable, match="truncated"):
        read_instance_file(file.path)
    with pytest.raises(InstanceUnreadable, match="No such file"):
        read_instance_file(tmp_path / "none.dcm")


def test_a_value_representation_that_nobody_knows_cannot_be_re_encoded(tmp_path: Path) -> None:
    meta = element(0x00020010, EXPLICIT_VR_LITTLE_ENDIAN.encode() + b"\0")
    front = bytes(128) + b"DICM" + element(0x00020000, struct.pack("<I", len(meta)), b"UL") + meta
    path = tmp_path / "odd.dcm"
    path.write_bytes(front + element(0x00100010, b"ab", b"QQ"))
    file = InstanceFile(path, SECONDARY_CAPTURE_STORAGE, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, len(front), 10)
    with pytest.raises(InstanceUnreadable, match=r"odd\.dcm: cannot be re-encoded \(NotImplementedError\)"):
        transcode_uncompressed(file, IMPLICIT_VR_LITTLE_ENDIAN)


# ------------------------------------------------------------------ worklist

JANE = struct.pack("<HHI", 0x0010, 0x0010, 8) + b"DOE^JANE" + struct.pack("<HHI", 0x0010, 0x0020, 2) + b"P1"


async def find_all(acceptor: Acceptor, **options: int) -> list[str]:
    items = find_worklist(acceptor.node, LOCAL, WorklistQuery(), KEYS, **options)
    return [item.patient.name async for item in items]


async def test_both_pending_statuses_are_matches_and_a_final_identifier_is_none() -> None:
    async with run_acceptor(lambda message: [(0xFF00, JANE), (0xFF01, JANE), (0x0000, JANE)]) as acceptor:
        items = [item async for item in find_worklist(acceptor.node, LOCAL, WorklistQuery(), KEYS)]
        assert acceptor.ends == ["released"]
    assert [item.patient.patient_id for item in items] == ["P1", "P1"]
    assert [IGNORED_KEYS in item.problems for item in items] == [False, True]


async def test_nothing_found_is_an_empty_list() -> None:
    async with run_acceptor(lambda message: [0]) as acceptor:
        assert await find_all(acceptor) == []


async def test_one_bad_item_does_not_lose_the_list() -> None:
    async with run_acceptor(lambda message: [(0xFF00, JANE), (0xFF00, b"\xff" * 32), (0xFF00, JANE), 0]) as acceptor:
        items = [item async for item in find_worklist(acceptor.node, LOCAL, WorklistQuery(), KEYS)]
    assert [item.patient.name for item in items] == ["DOE^JANE", "", "DOE^JANE"]
    assert "data set is broken" in items[1].problems[0]


async def test_an_item_that_is_too_long_is_read_as_far_as_it_goes() -> None:
    long = JANE + struct.pack("<HHI", 0x0010, 0x4000, 40_000) + b"\x1b$B0!\x1b(B " * 4444 + bytes(4)
    async with run_acceptor(lambda message: [(0xFF01, long), (0xFF00, JANE), 0]) as acceptor:
        items = [item async for item in find_worklist(acceptor.node, LOCAL, WorklistQuery(), KEYS)]
    assert [item.patient.name for item in items] == ["DOE^JANE", "DOE^JANE"]
    assert IGNORED_KEYS in items[0].problems
    assert items[0].problems[-1] == f"the identifier has {len(long)} octets, of which 32768 were read"
    assert not any("octets" in problem for problem in items[1].problems)


async def test_a_list_that_is_too_long_altogether_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MAX_OCTETS", 3 * len(JANE))
    async with run_acceptor(lambda message: [*[(0xFF00, JANE)] * 4, 0]) as acceptor:
        with pytest.raises(RemoteProtocolError, match="more than 78 octets of matches"):
            await find_all(acceptor)


async def test_a_list_that_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MAX_RESPONSE_TIMES", 0)
    async with run_acceptor(lambda message: [(0xFF00, JANE), 0]) as acceptor:
        with pytest.raises(TimedOut, match="no end of the C-FIND within 0 s"):
            await find_all(acceptor)


@pytest.mark.parametrize(("status", "retry"), [(0xA700, True), (0xA900, False), (0xC000, False)])
async def test_a_failed_query_is_shown_and_the_association_ends(status: int, retry: bool) -> None:
    async with run_acceptor(lambda message: [(0xFF00, JANE), status]) as acceptor:
        with pytest.raises(DimseFailure, match=f"C-FIND failed with status {status:04X}H") as caught:
            await find_all(acceptor)
        with trio.fail_after(5):
            while not acceptor.ends:
                await trio.lowlevel.checkpoint()
    assert acceptor.ends == ["released"]
    assert is_worth_retrying(caught.value) is retry


async def test_a_consumer_that_stops_cancels_and_releases() -> None:
    async with run_acceptor(lambda message: [*[(0xFF00, JANE)] * 50, 0xFE00]) as acceptor:
        async with aclosing(find_worklist(acceptor.node, LOCAL, WorklistQuery(), KEYS)) as items:
            async for _ in items:
                break
        assert [one.command.command_field for one in acceptor.messages] == [
            CommandField.C_FIND_RQ,
            CommandField.C_CANCEL_RQ,
        ]
        assert acceptor.messages[1].command.message_id_being_responded_to == acceptor.messages[0].command.message_id
        assert acceptor.ends == ["released"]


async def test_a_search_that_the_peer_cancels_by_itself_has_failed() -> None:
    async with run_acceptor(lambda message: [(0xFF00, JANE), 0xFE00]) as acceptor:
        with pytest.raises(DimseFailure) as caught:
            await find_all(acceptor)
    assert caught.value.status == 0xFE00


async def test_the_number_of_items_is_bounded() -> None:
    async with run_acceptor(lambda message: [*[(0xFF00, JANE)] * 50, 0xFE00]) as acceptor:
        assert len(await find_all(acceptor, max_items=7)) == 7
        assert acceptor.messages[-1].command.command_field is CommandField.C_CANCEL_RQ
        assert acceptor.ends == ["released"]


async def test_a_cancel_that_is_not_heard_ends_by_abort(clock: MockClock) -> None:
    async with run_acceptor(lambda message: [(0xFF00, JANE), (0xFF00, JANE), STALL]) as acceptor:
        assert await find_all(acceptor, max_items=1) == ["DOE^JANE"]
    assert acceptor.ends == ["aborted"]


def test_the_identifier_of_a_query() -> None:
    query = WorklistQuery(patient_name="DOE*", date="20260105")
    octets = build_identifier(query.values(), KEYS, explicit_vr=False)
    step = struct.pack("<HHI", 0x0040, 0x0002, 8) + b"20260105"
    assert octets == b"".join(
        [
            struct.pack("<HHI", 0x0008, 0x0005, 0),
            struct.pack("<HHI", 0x0010, 0x0010, 4) + b"DOE*",
            struct.pack("<HHI", 0x0010, 0x0020, 0),
            struct.pack("<HHI", 0x0040, 0x0100, 24) + struct.pack("<HHI", 0xFFFE, 0xE000, 16) + step,
        ]
    )


def test_a_name_that_is_not_ascii_is_asked_for_in_its_character_set() -> None:
    values = WorklistQuery(patient_name="山田*").values()
    octets = build_identifier(values, KEYS, explicit_vr=True, character_set=("ISO_IR 192",))
    assert b"CS\x0a\0ISO_IR 192" in octets and "山田*".encode() in octets
    octets = build_identifier(values, KEYS, explicit_vr=True, character_set=("", "ISO 2022 IR 87"))
    assert b"CS\x10\0\\ISO 2022 IR 87 " in octets and b"\x1b$B;3ED\x1b(B*" in octets


@pytest.mark.parametrize("date", ["2026", "20260230", "20260101-2026", "-", "20260101--20260102", "2026010120260102"])
def test_a_bad_date_is_refused_before_anything_is_sent(date: str) -> None:
    with pytest.raises(ValueError, match="date of a worklist query"):
        WorklistQuery(date=date)


# ------------------------------------------------------------------ cancellation and resources


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_cancellation_aborts_and_leaves_nothing_behind() -> None:
    """At a wait for the answer of the peer, a hundred times."""
    async with run_acceptor(lambda message: [STALL]) as acceptor:
        await trio.lowlevel.checkpoint()
        before = open_descriptors()
        for _ in range(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(echo, acceptor.node, LOCAL)
                seen = len(acceptor.messages)
                while len(acceptor.messages) == seen:
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        while len(acceptor.ends) < 100:
            await trio.lowlevel.checkpoint()
        assert open_descriptors() == before
    assert set(acceptor.ends) == {"aborted"}


async def test_cancellation_while_connecting(clock: MockClock) -> None:
    """A listener whose backlog is full never completes the handshake."""
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    waiting = [trio.socket.socket() for _ in range(3)]
    try:
        for one in waiting:
            with trio.move_on_after(0.05):
                await one.connect(("127.0.0.1", port))
        before = open_descriptors()
        with pytest.raises(TimedOut, match=r"no TCP connection from 127\.0\.0\.1 within 3 s"):
            await echo(Node("full", "127.0.0.1", port, "X", Timeouts(connect_s=3)), LOCAL)
        assert open_descriptors() == before
    finally:
        for one in (*waiting, listener):
            one.close()


async def test_an_abandoned_generator_closes_its_association() -> None:
    async with run_acceptor(lambda message: [*[(0xFF00, JANE)] * 3, STALL]) as acceptor:
        items = find_worklist(acceptor.node, LOCAL, WorklistQuery(), KEYS)
        with pytest.warns(ResourceWarning):
            async for _ in items:
                break
            del items
            gc.collect()
            while not acceptor.ends:
                await trio.lowlevel.checkpoint()
    assert acceptor.ends == ["aborted"]


async def test_an_exception_in_the_scope_aborts() -> None:
    async with run_acceptor(lambda message: [0]) as acceptor:
        with pytest.raises(KeyError):
            async with associate(acceptor.node, LOCAL, VERIFICATION_CONTEXTS):
                raise KeyError
        while not acceptor.ends:
            await trio.lowlevel.checkpoint()
    assert acceptor.ends == ["aborted"]


async def test_message_ids_wrap() -> None:
    async with (
        run_acceptor(lambda message: [0]) as acceptor,
        associate(acceptor.node, LOCAL, VERIFICATION_CONTEXTS) as association,
    ):
        numbers = [association.next_message_id() for _ in range(65537)]
    assert (numbers[0], numbers[65534], numbers[65535]) == (1, 65535, 1)


async def test_the_source_address_is_ours() -> None:
    seen: list[str] = []
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]

    async def serve() -> None:
        stream = await listener.accept()
        seen.append(stream.socket.getpeername()[0])
        await stream.aclose()

    local = LocalApplicationEntity("SPECULAR", "127.0.0.5", "1.2.3", "")
    node = Node("peer", "127.0.0.1", listener.socket.getsockname()[1], "PEER")
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(Exception, match="peer"):
            await echo(node, local)
    assert seen == ["127.0.0.5"]


async def test_a_source_address_that_is_not_there() -> None:
    local = LocalApplicationEntity("SPECULAR", "192.0.2.1", "1.2.3", "")
    with pytest.raises(ConnectFailed, match=r"Cannot assign requested address from 192.0.2.1"):
        await echo(Node("peer", "127.0.0.1", 9, "PEER"), local)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_no_wait_is_endless(seconds: float) -> None:
    with pytest.raises(ValueError, match="connect_s"):
        Timeouts(connect_s=seconds)


async def test_the_reason_of_a_refusal_names_status_comment_and_offending_elements(files: list[InstanceFile]) -> None:
    def refuse(message: Message) -> Iterable[Answer]:
        response = Command(
            command_field=CommandField.C_STORE_RSP,
            message_id_being_responded_to=message.command.message_id,
            status=0xA900,
            error_comment="no study",
            offending_elements=(0x0020000D, 0x00100020),
            data_set_type=NO_DATA_SET,
        )
        return [Message(message.context_id, response, None)]

    async with run_acceptor(refuse) as acceptor:
        (result,) = await store_all(acceptor, files[:1])
    assert (result.status, result.category) == (0xA900, "permanent")
    words = "A900H data set does not match SOP class ('no study'), because of (0020,000D), (0010,0020)"
    assert result.reason == f"{acceptor.node.label}: {words}"
