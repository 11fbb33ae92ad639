"""`specular print` with a printer on pynetdicom: another hand's session, spoiled at every place."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (
    BasicFilmBox,
    BasicFilmSession,
    BasicGrayscaleImageBox,
    BasicGrayscalePrintManagementMeta,
    Printer,
    PrinterInstance,
)

from firmware_app.cli import main

Fault = Callable[[Any], int | None]
Printing = Callable[["FilmScp"], AbstractContextManager[str]]


@dataclass
class FilmScp:
    """What has been asked and kept. `faults` may answer in place of a step with a status, or spoil the association."""

    faults: dict[str, Fault] = field(default_factory=dict)
    state: tuple[str, str] = ("NORMAL", "NORMAL")
    steps: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    films: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    printed: list[list[np.ndarray[Any, Any]]] = field(default_factory=list)

    def fault(self, step: str, event: Any) -> int | None:
        self.steps.append(step)
        return self.faults[step](event) if step in self.faults else None

    def on_get(self, event: Any) -> tuple[int, Dataset]:
        self.fault("get", event)
        reply = Dataset()
        reply.PrinterStatus, reply.PrinterStatusInfo = self.state
        reply.PrinterName, reply.Manufacturer, reply.ManufacturerModelName = "DRY ONE", "MAKER", "M1"
        return 0, reply

    def on_create(self, event: Any) -> tuple[int, Dataset | None]:
        """Instances get UIDs of its own, whatever is proposed."""
        asked = event.attribute_list
        is_session = event.request.AffectedSOPClassUID == BasicFilmSession
        status = self.fault("session" if is_session else "box", event)
        if status is not None and status >> 12 != 0xB:
            return status, None
        reply = Dataset()
        uid = event.request.AffectedSOPInstanceUID
        if not status:  # pynetdicom has no other way to answer with a UID of its own, and none beside a warning
            uid = reply.AffectedSOPInstanceUID = generate_uid()
            event.request.AffectedSOPInstanceUID = None
        if is_session:
            self.sessions.append(uid)
            return status or 0, reply
        (session,) = asked.ReferencedFilmSessionSequence
        if session.ReferencedSOPInstanceUID not in self.sessions:
            return 0x0106, None
        columns, rows = asked.ImageDisplayFormat.partition("\\")[2].split(",")
        boxes = []
        for _ in range(int(columns) * int(rows)):
            box = Dataset()
            box.ReferencedSOPClassUID, box.ReferencedSOPInstanceUID = BasicGrayscaleImageBox, generate_uid()
            boxes.append(box)
        self.films[uid] = [box.ReferencedSOPInstanceUID for box in boxes]
        reply.ReferencedImageBoxSequence = boxes
        return status or 0, reply

    def on_set(self, event: Any) -> tuple[int, None]:
        status = self.fault("image", event)
        if status is not None and status >> 12 != 0xB:
            return status, None
        uid = event.request.RequestedSOPInstanceUID
        (image,) = event.modification_list.BasicGrayscaleImageSequence
        places = {uid: place for film in self.films.values() for place, uid in enumerate(film, start=1)}
        if places.get(uid) != event.modification_list.ImageBoxPosition:
            return 0x0112, None
        pixels = np.frombuffer(image.PixelData, "<u2", image.Rows * image.Columns)
        self.images[uid] = pixels.reshape(image.Rows, image.Columns)
        return status or 0, None

    def on_action(self, event: Any) -> tuple[int, None]:
        status = self.fault("print", event)
        if status is None or status >> 12 == 0xB:
            film = self.films[event.request.RequestedSOPInstanceUID]
            self.printed.append([self.images[uid] for uid in film if uid in self.images])
        return status or 0, None

    def on_delete(self, event: Any) -> int:
        is_session = event.request.RequestedSOPClassUID == BasicFilmSession
        assert is_session or event.request.RequestedSOPClassUID == BasicFilmBox
        return self.fault("delete session" if is_session else "delete box", event) or 0


class Server:
    """One server for all tests, because one of its own takes half a second to end; the printer behind it changes."""

    def __init__(self) -> None:
        entity = AE("FILMS")
        entity.add_supported_context(BasicGrayscalePrintManagementMeta, ImplicitVRLittleEndian)
        handlers = [
            (evt.EVT_N_GET, lambda event: self.printer.on_get(event)),
            (evt.EVT_N_CREATE, lambda event: self.printer.on_create(event)),
            (evt.EVT_N_SET, lambda event: self.printer.on_set(event)),
            (evt.EVT_N_ACTION, lambda event: self.printer.on_action(event)),
            (evt.EVT_N_DELETE, lambda event: self.printer.on_delete(event)),
            (evt.EVT_RELEASED, lambda event: self.printer.steps.append("released")),
        ]
        self.printer = FilmScp()
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        assert self.server is not None

    @contextmanager
    def printing(self, printer: FilmScp) -> Iterator[str]:
        """NODE of this printer; when the scope is left, everything that happened to it has been noted."""
        assert self.server is not None
        self.printer = printer
        yield f"FILMS@127.0.0.1:{self.server.server_address[1]}"
        for association in self.server.active_associations:
            association.join(20)


@pytest.fixture(scope="module")
def printing() -> Iterator[Printing]:
    server = Server()
    yield server.printing
    assert server.server is not None
    server.server.shutdown()


def says(status: int) -> Fault:
    return lambda event: status


def reports(event_type: int, info: str, status: int | None = None) -> Fault:
    """An N-EVENT-REPORT before the answer; pynetdicom passes over our response to it."""

    def report(event: Any) -> int | None:
        information = Dataset()
        information.PrinterStatusInfo = info
        request = N_EVENT_REPORT()
        request.MessageID, request.EventTypeID = 4711, event_type
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = Printer, PrinterInstance
        octets = encode(information, True, True)
        assert octets is not None
        request.EventInformation = io.BytesIO(octets)
        event.assoc.dimse.send_msg(request, event.context.context_id)
        return status

    return report


def aborts(event: Any) -> int:
    event.assoc.abort()
    return 0


def resets(event: Any) -> int:
    connection = event.assoc.dul.socket.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return 0


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(11)
    files = [folder / f"{number}.png" for number in range(5)]
    for number, file in enumerate(files):
        Image.fromarray(random.integers(0, 4096, (30 + number, 41)).astype(np.uint16)).save(file)
    return files


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["--json", "print", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_two_films_in_one_session_with_every_pixel(
    pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    printer = FilmScp()
    with printing(printer) as node:
        status, rows, errors = run(capsys, node, *pictures, "--layout", "2,2")
    assert (status, errors, [row["category"] for row in rows]) == (0, "", ["printed", "printed"])
    assert [len(row["files"]) for row in rows] == [4, 1]
    sent = [np.asarray(Image.open(file)) for file in pictures]
    for film, images in zip(printer.printed, [sent[:4], sent[4:]], strict=True):
        assert all(np.array_equal(kept, image) for kept, image in zip(film, images, strict=True))
    film = ["box", "image", "print", "delete box"]
    expected = ["get", "session", "box", *["image"] * 4, *film[2:], *film, "delete session", "released"]
    assert printer.steps == expected
    assert {row["film_box_uid"] for row in rows} == set(printer.films)
    assert rows[0]["printer"]["name"] == "DRY ONE"


def test_warnings_and_reports_are_told(
    pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    faults = {"image": reports(2, "SUPPLY LOW", 0xB604), "box": says(0xB605), "print": reports(1, "")}
    printer = FilmScp(faults)
    with printing(printer) as node:
        status, (row,), errors = run(capsys, node, pictures[0])
        assert (status, errors, row["category"], row["status"]) == (0, "", "warning", "0000")
        assert main(["print", node, str(pictures[0])]) == 0
    assert [warning[:40] for warning in row["warnings"]] == [
        "N-CREATE of the film box: B605H minimum ",
        "N-SET of image box 1: B604H the image is",
        "the printer reports WARNING (SUPPLY LOW)",
    ]
    assert [event["state"] for event in row["events"]] == ["WARNING", "NORMAL"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("0000  warning")
    assert "it has been demagnified; the printer reports WARNING (SUPPLY LOW)" in line
    assert printer.steps[-1] == "released"


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"session": says(0x0106)}, "N-CREATE of the film session failed with status 0106H invalid attribute value"),
        ({"box": says(0x0120)}, "N-CREATE of the film box failed with status 0120H missing attribute"),
        ({"image": says(0xC605)}, "N-SET of image box 1 failed with status C605H the printer's memory does not hold"),
        ({"print": says(0xC602)}, "N-ACTION (print) failed with status C602H no print job could be created: the print"),
        ({"image": reports(3, "FILM JAM")}, "the printer reports FAILURE (FILM JAM); nothing has been printed"),
        ({"box": aborts}, "association aborted"),
        ({"image": resets}, "reset by peer"),
    ],
    ids=["session", "box", "image", "print", "printer failure", "abort", "reset"],
)
def test_a_film_that_is_not_printed(
    faults: dict[str, Fault], words: str, pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    printer = FilmScp(faults)
    with printing(printer) as node:
        status, rows, errors = run(capsys, node, *pictures[:2])
    assert status == 1
    assert [row["category"] for row in rows] == ["not printed", "not printed"]
    assert words in rows[0]["reason"]
    assert rows[1]["reason"] == "not sent, because film 1 was not printed"
    assert errors.startswith("specular print: film 1: ")
    assert words in errors
    assert errors.endswith("(and 1 more)\n")
    assert not printer.printed


@pytest.mark.parametrize("fault", [aborts, resets])
@pytest.mark.parametrize("step", ["delete box", "delete session"])
def test_a_printer_that_ends_the_association_behind_a_film(
    step: str, fault: Fault, pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    printer = FilmScp({step: fault})
    with printing(printer) as node:
        status, rows, errors = run(capsys, node, *pictures[:3])
    assert (status, errors, [row["category"] for row in rows]) == (0, "", ["printed"] * 3)
    assert len(printer.printed) == 3
    assert printer.steps.count("session") == (3 if step == "delete box" else 1)


@pytest.mark.parametrize("fault", [aborts, resets])
def test_an_answer_that_was_lost_leaves_the_film_in_doubt(
    fault: Fault, pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    with printing(FilmScp({"print": fault})) as node:
        status, (row,), errors = run(capsys, node, pictures[0])
    assert (status, row["category"], row["status"]) == (1, "uncertain", None)
    assert "the film may have been printed" in errors


def test_a_printer_that_hangs_is_given_up(
    pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    let_go = threading.Event()

    def hangs(event: Any) -> int:
        let_go.wait(20)
        return 0

    with printing(FilmScp({"image": hangs})) as node:
        status, (row,), errors = run(capsys, node, pictures[0], "--timeout", "0.3")
        let_go.set()
    assert (status, row["category"]) == (1, "not printed")
    assert "no N-SET-RSP within 0.3 s" in errors


def test_only_the_status(capsys: pytest.CaptureFixture[str], printing: Printing) -> None:
    printer = FilmScp(state=("FAILURE", "NO SUPPLY MGZ"))
    with printing(printer) as node:
        status, (row,), errors = run(capsys, node, "--status")
        assert main(["print", node, "--status"]) == 0
    assert (status, errors) == (0, "")
    assert (row["state"], row["info"], row["name"], row["serial_number"]) == (
        "FAILURE",
        "NO SUPPLY MGZ",
        "DRY ONE",
        None,
    )
    assert "FAILURE (NO SUPPLY MGZ), DRY ONE, MAKER M1" in capsys.readouterr().out
    assert "session" not in printer.steps


def test_a_failed_printer_prints_nothing(
    pictures: list[Path], capsys: pytest.CaptureFixture[str], printing: Printing
) -> None:
    printer = FilmScp(state=("FAILURE", "NO SUPPLY MGZ"))
    with printing(printer) as node:
        status, _, errors = run(capsys, node, pictures[0])
    assert status == 1
    assert "the printer reports FAILURE (NO SUPPLY MGZ); nothing has been printed" in errors
    assert printer.steps == ["get", "released"]


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ((), 2, "nothing to print: name a FILE"),
        (("PICTURE", "--status"), 2, "--status only asks the printer"),
        (("PICTURE", "--film-size", "A4"), 2, "FilmSizeID 'A4' is not one of 8INX10IN"),
        (("PICTURE", "--smoothing", "SOFT"), 2, "SmoothingType 'SOFT': it is sent only with MagnificationType CUBIC"),
        (("PICTURE", "--layout", "0,1"), 2, "the layout '0,1' is not C,R"),
        (("PICTURE", "absent.png"), 1, "absent.png: No such file or directory"),
    ],
)
def test_what_is_refused_before_anything_is_sent(
    words: tuple[str, ...],
    status: int,
    why: str,
    pictures: list[Path],
    capsys: pytest.CaptureFixture[str],
    printing: Printing,
) -> None:
    printer = FilmScp()
    with printing(printer) as node:
        given = [str(pictures[0]) if word == "PICTURE" else word for word in words]
        assert main(["print", node, *given]) == status
    assert why in capsys.readouterr().err
    assert printer.steps == []


def test_a_profile_without_print_declares_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "specular.toml"
    path.write_text('profile = "sp-1p"\n')
    assert main(["--config", str(path), "print", "FILMS@127.0.0.1:1", "--status"]) == 2
    assert "the profile sp-1p declares no service print" in capsys.readouterr().err
