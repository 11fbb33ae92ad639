"""Nine odd worklist items, from servers that are not ours, onto the screen and into an object; none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from objects_samples import SCHEDULED, build, camera
from odd_worklist import ODD_ITEMS, write_odd_items
from peers_material import program
from pydicom.dataset import Dataset
from pynetdicom import AE, evt, service_class

from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND
from firmware_app.model import WorklistItem
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.worklist import WorklistQuery, find_worklist
from firmware_app.objects.encoding import encode_part10
from firmware_app.profiles import load_profile
from firmware_app.services import screens
from firmware_app.services.worklist import WorklistStatus

KEYS = load_profile().worklist_keys
EXPLICIT = ((MODALITY_WORKLIST_FIND, (EXPLICIT_VR_LITTLE_ENDIAN,)),)


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / "WLM"
    folder.mkdir()
    write_odd_items(folder)
    return folder


@pytest.fixture(scope="module")
def odd_wlmscpfs(servers: Any, odd_folder: Path, unused_port: Any) -> Node:
    port = unused_port()
    # -dfr: incomplete files are not passed over
    servers.start(port, program("wlmscpfs"), "--fork", "-csk", "-dfr", "-dfp", str(odd_folder.parent), str(port))
    return Node("worklist", "127.0.0.1", port, "WLM", Timeouts.all(20))


class AsItIs(Dataset):
    """An identifier that pynetdicom must not write anew: it would mend what is odd."""

    def __init__(self, octets: bytes) -> None:
        super().__init__()
        object.__setattr__(self, "octets", octets)


@pytest.fixture
def unmended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_class, "encode", lambda identifier, *syntax: identifier.octets)


@contextmanager
def pynetdicom_worklist(folder: Path) -> Iterator[Node]:
    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for file in sorted(folder.glob("*.wl")):
            yield 0xFF00, AsItIs(file.read_bytes()[read_instance_file(file).data_set_offset :])

    entity = AE("PYNET")
    entity.add_supported_context(MODALITY_WORKLIST_FIND, EXPLICIT_VR_LITTLE_ENDIAN)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find)])
    assert server is not None
    try:
        yield Node("worklist", "127.0.0.1", server.server_address[1], "PYNET", Timeouts.all(20))
    finally:
        server.shutdown()


async def find_all(node: Node, local: LocalApplicationEntity) -> dict[str, WorklistItem]:
    found = find_worklist(node, local, WorklistQuery(), KEYS, contexts=EXPLICIT)
    return {item.patient.patient_id: item async for item in found}


def check(name: str, item: WorklistItem) -> None:
    odd = ODD_ITEMS[name]
    assert any(odd.problem in problem for problem in item.problems) if odd.problem else item.problems == ()
    screen = screens.worklist(WorklistStatus((item,), "now"), KEYS)
    assert name in screen.text and odd.problem in screen.text
    instance = build(
        camera(),
        replace(
            SCHEDULED,
            patient=item.patient,
            study_instance_uid=item.study_instance_uid or SCHEDULED.study_instance_uid,
            worklist_items=(item,),
        ),
    )
    data_set = pydicom.dcmread(BytesIO(encode_part10(instance.dataset, instance.as_received)))
    assert data_set.PatientID == name
    assert data_set.StudyInstanceUID == (item.study_instance_uid or SCHEDULED.study_instance_uid)
    assert data_set.AccessionNumber == item.accession_number
    assert any(problem.startswith(odd.object_problem) for problem in instance.problems) or not odd.object_problem
    assert odd.object_problem in data_set.ImageComments


@pytest.mark.peer("dcmtk")
@pytest.mark.parametrize("name", ODD_ITEMS)
async def test_wlmscpfs(name: str, odd_wlmscpfs: Node, local: LocalApplicationEntity) -> None:
    items = await find_all(odd_wlmscpfs, local)
    assert set(items) == set(ODD_ITEMS)
    check(name, items[name])


@pytest.mark.parametrize("name", ODD_ITEMS)
@pytest.mark.usefixtures("unmended")
async def test_pynetdicom(name: str, odd_folder: Path, local: LocalApplicationEntity) -> None:
    with pynetdicom_worklist(odd_folder) as node:
        items = await find_all(node, local)
    assert set(items) == set(ODD_ITEMS)
    check(name, items[name])


@pytest.mark.usefixtures("unmended")
async def test_what_each_keeps(odd_folder: Path, local: LocalApplicationEntity) -> None:
    with pynetdicom_worklist(odd_folder) as node:
        items = await find_all(node, local)
    assert items["TOO-LONG"].patient.name == "X" * 70 + "^Y"
    assert items["PADDED-UID"].study_instance_uid == "1.2.826.0.1.3680043.9.77.1"
    assert items["BAD-DATE"].patient.birth_date == "19600230"
    assert items["CHARSET"].patient.name == "Buc^Jérôme"
    assert items["CHARSET"].undecoded == (("PatientName", "4275635E4AE972F46D65"),)
    assert items["NO-STEPS"].scheduled_procedure_step_id == ""
