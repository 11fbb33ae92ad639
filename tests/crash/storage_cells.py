"""A disk that refuses at the system-call boundary: one fault at one call of an exam, and what the service makes of it.

A cell is a call (the n-th write-class call below the state folder, from `exam unscheduled` to the last commitment), a
fault, and how long it lasts: once, or from that call on until it is healed. Cells follow each other in one service,
whose hospital is healthy. In each the process is stopped in the moment of the first refusal, and again at its end, and
the files are opened as they are then: what a kill would leave. `FaultBatch.close` gives the crash test's verdict.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import trio
from crash_round import PATIENT, Build, Round, crash_place, judge_round, kind_of_file
from operator_script import Operator, Told, ToldExam, frame_sha256, run_patiently
from place import helper
from system_calls import GO_ON, Call, Fail, Short, Verdict
from under_test import PATIENCE_S, POLL_S, Gone, Life, drawn_seed, tail

from firmware_app.demo.console_link import CommandRefused
from firmware_app.demo.exam import free_port
from firmware_app.records.errors import FileDamaged
from firmware_app.records.store import open_records

Fault = Literal["ENOSPC", "EIO", "EROFS", "short"]
FAULTS: Final[tuple[Fault, ...]] = ("ENOSPC", "EIO", "EROFS", "short")
ATTEMPTS: Final = 40
AGAIN_S: Final = 0.02
NOTICE_S: Final = 0.5
# What a person reads: the kernel's words, and SQLite's for the same.
WORDS: Final = (
    *(os.strerror(code) for code in (errno.ENOSPC, errno.EIO, errno.EROFS)),
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
)


@dataclass(frozen=True)
class Cell:
    """`what`: only calls like `rename file.png` count; empty: all do."""

    at: int
    fault: Fault
    persistent: bool
    what: str = ""

    def __str__(self) -> str:
        return f"{self.fault} at {self.what or 'call'} {self.at}{' and on' if self.persistent else ''}"


class Disk:
    """The judge of the service's calls. Only calls below `below` count; with `short` only writes do."""

    def __init__(self, below: Path) -> None:
        self._below = str(below)
        self._cell: Cell | None = None
        self._halved = ""
        self.count = 0
        self.hits: list[str] = []
        self.seen: Counter[str] = Counter()

    def arm(self, cell: Cell | None) -> None:
        self._cell, self._halved, self.count, self.hits = cell, "", 0, []

    def heal(self) -> None:
        self._cell = None

    @property
    def is_refusing(self) -> bool:
        """It has begun, and would go on."""
        return bool(self.hits) and self._cell is not None and self._cell.persistent

    def __call__(self, call: Call) -> Verdict:
        if not call.path.startswith(self._below):
            return GO_ON
        cell, what = self._cell, f"{call.kind} {kind_of_file(call.path)}"
        if cell is None:
            self.count += 1
            self.seen[what] += 1
            return GO_ON
        if cell.fault == "short":
            return self._short(cell, call, what)
        return Fail(getattr(errno, cell.fault)) if self._is_its_turn(cell, what) else GO_ON

    def _short(self, cell: Cell, call: Call, what: str) -> Verdict:
        """Half is written, then the disk is full: the caller that goes on with the rest is told."""
        if call.kind != "write":
            return GO_ON
        if self._halved == call.path:
            self._halved = ""
            return Fail(errno.ENOSPC)
        if not self._is_its_turn(cell, what):
            return GO_ON
        self._halved = call.path
        return Short() if call.size > 1 else Fail(errno.ENOSPC)

    def _is_its_turn(self, cell: Cell, what: str) -> bool:
        """Counts the call; once the fault has begun, every call is as good as those of its kind."""
        if self.count < cell.at and cell.what not in ("", what):
            return False
        self.count += 1
        if self.count < cell.at or (self.count > cell.at and not cell.persistent):
            return False
        self.hits.append(what)
        return True


@dataclass
class Outcome:
    """`noticed`: how the service told of it; empty where nothing had to be told because nothing was lost by it."""

    cell: Cell
    hits: list[str]
    noticed: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


