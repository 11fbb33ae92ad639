"""The operator: exam after exam by console, goes on where the service was killed, and writes down what it reported.

`Told` is the outside recorder: it knows only what came over the console, and the pixels of each capture as they were in
the frame's file in the moment of the report.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from PIL import Image
from place import Place
from under_test import PATIENCE_S, POLL_S, Gone, Life, tail

from firmware_app.demo.console_link import CommandRefused, ConsoleLink

End = Literal["", "finished", "abandoned"]
RETAKE, ABANDON = 0.06, 0.05  # shares of the captures, of the exams
ASK_AGAIN_S, LOOK_S = 2.0, 0.03
SLOW_ATTEMPTS = 4
TOO_SLOW = ("no frame for ", " within ")


@dataclass
class ToldCapture:
    eye: str
    pixels: str  # SHA-256, of its file when it was reported


@dataclass
class ToldExam:
    """`asked` is the end that was asked for last, `end` the one that was told or seen."""

    patient_id: str
    captures: dict[str, ToldCapture] = field(default_factory=dict)
    asked: End = ""
    end: End = ""
    instances: set[str] = field(default_factory=set)


@dataclass
class Told:
    exams: dict[str, ToldExam] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # what was wrong in the very moment of a report

    @property
    def captures(self) -> int:
        return sum(len(exam.captures) for exam in self.exams.values())


class Operator:
    def __init__(self, place: Place, told: Told, chance: random.Random, name: str) -> None:
        self._place = place
        self._told = told
        self._chance = chance
        self._name = name
        self._number = 0
        self._life: Life | None = None
        self.link: ConsoleLink | None = None
        self.phase = ""  # what the instrument was doing: where a kill fell

    # ------------------------------------------------------------------------------------------- one life

    def work(self, life: Life) -> None:
        """Until the service dies. What else goes wrong is an AssertionError."""
        try:
            self.begin(life)
            self.go_on_with_interrupted()
            while True:
                self.exam()
                self.phase = "delivering"
                if self._chance.random() < 0.6:
                    self._pause(self._chance.uniform(0.0, 0.5))
        except Gone:
            return

    def begin(self, life: Life) -> None:
        self._life, self.phase = life, "starting"
        self.link = life.link()
        self.phase = "opening devices"
        give_up_s = time.monotonic() + PATIENCE_S
        while any(each["state"] != "ready" for each in self.run("status")["devices"]):
            assert time.monotonic() < give_up_s, f"no devices\n{tail(self._place.log)}"
            time.sleep(POLL_S)
        self.phase = "homing"
        self.run("home")

    def run(self, line: str) -> dict[str, Any]:
        """One command. `Gone` when the service died over it; its refusal is an AssertionError."""
        assert self.link is not None and self._life is not None
        try:
            return run_patiently(self.link, line)
        except CommandRefused as error:
            with contextlib.suppress(Exception):
                self._life.process.wait(1.0)
            if self._life.is_over:
                raise Gone from error
            raise AssertionError(f"{error}\n{tail(self._place.log)}") from error

    def _pause(self, seconds: float) -> None:
        assert self._life is not None
        give_up_s = time.monotonic() + seconds
        while time.monotonic() < give_up_s:
            if self._life.is_over:
                raise Gone
            time.sleep(POLL_S)

    # ------------------------------------------------------------------------------------------- exams

    def go_on_with_interrupted(self) -> None:
        """Every exam that a death left open is resumed and ended; what is missing of it is captured."""
        self.phase = "resuming"
        interrupted = self.run("status")["interrupted_exams"]
        for exam_id, exam in self._told.exams.items():
            if exam.end == "" and exam_id not in interrupted:
                if not exam.asked:
                    self._told.problems.append(f"exam {exam_id} was told to be open and is not there")
                exam.end = exam.asked or "finished"
        for exam_id in interrupted:
            self.phase = "resuming"
            captured = self.run(f"exam resume {exam_id}")["captured"]
            if exam_id not in self._told.exams:  # killed between the commit and the answer
                self._told.exams[exam_id] = ToldExam(self._patient_of(exam_id))
            for eye in captured:
                self._results(exam_id, eye)
            self._capture_and_end(exam_id, [eye for eye in "RL" if eye not in captured])

    def exam(self) -> None:
        """A whole one."""
        self.phase = "starting an exam"
        self._number += 1
        patient_id = f"{self._name}-{self._number}"
        exam_id = str(self.run(f"exam unscheduled {patient_id} Crash^Test")["exam_id"])
        self._told.exams[exam_id] = ToldExam(patient_id)
        self._capture_and_end(exam_id, ["R", "L"])

    def _capture_and_end(self, exam_id: str, eyes: list[str]) -> None:
        for eye in eyes:
            self.phase = "driving"
            self.run(f"eye {eye}")
            self._capture(exam_id, eye)
            if self._chance.random() < RETAKE:
                self._capture(exam_id, eye)
            if self._chance.random() < 0.5:
                self._results(exam_id, eye)
        if self._chance.random() < ABANDON:
            self._end(exam_id, "exam abandon", "abandoned")
        else:
            self._end(exam_id, "exam finish", "finished")

    def _capture(self, exam_id: str, eye: str) -> None:
        self.phase = "capturing"
        self.note(exam_id, eye, str(self.run(f"capture {eye}")["capture_id"]))

    def _results(self, exam_id: str, eye: str) -> None:
        self.phase = "analysing"
        self.note(exam_id, eye, str(self.run(f"results {eye}")["capture_id"]))

    def _end(self, exam_id: str, command: str, end: End) -> None:
        self.phase = "finishing" if end == "finished" else "abandoning"
        exam = self._told.exams[exam_id]
        exam.asked = end
        reply = self.run(command)
        exam.end = end
        exam.instances = {each["sop_instance_uid"] for each in reply.get("instances", [])}

    def note(self, exam_id: str, eye: str, capture_id: str) -> None:
        """A capture was reported: from now on it must not be lost."""
        known = self._told.exams[exam_id].captures
        try:
            pixels = frame_sha256((self._place.state / "exams" / exam_id / f"{capture_id}.png").read_bytes())
        except (OSError, ValueError) as error:
            self._told.problems.append(f"capture {capture_id} was reported, and its file is not whole: {error}")
            pixels = ""
        if pixels and pixels not in self._place.pictures:
            self._told.problems.append(f"capture {capture_id} was reported, and is no picture of the camera")
        known.setdefault(capture_id, ToldCapture(eye, pixels))

    def _patient_of(self, exam_id: str) -> str:
        sidecar = json.loads((self._place.state / "exams" / exam_id / "exam.json").read_bytes())
        return str(sidecar["exam"]["patient"]["patient_id"])

    # ------------------------------------------------------------------------------------------- the end

    def drain(self) -> None:
        """With a healthy hospital: ask again for what was refused, until everything is delivered and committed."""
        fewest, give_up_s, ask_again_s = 1_000_000, 0.0, 0.0
        while waiting := list(self.not_delivered()):
            now_s = time.monotonic()
            if len(waiting) < fewest:  # a bound on standing still: how long it takes depends on what there is
                fewest, give_up_s = len(waiting), now_s + PATIENCE_S
            assert now_s < give_up_s, f"not delivered: {waiting[:3]}\n{tail(self._place.log)}"
            if now_s > ask_again_s:  # not more often: to ask for commitment again by hand gives up the request before
                for command in ("retry all", "mpps retry all", "commitment retry all"):
                    self.run(command)
                ask_again_s = time.monotonic() + ASK_AGAIN_S
            self._pause(LOOK_S)

    def not_delivered(self, limit: int = 10_000) -> Iterator[str]:
        for each in self.run(f"queue --limit {limit}")["deliveries"]:
            if each["state"] != "stored" or each["commitment"] != "committed":
                yield f"{each['sop_instance_uid']} is {each['state']}, commitment {each['commitment']!r}: {each}"
        for each in self.run(f"mpps --limit {limit}")["messages"]:
            if each["state"] != "done":
                yield f"{each['operation']} of {each['mpps_sop_instance_uid']} is {each['state']}: {each}"


def run_patiently(link: ConsoleLink, line: str) -> dict[str, Any]:
    """Again where a device was too slow: its helpers share the machine with everything else that runs there."""
    for _ in range(SLOW_ATTEMPTS):
        try:
            return link.run(line)[1]
        except CommandRefused as error:
            if not any(words in str(error) for words in TOO_SLOW):
                raise
    return link.run(line)[1]


def frame_sha256(png: bytes) -> str:
    """Of the pixels; ValueError or OSError where the file is no whole picture."""
    with Image.open(io.BytesIO(png)) as image:
        return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()
