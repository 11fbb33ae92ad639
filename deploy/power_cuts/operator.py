"""The operator at the machine's console, who notes every promise, and where the disk's log was, before reading on."""

from __future__ import annotations

import itertools
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deploy.power_cuts.acknowledgements import (
    Captured,
    Committed,
    ExamBegun,
    ExamClosed,
    Measured,
    Promise,
    StepReported,
    Stored,
    Told,
    promise_line,
)
from deploy.power_cuts.write_log import entry_count
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

STATE = PurePosixPath("/var/lib/specular")
SILENCE_S = 1800.0  # emulated processors; a bound, not an expectation
DIGESTS = """\
import hashlib, sys
for line in sys.stdin:
    print(hashlib.sha256(open(line.rstrip("\\n"), "rb").read()).hexdigest(), flush=True)
"""


class Refused(Exception):
    """The service said no, or went away, where an exam should go on."""


class Notes:
    """Promises, a line each, as the log stands at the moment."""

    def __init__(self, log: Path, promises: Path) -> None:
        self._log = log
        self._promises = promises
        promises.write_bytes(b"")
        self.count = 0

    def note(self, told: Told) -> None:
        with self._promises.open("ab") as file:
            file.write(promise_line(Promise(entry_count(self._log), told)))
        self.count += 1


class MachineFiles:
    """Checksums of files in the machine, from one program that runs there."""

    def __init__(self, given: IO[bytes], said: IO[bytes]) -> None:
        self._given, self._said = given, said

    def digest(self, path: PurePosixPath) -> str:
        """Raises `Refused`."""
        self._given.write(f"{path}\n".encode())
        self._given.flush()
        line = self._said.readline().decode().strip()
        if not line:
            raise Refused(f"{path} cannot be read in the machine")
        return line


@contextmanager
def machine_files(ssh_command: Sequence[str]) -> Iterator[MachineFiles]:
    """`ssh_command` leads into a shell that may become root."""
    command = [*ssh_command, f"exec sudo python3 -I -c {shlex.quote(DIGESTS)}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield MachineFiles(process.stdin, process.stdout)
        finally:
            process.kill()


class Operator:
    """One connection to the console, with the service's events on it."""

    def __init__(self, sock: socket.socket, notes: Notes, files: MachineFiles) -> None:
        self._sock = sock
        self._notes = notes
        self._files = files
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
        image = STATE / "exams" / self._exam_id / f"{capture_id}.png"
        self._notes.note(Captured(self._exam_id, capture_id, self._files.digest(image)))
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
        paths = [PurePosixPath(path) for path in (*data["pictures"], *(each["file"] for each in data["instances"]))]
        files = {str(path.relative_to(STATE)): self._files.digest(path) for path in paths}
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