class FaultBatch:
    def __init__(self, folder: Path, ports: dict[str, int], stage_port: str, build: Build) -> None:
        self._folder = folder
        self._build = build
        self.place = crash_place(folder / "i", stage_port, ports["station"], ports, PATIENT)
        self.disk = Disk(self.place.state)
        self.told = Told()
        self._operator = Operator(self.place, self.told, drawn_seed(folder), folder.name)
        self._life = self._start()
        self._number = 0

    def _start(self) -> Life:
        self.disk.heal()
        life = self._build.start(self.place, self.disk)
        self._operator.begin(life)
        return life

    def calls(self) -> int:
        """How many calls an exam makes that nobody disturbs; `disk.seen` then says which."""
        self.disk.seen.clear()
        self.disk.arm(None)
        self.run(Cell(0, "EIO", False), armed=False)
        return self.disk.count

    # ------------------------------------------------------------------------------------------- one cell

    def run(self, cell: Cell, *, armed: bool = True) -> Outcome:
        outcome = Outcome(cell, [])
        log_begins = self.place.log.stat().st_size
        self.disk.arm(cell if armed else None)
        try:
            self._exam(outcome)
        except Died as error:
            outcome.found.append(f"the service died: {error}\n{tail(self.place.log, 1500)}")
        except AssertionError as error:
            outcome.found.append(str(error))
        self.disk.heal()
        outcome.hits = outcome.hits or list(self.disk.hits)
        outcome.noticed += self._told_in_log(log_begins)
        if outcome.found:
            self._life.kill()
            self._life.bury()
            self._life = self._start()
            self._operator.go_on_with_interrupted()
        return outcome

    def _exam(self, outcome: Outcome) -> None:
        self._number += 1
        patient_id = f"{self._folder.name}-{self._number}"
        exam_id = str(self._insist(outcome, None, f"exam unscheduled {patient_id} Disk^Fault")["exam_id"])
        exam = self.told.exams[exam_id] = ToldExam(patient_id)
        for eye in "RL":
            self._insist(outcome, exam_id, f"eye {eye}")
            capture_id = str(self._insist(outcome, exam_id, f"capture {eye}")["capture_id"])
            self._operator.note(exam_id, eye, capture_id)
        exam.asked = "finished"
        self._insist(outcome, exam_id, "exam finish")
        exam.end = "finished"
        self._delivered(outcome, exam_id)
        self._as_if_killed(outcome, exam_id)

    def _insist(self, outcome: Outcome, exam_id: str | None, line: str) -> dict[str, Any]:
        """One command until it succeeds: refusals are in words, and it can be done when the fault is over."""
        for attempt in range(ATTEMPTS):
            try:
                return self._run(line)
            except CommandRefused as error:
                self._refused(outcome, exam_id, line, str(error))
                if attempt == 1:  # still refused, or refused again: now somebody mends the disk
                    outcome.hits = list(self.disk.hits)
                    self.disk.heal()
                time.sleep(AGAIN_S)
        raise AssertionError(f"{line!r} was refused {ATTEMPTS} times, and long after the fault was over")

    def _run(self, line: str) -> dict[str, Any]:
        try:
            assert self._operator.link is not None
            return run_patiently(self._operator.link, line)
        except CommandRefused as error:
            if "broke" in str(error) or self._life.is_over:
                raise Died(str(error)) from error
            raise

    def _refused(self, outcome: Outcome, exam_id: str | None, line: str, text: str) -> None:
        outcome.noticed.append(text)
        if not any(word in text for word in WORDS) or str(self.place.state) not in text:
            outcome.found.append(f"{line!r} was refused, and not for the disk in words with its path: {text}")
        said = self._run("status")["services"]["disk"]  # it still answers, and says what is wrong, too
        in_words = any(word in said for word in WORDS) and str(self.place.state) in said
        if self.disk.is_refusing and not in_words:
            outcome.found.append(f"{line!r} was refused, and status said of the disk: {said}")
        if exam_id is not None:
            self._as_if_killed(outcome, exam_id)

    def _delivered(self, outcome: Outcome, exam_id: str) -> None:
        """What is left of the fault meets the tasks in the background: they tell it, and go on when it is over."""
        give_up_s = time.monotonic() + PATIENCE_S
        heal_s = time.monotonic() + NOTICE_S
        while waiting := [*self._operator.not_delivered(limit=6)]:
            assert time.monotonic() < give_up_s, f"never delivered after the fault: {waiting[:2]}"
            if self._life.is_over:
                raise Died("in the background")
            if time.monotonic() > heal_s:
                outcome.hits = outcome.hits or list(self.disk.hits)
                self.disk.heal()
            time.sleep(POLL_S)

    # ------------------------------------------------------------------------------------------- looking

    def _as_if_killed(self, outcome: Outcome, exam_id: str) -> None:
        """The files as a kill would leave them now, opened: every capture that was told is there to the byte."""
        with self._stopped():
            copy = self._copied(exam_id)
        self._check(copy, outcome, exam_id)

    def _check_copy(self, outcome: Outcome, exam_id: str) -> None:
        """As `_as_if_killed`, of a service that has been."""
        self._check(self._copied(exam_id), outcome, exam_id)

    def _copied(self, exam_id: str) -> Path:
        copy = self._folder / "copy"
        (copy / "exams").mkdir(parents=True)
        for file in self.place.state.glob("records.sqlite3*"):
            shutil.copyfile(file, copy / file.name)
        shutil.copytree(self.place.state / "exams" / exam_id, copy / "exams" / exam_id)
        return copy

    def _check(self, copy: Path, outcome: Outcome, exam_id: str) -> None:
        try:
            outcome.found += trio.run(missing_captures, copy, exam_id, self.told.exams[exam_id])
        finally:
            shutil.rmtree(copy)

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """All its threads; one that waits in a call for our verdict stops when it has it."""
        self._life.process.send_signal(signal.SIGSTOP)
        while state_of(self._life.process.pid) not in "Tt":
            time.sleep(0.001)
        try:
            yield
        finally:
            self._life.process.send_signal(signal.SIGCONT)

    def _told_in_log(self, begins: int) -> list[str]:
        """Events since then that name a file of the state folder and say what is wrong with it."""
        with self.place.log.open("rb") as log:
            log.seek(begins)
            lines = log.read().decode("utf-8", "replace").splitlines()
        return [line for line in lines if str(self.place.state) in line and any(word in line for word in WORDS)]

    # ------------------------------------------------------------------------------------------- starting

    def leave_open(self) -> None:
        """Kill the service in the middle of an exam, so that every start has something to recover."""
        self._number += 1
        operator = self._operator
        exam_id = str(operator.run(f"exam unscheduled {self._folder.name}-{self._number} Disk^Fault")["exam_id"])
        self.told.exams[exam_id] = ToldExam(f"{self._folder.name}-{self._number}")
        operator.run("eye R")
        operator.note(exam_id, "R", str(operator.run("capture R")["capture_id"]))
        self._life.kill()
        self._life.bury()

    def calls_of_start(self) -> int:
        """How many calls a start makes until the console answers; it is killed then."""
        self.disk.seen.clear()
        self.disk.arm(None)
        life = self._build.start(self.place, self.disk)
        life.link()
        life.kill()
        life.bury()
        return self.disk.count

    def start(self, cell: Cell) -> Outcome:
        """A start on a disk that refuses: it comes up, or it ends with status 1 and says why in one line."""
        outcome = Outcome(cell, [])
        begins = self.place.log.stat().st_size
        self.disk.arm(cell)
        life = self._build.start(self.place, self.disk)
        try:
            life.link()
            life.kill()
            life.bury()
        except Gone:
            status = life.bury()
            said = self.place.log.read_bytes()[begins:].decode("utf-8", "replace")
            last = said.strip().splitlines()[-1] if said.strip() else ""
            in_words = any(word in last for word in WORDS) and str(self.place.state) in last
            if status != 1 or not in_words or "Traceback" in said:
                outcome.found.append(f"ended with status {status} and said {said[-1500:]!r}")
            outcome.noticed.append(last)
        outcome.hits = list(self.disk.hits)
        self.disk.heal()
        for exam_id in self.told.exams:
            if not self.told.exams[exam_id].end:
                self._check_copy(outcome, exam_id)
        return outcome

    def finish_what_is_open(self) -> None:
        self._life = self._start()
        self._operator.go_on_with_interrupted()
        self._operator.drain()

    def abandon(self) -> None:
        """Without a verdict."""
        self._life.kill()
        self._life.bury()

    def close(self, journal: Path) -> Round:
        """End in order; whether anything of all cells is lost, doubled, changed or out of order."""
        result = Round()
        if status := self._life.end():
            result.found.append(f"the service ended with status {status}")
        ours = {exam.patient_id for exam in self.told.exams.values()}
        entries = [json.loads(line) for line in journal.read_bytes().splitlines()]
        judge_round(self.place, self.told, entries, result)
        result.exams = len(ours)
        return result


