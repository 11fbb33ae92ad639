"""Film sessions with a printer of the test's own: nothing is printed by halves, and what it says is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dicom_acceptor import ABORT, HANG_UP, RESET, STALL, Acceptor, Answer, run_acceptor
from film_printer import CONTEXTS, EXPLICIT_CONTEXTS, FilmPrinter, Report
from trio.testing import MockClock, wait_all_tasks_blocked

from firmware_app.dicom.uids import BASIC_FILM_SESSION, EXPLICIT_VR_LITTLE_ENDIAN, PRINT_JOB
from firmware_app.net.errors import Aborted, ConnectionLost, NetworkError, RemoteProtocolError, TimedOut
from firmware_app.net.film_print import (
    Film,
    FilmRefused,
    PrintedFilm,
    PrinterFailed,
    PrintUncertain,
    UnusableInstance,
    WrongImageBoxes,
    ask_printer,
    film_session,
    is_worth_another_film,
)
from firmware_app.net.node import LocalApplicationEntity, Timeouts
from firmware_app.net.printer_news import PrinterNews
from firmware_app.objects.film_attributes import film_session_attributes
from firmware_app.objects.film_settings import FilmSettings, film_settings
from firmware_app.profiles import load_profile
from firmware_app.services.film_pages import compose_film

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
TABLES = load_profile("specular").print
FAILURE_STATUSES = [0x0110, 0x0213, 0xC600, 0xC601, 0xC602, 0xC603, 0xC605, 0xC613, 0xC616]


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0.02)


def film_of(images: int = 1, layout: str = "1,1") -> Film:
    from firmware_app.model import Frame

    assert TABLES is not None
    settings = film_settings(TABLES, FilmSettings(film_size="8INX10IN", layout=layout, copies="1"))
    frames = [Frame(np.full((4, 6), number, np.uint8), 8, number, number) for number in range(images)]
    return compose_film(TABLES, settings, frames)


class UidMaker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        return f"1.2.{self.made}"


async def print_on(
    printer: FilmPrinter, *films: Film, timeouts: Timeouts | None = None
) -> tuple[list[PrintedFilm], Acceptor]:
    assert TABLES is not None
    attributes = film_session_attributes(TABLES, FilmSettings(copies="1", priority="MED"))
    printed: list[PrintedFilm] = []
    async with run_acceptor(printer, timeouts) as peer:
        async with film_session(peer.node, LOCAL, CONTEXTS, attributes, UidMaker()) as session:
            printed += [await session.print_film(film) for film in films]
        await wait_all_tasks_blocked(0.005)  # until the peer has noted how it ended
    return printed, peer


async def spoil(printer: FilmPrinter, film: Film | None = None) -> tuple[NetworkError, Acceptor]:
    """The error that a session with this printer ends with, and how the association ended."""
    assert TABLES is not None
    contexts = EXPLICIT_CONTEXTS if printer.transfer_syntax == EXPLICIT_VR_LITTLE_ENDIAN else CONTEXTS
    attributes = film_session_attributes(TABLES, FilmSettings(copies="1"))
    async with run_acceptor(printer, Timeouts.all(20)) as peer:
        with pytest.raises(NetworkError) as caught:
            async with film_session(peer.node, LOCAL, contexts, attributes, UidMaker()) as session:
                await session.print_film(film or film_of())
        await wait_all_tasks_blocked(0.005)  # until the peer has noted how it ended
    return caught.value, peer


async def test_the_steps_of_a_film_in_their_order_and_the_answers_of_each() -> None:
    printer = FilmPrinter()
    (printed,), peer = await print_on(printer, film_of(3, "2,2"))
    whole = ["get", "session", "box", "image", "image", "image", "print", "delete box", "delete session"]
    assert printer.steps == whole
    assert peer.ends == ["released"]
    assert printed == PrintedFilm(0, "1.2.2")
    # In the order of the printer's list, whatever its UIDs; the fourth box stays empty.
    assert [printer.uids[f"image {number}"] for number in (1, 2, 3)] == ["8.8.100", "8.8.99", "8.8.98"]
    for number in (1, 2, 3):
        image = printer.attributes[f"image {number}"]
        assert image.ImageBoxPosition == number
        pixels = image.BasicGrayscaleImageSequence[0]
        assert (pixels.Rows, pixels.Columns, pixels.BitsAllocated, pixels.BitsStored, pixels.HighBit) == (
            4,
            6,
            16,
            12,
            11,
        )
        assert (pixels.SamplesPerPixel, pixels.PixelRepresentation, list(pixels.PixelAspectRatio)) == (1, 0, [1, 1])
        assert pixels.PhotometricInterpretation == "MONOCHROME2"
        assert np.array_equal(np.frombuffer(pixels.PixelData, "<u2") >> 4, np.full(24, number - 1))


async def test_a_printer_may_change_our_uids() -> None:
    printer = FilmPrinter(own_uids=True, job_uid="7.7")
    (printed,), _ = await print_on(printer, film_of())
    assert (printer.uids["session 1"], printer.uids["box 1"]) == ("1.2.1", "1.2.2")
    (reference,) = printer.attributes["box 1"].ReferencedFilmSessionSequence
    assert reference.ReferencedSOPClassUID == BASIC_FILM_SESSION
    session_uid, box_uid = reference.ReferencedSOPInstanceUID, printed.film_box_uid
    assert session_uid != "1.2.1"
    assert box_uid != "1.2.2"
    assert printer.uids["print 1"] == printer.uids["delete box 1"] == box_uid
    assert printer.uids["delete session 1"] == session_uid
    assert printed.print_job_uid == "7.7"


@pytest.mark.parametrize(
    "keyword",
    [pytest.param("ReferencedPrintJobSequencePullStoredPrint", id="2100,0500"), "ReferencedPrintJobSequence"],
)
async def test_the_print_job_is_known_by_either_tag(keyword: str) -> None:
    (printed,), _ = await print_on(FilmPrinter(job_uid="7.7", job_sequence=keyword), film_of())
    assert printed.print_job_uid == "7.7"


async def test_two_films_in_one_session() -> None:
    printer = FilmPrinter(status={"image 1": 0xB604})
    (first, second), _ = await print_on(printer, film_of(), film_of())
    assert printer.steps == ["get", "session", *(["box", "image", "print", "delete box"] * 2), "delete session"]
    assert first.film_box_uid != second.film_box_uid
    assert (len(first.warnings), second.warnings) == (1, ())


@pytest.mark.parametrize(
    ("step", "status", "words"),
    [
        ("session", 0xB600, "N-CREATE of the film session: B600H memory allocation is not supported"),
        ("session", 0x0116, "N-CREATE of the film session: 0116H attribute value out of range"),
        ("box", 0xB605, "N-CREATE of the film box: B605H minimum or maximum density is outside the printer's range"),
        (
            "image",
            0xB604,
            "N-SET of image box 1: B604H the image is larger than its image box: it has been demagnified",
        ),
        ("image", 0xB609, "N-SET of image box 1: B609H the image is larger than its image box: it has been cropped"),
        ("image", 0xB60A, "N-SET of image box 1: B60AH the image is larger than its image box: it has been decimated"),
        ("print", 0xB603, "N-ACTION (print): B603H the film holds no image: an empty page"),
        ("delete box", 0x0112, "N-DELETE of the film box: 0112H no such SOP instance"),
    ],
)
async def test_warnings_are_told_in_words_and_the_film_is_printed(step: str, status: int, words: str) -> None:
    printer = FilmPrinter(status={step: status})
    (printed,), peer = await print_on(printer, film_of())
    (warning,) = printed.warnings
    assert warning.startswith(words)
    assert printer.steps[-3:] == ["print", "delete box", "delete session"]
    assert printed.status == (status if step == "print" else 0)
    assert peer.ends == ["released"]


@pytest.mark.parametrize("status", FAILURE_STATUSES)
@pytest.mark.parametrize("step", ["session", "box", "image 2", "print"])
async def test_what_is_refused_is_not_printed_and_not_left_behind(step: str, status: int) -> None:
    printer = FilmPrinter(status={step: status})
    error, peer = await spoil(printer, film_of(3, "2,2"))
    assert isinstance(error, FilmRefused)
    assert error.status == status
    assert f"failed with status {status:04X}H" in str(error)
    assert "cannot understand" not in str(error)
    assert error.at_print == (step == "print")
    assert ("print" in printer.steps) == (step == "print")
    left = {"session": [], "box": ["delete session"]}.get(step, ["delete box", "delete session"])
    assert [each for each in printer.steps if each.startswith("delete")] == left
    assert peer.ends == ["released"]


@pytest.mark.parametrize(
    ("step", "status", "again"),
    [
        ("image", 0xC605, True),
        ("image", 0xC603, False),
        ("box", 0xC616, True),
        ("box", 0x0110, True),
        ("box", 0x0106, False),
        ("print", 0xC602, True),
        ("print", 0xC603, False),
        ("print", 0x0110, False),  # it may have begun
    ],
)
async def test_what_may_be_tried_again(step: str, status: int, again: bool) -> None:
    error, _ = await spoil(FilmPrinter(status={step: status}))
    assert is_worth_another_film(error) == again


@pytest.mark.parametrize(
    ("printer", "why"),
    [
        (FilmPrinter(boxes=3), "it made 3 image boxes where the display format has 4"),
        (FilmPrinter(boxes=0), "it made 0 image boxes where the display format has 4"),
        (FilmPrinter(without_box_uids=True), "it made an image box without Referenced SOP Instance UID"),
    ],
)
async def test_a_printer_without_the_image_boxes(printer: FilmPrinter, why: str) -> None:
    error, peer = await spoil(printer, film_of(1, "2,2"))
    assert isinstance(error, WrongImageBoxes)
    assert f"{why}; nothing has been printed" in str(error)
    assert printer.steps == ["get", "session", "box", "delete box", "delete session"]
    assert peer.ends == ["released"]
    assert not is_worth_another_film(error)


IMAGE_BOXES, IMAGE_BOX_UID = b"\x10\x20\x10\x05", b"\x08\x00\x55\x11"


def item(vr: bytes, value: bytes) -> bytes:
    element = IMAGE_BOX_UID + vr + len(value).to_bytes(2, "little") + value
    return b"\xfe\xff\x00\xe0" + len(element).to_bytes(4, "little") + element


def sequence(*items: bytes) -> bytes:
    return IMAGE_BOXES + b"SQ\0\0" + len(b"".join(items)).to_bytes(4, "little") + b"".join(items)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (IMAGE_BOXES + b"LO\x04\0abcd", "it made 0 image boxes"),
        (IMAGE_BOXES + b"US\x02\0\x01\0", "it made 0 image boxes"),
        (IMAGE_BOXES + b"OB\0\0\x02\0\0\0\x01\0", "it made 0 image boxes"),
        (sequence(item(b"UI", b"1.2\\1.3\0")), "it made an image box without"),
        (sequence(item(b"US", b"\1\0")), "it gave two image boxes the same"),
        (sequence(item(b"SQ", b"")), "it made an image box without"),
        (sequence(item(b"UI", b"1." + b"3" * 70)), "it made an image box without"),
        (sequence(item(b"PN", b"DOE^JOHN")), "it made an image box without"),
        (sequence(item(b"UI", b"8.8.9\0")), "it gave two image boxes the same"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
async def test_a_printer_whose_image_boxes_are_anything_else(octets: bytes, why: str) -> None:
    if why != "it made 0 image boxes":
        octets = sequence(*[octets[12:]] * 4)
    printer = FilmPrinter(transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN, octets={"box": octets})
    error, peer = await spoil(printer, film_of(2, "2,2"))
    assert isinstance(error, WrongImageBoxes)
    assert why in str(error)
    assert "print" not in printer.steps
    assert (peer.ends, is_worth_another_film(error)) == (["released"], False)


async def test_a_printer_whose_answer_is_too_long() -> None:
    """Its image boxes are in order, but behind them comes more than is read without holding up everything else."""
    boxes = sequence(*[item(b"UI", b"8.8.%d\0" % number) for number in range(1, 5)])
    long = b"\x40\0\x10\xa1UN\0\0" + (140_000).to_bytes(4, "little") + bytes(140_000)
    printer = FilmPrinter(transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN, octets={"box": boxes + long})
    error, _ = await spoil(printer, film_of(2, "2,2"))
    assert isinstance(error, RemoteProtocolError)
    assert "131072 are read" in str(error)
    assert "print" not in printer.steps


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
async def test_a_report_that_is_too_long_is_news_without_a_reason() -> None:
    told: list[PrinterNews] = []
    assert TABLES is not None
    printer = FilmPrinter(reports={"get": [Report(2, "X" * 140_000)]})
    attributes = film_session_attributes(TABLES, FilmSettings(copies="1"))
    async with (
        run_acceptor(printer, Timeouts.all(20)) as peer,
        film_session(peer.node, LOCAL, CONTEXTS, attributes, UidMaker(), told.append),
    ):
        pass
    (news,) = told
    assert (news.state, news.info[:30]) == ("WARNING", "its reason cannot be read: 140")


@pytest.mark.parametrize("uid", ["no UID", "1.2\\3.4", "1." + "2" * 70, "1." * 32000, "é"])
@pytest.mark.parametrize("step", ["session", "box"])
async def test_a_printer_that_gives_no_uid(step: str, uid: str) -> None:
    printer = FilmPrinter(given_uid={step: uid})
    error, peer = await spoil(printer)
    assert isinstance(error, UnusableInstance)
    assert "print" not in printer.steps
    assert (peer.ends, is_worth_another_film(error)) == (["released"], False)


async def test_a_printer_that_has_failed_is_not_asked_to_print() -> None:
    printer = FilmPrinter(state="FAILURE", info="FILM JAM")
    error, peer = await spoil(printer)
    assert isinstance(error, PrinterFailed)
    assert "the printer reports FAILURE (FILM JAM); nothing has been printed" in str(error)
    assert printer.steps == ["get"]
    assert peer.ends == ["released"]
    assert is_worth_another_film(error)


async def test_a_failure_that_is_reported_before_the_film_is_printed_stops_it() -> None:
    printer = FilmPrinter(reports={"image 2": [Report(3, "COVER OPEN")]})
    error, peer = await spoil(printer, film_of(2, "2,2"))
    assert isinstance(error, PrinterFailed)
    assert "FAILURE (COVER OPEN)" in str(error)
    assert printer.steps[-3:] == ["image", "delete box", "delete session"]
    assert (printer.reported, peer.ends) == ([0], ["released"])


async def test_a_printer_that_is_normal_again_prints() -> None:
    printer = FilmPrinter(reports={"image 1": [Report(3, "COVER OPEN")], "image 2": [Report(1)]})
    (printed,), _ = await print_on(printer, film_of(2, "2,2"))
    assert printed.status == 0
    assert printed.warnings == ("the printer reports FAILURE (COVER OPEN)",)
    assert printer.reported == [0, 0]


async def test_warnings_of_the_printer_come_with_the_film() -> None:
    printer = FilmPrinter(
        state="WARNING",
        info="SUPPLY LOW",
        reports={
            "box": [Report(2, "RECEIVER FULL"), Report(1)],
            "image": [Report(4, "QUEUE FAULT", PRINT_JOB)],  # an earlier film's: no reason not to print this one
            "print": [Report(3, "JAM")],
        },
    )
    (printed,), _ = await print_on(printer, film_of())
    assert printed.warnings == (
        "the printer reports WARNING (SUPPLY LOW)",
        "the printer reports WARNING (RECEIVER FULL)",
        "the print job reports FAILURE (QUEUE FAULT)",
        "the printer reports FAILURE (JAM)",
    )
    assert printer.reported == [0, 0, 0, 0]


@pytest.mark.parametrize("report", [Report(2, garbled=True), Report(9), Report(2)], ids=["garbled", "unknown", "bare"])
async def test_an_odd_report_is_answered_and_costs_nothing(report: Report) -> None:
    printer = FilmPrinter(reports={"session": [report] * 300})
    (printed,), peer = await print_on(printer, film_of())
    assert printed.status == 0
    assert len(printed.warnings) <= 100
    assert (set(printer.reported), len(printer.reported), peer.ends) == ({0}, 300, ["released"])


async def test_a_printer_that_reports_without_end_is_heard_but_not_repeated() -> None:
    assert TABLES is not None
    told: list[PrinterNews] = []
    again = [Report(2, "SUPPLY LOW")] * 2000
    ever_new = [Report(2, f"CODE {number}") for number in range(500)]
    printer = FilmPrinter(reports={"session": again, "box": ever_new})
    attributes = film_session_attributes(TABLES, FilmSettings(copies="1"))
    async with (
        run_acceptor(printer, Timeouts.all(20)) as peer,
        film_session(peer.node, LOCAL, CONTEXTS, attributes, UidMaker(), told.append) as session,
    ):
        printed = await session.print_film(film_of())
    assert set(printer.reported) == {0}
    assert len(printer.reported) == 2500
    assert [news.info for news in told] == ["SUPPLY LOW", *(f"CODE {number}" for number in range(49))]
    assert len(printed.warnings) == 100


@pytest.mark.parametrize("misdeed", [STALL, HANG_UP, RESET, ABORT, b"\x0b\x00\x00\x00\x00\x00"])
async def test_an_order_to_print_without_an_answer_is_in_doubt(misdeed: Answer, clock: MockClock) -> None:
    printer = FilmPrinter(misdeed={"print": misdeed})
    error, peer = await spoil(printer)
    assert isinstance(error, PrintUncertain)
    assert "the film may have been printed" in str(error)
    assert not is_worth_another_film(error)
    assert printer.steps[-1] == "print"  # nothing is asked of an association in doubt
    expected: dict[Any, type[NetworkError]] = {
        STALL: TimedOut,
        HANG_UP: ConnectionLost,
        RESET: ConnectionLost,
        ABORT: Aborted,
    }
    assert isinstance(error.__cause__, expected.get(misdeed, RemoteProtocolError))
    if misdeed == STALL:
        assert peer.ends == ["aborted"]


@pytest.mark.parametrize("step", ["get", "session", "box", "image", "image 2"])
@pytest.mark.parametrize("misdeed", [STALL, HANG_UP, RESET, ABORT])
async def test_what_ends_before_the_order_to_print_is_surely_not_printed(
    step: str, misdeed: Answer, clock: MockClock
) -> None:
    printer = FilmPrinter(misdeed={step: misdeed})
    error, _ = await spoil(printer, film_of(2, "2,2"))
    assert not isinstance(error, PrintUncertain)
    assert "print" not in printer.steps
    assert is_worth_another_film(error)


@pytest.mark.parametrize("step", ["delete box", "delete session"])
@pytest.mark.parametrize("misdeed", [STALL, HANG_UP, RESET, ABORT])
async def test_a_printed_film_stands_whatever_follows(step: str, misdeed: Answer, clock: MockClock) -> None:
    printer = FilmPrinter(misdeed={step: misdeed})
    (printed,), _ = await print_on(printer, film_of(), timeouts=Timeouts.all(20))
    assert (printed.status, printed.film_box_uid) == (0, "1.2.2")


async def test_the_answer_is_handed_over_before_anything_can_take_it_away() -> None:
    assert TABLES is not None
    said: list[str] = []
    printer = FilmPrinter()

    async def before() -> None:
        said.append(f"before, after {printer.steps[-1]}")

    async def after(printed: PrintedFilm) -> None:
        said.append(f"after {printer.steps[-1]}: {printed.status}")

    attributes = film_session_attributes(TABLES, FilmSettings(copies="1"))
    async with (
        run_acceptor(printer) as peer,
        film_session(peer.node, LOCAL, CONTEXTS, attributes, UidMaker()) as session,
    ):
        await session.print_film(film_of(), before, after)
    assert said == ["before, after image", "after print: 0"]


async def test_asking_how_the_printer_is() -> None:
    printer = FilmPrinter(state="WARNING", info="SUPPLY LOW", reports={"get": [Report(2, "SUPPLY LOW")]})
    async with run_acceptor(printer) as peer:
        status, news = await ask_printer(peer.node, LOCAL, CONTEXTS)
    assert (status.words, status.name, status.manufacturer) == ("WARNING (SUPPLY LOW)", "LAB", "MAKER")
    assert (status.model_name, status.serial_number, status.software_versions) == ("FILM 9", "S1", "1.0\\2.0")
    assert news == (PrinterNews("printer", "WARNING", "SUPPLY LOW", "LAB"),)
    assert printer.steps == ["get"]


async def test_a_printer_that_knows_only_its_mandatory_attributes() -> None:
    printer = FilmPrinter(status={"get 1": 0x0105})
    async with run_acceptor(printer) as peer:
        status, _ = await ask_printer(peer.node, LOCAL, CONTEXTS)
        asked = [message.command.attribute_identifiers for message in peer.messages]
    assert (status.state, status.problem) == ("NORMAL", "")
    assert len(asked[0] or ()) == 7
    assert asked[1] == (0x21100010, 0x21100020)


async def test_a_printer_that_does_not_say_how_it_is_prints_all_the_same() -> None:
    printer = FilmPrinter(status={"get": 0x0110})
    (printed,), _ = await print_on(printer, film_of())
    assert (printed.status, printer.steps[:3]) == (0, ["get", "get", "session"])
