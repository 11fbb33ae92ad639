"""What a real worklist server is asked, by hand and at an interval: every key that the SP-1P statement matches on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from peers_material import ODD_NAMES, program, worklist_entry
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from firmware_app.cli import main
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND
from firmware_app.model import Event
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.query import QueryRefused
from firmware_app.profiles import load_profile
from firmware_app.profiles.profile import Profile
from firmware_app.services.worklist import WorklistService, WorklistStatus
from hw.errors import Refused

pytestmark = pytest.mark.peer("dcmtk")
SPECULAR, SP_1P, KODAKQC = load_profile("specular"), load_profile("sp-1p"), load_profile("kodakqc")
TODAY = datetime.fromisoformat("2026-01-05T09:00:00+01:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "WLM"
    made.mkdir()
    (made / "lockfile").touch()
    return made


@pytest.fixture
def server(folder: Path, servers: Any, unused_port: Callable[[], int]) -> Node:
    port = unused_port()
    servers.start(port, program("wlmscpfs"), "--fork", "-csk", "-dfp", str(folder.parent), str(port))
    return Node("worklist", "127.0.0.1", port, "WLM", Timeouts.all(20))


def write(folder: Path, number: int, name: str, character_set: str | list[str] = "", **step: str) -> None:
    entry = worklist_entry(number, name, f"P{number}", character_set)
    for keyword, value in step.items():
        setattr(entry.ScheduledProcedureStepSequence[0], keyword, value)
    unfinished = folder / f"{number}.part"
    entry.save_as(unfinished, enforce_file_format=True)
    unfinished.rename(folder / f"{number}.wl")  # the server may look at any time


@asynccontextmanager
async def running(
    node: Node,
    local: LocalApplicationEntity,
    profile: Profile = SPECULAR,
    *,
    station: str = "",
    modality: str = "",
    interval_s: float = 0,
) -> AsyncIterator[tuple[WorklistService, trio.MemoryReceiveChannel[Event]]]:
    told, events = trio.open_memory_channel[Event](1000)
    contexts = tuple(
        (each.abstract_syntax, each.transfer_syntaxes) for each in profile.application_entity["worklist"].contexts
    )
    service = WorklistService(
        node,
        local,
        contexts,
        profile.worklist_keys,
        station,
        modality,
        interval_s,
        lambda: TODAY,
        told.send_nowait,
        profile.character_sets,
    )
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.run)
            yield service, events
            nursery.cancel_scope.cancel()


def numbers(status: WorklistStatus) -> list[int]:
    assert status.error == ""
    return sorted(int(item.patient.patient_id[1:]) for item in status.items)


@pytest.mark.parametrize("profile", [SPECULAR, SP_1P], ids=["specular", "sp-1p"])
async def test_every_matching_key(profile: Profile, folder: Path, server: Node, local: LocalApplicationEntity) -> None:
    write(folder, 1, "DOE^JANE")
    write(folder, 2, "DOE^JOHN", Modality="OP", ScheduledProcedureStepStartDate="20260106")
    write(folder, 3, "ROE^JANE", Modality="OP", ScheduledStationAETitle="OTHER")
    write(folder, 4, "ROE^JOHN", Modality="US", ScheduledProcedureStepStartDate="20260201")
    async with running(server, local, profile) as (service, _):

        async def ask(**keys: str) -> list[int]:
            return numbers(await service.refresh(service.query(**keys)))

        assert await ask() == [1, 3]  # today
        assert await ask(date="today") == [1, 3]
        assert await ask(date="any") == [1, 2, 3, 4]
        assert await ask(date="20260106") == [2]
        assert await ask(date="20260106-20260201") == [2, 4]
        assert await ask(date="20260106-") == [2, 4]
        assert await ask(date="-20260105") == [1, 3]
        assert await ask(date="any", modality="US") == [4]
        assert await ask(date="any", patient_name="DOE*") == [1, 2]
        assert await ask(date="any", patient_name="?OE^JOHN") == [2, 4]
        assert await ask(date="any", patient_id="P3") == [3]
    async with running(server, local, profile, station="SPECULAR", modality="OP") as (service, _):
        assert await ask(date="any") == [1, 2]


async def test_what_the_statement_does_not_match_on_is_refused(
    folder: Path, server: Node, local: LocalApplicationEntity
) -> None:
    write(folder, 1, "DOE^JANE")
    async with running(server, local, SPECULAR) as (service, _):
        assert numbers(await service.refresh(service.query(date="any", accession_number="A0001"))) == [1]
        assert numbers(await service.refresh(service.query(date="any", requested_procedure_id="RP2"))) == []
        with pytest.raises(QueryRefused, match="Modality takes no wildcards"):
            service.query(modality="O*")
    async with running(server, local, SP_1P) as (service, _):
        with pytest.raises(QueryRefused, match="Accession Number is not a matching key of the profile"):
            service.query(accession_number="A0001")
        with pytest.raises(QueryRefused, match="no character set of the profile can write 'Müller'"):
            service.query(patient_name="Müller")


def test_the_verb_refuses_in_words_too(server: Node, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "specular.toml"
    config.write_text('profile = "sp-1p"\n[network]\ninterface = "lo"\n')
    node = f"WLM@127.0.0.1:{server.port}"
    assert main(["worklist", node, "--config", str(config), "--accession", "A1"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("specular worklist: Accession Number is not a matching key of the profile; Scheduled")
    assert told.err.endswith("are (profile sp-1p)\n")
    assert main(["patients", node, "--config", str(config), "--name", "Müller"]) == 2
    assert "no character set of the profile can write 'Müller' (profile sp-1p)" in capsys.readouterr().err


def test_the_verb_shows_what_the_profile_displays(folder: Path, server: Node, tmp_path: Path, capsys: Any) -> None:
    """Date, accession, name and ID are the SP-1P's; birth date and sex stop a mix-up, whatever it displays."""
    write(folder, 1, "DOE^JANE")
    config = tmp_path / "specular.toml"
    config.write_text('profile = "sp-1p"\n[network]\ninterface = "lo"\n')
    assert main(["worklist", f"WLM@127.0.0.1:{server.port}", "--config", str(config)]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["date", "accession", "patient", "id", "born", "sex", "name"]
    assert line.split() == ["20260105", "A0001", "P1", "19600229", "F", "DOE^JANE"]


# ------------------------------------------------------------------ by itself


async def next_refresh(events: trio.MemoryReceiveChannel[Event]) -> int:
    async for event in events:
        if event.kind == "worklist.refreshed":
            return int(str(event.data["items"]))
    raise AssertionError("the service has ended")


async def test_the_list_refreshes_at_its_interval_and_the_shown_one_stays(
    folder: Path, server: Node, local: LocalApplicationEntity
) -> None:
    write(folder, 1, "DOE^JANE")
    async with running(server, local, interval_s=0.02) as (service, events):
        assert await next_refresh(events) == 1
        assert await next_refresh(events) == 1  # again, without anybody asking
        assert service.shown == ()  # nobody has seen it: its numbers mean nothing yet
        shown = (await service.refresh(service.query())).items
        write(folder, 0, "AAA^FIRST")
        while await next_refresh(events) != 2:
            pass
        assert len(service.status.items) == 2
        assert service.shown is shown  # number 1 is still the one that the operator read
        (folder / "1.wl").unlink()
        while await next_refresh(events) != 1:
            pass
        assert [item.patient.name for item in service.shown] == ["DOE^JANE"]
        assert [item.patient.name for item in service.show_last().items] == ["AAA^FIRST"]
        assert service.shown == service.status.items


async def test_without_an_interval_only_the_operator_asks(
    folder: Path, server: Node, local: LocalApplicationEntity
) -> None:
    write(folder, 1, "DOE^JANE")
    async with running(server, local) as (service, events):
        assert numbers(await service.refresh(service.query())) == [1]
        assert [event.kind for event in (events.receive_nowait(),)] == ["worklist.refreshed"]
        with pytest.raises(trio.WouldBlock):
            events.receive_nowait()


async def test_a_configured_key_that_cannot_be_asked_is_told_at_each_refresh(
    folder: Path, server: Node, local: LocalApplicationEntity
) -> None:
    async with running(server, local, station="SP*", interval_s=0.02) as (service, events):
        event = await events.receive()
        assert (event.kind, event.level) == ("worklist.failed", "warning")
        assert "Scheduled Station AE Title takes no wildcards" in event.text
        assert (await events.receive()).kind == "worklist.failed"  # and the service lives
        with pytest.raises(Refused, match="takes no wildcards"):
            service.show_last()


# ------------------------------------------------------------------ character sets


@pytest.mark.parametrize("patient", ["ODD-87", "ODD-13", "ODD-149", "ODD-144", "ODD-100", "ODD-GB", "ODD-192"])
async def test_names_arrive_in_every_character_set(
    patient: str, folder: Path, server: Node, local: LocalApplicationEntity
) -> None:
    name, character_set = ODD_NAMES[patient]
    write(folder, 1, name, character_set)
    async with running(server, local) as (service, _):
        (item,) = (await service.refresh(service.query(date="any"))).items
    assert (item.patient.name, item.problems, item.undecoded) == (name, (), ())


@contextmanager
def listening(answers: Iterator[list[Dataset]], heard: list[bytes]) -> Iterator[Node]:
    """pynetdicom: DCMTK's server refuses every question that is not ASCII (A900, invalid character repertoire)."""

    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        heard.append(event.request.Identifier.getvalue())
        for each in next(answers):
            yield 0xFF00, each

    entity = AE("PYNET")
    entity.add_supported_context(MODALITY_WORKLIST_FIND, IMPLICIT_VR_LITTLE_ENDIAN)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, on_find)])
    assert server is not None
    try:
        yield Node("worklist", "127.0.0.1", server.server_address[1], "PYNET", Timeouts.all(20))
    finally:
        server.shutdown()


