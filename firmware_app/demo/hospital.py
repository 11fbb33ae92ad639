"""The embedded hospital on loopback, as its own process. `specular hospital`.

| application entity | title | offers |
|---|---|---|
| worklist | WORKLIST | Verification, Modality Worklist, Modality Performed Procedure Step |
| archive | ARCHIVE | Verification, Storage, Storage Commitment, Patient Root and Study Root FIND |
| printer | PRINTER | Verification, Basic Grayscale Print Management Meta |

Standard output carries one JSON object a line. The first says where they listen:

    {"hospital": "simulated", "worklist": {"ip", "port", "ae_title"}, "archive": {...}, "printer": {...},
     "station_port": PORT, "out": DIR, "pages": DIR}

Then comes every event, never with a patient's data: echo, find, store, mpps (operation, sop_instance_uid, step_status,
instances), commitment (the request), commitment_report, printer (each operation), print (file, copies, images), reject,
abort, fault, error. A report of commitment goes to the AE that asked, at its address and `--station-port`.

Standard input takes commands, one a line, each confirmed by an event:

| command | what the hospital does from then on |
|---|---|
| archive down, up, reject, accept | its port closes, opens; it rejects associations, or not (also worklist, printer) |
| status A700 | every C-STORE is answered so; `status 0000`: it stores |
| mpps 0110 | every N-CREATE and N-SET of a performed procedure step is answered so; `mpps 0000`: it keeps them |
| commitment normal | it reports at once, over a new association |
| commitment never | it does not report |
| commitment late | it reports after 3 s |
| commitment twice | it reports two times on one association |
| commitment same | it reports on the association of the request |
| commitment unknown | it reports with a Transaction UID that nobody knows |
| commitment fail | it reports that it commits to nothing |
| commitment report | now, of everything whose report has not been answered with success |
| printer normal, warning, failure | its status; it warns of each image, or prints nothing |
| film refuse, accept | a film box is refused, or not |
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast, get_args
from uuid import uuid4

from firmware_app.demo.commitment_scp import CommitmentFault, CommitmentMode, Commitments, commitment
from firmware_app.demo.holdings import Holdings
from firmware_app.demo.mpps_scp import MppsFault, mpps
from firmware_app.demo.performed_steps import PerformedSteps
from firmware_app.demo.printer_scp import PrinterFault, PrinterMode, PrinterScp
from firmware_app.demo.query_scp import query
from firmware_app.demo.scheduled_patients import schedule
from firmware_app.demo.scp import Entity
from firmware_app.demo.storage_scp import StorageFault, storage
from firmware_app.demo.verification_scp import verification
from firmware_app.demo.worklist_scp import worklist
from firmware_app.services.causes import in_one_line

WORKLIST_AE_TITLE = "WORKLIST"
ARCHIVE_AE_TITLE = "ARCHIVE"
PRINTER_AE_TITLE = "PRINTER"
PAGES = "pages"  # the printer's folder in that of the archive, where none is given
SP1P_AE_TITLE = "TP_AM_SP1P_001"  # SP-1P statement 4.7.2
SP1P_PORT = 64001
MAX_COMMAND_BYTES = 256  # the longest command has 18
COMMITMENT_MODES = get_args(CommitmentMode)
PRINTER_MODES = get_args(PrinterMode)


COMMANDS = """\
Standard output has a JSON object a line: the addresses first, then every event.
Standard input takes commands, one a line:
  worklist|archive|printer  down|up|reject|accept
  status A700                the answer to every C-STORE; 0000: store
  mpps 0110                  the answer to every N-CREATE and N-SET of a step; 0000: keep it
  commitment normal|never|late|twice|same|unknown|fail
  commitment report          now, of everything that has not been reported
  printer normal|warning|failure
  film refuse|accept         the answer to a film box
"""


class EventLines:
    """Events as JSON lines on a descriptor, from any thread. `closed` once nobody reads them any more."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self.closed = False

    def report(self, event: str, **keys: object) -> None:
        self.line({"event": event, **keys})

    def line(self, content: dict[str, object]) -> None:
        encoded = (json.dumps(content, ensure_ascii=False) + "\n").encode()
        with self._lock:
            try:
                while encoded and not self.closed:
                    encoded = encoded[os.write(self._fd, encoded) :]
            except BrokenPipeError:
                self.closed = True


@dataclass(frozen=True, slots=True)
class Ports:
    """Where we listen (0: chosen by the kernel), and where the station does."""

    worklist: int
    archive: int
    printer: int
    station: int


