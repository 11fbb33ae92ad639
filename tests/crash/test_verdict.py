"""The judge of the crash test: every broken promise is found, and a kept one is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from operator_script import Told, ToldCapture, ToldExam
from verdict import Arrived, Kept, KeptCapture, KeptExam, out_of_order, violations

STEP = "1.2.9"


def stored(uid: str, **changed: Any) -> dict[str, Any]:
    entry = {"stored": uid, "named": uid, "sha256": f"data {uid}", "again": False, "patient_id": "P1"}
    return {**entry, "laterality": "R", "is_report": False, "pixels": "right", **changed}


def message(operation: str, step: str, **changed: Any) -> dict[str, Any]:
    entry = {"mpps": operation, "uid": STEP, "step": step, "sha256": step, "performed": True, "status": "0000"}
    return {**entry, **changed}


CREATE, SET = message("N-CREATE", "IN PROGRESS"), message("N-SET", "COMPLETED")


@dataclass
class Case:
    """An exam of the right eye, told, kept and arrived as it should be."""

    told: Told = field(
        default_factory=lambda: Told({"e1": ToldExam("P1", {"c1": ToldCapture("R", "right")}, "finished", "finished")})
    )
    exam: KeptExam = field(
        default_factory=lambda: KeptExam(
            "P1", True, [KeptCapture("c1", "R", "right")], {"1.2.1": "data 1.2.1", "1.2.2": "data 1.2.2"}, STEP
        )
    )
    journal: list[dict[str, Any]] = field(
        default_factory=lambda: [
            CREATE,
            stored("1.2.1"),
            stored("1.2.2", is_report=True, laterality=""),
            {"committed": ["1.2.1", "1.2.2"]},
            SET,
        ]
    )
    kept: dict[str, Any] = field(default_factory=dict)

    def found(self) -> list[str]:
        kept = Kept(**{"exams": {"e1": self.exam}} | self.kept)
        return violations(self.told, kept, Arrived.read(self.journal)) + out_of_order(self.journal)


def test_a_kept_promise() -> None:
    assert Case().found() == []
    case = Case()
    case.journal[2:2] = [stored("1.2.1", again=True), stored("1.2.1", again=True)]
    case.journal += [dict(SET, performed=False, status="0110")]
    assert case.found() == [], "what came again was the same"


def lost_in_the_records(case: Case) -> None:
    case.exam = replace(case.exam, captures=[])


def lost_exam(case: Case) -> None:
    case.kept["exams"] = {}


def lost_on_the_way(case: Case) -> None:
    del case.journal[1]


def lost_report(case: Case) -> None:
    del case.journal[2]


def changed_on_disk(case: Case) -> None:
    case.exam = replace(case.exam, captures=[KeptCapture("c1", "R", "other")])


def changed_on_the_way(case: Case) -> None:
    case.journal[1] = stored("1.2.1", pixels="other")


def two_contents(case: Case) -> None:
    case.journal.append(stored("1.2.1", again=True, sha256="other"))


def two_instances(case: Case) -> None:
    case.journal.append(stored("1.2.3"))


def another_name(case: Case) -> None:
    case.journal[1] = stored("1.2.1", named="1.2.7")


def not_committed(case: Case) -> None:
    case.journal[3] = {"committed": ["1.2.1"]}


def no_creation(case: Case) -> None:
    del case.journal[0]


def end_first(case: Case) -> None:
    case.journal[0], case.journal[-1] = SET, CREATE


def end_twice(case: Case) -> None:
    case.journal.append(message("N-SET", "COMPLETED", sha256="other", performed=False, status="0110"))


def wrong_end(case: Case) -> None:
    case.journal[-1] = message("N-SET", "DISCONTINUED")


def step_of_nobody(case: Case) -> None:
    case.journal.append(message("N-CREATE", "IN PROGRESS", uid="1.2.8"))


def taken_up_again(case: Case) -> None:
    case.journal[1:1] = [message("N-CREATE", "IN PROGRESS", uid="1.2.8")]


def half_written(case: Case) -> None:
    case.kept["half_written"] = ["a.tmp"]


def still_queued(case: Case) -> None:
    case.kept["not_delivered"] = ["1.2.1"]


CASES: list[tuple[Callable[[Case], None], str]] = [
    (lost_in_the_records, "LOST: capture c1"),
    (lost_exam, "LOST: exam e1"),
    (lost_on_the_way, "LOST: capture c1"),
    (lost_report, "LOST: exam e1 has 0 reports"),
    (changed_on_disk, "CHANGED: capture c1"),
    (changed_on_the_way, "CHANGED: instance 1.2.1"),
    (two_contents, "CHANGED: instance 1.2.1"),
    (two_instances, "DOUBLED: capture c1"),
    (another_name, "under the name 1.2.7"),
    (not_committed, "1.2.2 was never committed to"),
    (no_creation, "MPPS: step of exam e1"),
    (end_first, "MPPS: step of exam e1"),
    (end_twice, "MPPS: step of exam e1 was asked for as"),
    (wrong_end, "MPPS: step of exam e1"),
    (step_of_nobody, "a step of no exam: 1.2.8"),
    (taken_up_again, "was left and taken up again"),
    (half_written, "half written: a.tmp"),
    (still_queued, "not delivered: 1.2.1"),
]


@pytest.mark.parametrize(("break_it", "said"), CASES, ids=[each.__name__ for each, _ in CASES])
def test_a_broken_promise_is_found(break_it: Callable[[Case], None], said: str) -> None:
    case = Case()
    break_it(case)
    assert any(said in each for each in case.found()), case.found()
