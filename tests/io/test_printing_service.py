"""The print service: what it makes of a printer that is away, refuses, fails or does not answer; and its commands."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
import trio
from dicom_acceptor import ABORT, HANG_UP, RESET, STALL, Acceptor, Answer, run_acceptor
from failing_sqlite import make_sqlite_fail
from film_printer import CONTEXTS, FilmPrinter, Report
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from records_material import CAPTURED, START, exam_of, frame_of, instance
from trio.testing import MockClock

from firmware_app.config.reading import default_config
from firmware_app.config.schema import PrintConfig
from firmware_app.console.commands import CommandContext, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.instrument import Instrument
from firmware_app.model import Equipment, Event
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.objects.film_image import film_pixels
from firmware_app.objects.film_settings import BadFilm, FilmSettings
from firmware_app.profiles import load_profile
from firmware_app.records.errors import UnknownRecord
from firmware_app.records.print_jobs import MAY_BE_PRINTED, PrintJob, PrintState
from firmware_app.records.store import Records, open_records
from firmware_app.report.film_caption import WIDTH_MIN, FilmCaption, draw_caption
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.printing import Printer, PrintService
from firmware_app.services.printing_commands import PrintCommands
from hw.errors import Refused

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
TABLES = load_profile("specular").print
POLICY = BackoffPolicy(first_s=2.0, max_s=60.0, jitter=0.0, step_aside_after=3)
EQUIPMENT = Equipment("Maker", "Specular", "SN-1", "0.1", "Eye Hospital", "ROOM1")
DONE = (PrintState.PRINTED, PrintState.FAILED)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.05)


@dataclass
class Heard:
    """What the service has published; `more` is set by the next."""

    events: list[Event] = field(default_factory=list)
    more: trio.Event = field(default_factory=trio.Event)

    def publish(self, event: Event) -> None:
        self.events.append(event)
        self.more.set()
        self.more = trio.Event()

    async def until(self, kind: str, times: int = 1) -> None:
        while sum(event.kind == kind for event in self.events) < times:
            await self.more.wait()


@dataclass
class Bench:
    records: Records
    service: PrintService
    peer: Acceptor
    nursery: trio.Nursery
    heard: Heard
    ended: trio.Event  # the service is no longer running

    @property
    def events(self) -> list[Event]:
        return self.heard.events

    async def settled(self, job: PrintJob) -> PrintJob:
        while True:
            told = self.heard.more
            now = await self.records.print_jobs.job(job.job_id)
            if now.state in DONE:
                return now
            await told.wait()

    async def print_one(self, *words: str, **given: str) -> PrintJob:
        (job,) = await self.service.print_pictures(words or ("exam-1",), given)
        return await self.settled(job)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


async def fill(records: Records) -> list[str]:
    """An exam with two captures of which the second was accepted, and a report; their IDs."""
    exam = exam_of(1)
    await records.begin_exam(exam)
    captures = [await records.save_capture(exam, frame_of(seed, bits=12), **CAPTURED) for seed in (1, 2)]  # type: ignore[arg-type]
    image = {**instance(1), "data": b"compressed, and not what is printed"}
    await records.save_object(exam.exam_id, captures[1].capture_id, **image)  # type: ignore[arg-type]
    return [capture.capture_id for capture in captures]


@asynccontextmanager
async def bench(
    folder: Path,
    script: FilmPrinter,
    *,
    automatic: bool = False,
    filled: bool = True,
    caption: Equipment | None = None,
) -> AsyncIterator[Bench]:
    assert TABLES is not None

    def now() -> datetime:
        return START + timedelta(seconds=trio.current_time())

    heard = Heard()
    async with (
        open_records(folder, clock=now) as records,
        run_acceptor(script, Timeouts.all(20)) as peer,
        trio.open_nursery() as nursery,
    ):
        if filled:
            await fill(records)
        settings = FilmSettings.configured(PrintConfig())
        printer = Printer(peer.node, LOCAL, CONTEXTS, TABLES, settings, automatic, POLICY, caption)
        service = PrintService(records, folder, printer, heard.publish, chance=lambda: 0.0)
        ended = trio.Event()

        async def run() -> None:
            try:
                await service.run()
            finally:
                ended.set()

        nursery.start_soon(run)
        yield Bench(records, service, peer, nursery, heard, ended)
        nursery.cancel_scope.cancel()


async def test_the_accepted_images_of_an_exam_are_printed_as_the_camera_took_them(tmp_path: Path) -> None:
    printer = FilmPrinter()
    async with bench(tmp_path, printer) as running:
        job = await running.print_one("exam-1", film_size="14INX17IN")
        assert (job.state, job.status, job.exam_id, job.attempts) == (PrintState.PRINTED, 0, "exam-1", 1)
        assert running.kinds() == ["print.printed"]
    pixels = printer.attributes["image 1"].BasicGrayscaleImageSequence[0]
    sent = np.frombuffer(pixels.PixelData, "<u2").reshape(pixels.Rows, pixels.Columns)
    assert np.array_equal(sent, film_pixels(frame_of(2, bits=12).pixels, 12))
    assert printer.attributes["box 1"].FilmSizeID == "14INX17IN"
    assert printer.attributes["session 1"].PrintPriority == "MED"


@pytest.mark.parametrize("by", ["exam", "capture", "instance", "automatic"])
async def test_a_capture_is_printed_with_a_caption_below_it(by: str, tmp_path: Path) -> None:
    printer = FilmPrinter()
    async with bench(tmp_path, printer, automatic=True, caption=EQUIPMENT) as running:
        _, accepted = await running.records.captures("exam-1")
        words = {"exam": "exam-1", "capture": accepted.capture_id, "instance": "1.2.3.4.1"}
        queue = running.service
        (job,) = await (queue.print_pictures([words[by]]) if by in words else queue.exam_finished("exam-1"))
        assert (await running.settled(job)).state == PrintState.PRINTED
        caption = FilmCaption(await running.records.exam("exam-1"), accepted, EQUIPMENT)
    strip = film_pixels(draw_caption(caption, WIDTH_MIN), 8)
    film = np.zeros((12 + strip.shape[0], WIDTH_MIN), np.uint16)
    left = (WIDTH_MIN - 16) // 2
    film[:12, left : left + 16] = film_pixels(frame_of(2, bits=12).pixels, 12)
    film[12:] = strip
    pixels = printer.attributes["image 1"].BasicGrayscaleImageSequence[0]
    assert np.array_equal(np.frombuffer(pixels.PixelData, "<u2").reshape(pixels.Rows, pixels.Columns), film)


@pytest.mark.parametrize("caption", [True, False])
async def test_the_configuration_says_whether_there_is_a_caption(caption: bool, tmp_path: Path) -> None:
    profile = load_profile("specular")
    config = default_config(profile)
    table = {"ip_address": "127.0.0.1", "port": 104, "ae_title": "PRINTER"} | ({} if caption else {"caption": False})
    room = msgspec.structs.replace(config.instrument, station_name="ROOM1", institution_name="Eye Hospital")
    config = msgspec.structs.replace(config, instrument=room, print=msgspec.structs.replace(config.print, **table))
    async with open_records(tmp_path) as records:
        named = Instrument(config, profile, "127.0.0.1", records).printing.require().caption
    if caption:
        assert named is not None
        assert (named.station_name, named.institution_name) == ("ROOM1", "Eye Hospital")
    else:
        assert named is None


async def test_captures_and_instances_by_name_on_as_many_films_as_they_need(tmp_path: Path) -> None:
    async with bench(tmp_path, FilmPrinter()) as running:
        captures = [capture.capture_id for capture in await running.records.captures("exam-1")]
        words = [captures[0], "1.2.3.4.1", captures[1], "exam-1", captures[0]]
        jobs = await running.service.print_pictures(words, {"layout": "2,2"})
        first, second = (f"capture/{capture}" for capture in captures)
        assert [job.images for job in jobs] == [(first, second, second, second), (first,)]
        for job in jobs:
            assert (await running.settled(job)).state == PrintState.PRINTED
        with pytest.raises(UnknownRecord, match="no exam, capture or instance nothing"):
            await running.service.print_pictures(["nothing"])
        with pytest.raises(Refused, match="exam exam-1 has no report yet"):
            await running.service.print_pictures(["exam-1"], reports=True)
        with pytest.raises(BadFilm, match="FilmSizeID 'A4'"):
            await running.service.print_pictures(["exam-1"], {"film_size": "A4"})


@pytest.mark.parametrize("misdeed", [HANG_UP, ABORT, RESET, STALL])
async def test_a_printer_that_is_away_is_tried_again_and_the_order_stays(
    misdeed: Answer, tmp_path: Path, clock: MockClock
) -> None:
    printer = FilmPrinter(misdeed={"get 1": misdeed, "image 1": misdeed})
    async with bench(tmp_path, printer) as running:
        (first,) = await running.service.print_pictures(["exam-1"])
        (second,) = await running.service.print_pictures(["exam-1"])
        done = await running.settled(first)
        assert (done.state, done.attempts) == (PrintState.PRINTED, 3)
        done = await running.settled(second)
        assert (done.state, done.attempts) == (PrintState.PRINTED, 1)
        kinds = ["print.retry", "print.retry", "print.recovered", "print.printed", "print.printed"]
        assert running.kinds() == kinds
        assert [event.level for event in running.events[:2]] == ["warning", "debug"]
    assert printer.steps.count("print") == 2


async def test_a_failed_printer_is_waited_for(tmp_path: Path, clock: MockClock) -> None:
    printer = FilmPrinter(state="FAILURE", info="FILM JAM")
    async with bench(tmp_path, printer) as running:
        (job,) = await running.service.print_pictures(["exam-1"])
        await running.heard.until("print.retry", 8)
        assert "FAILURE (FILM JAM)" in running.service.detail
        assert "session" not in printer.steps
        printer.state = "NORMAL"
        assert (await running.settled(job)).state == PrintState.PRINTED


async def test_a_refusal_parks_the_film_with_its_reason_and_the_next_is_printed(tmp_path: Path) -> None:
    async with bench(tmp_path, FilmPrinter(status={"image 1": 0xC603})) as running:
        refused = await running.print_one()
        assert (refused.state, refused.status, refused.attempts) == (PrintState.FAILED, 0xC603, 1)
        assert "the image is larger than its image box" in refused.reason
        assert (await running.print_one()).state == PrintState.PRINTED
        assert running.kinds() == ["print.failed", "print.printed"]
        again = await running.settled(await running.service.retry(refused.job_id))
        assert again.state == PrintState.PRINTED


@pytest.mark.parametrize("status", [0xC602, 0xC601, 0x0213])
async def test_a_full_print_queue_is_waited_for(status: int, tmp_path: Path, clock: MockClock) -> None:
    async with bench(tmp_path, FilmPrinter(status={"print 1": status})) as running:
        job = await running.print_one()
        assert (job.state, job.attempts) == (PrintState.PRINTED, 2)


async def test_a_film_that_is_refused_again_and_again_lets_the_others_pass(tmp_path: Path, clock: MockClock) -> None:
    status = {f"image {number}": 0xC605 for number in (1, 2, 3)}
    async with bench(tmp_path, FilmPrinter(status=status)) as running:
        (first,) = await running.service.print_pictures(["exam-1"])
        (second,) = await running.service.print_pictures(["exam-1"])
        assert (await running.settled(second)).state == PrintState.PRINTED
        parked = await running.records.print_jobs.job(first.job_id)
        assert (parked.state, parked.attempts, parked.status) == (PrintState.FAILED, 3, 0xC605)


@pytest.mark.parametrize("misdeed", [HANG_UP, ABORT, RESET, STALL])
async def test_a_lost_answer_is_for_a_person_to_decide(misdeed: Answer, tmp_path: Path, clock: MockClock) -> None:
    printer = FilmPrinter(misdeed={"print 1": misdeed})
    async with bench(tmp_path, printer) as running:
        job = await running.print_one()
        assert (job.state, job.attempts) == (PrintState.FAILED, 1)
        assert "may have been printed" in job.reason
        assert running.events[-1].level == "error"
        assert (await running.print_one()).state == PrintState.PRINTED
        await trio.sleep(1000)
        assert running.service.detail == "idle; 1 films failed (print-jobs)"
        assert printer.steps.count("print") == 2
        assert (await running.settled(await running.service.retry(job.job_id))).state == PrintState.PRINTED


async def test_a_printer_that_failed_inside_while_printing_is_not_asked_again(tmp_path: Path) -> None:
    async with bench(tmp_path, FilmPrinter(status={"print": 0x0110})) as running:
        job = await running.print_one()
        assert (job.state, job.status, job.attempts) == (PrintState.FAILED, 0x0110, 1)


@pytest.mark.parametrize(
    ("step", "state", "reason"),
    [
        ("image", PrintState.QUEUED, "interrupted before the printer was told to print"),
        ("print", PrintState.FAILED, MAY_BE_PRINTED),
        ("delete box", PrintState.PRINTED, ""),
    ],
)
async def test_the_service_ends_in_the_middle(step: str, state: PrintState, reason: str, tmp_path: Path) -> None:
    reached = trio.Event()
    printer = FilmPrinter(misdeed={step: STALL}, on_step=lambda each: reached.set() if each == step else None)
    async with bench(tmp_path, printer) as running:
        (job,) = await running.service.print_pictures(["exam-1"])
        await reached.wait()
        running.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await running.ended.wait()
            found = await running.records.print_jobs.job(job.job_id)
            assert (found.state, found.reason) == (state, reason)
    async with open_records(tmp_path) as records:
        found = await records.print_jobs.job(job.job_id)
        assert (found.state, found.reason) == (state, reason)


async def test_warnings_stand_beside_the_film_but_not_in_the_log(tmp_path: Path) -> None:
    printer = FilmPrinter(status={"image": 0xB604}, reports={"print": [Report(2, "SUPPLY LOW")]})
    async with bench(tmp_path, printer) as running:
        job = await running.print_one()
        assert job.state == PrintState.PRINTED
        assert "B604H the image is larger than its image box: it has been demagnified" in job.reason
        assert job.reason.endswith("the printer reports WARNING (SUPPLY LOW)")
        news, printed = running.events
        assert (news.kind, news.text, news.level) == (
            "print.news",
            "the printer reports WARNING (SUPPLY LOW)",
            "warning",
        )
        assert (printed.level, printed.text) == ("warning", f"film {job.job_id} printed at peer: status 0000")


async def test_automatic_printing_is_one_page_per_accepted_image_once(tmp_path: Path) -> None:
    printer = FilmPrinter()
    async with bench(tmp_path, printer, automatic=True) as running:
        (job,) = await running.service.exam_finished("exam-1")
        assert (await running.settled(job)).state == PrintState.PRINTED
        assert printer.attributes["box 1"].ImageDisplayFormat == "STANDARD\\1,1"
        assert await running.service.exam_finished("exam-1") == []
    async with bench(tmp_path / "by hand", FilmPrinter()) as running:
        assert await running.service.exam_finished("exam-1") == []


async def test_settings_that_the_profile_does_not_have_hold_up_no_exam(tmp_path: Path) -> None:
    assert TABLES is not None
    heard = Heard()
    node = Node("print", "127.0.0.1", 1, "NOBODY")
    printer = Printer(node, LOCAL, CONTEXTS, TABLES, FilmSettings(film_size="A4"), True, POLICY)
    async with open_records(tmp_path) as records:
        await fill(records)
        service = PrintService(records, tmp_path, printer, heard.publish)
        assert await service.exam_finished("exam-1") == []
    (event,) = heard.events
    assert (event.level, event.kind) == ("alert", "print.failed")
    assert "[print] of the configuration: FilmSizeID 'A4' is not one of" in event.text


async def test_a_damaged_picture_is_parked_before_the_printer_is_asked(tmp_path: Path) -> None:
    printer = FilmPrinter()
    async with bench(tmp_path, printer) as running:
        _, accepted = await running.records.captures("exam-1")
        (tmp_path / "exams" / "exam-1" / f"{accepted.capture_id}.png").write_bytes(b"not what was written")
        job = await running.print_one()
        assert job.state == PrintState.FAILED
        assert "the checksum differs" in job.reason
        assert running.events[-1].level == "alert"
    assert printer.steps == []


async def test_the_report_page_of_an_exam(tmp_path: Path) -> None:
    page = np.arange(12 * 10 * 3).astype(np.uint8).reshape(12, 10, 3)
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4.2"
    report.Rows, report.Columns, report.SamplesPerPixel, report.PlanarConfiguration = 12, 10, 3, 0
    report.PhotometricInterpretation = "RGB"
    report.BitsAllocated, report.BitsStored, report.HighBit, report.PixelRepresentation = 8, 8, 7, 0
    report.PixelData = page.tobytes()
    report["PixelData"].VR = "OB"
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = io.BytesIO()
    report.save_as(stream, enforce_file_format=True)
    printer = FilmPrinter()
    async with bench(tmp_path, printer, caption=EQUIPMENT) as running:
        saved = {**instance(2), "kind": "report", "data": stream.getvalue()}
        await running.records.save_object("exam-1", None, **saved)  # type: ignore[arg-type]
        (job,) = await running.service.print_pictures(["exam-1"], reports=True)
        assert job.images == ("instance/1.2.3.4.2",)
        assert (await running.settled(job)).state == PrintState.PRINTED
    pixels = printer.attributes["image 1"].BasicGrayscaleImageSequence[0]
    sent = np.frombuffer(pixels.PixelData, "<u2").reshape(12, 10)
    assert np.array_equal(sent >> 4, np.rint(page.astype(float) @ [0.299, 0.587, 0.114]))


@pytest.mark.parametrize(
    ("statement", "state", "told_to_print"),
    [
        ("UPDATE print_jobs SET state = 'printing'", PrintState.PRINTED, 0),
        ("UPDATE print_jobs SET state = 'printed'", PrintState.FAILED, 1),
    ],
    ids=["before the order", "after the answer"],
)
async def test_nothing_is_printed_that_the_disk_does_not_know_of(
    statement: str,
    state: PrintState,
    told_to_print: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: MockClock,
) -> None:
    fail = make_sqlite_fail(monkeypatch)
    printer = FilmPrinter()
    async with bench(tmp_path, printer) as running:
        fail(statement, sqlite3.SQLITE_FULL)
        (job,) = await running.service.print_pictures(["exam-1"])
        await running.heard.until("print.paused")
        assert printer.steps.count("print") == told_to_print
        fail("", 0)
        done = await running.settled(job)
        assert (done.state, printer.steps.count("print")) == (state, 1)
        assert done.reason == (MAY_BE_PRINTED if state == PrintState.FAILED else "")
        assert ("print.uncertain" in running.kinds()) == (state == PrintState.FAILED)


async def test_without_a_printer_everything_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        service = PrintService(records, tmp_path, None, lambda event: None)
        await service.run()
        assert service.detail == "no printer is configured: print.ip_address, print.port and print.ae_title"
        assert await service.exam_finished("exam-1") == []
        for ask in (service.printer, lambda: service.print_pictures(["exam-1"])):
            with pytest.raises(Refused, match=r"no printer is configured: print\.ip_address"):
                await ask()


# ----------------------------------------------------------------------------------------------- the console


async def command(running: Bench, line: str) -> Reply:
    table = CommandTable(PrintCommands(running.service, running.records.print_jobs).table())
    invocation = table.parse(line)
    context = CommandContext(table, lambda text: None)
    return await invocation.command.handler(context, invocation.arguments)


async def test_the_commands(tmp_path: Path) -> None:
    printer = FilmPrinter(status={"image 1": 0xC603}, state="WARNING", info="SUPPLY LOW")
    async with bench(tmp_path, printer) as running:
        reply = await command(running, "print exam-1 --medium 'BLUE FILM' --image-size-mm 100")
        assert reply.text == "1 films queued for peer: 1 (print-jobs)"
        await running.settled(await running.records.print_jobs.job(1))
        assert printer.attributes["session 1"].MediumType == "BLUE FILM"
        assert printer.attributes["image 1"].RequestedImageSize == 100
        listed = await command(running, "print-jobs")
        assert listed.data is not None
        (row,) = listed.data["jobs"]  # type: ignore[misc]
        assert (row["state"], row["status"], row["job_id"]) == ("failed", 0xC603, 1)
        assert "C603H" in listed.text
        asked = await command(running, "printer")
        assert "state: WARNING" in asked.text
        assert "manufacturer: MAKER" in asked.text
        assert (await command(running, "print-retry 1")).text == "film 1 is printed as soon as its turn comes"
        await running.settled(await running.records.print_jobs.job(1))
        assert (await running.records.print_jobs.job(1)).state == PrintState.PRINTED


async def test_a_film_that_waits_can_be_withdrawn(tmp_path: Path, clock: MockClock) -> None:
    async with bench(tmp_path, FilmPrinter(state="FAILURE")) as running:
        await command(running, "print exam-1")
        await running.heard.until("print.retry")
        assert (await command(running, "print-cancel 1")).text == "film 1 is not printed"
        assert (await running.records.print_jobs.job(1)).reason == "withdrawn by hand"


async def test_a_film_that_is_withdrawn_as_its_turn_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, FilmPrinter()) as running:
        jobs = running.records.print_jobs
        look = jobs.next_due

        async def look_and_withdraw(node: str) -> PrintJob | None:
            job = await look(node)
            if job is not None and job.job_id == 1:
                await jobs.withdraw(job.job_id)
            return job

        monkeypatch.setattr(jobs, "next_due", look_and_withdraw)
        (withdrawn,) = await running.service.print_pictures(["exam-1"])
        assert (await running.print_one()).state == PrintState.PRINTED
        assert (await jobs.job(withdrawn.job_id)).reason == "withdrawn by hand"
        assert running.kinds() == ["print.printed"]


async def test_the_service_ends_although_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail = make_sqlite_fail(monkeypatch)
    reached = trio.Event()
    printer = FilmPrinter(misdeed={"image": STALL}, on_step=lambda each: reached.set() if each == "image" else None)
    async with bench(tmp_path, printer) as running:
        (job,) = await running.service.print_pictures(["exam-1"])
        await reached.wait()
        fail("BEGIN", sqlite3.SQLITE_IOERR)
        running.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await running.ended.wait()
        fail("", 0)
    async with open_records(tmp_path) as records:
        assert (await records.print_jobs.job(job.job_id)).state == PrintState.QUEUED
