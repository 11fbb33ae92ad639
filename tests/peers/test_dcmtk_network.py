"""Our association client against DCMTK's servers, defaults and fault switches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pydicom
import pytest
import trio
from peers_material import ODD_NAMES, PLAIN_ITEMS, program

from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_WORKLIST_FIND,
    VERIFICATION,
)
from firmware_app.model import Code, WorklistItem
from firmware_app.net.association import associate
from firmware_app.net.errors import AssociationRejected, ConnectFailed, NoUsableContext
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.listener import serve
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.storage import StoreResult, store
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo
from firmware_app.net.worklist import WorklistQuery, find_worklist
from firmware_app.profiles import load_profile

pytestmark = pytest.mark.peer("dcmtk")
Storescp = Callable[..., Node]
KEYS = load_profile().worklist_keys


async def store_all(node: Node, local: LocalApplicationEntity, *paths: Path) -> list[StoreResult]:
    return [result async for result in store(node, local, [read_instance_file(path) for path in paths])]


async def find_all(node: Node, local: LocalApplicationEntity, **query: str) -> list[WorklistItem]:
    return [item async for item in find_worklist(node, local, WorklistQuery(**query), KEYS)]


# ------------------------------------------------------------------ verification


async def test_echo(storescp: Storescp, local: LocalApplicationEntity) -> None:
    result = await echo(storescp("--ignore"), local, count=3)
    assert result.count == 3
    assert result.peer_implementation_version_name.startswith("OFFIS_DCMTK_")
    assert result.release_failure is None


async def test_a_thousand_echoes_do_not_wait_for_delayed_acknowledgements(
    storescp: Storescp, local: LocalApplicationEntity
) -> None:
    """A stall of 40 ms each would take 40 s; a default storescp has Nagle's algorithm on."""
    with trio.fail_after(15):
        result = await echo(storescp("--ignore"), local, count=1000)
    assert result.count == 1000


async def test_nobody_listens(local: LocalApplicationEntity) -> None:
    with pytest.raises(ConnectFailed, match=r"nobody \(X at 127.0.0.1:9\): cannot connect: Connection refused"):
        await echo(Node("nobody", "127.0.0.1", 9, "X"), local)


async def test_refused_association(storescp: Storescp, local: LocalApplicationEntity) -> None:
    with pytest.raises(AssociationRejected) as caught:
        await echo(storescp("--refuse"), local)
    assert caught.value.permanent
    assert "rejected permanently by the application: no reason given" in str(caught.value)


