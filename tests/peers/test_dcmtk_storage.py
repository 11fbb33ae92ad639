"""Storage to DCMTK storescp with each of its choices of transfer syntaxes: every picture arrives in one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stored_material import CONTEXTS, SYNTAXES, check_same_instance, write_all

from firmware_app.dicom.uids import SECONDARY_CAPTURE_STORAGE
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.storage import StoreResult, store
from firmware_app.services.decompression import decompress

pytestmark = pytest.mark.peer("dcmtk")
Storescp = Callable[..., Node]

# What storescp accepts with each option beside Implicit VR Little Endian.
ACCEPTED = {
    "+xi": (),
    "+xe": ("explicit",),
    "+x=": ("explicit",),
    "+xy": ("explicit", "jpeg"),
    "+xv": ("explicit", "j2k"),
    "+xr": ("explicit", "rle"),
    "+xa": ("explicit", "jpeg", "rle", "j2k"),
}


@pytest.fixture(scope="module")
def all_instances(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("every-syntax"))


async def send(node: Node, local: LocalApplicationEntity, *paths: Path, convert: bool = True) -> list[StoreResult]:
    files = [read_instance_file(path) for path in paths]
    return [one async for one in store(node, local, files, CONTEXTS, decompress if convert else None)]


@pytest.mark.parametrize("option", ACCEPTED)
async def test_every_syntax_arrives_where_it_is_accepted_and_otherwise_uncompressed(
    storescp: Storescp,
    local: LocalApplicationEntity,
    all_instances: dict[str, Path],
    servers_folder: Path,
    option: str,
) -> None:
    received = servers_folder / "received"
    received.mkdir()
    results = await send(storescp("+B", option, "-od", str(received)), local, *all_instances.values())
    assert [(one.category, one.reason) for one in results] == [("stored", "")] * len(all_instances)
    kept = {read_instance_file(path).sop_instance_uid: path for path in received.iterdir()}
    accepted = ("implicit", *ACCEPTED[option])
    for name, path in all_instances.items():
        arrived = kept[read_instance_file(path).sop_instance_uid]
        instead = "explicit" if "explicit" in accepted else "implicit"
        assert read_instance_file(arrived).transfer_syntax_uid == SYNTAXES[name if name in accepted else instead]
        check_same_instance(arrived, path)


async def test_without_a_decoder_it_is_told_and_the_next_goes_on(
    storescp: Storescp, local: LocalApplicationEntity, all_instances: dict[str, Path]
) -> None:
    node = storescp("--ignore", "+xi")
    first, second = await send(node, local, all_instances["rle"], all_instances["explicit"], convert=False)
    assert (first.category, second.category) == ("permanent", "stored")
    assert first.reason == (
        f"{node.label}: accepts Secondary Capture Image Storage only as Implicit VR Little Endian;"
        " the file is RLE Lossless"
    )


async def test_a_stream_that_cannot_be_decoded_is_told_and_the_next_goes_on(
    storescp: Storescp, local: LocalApplicationEntity, all_instances: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.dcm"
    octets = bytearray(all_instances["rle"].read_bytes())
    octets[-2000:-8] = bytes(1992)
    broken.write_bytes(octets)
    first, second = await send(storescp("--ignore", "+xi"), local, broken, all_instances["explicit"])
    assert (first.category, first.status, second.category) == ("permanent", None, "stored")
    assert str(broken) in first.reason


async def test_a_profile_that_declares_only_implicit_sends_only_implicit(
    storescp: Storescp, local: LocalApplicationEntity, all_instances: dict[str, Path], servers_folder: Path
) -> None:
    received = servers_folder / "received"
    received.mkdir()
    node = storescp("+B", "+xa", "-od", str(received))
    files = [read_instance_file(path) for path in all_instances.values()]
    declared = ((SECONDARY_CAPTURE_STORAGE, (SYNTAXES["implicit"],)),)
    results = [one async for one in store(node, local, files, declared, decompress)]
    assert {one.category for one in results} == {"stored"}
    assert {read_instance_file(path).transfer_syntax_uid for path in received.iterdir()} == {SYNTAXES["implicit"]}
