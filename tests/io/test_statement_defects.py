"""The defects of both printed statements, one by one: the default profile has none of them.

The numbers are those of the list that the product was built from: S1 the SP-1P statement, S2 the KodakQC statement.
"""

from __future__ import annotations

import re
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path

import pytest
import trio
from dicom_acceptor import HANG_UP, Answer, run_acceptor
from objects_samples import GROUP, ITEM, PATIENT, SCHEDULED, UNSCHEDULED, WITH_MPPS, build, camera, read_back, report
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from statement_reader import printed_statement

from firmware_app.config import Config
from firmware_app.config.reading import default_config
from firmware_app.config.schema import PatientQueryConfig
from firmware_app.dicom.items import ImplementationClassUid, RoleSelection
from firmware_app.dicom.worklist_item import read_worklist_item
from firmware_app.model import Event, Exam
from firmware_app.net.association import associate
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.listener import serve
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.query import build_identifier
from firmware_app.net.storage import store
from firmware_app.net.verification import echo
from firmware_app.net.worklist import WorklistQuery
from firmware_app.objects.encoding import encode_part10
from firmware_app.profiles import Profile, load_profile
from firmware_app.services.listening import offers_of
from firmware_app.services.patients import PatientQueryService
from firmware_app.services.peers import Entities, contexts_of, local_entity
from firmware_app.services.query_columns import patient_columns, worklist_columns
from firmware_app.services.screens import exam_started

SPECULAR, SP_1P, KODAKQC = (load_profile(name) for name in ("specular", "sp-1p", "kodakqc"))
LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
PATIENT_ROOT, STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
MPPS, COMMITMENT = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1"
SETTINGS = tuple(SPECULAR.storage_modality)


def element(tag: int, octets: bytes) -> bytes:
    """Implicit VR, padded as text."""
    octets += b" " * (len(octets) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(octets)) + octets


@asynccontextmanager
async def own_port() -> AsyncIterator[Node]:
    local = local_entity(Config(), SPECULAR, "127.0.0.1", "listener", "SPECULAR")
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, local, 0, offers=offers_of(SPECULAR)))
        yield Node("us", "127.0.0.1", port, "SPECULAR", Timeouts.all(10))
        nursery.cancel_scope.cancel()


def objects_of(setting: str, *exams: Exam, profile_name: str = "specular") -> Iterable[Dataset]:
    """A frame and a report of each exam, as an archive reads them."""
    for exam in exams or (WITH_MPPS, UNSCHEDULED, GROUP):
        for picture in (camera(), report()):
            yield read_back(build(picture, exam, profile=load_profile(profile_name), storage_setting=setting))


# ------------------------------------------------------------------------------------------------ SP-1P


@pytest.mark.parametrize(
    ("model", "sop_class", "level"),
    [("patient-root", PATIENT_ROOT, b"PATIENT "), ("study-root", STUDY_ROOT, b"STUDY ")],
)
async def test_s1_1_no_model_is_asked_at_a_level_that_it_does_not_have(
    model: str, sop_class: str, level: bytes
) -> None:
    async with run_acceptor(lambda message: [0x0000]) as acceptor:
        table = PatientQueryConfig(ip_address="127.0.0.1", port=acceptor.node.port, ae_title="PEER", model=model)  # type: ignore[arg-type]
        config = Config(patient_query=table)
        told: list[Event] = []
        entities = Entities(config, SPECULAR, "127.0.0.1")
        patients = PatientQueryService.configured(
            config, entities, lambda: datetime(2026, 1, 5, tzinfo=UTC), told.append
        )
        await patients.ask(patient_name="Doe*", patient_id="")
    (request,) = acceptor.requests
    assert [context.abstract_syntax for context in request.contexts] == [sop_class]
    (message,) = acceptor.messages
    assert message.command.affected_sop_class_uid == sop_class
    assert element(0x00080052, level) in (message.data_set or b"")
    assert Config().patient_query.model == "patient-root"