async def test_nothing_usable_is_named(storescp: Storescp, local: LocalApplicationEntity) -> None:
    contexts = ((MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
    with pytest.raises(NoUsableContext, match=r"Modality Worklist FIND .*: abstract syntax not supported"):
        async with associate(storescp("--ignore"), local, contexts):
            pytest.fail("there is no association to use")


async def test_one_usable_context_of_two_is_enough(storescp: Storescp, local: LocalApplicationEntity) -> None:
    contexts = ((MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN,)), *VERIFICATION_CONTEXTS)
    async with associate(storescp("--ignore"), local, contexts) as association:
        assert [one.abstract_syntax for one in association.accepted] == [VERIFICATION]


# ------------------------------------------------------------------ storage


async def test_every_syntax_arrives_bit_for_bit(
    storescp: Storescp, local: LocalApplicationEntity, instances: dict[str, Path], servers_folder: Path
) -> None:
    """+B keeps the data set as it came over the wire; the file's own syntax was accepted for each."""
    received = servers_folder / "bits"
    received.mkdir()
    results = await store_all(storescp("+B", "+xa", "-od", str(received)), local, *instances.values())
    assert [(one.category, one.status) for one in results] == [("stored", 0)] * 3
    sent = {pydicom.dcmread(path).SOPInstanceUID: path for path in instances.values()}
    files = list(received.iterdir())
    assert len(files) == 3
    for file in files:
        theirs, ours = read_instance_file(file), read_instance_file(sent[read_instance_file(file).sop_instance_uid])
        assert theirs.transfer_syntax_uid == ours.transfer_syntax_uid
        assert file.read_bytes()[theirs.data_set_offset :] == ours.path.read_bytes()[ours.data_set_offset :]


@pytest.mark.parametrize(
    ("source", "option", "syntax"),
    [
        ("explicit", "+xi", IMPLICIT_VR_LITTLE_ENDIAN),
        ("implicit", "+xi", IMPLICIT_VR_LITTLE_ENDIAN),
        ("implicit", "+xe", IMPLICIT_VR_LITTLE_ENDIAN),
    ],
)
async def test_an_uncompressed_file_is_sent_as_what_is_accepted(
    storescp: Storescp,
    local: LocalApplicationEntity,
    instances: dict[str, Path],
    servers_folder: Path,
    source: str,
    option: str,
    syntax: str,
) -> None:
    received = servers_folder / f"{source}{option}"
    received.mkdir()
    (result,) = await store_all(storescp("+B", option, "-od", str(received)), local, instances[source])
    assert result.category == "stored"
    (file,) = received.iterdir()
    assert read_instance_file(file).transfer_syntax_uid == syntax
    theirs, ours = pydicom.dcmread(file), pydicom.dcmread(instances[source])
    assert theirs.PixelData == ours.PixelData and theirs.PatientName == ours.PatientName
    assert [element.tag for element in theirs] == [element.tag for element in ours]


async def test_jpeg_where_only_uncompressed_is_accepted(
    storescp: Storescp, local: LocalApplicationEntity, instances: dict[str, Path]
) -> None:
    """One instance cannot be sent, and that does not stop the next."""
    node = storescp("--ignore", "+xi")
    results = await store_all(node, local, instances["jpeg"], instances["implicit"])
    assert [one.category for one in results] == ["permanent", "stored"]
    assert results[0].reason == (
        f"{node.label}: accepts Secondary Capture Image Storage only as Implicit VR Little Endian;"
        " the file is JPEG Baseline"
    )


async def test_a_small_maximum_length(
    storescp: Storescp, local: LocalApplicationEntity, instances: dict[str, Path]
) -> None:
    (result,) = await store_all(storescp("--ignore", "-pdu", "4096"), local, instances["implicit"])
    assert result.category == "stored"


@pytest.mark.parametrize("option", ["--abort-during", "--abort-after"])
async def test_an_aborting_peer_leaves_the_rest_to_be_retried(
    storescp: Storescp, local: LocalApplicationEntity, instances: dict[str, Path], option: str
) -> None:
    results = await store_all(storescp("--ignore", option), local, instances["implicit"], instances["explicit"])
    assert len(results) == 2
    assert results[-1].category == "retry"
    assert "aborted by its application" in results[-1].reason or "closed" in results[-1].reason


async def test_a_refusing_archive_is_permanent_and_one_that_is_down_is_not(
    storescp: Storescp, local: LocalApplicationEntity, instances: dict[str, Path]
) -> None:
    (refused,) = await store_all(storescp("--refuse"), local, instances["implicit"])
    assert refused.category == "permanent" and "rejected permanently" in refused.reason
    (down,) = await store_all(Node("down", "127.0.0.1", 9, "X"), local, instances["implicit"])
    assert down.category == "retry" and "Connection refused" in down.reason


async def test_a_file_that_vanished_costs_only_itself(
    storescp: Storescp, local: LocalApplicationEntity, instances: dict[str, Path], tmp_path: Path
) -> None:
    gone = replace(read_instance_file(instances["implicit"]), path=tmp_path / "gone.dcm", sop_instance_uid="1.2.3")
    files = [gone, read_instance_file(instances["explicit"])]
    results = [result async for result in store(storescp("--ignore"), local, files)]
    assert [(one.sop_instance_uid, one.category) for one in results] == [
        ("1.2.3", "permanent"),
        (files[1].sop_instance_uid, "stored"),
    ]
    assert results[0].reason.endswith("gone.dcm: No such file or directory")


# ------------------------------------------------------------------ worklist


async def test_the_whole_worklist(wlmscpfs: Node, local: LocalApplicationEntity) -> None:
    items = {item.patient.patient_id: item for item in await find_all(wlmscpfs, local)}
    assert len(items) == PLAIN_ITEMS + len(ODD_NAMES)
    plain = items["P3"]
    assert plain.problems == ()
    assert (plain.patient.name, plain.patient.birth_date, plain.patient.sex) == ("PLAIN^3", "19600229", "F")
    assert (plain.accession_number, plain.modality, plain.scheduled_start_date) == ("A0003", "OP", "20260105")
    assert plain.scheduled_start_time == "080300"
    assert plain.study_instance_uid.startswith("1.2.826.0.1.3680043.8.498.")
    assert plain.scheduled_protocol_codes == (Code("SPM", "99T", "Specular microscopy"),)
    assert plain.requested_procedure_description == "Corneal endothelium, both eyes"


@pytest.mark.parametrize("patient_id", [name for name in ODD_NAMES if len(name) < 10])
async def test_names_in_every_character_set(wlmscpfs: Node, local: LocalApplicationEntity, patient_id: str) -> None:
    (item,) = await find_all(wlmscpfs, local, patient_id=patient_id)
    assert item.patient.name == ODD_NAMES[patient_id][0]
    assert item.problems == (
        ("Patient's Name (0010,0010) has 70 characters, 64 are allowed",) if patient_id == "ODD-LONG" else ()
    )


async def test_an_overlong_id_is_kept_and_flagged(wlmscpfs: Node, local: LocalApplicationEntity) -> None:
    (item,) = [one for one in await find_all(wlmscpfs, local) if one.patient.name == "NO^CHARSET"]
    assert len(item.patient.patient_id) == 80
    assert item.problems == ("Patient ID (0010,0020) has 80 characters, 64 are allowed",)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"patient_id": "P1"}, 1),
        ({"patient_name": "PLAIN*"}, PLAIN_ITEMS),
        ({"modality": "OT", "patient_name": "PLAIN*"}, PLAIN_ITEMS // 2),
        ({"date": "20260105", "patient_name": "PLAIN*"}, PLAIN_ITEMS),
        ({"date": "20260101-20260131", "patient_name": "PLAIN*"}, PLAIN_ITEMS),
        ({"date": "20260106-"}, 0),
        ({"date": "-20260104"}, 0),
        ({"scheduled_station_ae_title": "OTHER"}, 0),
        ({"accession_number": "A0002"}, 1),
    ],
)
async def test_queries(wlmscpfs: Node, local: LocalApplicationEntity, query: dict[str, str], count: int) -> None:
    assert len(await find_all(wlmscpfs, local, **query)) == count


