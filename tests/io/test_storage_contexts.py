"""What is proposed for which files: what the profile declares, by hand also what it does not."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from dicom_acceptor import Acceptor, run_acceptor

from firmware_app.config import Config
from firmware_app.dicom.pdu import AssociateRequest
from firmware_app.dicom.uids import (
    COMPUTED_RADIOGRAPHY_STORAGE,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    RLE_LOSSLESS,
    SECONDARY_CAPTURE_STORAGE,
)
from firmware_app.net.association import ContextPair
from firmware_app.net.instance_file import InstanceFile, read_instance_file
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.storage import StoreResult, contexts_by_hand, proposal, store
from firmware_app.profiles import load_profile
from firmware_app.services.network_verbs import Peer, store_rows
from firmware_app.services.peers import contexts_of

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
SC, CR, CT = SECONDARY_CAPTURE_STORAGE, COMPUTED_RADIOGRAPHY_STORAGE, "1.2.840.10008.5.1.4.1.1.2"
JPEG_LS = "1.2.840.10008.1.2.4.80"
SP1P = contexts_of(load_profile("sp-1p"), "storage")
UNCOMPRESSED = [(EXPLICIT_VR_LITTLE_ENDIAN,), (IMPLICIT_VR_LITTLE_ENDIAN,)]


def element(tag: int, value: str, vr: bytes = b"UI") -> bytes:
    octets = value.encode() + b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(octets)) + octets


def write(folder: Path, number: int, sop_class_uid: str, transfer_syntax_uid: str) -> InstanceFile:
    meta = element(0x00020002, sop_class_uid) + element(0x00020003, f"1.2.3.{number}")
    meta += element(0x00020010, transfer_syntax_uid)
    front = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    path = folder / f"{number}.dcm"
    path.write_bytes(front + meta + struct.pack("<HHI", 0x7FE0, 0x0010, 4) + bytes(4))
    return read_instance_file(path)


def proposed(request: AssociateRequest) -> list[ContextPair]:
    return [(one.abstract_syntax, one.transfer_syntaxes) for one in request.contexts]


async def send(acceptor: Acceptor, files: list[InstanceFile], contexts: tuple[ContextPair, ...]) -> list[StoreResult]:
    return [one async for one in store(acceptor.node, LOCAL, files, contexts)]


async def test_the_declared_contexts_of_the_classes_that_are_sent_in_their_order(tmp_path: Path) -> None:
    declared = ((CR, (IMPLICIT_VR_LITTLE_ENDIAN,)), (CT, (EXPLICIT_VR_LITTLE_ENDIAN,)), *SP1P)
    files = [write(tmp_path, 1, SC, EXPLICIT_VR_LITTLE_ENDIAN), write(tmp_path, 2, CR, IMPLICIT_VR_LITTLE_ENDIAN)]
    async with run_acceptor(lambda message: [0]) as acceptor:
        results = await send(acceptor, files, declared)
    assert [one.category for one in results] == ["stored", "stored"]
    assert proposed(acceptor.requests[0]) == [(CR, (IMPLICIT_VR_LITTLE_ENDIAN,)), *SP1P]


async def test_what_is_not_declared_is_never_proposed(tmp_path: Path) -> None:
    files = [write(tmp_path, number, CT, IMPLICIT_VR_LITTLE_ENDIAN) for number in (1, 2)]
    files.insert(1, write(tmp_path, 3, SC, IMPLICIT_VR_LITTLE_ENDIAN))
    async with run_acceptor(lambda message: [0]) as acceptor:
        results = await send(acceptor, files, SP1P)
        assert [one.category for one in results] == ["permanent", "stored", "permanent"]
        assert proposed(acceptor.requests[0]) == list(SP1P)
        assert [one.category for one in await send(acceptor, files[:1], SP1P)] == ["permanent"]
    assert acceptor.associations == 1
    assert results[0].reason == f"{CT} is not declared: no presentation context is proposed for it"


async def test_more_classes_than_one_association_has_contexts_for(tmp_path: Path) -> None:
    files = [write(tmp_path, number, f"1.2.77.{number}", JPEG_LS) for number in range(50)]
    async with run_acceptor(lambda message: [0]) as acceptor:
        results = [one async for one in store(acceptor.node, LOCAL, files)]
    assert [one.sop_instance_uid for one in results] == [file.sop_instance_uid for file in files]
    assert {one.category for one in results} == {"stored"}
    assert [len(request.contexts) for request in acceptor.requests] == [126, 24]


def test_by_hand_an_undeclared_class_goes_behind_the_declared_ones(tmp_path: Path) -> None:
    files = [write(tmp_path, 1, CT, JPEG_LS), write(tmp_path, 2, SC, JPEG_BASELINE)]
    by_hand = contexts_by_hand(files, SP1P)
    assert by_hand == (*SP1P, (CT, (JPEG_LS,)), *((CT, syntaxes) for syntaxes in UNCOMPRESSED))
    assert proposal(files[1:], by_hand) == (1, SP1P)


def test_by_hand_a_declared_class_in_an_undeclared_syntax(tmp_path: Path) -> None:
    file = write(tmp_path, 1, SC, RLE_LOSSLESS)
    assert contexts_by_hand([file], SP1P) == (*SP1P, (SC, (RLE_LOSSLESS,)))
    assert contexts_by_hand([file]) == ((SC, (RLE_LOSSLESS,)), *((SC, syntaxes) for syntaxes in UNCOMPRESSED))


@pytest.mark.parametrize("profile", ["specular", "sp-1p", "kodakqc"])
async def test_specular_store_proposes_what_its_profile_declares(tmp_path: Path, profile: str) -> None:
    declared = contexts_of(load_profile(profile), "storage")
    files = [write(tmp_path, 1, declared[0][0], declared[0][1][0]), write(tmp_path, 2, CT, IMPLICIT_VR_LITTLE_ENDIAN)]
    async with run_acceptor(lambda message: [0]) as acceptor:
        peer = Peer(acceptor.node, Config(profile=profile), load_profile(profile), "127.0.0.1")
        rows = [row async for row in store_rows([file.path for file in files])(peer)]
    assert [row.failure for row in rows] == ["", ""]
    ours = [pair for pair in declared if pair[0] == declared[0][0]]
    assert proposed(acceptor.requests[0]) == [*ours, *((CT, syntaxes) for syntaxes in reversed(UNCOMPRESSED))]
