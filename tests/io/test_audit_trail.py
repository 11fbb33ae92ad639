"""The trail on disk: chained, whole after a crash, bounded; and the service that writes it from what happens."""

from __future__ import annotations

import base64
import errno
import os
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio
import trio.testing
from audit_schema import problems
from records_material import CAPTURED, START, StandingClock, exam_of, frame_of, instance, uid_of

from firmware_app.audit.builders import Peer, Us
from firmware_app.audit.messages import AuditSource
from firmware_app.model import Event
from firmware_app.progress import ProgressTable
from firmware_app.records import files
from firmware_app.records.audit_trail import AuditTrail
from firmware_app.records.errors import StorageFault
from firmware_app.records.store import Records, open_records
from firmware_app.services.audit import AuditService
from firmware_app.services.audit_commands import row_of
from firmware_app.services.audit_sending import unsent
from firmware_app.services.events import EventBus, Subscription

AT = START.isoformat()
MIB = 1 << 20


def opened(folder: Path, max_bytes: int = MIB) -> AuditTrail:
    trail = AuditTrail(folder, max_bytes)
    trail.open()
    return trail


def refuse(path: Path) -> None:
    raise StorageFault(path, "Input/output error")


def numbers(trail: AuditTrail, after: int = 0) -> list[int]:
    return [entry.number for entry in trail.entries(after)]


def test_goes_on_after_a_restart(tmp_path: Path) -> None:
    trail = opened(tmp_path)
    trail.append([(AT, "<a/>"), (AT, "<b/>")])
    again = opened(tmp_path)
    again.append([(AT, "<c/>")])
    assert [entry.message for entry in again.entries()] == ["<a/>", "<b/>", "<c/>"]
    assert again.problems() == []
    assert again.tip == again.last(1)[0].digest
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_line_that_a_crash_tore_is_cut_off(tmp_path: Path, cut: int) -> None:
    trail = opened(tmp_path)
    trail.append([(AT, "<a/>"), (AT, "<b/>")])
    (segment,) = tmp_path.glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-cut])
    again = opened(tmp_path)
    assert "cut off behind entry 1" in again.trouble
    again.append([(AT, "<c/>")])
    assert [entry.message for entry in again.entries()] == ["<a/>", "<c/>"]
    assert again.problems() == []


def test_a_first_line_of_a_segment_that_a_crash_tore(tmp_path: Path) -> None:
    trail = opened(tmp_path, 16)
    trail.append([(AT, "<a/>")])
    trail.append([(AT, "<b/>")])  # in a segment of its own, and the first has gone
    (segment,) = tmp_path.glob("*.jsonl")
    (tmp_path / "000000000003.jsonl").write_bytes(segment.read_bytes()[:30])
    again = opened(tmp_path)
    again.append([(AT, "<c/>")])
    assert numbers(again) == [2, 3]
    assert again.problems() == []


def test_a_line_in_between_that_cannot_be_read_costs_no_other_entry(tmp_path: Path) -> None:
    trail = opened(tmp_path)
    trail.append([(AT, "<a/>"), (AT, "<b/>"), (AT, "<c/>")])
    (segment,) = tmp_path.glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"message": "<b/>"', b'"message": <b/>"'))
    again = opened(tmp_path)
    assert again.trouble == f"1 entries of {segment.name} cannot be read"
    again.append([(AT, "<d/>")])
    assert [entry.message for entry in again.entries()] == ["<a/>", "<c/>", "<d/>"]
    assert again.problems() == ["entries 2 to 2 are missing"]


def test_what_was_sent_is_not_forgotten_by_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = opened(tmp_path)
    trail.append([(AT, "<a/>"), (AT, "<b/>")])
    trail.keep_sent(1)
    with monkeypatch.context() as context, pytest.raises(StorageFault):
        context.setattr(files, "flush_folder", refuse)
        trail.keep_sent(2)
    assert trail.sent() in (1, 2)