def test_s1_2_what_the_overview_promises_has_its_sop_class() -> None:
    promised = {"mpps": MPPS, "commitment": COMMITMENT}
    for service, sop_class in promised.items():
        assert {uid for uid, _ in contexts_of(SPECULAR, service)} == {sop_class}  # type: ignore[arg-type]
    services = {row["SOP Class UID"]: row for row in printed_statement("specular").table("Network services").rows}
    assert all(services[uid]["User of Service (SCU)"] == "Yes" for uid in promised.values())
    (made,) = {str(image.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPClassUID) for image in steps()}
    assert made == MPPS


def steps() -> Iterable[Dataset]:
    return objects_of("SC", WITH_MPPS)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87")),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
        ("Wang^XiaoDong=王^小东", ("GB18030",)),
        ("Соколова^Ирина", ("ISO_IR 144",)),
        ("Çavuşoğlu^Işıl", ("ISO_IR 148",)),
        ("García^José", ("ISO_IR 100",)),
        ("Kim^Heeyang=김^희중", ("ISO_IR 192",)),
    ],
)
def test_s1_3_a_worklist_in_another_script_is_served_in_its_character_set(name: str, terms: tuple[str, ...]) -> None:
    exam = replace(
        SCHEDULED,
        patient=replace(PATIENT, name=name),
        worklist_items=(replace(ITEM, specific_character_set=terms),),
    )
    for image in objects_of("SC", exam):
        assert str(image.PatientName) == name
        said = image.SpecificCharacterSet
        assert ((said,) if isinstance(said, str) else tuple(said)) == terms
    assert all("SpecificCharacterSet" not in image for image in objects_of("SC", SCHEDULED))  # ASCII needs none


@pytest.mark.parametrize("setting", SETTINGS)
def test_s1_4_modality_is_a_defined_term_and_an_eye_photograph_has_its_class(setting: str) -> None:
    for image in objects_of(setting):
        assert image.Modality in ("OP", "XC", "OT", "CR")
    image, page = objects_of(setting, SCHEDULED)
    classes = {"OP": "1.2.840.10008.5.1.4.1.1.77.1.5.1", "XC": "1.2.840.10008.5.1.4.1.1.77.1.4"}
    if setting in classes:
        assert (image.SOPClassUID, image.Modality) == (classes[setting], setting)
    assert page.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize("setting", SETTINGS)
def test_s1_5_burned_in_annotation_says_what_is_burned_in(setting: str) -> None:
    image, page = objects_of(setting, SCHEDULED)
    assert (image.BurnedInAnnotation, page.BurnedInAnnotation) == ("NO", "YES")


