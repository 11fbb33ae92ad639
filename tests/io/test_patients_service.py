"""Patients of the archive at the console: one question at a time, a list whose numbers stay, an exam for one."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trio
from dicom_acceptor import Acceptor, Answer, run_acceptor
from exam_bench import exam_bench

from firmware_app.config import Config
from firmware_app.config.schema import PatientQueryConfig
from firmware_app.console.commands import CommandContext, CommandFailed, CommandTable, CommandUsage
from firmware_app.console.protocol import Reply
from firmware_app.dicom.command import NO_DATA_SET, Command, CommandField
from firmware_app.dicom.message import Message
from firmware_app.model import Event, Eye
from firmware_app.profiles import load_profile
from firmware_app.services.exam import ExamService
from firmware_app.services.patients import MAX_PATIENTS, PatientQueryService
from firmware_app.services.patients_commands import PatientCommands
from firmware_app.services.peers import Entities
from hw.errors import Refused

NOW = datetime.fromisoformat("2026-01-05T09:00:00+01:00")


def element(tag: int, octets: bytes) -> bytes:
    octets += b" " * (len(octets) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(octets)) + octets


def patient(patient_id: str, name: bytes = b"DOE^JANE", character_set: bytes = b"") -> bytes:
    return b"".join(
        [
            element(0x00080005, character_set),
            element(0x00100010, name),
            element(0x00100020, patient_id.encode()),
            element(0x00100030, b"19600229"),
            element(0x00100040, b"F"),
        ]
    )


def found(*patients: bytes) -> list[Answer]:
    return [*((0xFF00, each) for each in patients), 0x0000]


@pytest.fixture
async def exams(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[ExamService]:
    async with exam_bench(tmp_path / "state", None) as there:
        yield there.exams


def service(acceptor: Acceptor, told: list[Event] | None = None, profile: str = "specular") -> PatientQueryService:
    table = PatientQueryConfig(ip_address="127.0.0.1", port=acceptor.node.port, ae_title="ARCHIVE")
    config = Config(profile=profile, patient_query=table)
    entities = Entities(config, load_profile(profile), "127.0.0.1")
    events: list[Event] = [] if told is None else told
    return PatientQueryService.configured(config, entities, lambda: NOW, events.append)


@pytest.fixture
def told() -> list[Event]:
    return []


async def said(commands: PatientCommands, line: str) -> Reply:
    table = CommandTable(commands.table())
    called = table.parse(line)
    return await called.command.handler(CommandContext(table, lambda text: None), called.arguments)


async def test_a_list_with_numbers_birth_dates_and_sex(told: list[Event], exams: ExamService) -> None:
    async with run_acceptor(lambda message: found(patient("1"), patient("2", b"DOE^JOHN\xe9"))) as acceptor:
        commands = PatientCommands(service(acceptor, told), exams, "Op^Otto")
        reply = await said(commands, "patients --name DOE*")
        again = await said(commands, "patients --last")
    heading, first, second, asked = reply.text.splitlines()
    assert heading.split() == ["#", "name", "patient", "id", "born", "sex", "problems"]
    assert first.split() == ["1", "DOE^JANE", "1", "19600229", "F"]
    assert second.startswith("2  DOE^JOHNé") and "does not fit its character set" in second
    assert asked == "asked 2026-01-05T09:00:00+01:00"
    assert again == reply and len(acceptor.messages) == 1
    assert acceptor.messages[0].data_set is not None and b"DOE*" in acceptor.messages[0].data_set
    (event,) = told
    assert (event.kind, event.data) == (
        "patients.found",
        {"patients": 2, "has_more": False, "node": "patient_query"},
    )
    assert "DOE" not in event.text  # nothing of a patient goes into the log
    assert (reply.data or {})["patients"][1]["undecoded"] == (("PatientName", "444F455E4A4F484EE9"),)


async def test_a_failure_leaves_the_list_and_is_told(told: list[Event], exams: ExamService) -> None:
    answers = iter([found(patient("1")), [0xA700], found()])
    async with run_acceptor(lambda message: next(answers)) as acceptor:
        patients = service(acceptor, told)
        commands = PatientCommands(patients, exams, "")
        await said(commands, "patients")
        with pytest.raises(CommandFailed, match="A700H out of resources"):
            await said(commands, "patients")
        assert [each.patient.patient_id for each in patients.shown.patients] == ["1"]
        assert patients.detail == "patient_query: 1 patients at 2026-01-05T09:00:00+01:00"
        assert (await said(commands, "patients")).text.startswith("no patients match")
    assert [(each.kind, each.level) for each in told] == [
        ("patients.found", "info"),
        ("patients.failed", "warning"),
        ("patients.found", "info"),
    ]


async def test_what_the_archive_remarks_on_a_failure_is_shown_and_not_logged(
    told: list[Event], exams: ExamService
) -> None:
    def refused(message: Message) -> list[Answer]:
        response = Command(
            command_field=CommandField.C_FIND_RSP,
            message_id_being_responded_to=message.command.message_id,
            status=0xC000,
            data_set_type=NO_DATA_SET,
            error_comment="no DOE^JANE here",
        )
        return [Message(message.context_id, response, None)]

    async with run_acceptor(refused) as acceptor:
        with pytest.raises(CommandFailed, match=r"C000H .*no DOE\^JANE here"):
            await said(PatientCommands(service(acceptor, told), exams, ""), "patients")
    (event,) = told
    assert "C-FIND failed with status C000H" in event.text
    assert "DOE" not in event.text


async def test_nobody_reads_a_list_of_thousands(exams: ExamService) -> None:
    """The search is cancelled, and the operator told."""
    many = [patient(str(number)) for number in range(MAX_PATIENTS + 50)]
    async with run_acceptor(lambda message: [*((0xFF00, each) for each in many), 0xFE00]) as acceptor:
        reply = await said(PatientCommands(service(acceptor), exams, ""), "patients")
    assert len((reply.data or {})["patients"]) == MAX_PATIENTS and (reply.data or {})["has_more"] is True
    assert f"only the first {MAX_PATIENTS} are shown" in reply.text
    assert acceptor.messages[-1].command.command_field is CommandField.C_CANCEL_RQ
    assert acceptor.ends == ["released"]


async def test_one_association_at_a_time() -> None:
    """Whoever asks meanwhile waits; each is told what was found for him."""
    together: list[int] = []
    told: dict[str, list[str]] = {}

    def answers(message: Message) -> list[Answer]:
        together.append(acceptor.associations - len(acceptor.ends))
        return found(*(patient(each) for each in ("11", "12", "13") if each.encode() in (message.data_set or b"")))

    async with run_acceptor(answers) as acceptor:
        patients = service(acceptor)

        async def ask(patient_id: str) -> None:
            answer = await patients.ask(patient_id=patient_id)
            told[patient_id] = [each.patient.patient_id for each in answer.patients]

        async with trio.open_nursery() as nursery:
            for patient_id in ("11", "12", "13"):
                nursery.start_soon(ask, patient_id)
    assert together == [1, 1, 1]
    assert told == {each: [each] for each in ("11", "12", "13")}


async def test_the_next_question_is_asked_in_the_set_of_the_last_answer() -> None:
    kanji = patient("1", b"\x1b$B;3ED\x1b(B", b"\\ISO 2022 IR 87")
    async with run_acceptor(lambda message: found(kanji)) as acceptor:
        patients = service(acceptor)
        for _ in range(2):
            assert (await patients.ask(patient_name="山*")).patients[0].patient.name == "山田"
    first, second = (message.data_set or b"" for message in acceptor.messages)
    assert b"ISO_IR 192" in first and "山*".encode() in first
    assert b"\\ISO 2022 IR 87 " in second and b"\x1b$B;3\x1b(B*" in second


async def test_what_cannot_be_asked_is_refused_in_words(exams: ExamService) -> None:
    async with run_acceptor(lambda message: found()) as acceptor:
        commands = PatientCommands(service(acceptor, profile="sp-1p"), exams, "")
        with pytest.raises(CommandUsage, match="no character set of the profile can write 'Müller'"):
            await said(commands, "patients --name Müller")
        for word in ("patients --last", "exam patient 1"):
            with pytest.raises(CommandFailed, match="no patients were shown yet"):
                await said(commands, word)
    assert acceptor.messages == []


@pytest.mark.parametrize(
    ("profile", "table", "words"),
    [
        ("specular", {}, "no patient query node is configured: patient_query.ip_address"),
        ("kodakqc", {"ip_address": "127.0.0.1"}, "the profile kodakqc declares no service patient query"),
        (
            "sp-1p",
            {"ip_address": "127.0.0.1", "model": "study-root"},
            "no patient query model 'study-root'; it has pat",
        ),
    ],
)
async def test_without_anybody_to_ask(profile: str, table: dict[str, Any], words: str, exams: ExamService) -> None:
    config = Config(profile=profile, patient_query=PatientQueryConfig(**table))
    entities = Entities(config, load_profile(profile), "127.0.0.1")
    patients = PatientQueryService.configured(config, entities, lambda: NOW, lambda event: None)
    assert words in patients.detail
    with pytest.raises(Refused, match=words):
        await said(PatientCommands(patients, exams, ""), "patients")


# ------------------------------------------------------------------ an exam for one of them


async def test_an_exam_for_a_patient_of_the_list(tmp_path: Path) -> None:
    """Unscheduled, in the character set of the archive's answer, to the octet, also after a crash."""
    kanji = b"Yamada^Tarou=\x1b$B;3\x1b$BED\x1b(B^\x1b$BB@O:\x1b(B"  # each character announced
    answer = patient("P7", kanji, b"ISO 2022 IR 6\\ISO 2022 IR 87")
    async with (
        run_acceptor(lambda message: found(patient("P6"), answer)) as acceptor,
        exam_bench(tmp_path, None) as there,
    ):
        commands = PatientCommands(service(acceptor), there.exams, "Op^Otto")
        await said(commands, "patients")
        with pytest.raises(CommandFailed, match="the list shown last has 2 patients, not 3"):
            await said(commands, "exam patient 3")
        reply = await said(commands, "exam patient 2")
        assert "born 19600229, sex F" in reply.text and (reply.data or {})["scheduled"] is False
        finished = await there.finish_with_pictures(there.exams.require(), Eye.RIGHT)
    for file in finished.files:
        data_set = pydicom.dcmread(file)
        assert data_set.get_item("PatientName").value == kanji + b" " * (len(kanji) % 2)
        assert list(data_set.SpecificCharacterSet) == ["ISO 2022 IR 6", "ISO 2022 IR 87"]
        assert (data_set.PatientID, data_set.PatientBirthDate, data_set.AccessionNumber) == ("P7", "19600229", "")
        assert "RequestAttributesSequence" not in data_set


async def test_a_guess_at_the_name_goes_into_the_comments(tmp_path: Path) -> None:
    async with (
        run_acceptor(lambda message: found(patient("P7", b"Buc^J\xe9r\xf4me"))) as acceptor,
        exam_bench(tmp_path, None) as there,
    ):
        commands = PatientCommands(service(acceptor), there.exams, "")
        await said(commands, "patients")
        await said(commands, "exam patient 1")
        finished = await there.finish_with_pictures(there.exams.require(), Eye.RIGHT)
        assert any("PatientName" in event.text for event in there.watch.events if event.kind == "object.problem")
    data_set = pydicom.dcmread(finished.files[0])
    assert str(data_set.PatientName) == "Buc^Jérôme"
    assert "PatientName: a guess, because its octets are not of its character set" in data_set.ImageComments
    assert "4275635E4AE972F46D65" in data_set.ImageComments