def test_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    trail = opened(tmp_path, 64 * 1024)
    for _ in range(300):
        trail.append([(AT, "x" * 500)])
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 64 * 1024 + 5000
    assert trail.first_number() > 1
    assert numbers(trail) == list(range(trail.first_number(), 301))
    assert trail.problems() == []
    assert numbers(opened(tmp_path, 64 * 1024), after=290) == list(range(291, 301))


def test_what_was_changed_is_found(tmp_path: Path) -> None:
    trail = opened(tmp_path)
    trail.append([(AT, "<patient>A</patient>"), (AT, "<b/>"), (AT, "<c/>")])
    (segment,) = tmp_path.glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"<patient>A", b"<patient>B"))
    assert trail.problems() == ["entry 1 was changed"]
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + lines[2])
    assert "entries 2 to 2 are missing" in trail.problems()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = opened(tmp_path)
    trail.append([(AT, "<a/>")])
    written = os.write

    def half(descriptor: int, data: bytes) -> int:
        written(descriptor, bytes(data)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context, pytest.raises(StorageFault, match="No space left"):
        context.setattr(os, "write", half)
        trail.append([(AT, "<b/>")])
    trail.append([(AT, "<c/>")])
    assert [entry.message for entry in trail.entries()] == ["<a/>", "<c/>"]
    assert trail.problems() == []


def test_a_segment_whose_name_the_disk_refuses_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = opened(tmp_path)
    with monkeypatch.context() as context, pytest.raises(StorageFault):
        context.setattr(files, "flush_folder", refuse)
        trail.append([(AT, "<a/>")])
    trail.append([(AT, "<a/>")])
    assert [entry.message for entry in trail.entries()] == ["<a/>"]
    assert trail.problems() == []


def test_how_far_it_was_sent(tmp_path: Path) -> None:
    trail = opened(tmp_path, 64 * 1024)
    trail.append([(AT, "<a/>"), (AT, "<b/>")])
    assert trail.sent() == 0
    trail.keep_sent(1)
    assert [entry.number for entry in unsent(opened(tmp_path))[0]] == [2]
    for _ in range(300):
        trail.append([(AT, "x" * 500)])
    found, dropped = unsent(trail)
    assert found[0].number == trail.first_number()
    assert dropped == trail.first_number() - 2
    (tmp_path / "sent.json").write_text("rubbish")
    assert trail.sent() == 0  # twice is better than never


# ------------------------------------------------------------------------------------------- the service


class Auditing:
    def __init__(self, records: Records, folder: Path, bus: EventBus) -> None:
        self.bus = bus
        self.records = records
        self.clock = StandingClock()
        self.table = ProgressTable(trio.current_time)
        self.events: list[Event] = []
        self.service = AuditService(
            AuditTrail(folder, MIB),
            records,
            Us("specular[1]", "SPECULAR", "127.0.0.1", "Op^Otto"),
            AuditSource("ROOM1"),
            {"storage": Peer("ARCHIVE", "127.0.0.9"), "print": Peer("PRINTER", "127.0.0.8")},
            self.events.append,
            self.clock,
        )

    async def run(self, events: Subscription) -> None:
        self.heard = events
        with self.table.part("audit trail"):
            await self.service.run(events)

    async def settled(self) -> None:
        """Every event was taken and its task waits for the next one; threads are at work before that."""
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(20):
            while self.heard or [state.what for state in self.table.states()] != ["something to audit"]:
                await trio.to_thread.run_sync(time.sleep, 0.005)

    async def said(self, *events: Event) -> list[ElementTree.Element]:
        """What was written of these events, each valid."""
        before = self.service.trail.next_number - 1
        for event in events:
            self.bus.publish(event)
        await self.settled()
        documents = [entry.message for entry in self.service.trail.entries(before)]
        assert [found for document in documents for found in problems(document)] == []
        return [ElementTree.fromstring(document) for document in documents]


def code(message: ElementTree.Element) -> str:
    return message.find("EventIdentification/EventID").get("csd-code")  # type: ignore[union-attr,return-value]


def ids(message: ElementTree.Element) -> list[str | None]:
    return [each.get("ParticipantObjectID") for each in message.findall("ParticipantObjectIdentification")]


async def audited(tmp_path: Path, check, *, unscheduled: bool = False) -> Auditing:  # type: ignore[no-untyped-def]
    bus = EventBus()
    exam = exam_of(scheduled=not unscheduled)
    async with open_records(tmp_path / "state") as records, trio.open_nursery() as nursery:
        await records.begin_exam(exam)
        capture = await records.save_capture(exam, frame_of(), **CAPTURED)
        await records.save_object(exam.exam_id, capture.capture_id, **instance(1), enqueue_for="storage")
        auditing = Auditing(records, tmp_path / "audit", bus)
        with bus.subscribe(100, patient_data=True) as events:
            nursery.start_soon(auditing.run, events)
            await auditing.settled()
            await check(auditing, capture.capture_id)
            nursery.cancel_scope.cancel()
    return auditing


async def test_an_exam_and_its_delivery(tmp_path: Path) -> None:
    async def check(auditing: Auditing, capture_id: str) -> None:
        exam: dict[str, object] = {"exam_id": "exam-1"}
        sent: dict[str, object] = {"sop_instance_uid": uid_of(1), "node": "storage"}
        found = await auditing.said(
            Event("exam.started", "scheduled exam exam-1 started", exam),
            Event("measurement.edited", "edited", {"capture_id": capture_id, "revision": 2}),
            Event("exam.finished", "exam exam-1: 1 instances", exam),
            Event("delivery.begun", "", {"node": "storage", "instances": [uid_of(1)]}, "debug"),
            Event("delivery.stored", "stored", sent),
            Event("delivery.failed", "will not be stored", sent, "error"),
            Event("capture.captured", "of no concern", {}),
        )
        assert [code(each) for each in found] == ["110111", "110111", "110111", "110102", "110104", "110104"]
        for each in found:
            assert ids(each) == ["1.2.3.1", "ID-1"]
        outcomes = [each.find("EventIdentification").get("EventOutcomeIndicator") for each in found]  # type: ignore[union-attr]
        assert outcomes == ["0"] * 5 + ["8"]
        assert found[3].findall("ActiveParticipant")[1].get("UserID") == "ARCHIVE"

    await audited(tmp_path, check)


async def test_films_and_deleted_studies(tmp_path: Path) -> None:
    async def check(auditing: Auditing, capture_id: str) -> None:
        jobs = auditing.records.print_jobs
        of_exam, by_hand = (
            await jobs.add("exam-1", "print", {}, [[f"capture/{capture_id}"]]),
            await jobs.add("", "print", {}, [[f"instance/{uid_of(1)}", f"capture/{capture_id}"]]),
        )
        found = await auditing.said(
            Event("print.printed", "printed", {"job_id": of_exam[0].job_id, "node": "print"}),
            Event("print.printed", "printed", {"job_id": by_hand[0].job_id, "node": "print"}),
            Event("retention.removed", "exam exam-1 was deleted", {"exam_id": "exam-1"}),
        )
        assert [code(each) for each in found] == ["110106", "110106", "110105"]
        assert [ids(each) for each in found] == [["1.2.3.1", "ID-1"]] * 3
        media = found[0].findall("ActiveParticipant")[1]
        assert media.get("UserID") == "PRINTER"
        assert media.find("MediaIdentifier/MediaType").get("csd-code") == "110010"  # type: ignore[union-attr]

    await audited(tmp_path, check)


async def test_a_typed_patient_is_a_new_record(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        found = await auditing.said(Event("exam.started", "unscheduled exam", {"exam_id": "exam-1"}))
        assert [code(each) for each in found] == ["110110", "110111"]
        assert ids(found[0]) == ["ID-1"]

    await audited(tmp_path, check, unscheduled=True)


async def test_a_query_with_its_keys(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        keys: dict[str, object] = {"keys": {"PatientName": "山田*", "ScheduledProcedureStepSequence.Modality": "OP"}}
        (asked,) = await auditing.said(Event("worklist.refreshed", "2 items", {"node": "storage"}, patient=keys))
        assert code(asked) == "110112"
        assert ids(asked) == ["1.2.840.10008.5.1.4.31"]
        octets = base64.b64decode(asked.findtext(".//ParticipantObjectQuery") or "")
        assert "山田*".encode() in octets
        assert b"OP" in octets

    await audited(tmp_path, check)


async def test_consoles_start_stop_and_strangers(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        user: dict[str, object] = {"user_id": 1000, "user": "anna", "process_id": 7}
        stranger: dict[str, object] = {"peer_address": "127.0.0.7", "calling_ae_title": "NOBODY"}
        found = await auditing.said(
            Event("service.ready", "ready"),
            Event("console.connected", "anna opened a console", user),
            Event("listener.refused", "NOBODY was refused", stranger, "warning"),
            Event("console.disconnected", "anna left", user),
            Event("service.stopping", "ending"),
        )
        kinds = [each.find("EventIdentification/EventTypeCode").get("csd-code") for each in found]  # type: ignore[union-attr]
        assert kinds == ["110120", "110122", "110126", "110123", "110121"]

    await audited(tmp_path, check)


async def test_who_came_over_ssh_is_in_it_with_the_address_and_the_moment_of_the_note(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        await auditing.service.session("admin", "192.0.2.9", AT, comes=True)
        await auditing.service.session("admin", "192.0.2.9", AT, comes=False)
        came, left = await auditing.service.last(2)
        assert 'csd-code="110122"' in came.message and 'csd-code="110123"' in left.message
        assert f'EventDateTime="{AT}"' in came.message
        assert row_of(came)[3].startswith("admin from 192.0.2.9, specular[")

    await audited(tmp_path, check)


async def test_reading_it_is_in_it(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        await auditing.service.used("anna")
        (last,) = await auditing.service.last(1)
        assert 'csd-code="110101"' in last.message
        assert "anna" in last.message

    await audited(tmp_path, check)


async def test_whom_it_was_about_is_not_known(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        (alert,) = await auditing.said(Event("delivery.stored", "", {"sop_instance_uid": "9.9", "node": "storage"}))
        assert code(alert) == "110113"

    await audited(tmp_path, check)


async def test_more_events_than_could_be_kept(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        found = await auditing.said(*[Event("service.ready", "") for _ in range(150)])
        assert [code(each) for each in found].count("110100") == 100
        assert "110113" in [code(each) for each in found]

    await audited(tmp_path, check)


async def test_a_disk_that_refuses_and_takes_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    autojump_clock.autojump_threshold = 0.05

    async def check(auditing: Auditing, _: str) -> None:
        append = auditing.service.trail.append

        def refuse(_: object) -> None:
            raise StorageFault(tmp_path, "No space left on device")

        monkeypatch.setattr(auditing.service.trail, "append", refuse)
        assert await auditing.said(Event("service.ready", "")) == []
        auditing.clock.advance(60)
        monkeypatch.setattr(auditing.service.trail, "append", append)
        await trio.sleep(11)
        found = [ElementTree.fromstring(entry.message) for entry in auditing.service.trail.entries()]
        assert [code(each) for each in found] == ["110100", "110113", "110113"]
        assert found[0].find("EventIdentification").get("EventDateTime") == START.isoformat(timespec="milliseconds")  # type: ignore[union-attr]
        assert [event.kind for event in auditing.events] == ["audit.failed", "audit.recovered"]

    await audited(tmp_path, check)


async def test_who_reads_the_trail_while_something_happens_is_in_it_once(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        auditing.bus.publish(Event("service.ready", ""))
        async with trio.open_nursery() as nursery:
            for reader in ("Op^Otto", "Op^Olga"):
                nursery.start_soon(auditing.service.used, reader)
        await auditing.settled()
        found = [ElementTree.fromstring(entry.message) for entry in auditing.service.trail.entries()]
        assert sorted(code(each) for each in found) == ["110100", "110101", "110101"]

    await audited(tmp_path, check)


async def test_what_happened_last_is_written_at_the_end(tmp_path: Path) -> None:
    async def check(auditing: Auditing, _: str) -> None:
        auditing.bus.publish(Event("service.stopping", "ending"))  # and then it is cancelled at once

    auditing = await audited(tmp_path, check)
    (entry,) = auditing.service.trail.entries()
    assert "110121" in entry.message