@pytest.mark.parametrize("setting", SETTINGS)
def test_s1_6_a_report_is_no_original_and_a_grey_image_is_not_called_color(setting: str) -> None:
    image, page = objects_of(setting, SCHEDULED)
    assert list(image.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert list(page.ImageType) == ["DERIVED", "SECONDARY"]
    assert (image.SeriesDescription, page.SeriesDescription) == (
        "Corneal endothelium right eye (OD)",
        "Corneal endothelium report",
    )
    assert {made.get("ConversionType", "DI") for made in (image, page)} == {"DI", "WSD"}


@pytest.mark.parametrize("setting", SETTINGS)
def test_s1_7_the_serial_number_has_a_tag_of_its_own(setting: str) -> None:
    for image in objects_of(setting):
        assert (image[0x00081090].value, image[0x00181000].value) == ("Specular", "SN-1")


@pytest.mark.parametrize("setting", SETTINGS)
def test_s1_8_no_study_id_is_asked_of_a_worklist_that_has_none(setting: str) -> None:
    assert not [key for key in SPECULAR.worklist_keys if key.path.endswith("StudyID")]
    assert {image.StudyID for image in objects_of(setting, WITH_MPPS)} == {"RP-1"}
    assert {image.StudyID for image in objects_of(setting, UNSCHEDULED)} == {""}


def test_s1_9_values_are_separated_by_the_octet_that_japanese_fonts_draw_as_yen() -> None:
    image, _ = objects_of("SC", SCHEDULED)
    assert list(image.PatientOrientation) == ["L", "F"]
    written = build(camera(), SCHEDULED).dataset
    assert list(written.PatientOrientation) == ["L", "F"] and list(written.ImageType) == ["ORIGINAL", "PRIMARY"]
    # 5CH inside a kanji separates nothing; in JIS X 0201, where it is drawn as yen, it does.
    kanji = b"\x1b$B\x5c\x5c\x1b(B"
    name = kanji.decode("iso2022_jp")
    item = read_worklist_item(
        element(0x00080005, b"\\ISO 2022 IR 87") + element(0x00100010, b"A^B=" + kanji + b"^" + kanji),
        explicit_vr=False,
    )
    assert item.patient.name == f"A^B={name}^{name}"
    item = read_worklist_item(
        element(0x00080005, b"ISO_IR 13") + element(0x00100010, b"\xd4\xcf^\xc0\\\xd4"), explicit_vr=False
    )
    assert "¥" not in item.patient.name
    assert any("PatientName" in problem or "Patient's Name" in problem for problem in item.problems)


@pytest.mark.parametrize("profile", [SPECULAR, SP_1P, KODAKQC], ids=lambda profile: profile.name)
def test_s1_10_birth_date_and_sex_are_shown_before_anything_is_done(profile: Profile) -> None:
    shown = [column.heading for column in worklist_columns(profile.worklist_keys)]
    assert {"born", "sex"} <= set(shown)
    if profile.patient_keys:
        assert {"born", "sex"} <= {column.heading for column in patient_columns(profile.patient_keys)}
    said = exam_started(SCHEDULED).text
    assert "born 19500102" in said and "sex F" in said


async def test_s1_11_no_instance_is_lost_in_silence(tmp_path: Path) -> None:
    """Every instance has an outcome that the status decides; what got no answer is not called stored."""
    answers: list[list[Answer]] = [[0x0000], [0xB000], [0xA700], [0xC000], [HANG_UP]]
    left = iter(answers)
    files = []
    for number in range(6):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(encode_part10(build(camera(), make_uid=lambda number=number: f"2.25.5{number}").dataset))
        files.append(read_instance_file(path))
    async with run_acceptor(lambda message: next(left)) as acceptor:
        results = [result async for result in store(acceptor.node, LOCAL, files)]
    assert [each.sop_instance_uid for each in results] == [file.sop_instance_uid for file in files]
    assert [each.category for each in results] == ["stored", "warning", "retry", "permanent", "retry", "retry"]
    assert all(each.reason for each in results[1:])


def test_s1_12_loss_is_opted_into_and_declared() -> None:
    assert default_config(SPECULAR).storage.transfer_syntax == "implicit-vr-little-endian"
    for picture in (camera(), report()):
        (lossy,) = [read_back(build(picture, WITH_MPPS, transfer_syntax_uid=JPEGBaseline8Bit))]
        assert lossy.LossyImageCompression == "01"
        assert float(lossy.LossyImageCompressionRatio) > 0
        assert lossy.LossyImageCompressionMethod == "ISO_10918_1"
        for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
            kept = read_back(build(picture, WITH_MPPS, transfer_syntax_uid=syntax))
            assert kept.LossyImageCompression == "00"
            assert "LossyImageCompressionRatio" not in kept and "LossyImageCompressionMethod" not in kept


async def test_s1_13_one_implementation_calls_itself_one_thing() -> None:
    entities = Entities(Config(), SPECULAR, "127.0.0.1")
    said = set()
    async with run_acceptor(lambda message: [0x0000]) as acceptor:
        for service in SPECULAR.application_entity:
            if service != "listener":
                async with associate(acceptor.node, entities[service], entities.contexts(service)):
                    pass
        for request in acceptor.requests:
            said |= {item.uid for item in request.user_items if isinstance(item, ImplementationClassUid)}
    async with own_port() as node:
        said.add((await echo(node, LOCAL)).peer_implementation_class_uid)
    (uid,) = said
    assert UID(uid).is_valid and uid.startswith("2.25.")
    assert build(camera()).dataset.file_meta.ImplementationClassUID == uid


async def test_s1_14_an_archive_can_ping_us_and_reach_us_and_lines_may_be_secret() -> None:
    commitment = ((COMMITMENT, ("1.2.840.10008.1.2",)),)
    async with own_port() as node:
        assert (await echo(node, LOCAL)).count == 1
        as_scp = (RoleSelection(COMMITMENT, False, True),)
        async with associate(node, LOCAL, commitment, user_items=as_scp) as association:
            assert association.context(COMMITMENT, as_scp=True).abstract_syntax == COMMITMENT
    assert SPECULAR.tls


def test_s1_15_the_printed_keys_are_met_and_two_more_are_matched() -> None:
    matched = {key.path: key.matching for key in SPECULAR.worklist_keys if key.matching}
    printed = {key.path: key.matching for key in SP_1P.worklist_keys if key.matching}
    assert printed.items() <= matched.items()
    assert matched.keys() - printed.keys() == {"AccessionNumber", "RequestedProcedureID"}
    assert {key.path for key in SP_1P.worklist_keys} <= {key.path for key in SPECULAR.worklist_keys}
    query = WorklistQuery(accession_number="A-1", requested_procedure_id="RP-1")
    identifier = build_identifier(query.values(), SPECULAR.worklist_keys, explicit_vr=False)
    assert element(0x00080050, b"A-1") in identifier and element(0x00401001, b"RP-1") in identifier


# ------------------------------------------------------------------------------------------------ KodakQC


def test_s2_1_no_uid_is_somebody_elses_or_nobodys() -> None:
    for entity in SPECULAR.application_entity.values():
        assert entity.implementation_class_uid.startswith("2.25.")
    package = resources.files("firmware_app.profiles")
    for name in ("specular.toml", "kodakqc.toml"):
        tables = re.sub(r"\[\[statement\.deviations\]\].*?\n\n", "", package.joinpath(name).read_text(), flags=re.S)
        assert "1.2.840.100008" not in tables
    assert SPECULAR.print is not None
    (session,) = [row for row in SPECULAR.print.film_box if row.path.endswith("ReferencedSOPClassUID")]
    assert session.values == ("1.2.840.10008.5.1.1.1",)


@pytest.mark.parametrize("name", ["specular", "sp-1p", "kodakqc"])
def test_s2_2_the_overview_names_what_the_body_has(name: str) -> None:
    profile = load_profile(name)
    services = printed_statement(name).table("Network services").rows
    listed = {row["SOP Class UID"] for row in services if row["SOP Class UID"]}
    body = {uid for table in printed_statement(name).all("SOP classes of the") for uid in table.column("SOP Class UID")}
    proposed = {
        context.abstract_syntax for entity in profile.application_entity.values() for context in entity.contexts
    }
    assert proposed <= listed == body


@pytest.mark.parametrize("setting", SETTINGS)
def test_s2_3_no_attribute_under_a_misprinted_tag(setting: str) -> None:
    for image in objects_of(setting):
        assert 0x0018103E not in image and 0x0008103E in image
        assert image[0x00080080].value == "Eye Hospital" and 0x00080081 not in image


def test_s2_4_the_floor_is_met() -> None:
    """What runs by itself is in test_service_objects, test_service_commitment and test_exam_steps."""
    assert set(KODAKQC.character_sets.accepted) <= set(SPECULAR.character_sets.accepted)
    assert set(KODAKQC.application_entity) <= set(SPECULAR.application_entity)
    assert Config().storage.automatic
    roles = {context.abstract_syntax: context.role for context in SPECULAR.application_entity["listener"].contexts}
    assert roles == {"1.2.840.10008.1.1": "SCP", COMMITMENT: "SCU"}
    assert SPECULAR.print is not None and KODAKQC.print is not None
    for table in ("film_session", "film_box", "image_box"):
        ours = {row.path: row for row in getattr(SPECULAR.print, table)}
        for row in getattr(KODAKQC.print, table):
            mine = ours[row.path]
            assert set(row.values) <= {*mine.values, *map(str, range(mine.low or 0, (mine.high or 0) + 1))}, row.path