class Hospital:
    """All application entities and the faults one may set on them."""

    def __init__(self, folder: Path, pages: Path, station_ae_title: str, ports: Ports, lines: EventLines) -> None:
        self._report = report = lines.report
        self.store_fault = StorageFault()
        self._mpps_fault = MppsFault()
        self._commitment_fault = CommitmentFault()
        self._printer_fault = PrinterFault()
        entropy = uuid4().hex
        holdings = Holdings(folder)
        self._commitments = Commitments(ARCHIVE_AE_TITLE, holdings, self._commitment_fault, ports.station, report)
        printer = PrinterScp(pages, self._printer_fault, report)
        echo = verification(report)
        offered = {
            "worklist": [
                worklist(lambda: schedule(date.today(), station_ae_title, entropy), report),
                mpps(PerformedSteps(), self._mpps_fault, report),
            ],
            "archive": [
                storage(holdings, self.store_fault, report),
                commitment(self._commitments, report),
                query(holdings, ARCHIVE_AE_TITLE, report),
            ],
            "printer": [printer.service()],
        }
        self.entities = {
            name: Entity(ae_title, port, [echo, *offered[name]], report)
            for name, ae_title, port in (
                ("worklist", WORKLIST_AE_TITLE, ports.worklist),
                ("archive", ARCHIVE_AE_TITLE, ports.archive),
                ("printer", PRINTER_AE_TITLE, ports.printer),
            )
        }

    def up(self) -> None:
        for entity in self.entities.values():
            entity.up()

    def down(self) -> None:
        self._commitments.end()
        for entity in self.entities.values():
            entity.down()

    def obey(self, command: str) -> None:
        """One line of standard input; a line that is no command is reported and changes nothing."""
        match command.split():
            case []:
                return
            case ["status", status] if (code := _status(status)) is not None:
                self.store_fault.status = code
            case ["mpps", status] if (code := _status(status)) is not None:
                self._mpps_fault.status = code
            case ["commitment", "report"]:
                self._commitments.report_now()
            case ["commitment", mode] if mode in COMMITMENT_MODES:
                self._commitment_fault.mode = cast(CommitmentMode, mode)
            case ["printer", mode] if mode in PRINTER_MODES:
                self._printer_fault.mode = cast(PrinterMode, mode)
            case ["film", ("refuse" | "accept") as answer]:
                self._printer_fault.refuses_films = answer == "refuse"
            case [("worklist" | "archive" | "printer") as name, ("up" | "down" | "reject" | "accept") as action]:
                try:
                    self._switch(self.entities[name], action)
                except OSError as error:
                    self._report("error", text=str(error))
                    return
            case _:
                self._report("error", text=f"no such command: {command[:64]!r}")
                return
        self._report("fault", command=" ".join(command.split()))

    def _switch(self, entity: Entity, action: str) -> None:
        if action == "up":
            entity.up()
        elif action == "down":
            entity.down()
        else:
            entity.reject(action == "reject")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status 0; 1 when a port or the folder cannot be had; 2 for wrong usage."""
    options = _options(argv)
    lines = EventLines(sys.stdout.fileno())
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    previous = {number: signal.signal(number, _note) for number in (signal.SIGTERM, signal.SIGINT)}
    previous_wakeup = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    hospital: Hospital | None = None
    try:
        folder = options.out or Path(tempfile.mkdtemp(prefix="specular-archive-"))
        pages = options.pages or folder / PAGES
        ports = Ports(options.worklist_port, options.archive_port, options.printer_port, options.station_port)
        hospital = Hospital(folder, pages, options.station, ports, lines)
        hospital.store_fault.status = options.refuse_stores
        hospital.entities["archive"].reject(options.reject)
        hospital.up()
        addresses = {name: entity.address() for name, entity in hospital.entities.items()}
        places = {"station_port": ports.station, "out": str(folder.resolve()), "pages": str(pages.resolve())}
        lines.line({"hospital": "simulated", **addresses, **places})
        _serve_commands(hospital, lines, wake_read)
    except OSError as error:
        print(f"specular hospital: {in_one_line(error)}", file=sys.stderr)
        return 1
    finally:
        if hospital is not None:
            hospital.down()
        signal.set_wakeup_fd(previous_wakeup)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(wake_read)
        os.close(wake_write)
    return 0


def _note(_number: int, _frame: object) -> None:
    """The wake-up descriptor carries the signal; Python only needs a handler to be there."""


def _serve_commands(hospital: Hospital, lines: EventLines, wake_fd: int) -> None:
    """Until a signal comes, or nobody reads our events any more."""
    stdin_fd = sys.stdin.fileno() if sys.stdin is not None else -1
    watched = [fd for fd in (wake_fd, stdin_fd) if fd >= 0]
    pending = b""
    while not lines.closed:
        readable, _, _ = select.select(watched, [], [], 1.0)
        if wake_fd in readable:
            return
        if stdin_fd not in readable:
            continue
        chunk = os.read(stdin_fd, 4096)
        if not chunk:
            watched.remove(stdin_fd)
        *commands, pending = (pending + chunk).split(b"\n")
        for command in commands:
            hospital.obey(command[:MAX_COMMAND_BYTES].decode("utf-8", "replace"))
        pending = pending[:MAX_COMMAND_BYTES]


def _status(text: str) -> int | None:
    try:
        value = int(text, 16)
    except ValueError:
        return None
    return value if len(text) == 4 and 0 <= value <= 0xFFFF else None


def _status_option(text: str) -> int:
    status = _status(text)
    if status is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not four hexadecimal digits")
    return status


def _port_option(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0..65535)")
    return int(text)


def _station_option(text: str) -> str:
    if not 1 <= len(text.strip()) <= 16 or not text.isascii() or not text.isprintable() or "\\" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not an AE title")
    return text.strip()


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="specular hospital",
        description="A simulated hospital on loopback: information system, archive and printer.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the archive keeps its files (default: a new one)"
    )
    parser.add_argument(
        "--pages", type=Path, metavar="DIR", help="where the printer puts its films as PNG (default: pages in --out)"
    )
    for name in ("worklist", "archive", "printer"):
        parser.add_argument(
            f"--{name}-port", type=_port_option, default=0, metavar="P", help="0 (default): chosen by the kernel"
        )
    parser.add_argument(
        "--station-port",
        type=_port_option,
        default=SP1P_PORT,
        metavar="P",
        help=f"where the instrument listens for reports of commitment (default {SP1P_PORT})",
    )
    parser.add_argument(
        "--station", type=_station_option, default=SP1P_AE_TITLE, metavar="AET", help="scheduled station AE title"
    )
    parser.add_argument(
        "--refuse-stores", type=_status_option, default=0, metavar="STATUS", help="answer every C-STORE so"
    )
    parser.add_argument("--reject", action="store_true", help="the archive rejects every association")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