class Died(Exception):
    """The service process has ended, which no fault of a disk may bring about."""


def state_of(pid: int) -> str:
    """R, S, D, T ... of /proc/<pid>/stat; the program's name before it may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def missing_captures(state: Path, exam_id: str, exam: ToldExam) -> list[str]:
    missing = []
    async with open_records(state) as records:
        there = {capture.capture_id for capture in await records.captures(exam_id)}
        for capture_id, capture in exam.captures.items():
            if capture_id not in there:
                missing.append(f"LOST: capture {capture_id} was told and is not there after a kill")
                continue
            picture = state / "exams" / exam_id / f"{capture_id}.png"
            try:
                await records.load_frame(capture_id)
                if frame_sha256(await trio.Path(picture).read_bytes()) != capture.pixels:
                    missing.append(f"CHANGED: capture {capture_id}")
            except FileDamaged as error:
                missing.append(f"LOST: capture {capture_id} was told: {error}")
    return missing


@contextmanager
def fault_batch(folder: Path, stage_port: str, build: Build) -> Iterator[FaultBatch]:
    """A service of its own with a healthy hospital."""
    folder.mkdir(parents=True)
    port = free_port()
    with helper("failing_hospital.py", folder, 1, port, log=folder / "hospital.log") as hospital:
        ports = {**hospital.line(), "station": port}
        hospital.tell("healthy")
        yield FaultBatch(folder, ports, stage_port, build)