def element(tag: bytes, octets: bytes) -> bytes:
    return tag + len(octets).to_bytes(4, "little") + octets


CHARACTER_SET, NAME = b"\x08\0\x05\0", b"\x10\0\x10\0"


async def test_the_next_question_is_asked_in_the_set_of_the_last_answer(local: LocalApplicationEntity) -> None:
    scheduled = worklist_entry(1, "Yamada^Tarou=山田^太郎", "P1", ["", "ISO 2022 IR 87"])
    del scheduled.file_meta
    heard: list[bytes] = []
    with listening(iter([[], [scheduled], []]), heard) as node:
        async with running(node, local) as (service, _):
            for name in ("山田*", "", "山田*"):
                assert (await service.refresh(service.query(patient_name=name))).error == ""
    first, second, third = heard
    assert element(CHARACTER_SET, b"ISO_IR 192") in first and element(NAME, "山田*".encode() + b" ") in first
    assert element(CHARACTER_SET, b"") in second
    assert element(CHARACTER_SET, b"\\ISO 2022 IR 87 ") in third and element(NAME, b"\x1b$B;3ED\x1b(B* ") in third


async def test_kodakqc_asks_in_a_set_of_its_statement(local: LocalApplicationEntity) -> None:
    heard: list[bytes] = []
    with listening(iter([[], []]), heard) as node:
        async with running(node, local, KODAKQC) as (service, _):
            for name in ("Müller*", "Люк*"):
                assert (await service.refresh(service.query(patient_name=name))).error == ""
    assert element(CHARACTER_SET, b"ISO_IR 100") in heard[0] and element(NAME, b"M\xfcller* ") in heard[0]
    assert element(CHARACTER_SET, b"ISO_IR 144") in heard[1]
