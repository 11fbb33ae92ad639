"""Patients asked of archives that are not ours: DCMTK, Orthanc, pynetdicom; Patient Root, Study Root, neither."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers_material import ODD_NAMES, program, secondary_capture
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from firmware_app.cli import main
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from firmware_app.model import FoundPatient
from firmware_app.net.errors import DimseFailure, NoUsableContext
from firmware_app.net.find import IGNORED_KEYS
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.patient_query import PatientQuery, find_patients
from firmware_app.net.storage import store
from firmware_app.objects.encoding import encode_part10
from firmware_app.profiles import load_profile
from firmware_app.profiles.profile import Profile

SPECULAR, SP_1P = load_profile("specular"), load_profile("sp-1p")
# Patient ID: name, Specific Character Set. Two studies of the first; IDs that differ only by a zero.
PATIENTS: dict[str, tuple[str, str | list[str]]] = {
    "0001": ("DOE^JANE", ""),
    "1": ("DOE^JOHN", ""),
    "ODD-87": ODD_NAMES["ODD-87"],
    "ODD-13": ODD_NAMES["ODD-13"],
    "ODD-149": ODD_NAMES["ODD-149"],
    "ODD-144": ODD_NAMES["ODD-144"],
    "ODD-100": ODD_NAMES["ODD-100"],
    "ODD-GB": ODD_NAMES["ODD-GB"],
    "ODD-192": ODD_NAMES["ODD-192"],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("patients")
    files = []
    for number, (patient_id, (name, character_set)) in enumerate([("0001", PATIENTS["0001"]), *PATIENTS.items()]):
        image = secondary_capture(np.zeros((8, 8, 3), np.uint8))
        if character_set:
            image.SpecificCharacterSet = character_set
        image.PatientName, image.PatientID = name, patient_id
        image.PatientBirthDate, image.PatientSex = "19600229", "F"
        image.StudyInstanceUID = generate_uid()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(encode_part10(image))
    return files


@pytest.fixture(scope="module")
def dcmqrscp(servers: Any, tmp_path_factory: pytest.TempPathFactory, unused_port: Any) -> Node:
    folder, port = tmp_path_factory.mktemp("qrscp"), unused_port()
    (folder / "db").mkdir()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQRSCP {folder}/db RW (1000, 1024mb) ANY\nAETable END\n"
    )
    servers.start(port, program("dcmqrscp"), "-c", str(configuration))
    return Node("archive", "127.0.0.1", port, "QRSCP", Timeouts.all(20))


async def fill(node: Node, local: LocalApplicationEntity, images: list[Path]) -> None:
    files = [read_instance_file(path) for path in images]
    assert {result.category async for result in store(node, local, files)} == {"stored"}


async def ask(
    node: Node, local: LocalApplicationEntity, profile: Profile = SPECULAR, model: str = "patient-root", **query: str
) -> list[FoundPatient]:
    models: dict[str, Any] = dict(profile.patient_query_models)
    found = find_patients(
        node,
        local,
        PatientQuery(**query),
        profile.patient_keys,
        models[model],
        character_sets=profile.character_sets,
    )
    return [each async for each in found]


def ids(found: list[FoundPatient]) -> list[str]:
    return sorted(each.patient.patient_id for each in found)


@pytest.mark.peer("dcmtk")
async def test_dcmqrscp(dcmqrscp: Node, local: LocalApplicationEntity, images: list[Path]) -> None:
    await fill(dcmqrscp, local, images)
    found = await ask(dcmqrscp, local)
    assert ids(found) == sorted(PATIENTS)  # the two studies of 0001 are one patient
    by_id = {each.patient.patient_id: each for each in found}
    assert by_id["1"] == FoundPatient(replace(by_id["1"].patient, name="DOE^JOHN"))
    assert (by_id["0001"].patient.birth_date, by_id["0001"].patient.sex) == ("19600229", "F")
    # dcmqrscp 3.6.7 keeps no character set in its index: what is not ASCII is a guess, told and kept, never "?".
    for patient_id, (name, character_set) in PATIENTS.items():
        each = by_id[patient_id]
        assert "?" not in each.patient.name
        if character_set and not each.specific_character_set and each.patient.name != name:
            assert each.problems
    assert ids(await ask(dcmqrscp, local, patient_name="DOE*")) == ["0001", "1"]
    assert ids(await ask(dcmqrscp, local, patient_name="DOE^J?NE")) == ["0001"]
    assert ids(await ask(dcmqrscp, local, patient_id="000?")) == ["0001"]
    assert ids(await ask(dcmqrscp, local, patient_id="1")) == ["1"]
    assert await ask(dcmqrscp, local, patient_id="2") == []
    assert ids(await ask(dcmqrscp, local, model="study-root", patient_name="DOE*")) == ["0001", "1"]


@pytest.mark.peer("dcmtk")
async def test_a_strict_archive_refuses_what_the_sp_1p_statement_prints(
    dcmqrscp: Node, local: LocalApplicationEntity, images: list[Path]
) -> None:
    """Its UID is Study Root, and Study Root has no level PATIENT (PS3.4 C.6.2.1)."""
    await fill(dcmqrscp, local, images)
    with pytest.raises(DimseFailure) as caught:
        await ask(dcmqrscp, local, profile=SP_1P)
    assert caught.value.status & 0xFF00 in (0xA900, 0xC000)
    assert f"{caught.value.status:04X}H" in str(caught.value)


@pytest.mark.peer("orthanc")
async def test_orthanc(orthanc: Any, local: LocalApplicationEntity, images: list[Path]) -> None:
    await fill(orthanc.node, local, images)
    for model in ("patient-root", "study-root"):
        found = await ask(orthanc.node, local, model=model)
        assert set(PATIENTS) <= set(ids(found))
        assert ids(await ask(orthanc.node, local, model=model, patient_name="DOE*")) == ["0001", "1"]
        assert ids(await ask(orthanc.node, local, model=model, patient_id="000?")) == ["0001"]
        (jane,) = await ask(orthanc.node, local, model=model, patient_id="0001")
        assert (jane.patient.name, jane.patient.birth_date, jane.patient.sex) == ("DOE^JANE", "19600229", "F")
        assert jane.problems == ()
        (german,) = await ask(orthanc.node, local, model=model, patient_name="Buc^Jérôme*")
        assert german.patient.name == "Buc^Jérôme"
    assert await ask(orthanc.node, local, patient_id="nobody") == []


@pytest.mark.peer("orthanc")
def test_the_verb(orthanc: Any, local: LocalApplicationEntity, images: list[Path], capsys: Any) -> None:
    import trio

    trio.run(fill, orthanc.node, local, images)
    node = f"ORTHANC@127.0.0.1:{orthanc.node.port}"
    assert main(["patients", node, "--name", "DOE*", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(each["patient"]["patient_id"] for each in told) == ["0001", "1"]
    assert main(["patients", node, "--id", "0001"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["patient", "id", "born", "sex", "name"]
    assert line.split() == ["0001", "19600229", "F", "DOE^JANE"]
    assert main(["patients", node, "--id", "nobody"]) == 0
    assert capsys.readouterr().out == "no patient matches\n"


# ------------------------------------------------------------------ pynetdicom: statuses and keys as they arrive


@contextmanager
def archive(*statuses: tuple[int, Dataset | None], heard: list[Dataset] | None = None) -> Iterator[Node]:
    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        if heard is not None:
            heard.append(event.identifier)
            heard[-1].proposed = [one.abstract_syntax for one in event.assoc.requestor.requested_contexts]
        yield from statuses

    entity = AE("PYNET")
    for abstract_syntax in (PATIENT_ROOT_FIND, STUDY_ROOT_FIND):
        entity.add_supported_context(abstract_syntax, EXPLICIT_VR_LITTLE_ENDIAN)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find)])
    assert server is not None
    try:
        yield Node("archive", "127.0.0.1", server.server_address[1], "PYNET", Timeouts.all(20))
    finally:
        server.shutdown()


def answer(patient_id: str, name: str = "A^B", **more: str) -> Dataset:
    identifier = Dataset()
    identifier.PatientName, identifier.PatientID = name, patient_id
    for keyword, value in more.items():
        setattr(identifier, keyword, value)
    return identifier


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA700, "A700H out of resources"),
        (0xA900, "A900H data set does not match SOP class"),
        (0xC000, "C000H cannot understand or process"),
        (0xFE00, "FE00H cancelled"),
        (0x0122, "0122H SOP class not supported"),
    ],
)
async def test_a_failure_is_told_in_words(local: LocalApplicationEntity, status: int, words: str) -> None:
    with archive((0xFF00, answer("1")), (status, None)) as node, pytest.raises(DimseFailure, match=words):
        await ask(node, local)


async def test_both_pending_statuses(local: LocalApplicationEntity) -> None:
    with archive((0xFF00, answer("1")), (0xFF01, answer("2"))) as node:
        first, second = await ask(node, local)
    assert (first.problems, second.problems) == ((), (IGNORED_KEYS,))


async def test_studies_of_one_patient_are_one_and_namesakes_are_two(local: LocalApplicationEntity) -> None:
    told = [
        answer("1", StudyInstanceUID="1.2"),
        answer("1", StudyInstanceUID="1.3"),
        answer("1", IssuerOfPatientID="OTHER"),
        answer("2"),
    ]
    statuses = [(0xFF00, each) for each in told]
    with archive(*statuses) as node:
        assert len(await ask(node, local, model="study-root")) == 3
        assert len(await ask(node, local, model="patient-root")) == 4  # there each answer is a patient


@pytest.mark.parametrize(
    ("profile", "model", "uid", "level", "keys", "terms"),
    [
        (SPECULAR, "patient-root", PATIENT_ROOT_FIND, "PATIENT", {"IssuerOfPatientID"}, "ISO_IR 192"),
        (SPECULAR, "study-root", STUDY_ROOT_FIND, "STUDY", {"IssuerOfPatientID", "StudyInstanceUID"}, "ISO_IR 192"),
        (SP_1P, "patient-root", STUDY_ROOT_FIND, "PATIENT", set(), ["", "ISO 2022 IR 87"]),
    ],
)
async def test_what_is_asked_is_what_the_profile_says(
    local: LocalApplicationEntity, profile: Profile, model: str, uid: str, level: str, keys: set[str], terms: Any
) -> None:
    heard: list[Any] = []
    with archive(heard=heard) as node:
        assert await ask(node, local, profile, model, patient_name="山田*") == []
    (identifier,) = heard
    assert identifier.proposed == [uid]
    assert identifier.QueryRetrieveLevel == level
    asked = {element.keyword for element in identifier}
    patient = {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "EthnicGroup"}
    assert asked == {"SpecificCharacterSet", "QueryRetrieveLevel"} | patient | keys
    assert identifier.PatientName == "山田*"
    assert identifier.SpecificCharacterSet == terms


async def test_an_archive_without_the_class_is_named(local: LocalApplicationEntity, storescp: Any) -> None:
    with pytest.raises(NoUsableContext, match="Patient Root FIND"):
        await ask(storescp("--ignore"), local)


async def test_reading_no_further_cancels(local: LocalApplicationEntity) -> None:
    with archive(*[(0xFF00, answer(str(number))) for number in range(20)]) as node:
        found = find_patients(
            node, local, PatientQuery(), SPECULAR.patient_keys, SPECULAR.patient_query_models["patient-root"]
        )
        async with aclosing(found) as patients:
            first = [await anext(patients), await anext(patients)]
    assert [each.patient.patient_id for each in first] == ["0", "1"]
