"""One state folder, killed again and again, then left to finish: what the crash test is made of.

A round begins with one whole exam that nobody disturbs; how long it takes, and how many write-class calls it makes, is
what the moments of the kills are drawn from. Then come the kills, with the hospital failing at random; then the
hospital is healthy and the service delivers what is left; then the verdict.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio
from operator_script import Operator, Told, frame_sha256
from place import Helper, Place, Table, helper, make_place, node
from stages import STAGE_CONFIG
from system_calls import GO_ON, Call, Judge, Kill, Verdict
from under_test import Forks, Life, drawn_seed
from verdict import Arrived, Entry, Kept, KeptCapture, KeptExam, out_of_order, violations

from firmware_app.demo.exam import free_port
from firmware_app.demo.holdings import data_set_of
from firmware_app.model import CommitmentState, DeliveryState
from firmware_app.records.files import TEMPORARY_SUFFIX, digest
from firmware_app.records.store import open_records

BY_CALL = 0.4  # share of the kills that fall on a write-class call instead of on a moment
LONGER = 0.15  # share of those by time that are drawn from three times the length: deliveries need time, too
FORKED = 0.75
EYES = {"right_eye_um": [-82000.0, -20000.0, -20000.0], "left_eye_um": [-18000.0, -20000.0, -20000.0]}
# For a hospital that hangs; and for one that does not, on a machine that is busy with other things.
HASTY = {"connect_s": 1.0, "association_s": 0.6, "write_s": 1.0, "response_s": 0.6, "release_s": 0.3}
PATIENT = {"connect_s": 5.0, "association_s": 10.0, "write_s": 5.0, "response_s": 10.0, "release_s": 2.0}


@dataclass
class Round:
    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)  # on which write-class calls kills fell
    misfortunes: Counter[str] = field(default_factory=Counter)
    exams: int = 0
    captures: int = 0
    instances: int = 0
    sent_again: int = 0
    messages: int = 0
    length_s: float = 0.0  # of the undisturbed exam with its delivery, from the start of the service
    wall_s: float = 0.0
    found: list[str] = field(default_factory=list)

    def add(self, other: Round) -> None:
        for name in ("phases", "calls", "misfortunes"):
            getattr(self, name).update(getattr(other, name))
        for name in ("kills", "exams", "captures", "instances", "sent_again", "messages", "wall_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.length_s = max(self.length_s, other.length_s)
        self.found += other.found


class Calls:
    """Counts write-class calls below a folder; the `at`-th is one too many, 0: none is. `what`: only those count."""

    def __init__(self, below: Path, at: int = 0, what: str = "") -> None:
        self._below = str(below)
        self._at = at
        self._what = what
        self.count = 0
        self.killed_on = ""

    def __call__(self, call: Call) -> Verdict:
        name = f"{call.kind} {kind_of_file(call.path)}"
        if not call.path.startswith(self._below) or self._what not in ("", name):
            return GO_ON
        self.count += 1
        if self.count != self._at:
            return GO_ON
        self.killed_on = name
        return Kill()


def kind_of_file(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    if name.startswith("records.sqlite3"):
        return "database" + name.removeprefix("records.sqlite3")
    for suffix in (".png", ".json", ".dcm", ".npz"):
        if suffix in name:
            return "file" + suffix
    return name if name in ("lock", "exams", "state", "pictures") else "folder"


@dataclass(frozen=True)
class Build:
    """What is started: `broken` is a deliberately broken one (`broken_build.py`).

    With `forks` three of four lives are forked from a process that has imported everything, the others are started.
    """

    forks: Forks | None = None
    broken: str = ""

    def start(self, place: Place, judge: Judge | None = None, *, forked: bool = True) -> Life:
        return Life(place, judge=judge, broken=self.broken, forks=self.forks if forked else None)


def crash_round(
    folder: Path,
    name: str,
    seed: int,
    kills: int,
    stage_port: str,
    build: Build,
    *,
    killed_on: Sequence[tuple[str, int]] = (),
) -> Round:
    """`folder` is short. `killed_on`: before the others a kill each on the n-th call of a kind (`rename file.png`)."""
    began_s = time.monotonic()
    chance = drawn_seed(name, seed)
    result = Round(kills=kills + len(killed_on))
    port = free_port()
    folder.mkdir(parents=True)
    hospital_folder = folder / "hospital"
    hospital_folder.mkdir()
    told = Told()
    with helper("failing_hospital.py", hospital_folder, seed, port, log=folder / "hospital.log") as hospital:
        place = crash_place(folder / "instrument", stage_port, port, hospital.line())
        operator = Operator(place, told, chance, name)
        try:
            kill_again_and_again(place, operator, hospital, chance, result, build, kills, killed_on)
            deliver_what_is_left(operator, build.start(place), result)
        except AssertionError as error:  # a command that should have been done was refused
            result.found.append(str(error))
    journal = [json.loads(line) for line in (hospital_folder / "journal.jsonl").read_bytes().splitlines()]
    judge_round(place, told, journal, result)
    result.wall_s = time.monotonic() - began_s
    return result


def kill_again_and_again(
    place: Place,
    operator: Operator,
    hospital: Helper,
    chance: random.Random,
    result: Round,
    build: Build,
    kills: int,
    killed_on: Sequence[tuple[str, int]],
) -> None:
    hospital.tell("healthy")
    counting = Calls(place.state)
    result.length_s = undisturbed(operator, build.start(place, counting))
    hospital.tell("failing")
    for what, at in killed_on:
        one_life(operator, build.start(place, judge := Calls(place.state, at, what)), judge, result)
    for _ in range(kills):
        one_kill(place, operator, chance, result, counting.count, build)
    result.misfortunes.update(hospital.tell("healthy"))


def deliver_what_is_left(operator: Operator, life: Life, result: Round) -> None:
    with life.ended():
        operator.begin(life)
        operator.go_on_with_interrupted()
        operator.drain()
        status = life.end()
    if status:
        result.found.append(f"the service ended with status {status} when it was told to end")


def crash_place(
    folder: Path, stage_port: str, station_port: int, ports: dict[str, int], timeouts: Table = HASTY
) -> Place:
    brisk = {"retry_first_s": 0.05, "retry_max_s": 0.3, "timeouts": timeouts}
    commitment = {"report_timeout_s": 1.5, "same_association_wait_s": 0.2}
    nodes = {
        "storage": node(
            ports["ARCHIVE"], "ARCHIVE", modality="OP", transfer_syntax="explicit-vr-little-endian", **brisk
        ),
        "commitment": node(ports["ARCHIVE"], "ARCHIVE", **commitment, **brisk),
        "mpps": node(ports["RIS"], "RIS", **brisk),
    }
    stage = {"port": stage_port, **STAGE_CONFIG, **EYES}
    return make_place(folder, stage, nodes, station_port, log={"level": "debug"})


def undisturbed(operator: Operator, life: Life) -> float:
    """One exam with everything that follows; seconds from the start of the service."""
    with life.ended():
        operator.begin(life)
        operator.go_on_with_interrupted()
        operator.exam()
        operator.drain()
        length_s = life.lived_s
        life.end()
    return length_s


def one_kill(place: Place, operator: Operator, chance: random.Random, result: Round, calls: int, build: Build) -> None:
    """At a moment, or on a call, drawn by chance."""
    by_call = chance.random() < BY_CALL
    judge = Calls(place.state, chance.randint(1, calls)) if by_call else None
    life = build.start(place, judge, forked=chance.random() < FORKED)
    length_s = result.length_s * (3 if by_call or chance.random() < LONGER else 1)
    life.kill_at(length_s if by_call else chance.uniform(0.0, length_s))
    one_life(operator, life, judge, result)


def one_life(operator: Operator, life: Life, judge: Calls | None, result: Round) -> None:
    """The operator works until it is killed."""
    operator.phase = "starting"
    with life.ended():
        operator.work(life)
    result.phases[operator.phase] += 1
    if judge is not None and judge.killed_on:
        result.calls[judge.killed_on] += 1


def judge_round(place: Place, told: Told, journal: Sequence[Entry], result: Round) -> None:
    arrived = Arrived.read(journal)
    kept = trio.run(read_kept, place.state)
    result.found += violations(told, kept, arrived)
    result.found += out_of_order(journal)
    result.exams += len(told.exams)
    result.captures += told.captures
    result.instances += len(arrived.stored)
    result.sent_again += arrived.sent_again
    result.messages += sum(len(each) for each in arrived.messages.values())


async def read_kept(state: Path) -> Kept:
    """What the records have, with every file read back."""
    exams: dict[str, KeptExam] = {}
    async with open_records(state) as records:
        for exam in await records.exams(limit=100_000):
            captures = []
            for capture in await records.captures(exam.exam_id):
                picture = state / "exams" / exam.exam_id / f"{capture.capture_id}.png"
                try:
                    await records.load_frame(capture.capture_id)
                    pixels = frame_sha256(picture.read_bytes())
                except Exception as error:  # noqa: BLE001 - whatever it is, the capture is not there
                    pixels = f"unreadable: {error}"
                captures.append(KeptCapture(capture.capture_id, str(capture.eye), pixels))
            objects = {
                each.sop_instance_uid: digest(data_set_of((state / each.file).read_bytes()))
                for each in await records.objects(exam.exam_id)
            }
            finished = await records.exam_is_finished(exam.exam_id)
            patient_id = exam.patient.patient_id
            exams[exam.exam_id] = KeptExam(patient_id, finished, captures, objects, exam.mpps_sop_instance_uid)
        deliveries = await records.deliveries(limit=1_000_000)
    half_written = await trio.to_thread.run_sync(lambda: [str(path) for path in state.rglob(f"*{TEMPORARY_SUFFIX}")])
    not_delivered = [
        f"{each.sop_instance_uid}: {each.state}, {each.commitment}"
        for each in deliveries
        if (each.state, each.commitment) != (DeliveryState.STORED, CommitmentState.COMMITTED)
    ]
    return Kept(exams, half_written, not_delivered)
