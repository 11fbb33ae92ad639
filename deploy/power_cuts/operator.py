"""The operator at the console, who notes every promise in the disk's own log before reading on."""

from __future__ import annotations

import itertools
import mmap
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from deploy.power_cuts.acknowledgements import (
    MARKERS_MAX_BYTES,
    Captured,
    Committed,
    ExamBegun,
    ExamClosed,
    Measured,
    StepReported,
    Stored,
    Told,
    marker,
)
from firmware_app.console.protocol import (
    REPLY_LINE_MAX_BYTES,
    Answer,
    Failure,
    LineSplitter,
    Missed,
    Progress,
    Run,
    Subscribe,
    decode_service_message,
    encode_request,
)
from firmware_app.model import Event
from firmware_app.records.files import digest

SILENCE_S = 300.0  # emulated processors; a bound, not an expectation


class Refused(Exception):
    """The service said no, or went away, where an exam should go on."""


class Notes:
    """The markers on the disk: O_DIRECT, so that each is a write of its own at once, and never a flush."""

    def __init__(self, disk: str, at_byte: int) -> None:
        self._disk = disk
        self._descriptor = os.open(disk, os.O_WRONLY | os.O_DIRECT)
        self._at_byte = at_byte
        self._buffer = mmap.mmap(-1, MARKERS_MAX_BYTES)  # O_DIRECT asks for whole pages
        self.count = 0

    def __enter__(self) -> Notes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def note(self, told: Told) -> None:
        """On return the disk has it, so the log does."""
        data = marker(self.count, told)
        self._buffer[: len(data)] = data
        with memoryview(self._buffer) as view, view[: len(data)] as block:
            written = os.pwrite(self._descriptor, block, self._at_byte)
        if written != len(data):
            raise OSError(f"{self._disk}: only {written} of the {len(data)} bytes of marker {self.count} were written")
        self.count += 1


class Operator:
    """One connection to the console, with the service's events on it."""

    def __init__(self, sock: socket.socket, notes: Notes, state_dir: Path) -> None:
        self._sock = sock
        self._notes = notes
        self._state_dir = state_dir
        self._ids = itertools.count(1)
        self._splitter = LineSplitter(REPLY_LINE_MAX_BYTES)
        self._lines: list[bytes] = []
        self._exam_id = ""
        self._captures: dict[str, str] = {}
        sock.sendall(encode_request(Subscribe()))

    # ------------------------------------------------------------------------------------------- what is done

    def begin_exam(self, patient_id: str, name: str) -> None:
        self._exam_id = str(self.run(f"exam unscheduled {patient_id} {name}")["exam_id"])
        self._captures.clear()
        self._notes.note(ExamBegun(self._exam_id, patient_id))

    def capture(self, eye: str) -> None:
        capture_id = str(self.run(f"capture {eye}")["capture_id"])
        image = self._state_dir / "exams" / self._exam_id / f"{capture_id}.png"
        self._notes.note(Captured(self._exam_id, capture_id, digest(image.read_bytes())))
        self._captures[eye] = capture_id

    def results(self, eye: str) -> int:
        """How many cells there are."""
        numbers = self.run(f"results {eye}")["morphometry"]
        self._notes.note(Measured(self._captures[eye], 1, numbers))
        return int(numbers["n"]) if numbers else 0

    def edit(self, eye: str, action: str) -> None:
        data = self.run(f"edit {eye} {action}")
        self._notes.note(Measured(self._captures[eye], int(data["revision"]), data["morphometry"]))

    def finish(self) -> None:
        data = self.run("exam finish")
        instances = tuple(str(each["sop_instance_uid"]) for each in data["instances"])
        paths = [Path(path) for path in (*data["pictures"], *(each["file"] for each in data["instances"]))]
        files = {str(path.relative_to(self._state_dir)): digest(path.read_bytes()) for path in paths}
        self._notes.note(ExamClosed(self._exam_id, instances, files))

    def abandon(self) -> None:
        self.run("exam abandon")
        self._notes.note(ExamClosed(self._exam_id))

    # ------------------------------------------------------------------------------------------- what is said

    def run(self, line: str) -> dict[str, Any]:
        """One command to its end; what the service tells meanwhile is noted as it comes. Raises `Refused`."""
        request_id = next(self._ids)
        self._sock.sendall(encode_request(Run(request_id, line)))
        while True:
            message = decode_service_message(self._next_line())
            if not isinstance(message, Answer):
                self._heard(message)
            elif message.request_id == request_id and not isinstance(message.content, Progress):
                if isinstance(message.content, Failure):
                    raise Refused(f"{line}: {message.content.error}")
                return message.content.data or {}

    def until(self, is_so: Callable[[], bool], patience_s: float, what: str) -> None:
        """Ask until it is so. Raises `Refused`."""
        give_up_s = time.monotonic() + patience_s
        while not is_so():
            if time.monotonic() > give_up_s:
                raise Refused(f"not {what} within {patience_s:.0f} s")
            time.sleep(0.2)

    def _heard(self, message: Event | Missed) -> None:
        if isinstance(message, Missed):
            raise Refused(f"{message.count} events were missed: what they told cannot be checked")
        data = message.data
        match message.kind:
            case "delivery.stored":
                self._notes.note(Stored(str(data["sop_instance_uid"])))
            case "commitment.committed":
                instances = data["instances"]
                assert isinstance(instances, list)
                self._notes.note(Committed(tuple(map(str, instances))))
            case "mpps.sent":
                self._notes.note(StepReported(str(data["mpps_sop_instance_uid"]), str(data["step_status"])))

    def _next_line(self) -> bytes:
        while not self._lines:
            try:
                chunk = self._sock.recv(65536)
            except TimeoutError as error:
                raise Refused(f"the service says nothing for {SILENCE_S:.0f} s") from error
            if not chunk:
                raise Refused("the service closed the console")
            self._lines.extend(self._splitter.feed(chunk))
        return self._lines.pop(0)


@contextmanager
def at_the_console(path: Path, notes: Notes, state_dir: Path) -> Iterator[Operator]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SILENCE_S)
        sock.connect(str(path))
        yield Operator(sock, notes, state_dir)