async def test_explicit_vr_gives_the_same(wlmscpfs: Node, local: LocalApplicationEntity) -> None:
    explicit = ((MODALITY_WORKLIST_FIND, (EXPLICIT_VR_LITTLE_ENDIAN,)),)
    items = [item async for item in find_worklist(wlmscpfs, local, WorklistQuery(), KEYS, contexts=explicit)]
    assert sorted(items, key=repr) == sorted(await find_all(wlmscpfs, local), key=repr)


async def test_stopping_early_and_the_bound(wlmscpfs: Node, local: LocalApplicationEntity) -> None:
    async with aclosing(find_worklist(wlmscpfs, local, WorklistQuery(), KEYS)) as items:
        async for item in items:
            assert item.patient.patient_id
            break
    few = [item async for item in find_worklist(wlmscpfs, local, WorklistQuery(), KEYS, max_items=4)]
    assert len(few) == 4


# ------------------------------------------------------------------ our own port


@pytest.mark.parametrize(("called", "status"), [("SPECULAR", 0), ("OTHER", 1)])
async def test_echoscu_asks_us(local: LocalApplicationEntity, called: str, status: int) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, local, 0))
        command = [program("echoscu"), "-to", "10", "-aet", "DCMTK", "-aec", called, "127.0.0.1", str(port)]
        done = await trio.run_process(command, check=False, capture_stderr=True)
        nursery.cancel_scope.cancel()
    assert done.returncode == status
    assert (b"Called AE Title Not Recognized" in done.stderr) == bool(status)
