"""The embedded hospital: a worklist and an archive on loopback, as its own process. `specular hospital`.

Standard output carries one JSON object a line: first where the two application entities listen, then every event (never
a patient's data). Standard input takes fault commands, one a line: `archive down`, `archive up`, `archive reject`,
`archive accept` (the same for `worklist`), `status A700` (what every C-STORE is answered), `status 0000`.
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
from datetime import date
from pathlib import Path
from uuid import uuid4

from firmware_app.demo.holdings import Holdings
from firmware_app.demo.query_scp import query
from firmware_app.demo.scheduled_patients import schedule
from firmware_app.demo.scp import Entity
from firmware_app.demo.storage_scp import StorageFault, storage
from firmware_app.demo.verification_scp import verification
from firmware_app.demo.worklist_scp import worklist

WORKLIST_AE_TITLE = "WORKLIST"
ARCHIVE_AE_TITLE = "ARCHIVE"
SP1P_AE_TITLE = "TP_AM_SP1P_001"  # SP-1P statement 4.7.2
MAX_COMMAND_BYTES = 256  # the longest command has 16


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


class Hospital:
    """Both application entities and the faults one may set on them."""

    def __init__(self, folder: Path, station_ae_title: str, ports: tuple[int, int], lines: EventLines) -> None:
        self._report = lines.report
        self.fault = StorageFault()
        entropy = uuid4().hex
        holdings = Holdings(folder)
        echo = verification(lines.report)
        self.entities = {
            "worklist": Entity(
                WORKLIST_AE_TITLE,
                ports[0],
                [echo, worklist(lambda: schedule(date.today(), station_ae_title, entropy), lines.report)],
                lines.report,
            ),
            "archive": Entity(
                ARCHIVE_AE_TITLE,
                ports[1],
                [
                    echo,
                    storage(holdings, self.fault, lines.report),
                    query(holdings, ARCHIVE_AE_TITLE, lines.report),
                ],
                lines.report,
            ),
        }

    def up(self) -> None:
        for entity in self.entities.values():
            entity.up()

    def down(self) -> None:
        for entity in self.entities.values():
            entity.down()

    def obey(self, command: str) -> None:
        """One line of standard input; a line that is no command is reported and changes nothing."""
        match command.split():
            case []:
                return
            case ["status", status] if (code := _status(status)) is not None:
                self.fault.status = code
            case [("worklist" | "archive") as name, ("up" | "down" | "reject" | "accept") as action]:
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
        hospital = Hospital(folder, options.station, (options.worklist_port, options.archive_port), lines)
        hospital.fault.status = options.refuse_stores
        hospital.entities["archive"].reject(options.reject)
        hospital.up()
        addresses = {name: entity.address() for name, entity in hospital.entities.items()}
        lines.line({"hospital": "simulated", **addresses, "out": str(folder.resolve())})
        _serve_commands(hospital, lines, wake_read)
    except OSError as error:
        print(f"specular hospital: {error}", file=sys.stderr)
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
        description="A simulated hospital on loopback: worklist and archive.",
        epilog="Standard input takes faults: archive down|up|reject|accept, worklist ..., status A700, status 0000.",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the archive keeps its files (default: a new one)"
    )
    parser.add_argument("--worklist-port", type=_port_option, default=0, metavar="P", help="0: chosen by the kernel")
    parser.add_argument("--archive-port", type=_port_option, default=0, metavar="P", help="0: chosen by the kernel")
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
