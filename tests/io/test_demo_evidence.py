"""The demo fails, and says why, when the hospital does not commit, does not complete the step, or prints nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_app.demo.evidence import wait_until_committed, wait_until_performed, wait_until_printed
from firmware_app.demo.processes import Child, DemoFailed

STUDY = "1.2.3"
READY = {"hospital": "simulated"}


def ignore(text: str) -> None:
    pass


def delivery(uid: str, commitment: str, reason: str = "") -> dict[str, Any]:
    return {"sop_instance_uid": uid, "state": "stored", "commitment": commitment, "commitment_reason": reason}


def step(status: str, *instances: str) -> dict[str, Any]:
    known = {"event": "mpps", "status": "0000", "sop_instance_uid": "1.2.9", "study_instance_uids": [STUDY]}
    return {**known, "step_status": status, "instances": list(instances)}


class Lines:
    """A child process that has said these lines."""

    def __init__(self, child: Child) -> None:
        self.child = child

    def say(self, *events: dict[str, Any]) -> Child:
        self.child.output.write_text("".join(json.dumps(event) + "\n" for event in (READY, *events)))
        return self.child


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Lines]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield Lines(Child("hospital", process, tmp_path / "out", tmp_path / "log"))
        process.kill()


# ------------------------------------------------------------------ committed


def test_committed_when_every_instance_is() -> None:
    states = iter([["requested", "requested"], ["committed", "requested"], ["committed", "committed"]])
    told: list[str] = []

    def queue() -> list[dict[str, Any]]:
        return [delivery("other", "refused"), *map(delivery, ("a", "b"), next(states))]

    wait_until_committed(queue, {"a", "b"}, told.append)
    assert told == ["0 of 2", "1 of 2", "2 of 2"]


def test_a_refusal_is_told_at_once_with_its_reason() -> None:
    states = [delivery("a", "committed"), delivery("b", "refused", "no such object instance (0112H)")]
    with pytest.raises(DemoFailed, match=r"does not commit to b: no such object instance \(0112H\)"):
        wait_until_committed(lambda: states, {"a", "b"}, ignore)


@pytest.mark.parametrize(("commitment", "why"), [("requested", "requested"), ("", "nobody was asked")])
def test_an_archive_that_never_reports(commitment: str, why: str) -> None:
    states = [delivery("a", "committed"), delivery("b", commitment)]
    with pytest.raises(DemoFailed, match=f"1 of 2 instances committed in 0 s: {why}"):
        wait_until_committed(lambda: states, {"a", "b"}, ignore, limit_s=0.0)


# ------------------------------------------------------------------ performed


def test_performed_when_the_hospital_has_the_step_completed(hospital: Lines) -> None:
    child = hospital.say(step("IN PROGRESS"), step("COMPLETED", "a", "b"))
    assert wait_until_performed(child, STUDY, {"a", "b"})["sop_instance_uid"] == "1.2.9"


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([], "its step is not there"),
        ([step("IN PROGRESS")], "its step is IN PROGRESS"),
        ([{**step("COMPLETED", "a"), "study_instance_uids": ["1.2.4"]}], "its step is not there"),
        (
            [step("IN PROGRESS"), {"event": "mpps", "status": "0120", "reason": "no Modality"}],
            "it refused: no Modality",
        ),
    ],
)
def test_a_step_that_is_not_completed(hospital: Lines, events: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(DemoFailed, match=rf"within 0 s \({why}\)"):
        wait_until_performed(hospital.say(*events), STUDY, {"a"}, limit_s=0.0)


@pytest.mark.parametrize(("listed", "words"), [(["a"], "0 .* and misses 1"), (["a", "b", "c"], "1 .* and misses 0")])
def test_a_step_that_names_other_instances(hospital: Lines, listed: list[str], words: str) -> None:
    with pytest.raises(DemoFailed, match=words):
        wait_until_performed(hospital.say(step("COMPLETED", *listed)), STUDY, {"a", "b"})


# ------------------------------------------------------------------ printed


def job(number: int, state: str, reason: str = "") -> dict[str, Any]:
    return {"job_id": number, "state": state, "reason": reason}


def test_printed_when_the_printer_has_made_the_page(hospital: Lines) -> None:
    child = hospital.say({"event": "print", "file": "/x/page-0001.png"})
    states = iter([[job(1, "sending")], [job(1, "printed"), job(2, "failed")]])
    assert wait_until_printed(child, lambda: next(states), {1}, ignore) == [Path("/x/page-0001.png")]


@pytest.mark.parametrize(
    ("state", "words"), [("failed", "film 1 was not printed: FILM JAM"), ("queued", "not printed in 0 s: FILM JAM")]
)
def test_a_film_that_is_not_printed(hospital: Lines, state: str, words: str) -> None:
    states = [job(1, state, "FILM JAM")]
    with pytest.raises(DemoFailed, match=words):
        wait_until_printed(hospital.say(), lambda: states, {1}, ignore, limit_s=0.0)


def test_a_film_that_no_printer_has_made(hospital: Lines) -> None:
    with pytest.raises(DemoFailed, match="has made 0 pages, 1 films were sent"):
        wait_until_printed(hospital.say(), lambda: [job(1, "printed")], {1}, ignore)
