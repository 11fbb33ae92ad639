"""The whole instrument with the embedded hospital: exams as performed procedure steps, by console, down and killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from instrument_bench import Bench, Running, bench, service

from firmware_app.demo.console_link import CommandRefused

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


def heard(around: Bench, uid: str) -> list[tuple[str, str]]:
    """What the hospital says it was asked for this step, and its answers."""
    lines = [json.loads(line) for line in around.hospital.output.read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line.get("event") == "mpps" and line["sop_instance_uid"] == uid]
    return [(line["operation"], line["status"]) for line in steps]


def messages(running: Running) -> list[dict[str, Any]]:
    """In the order of sending."""
    return list(reversed(running.run("mpps")["messages"]))


def wait_for(running: Running, *states: str) -> None:
    running.wait(f"messages {states}", lambda: [each["state"] for each in messages(running)] == list(states))


def take_a_picture(running: Running, eye: str) -> None:
    running.run(f"eye {eye}")
    running.run(f"capture {eye}")


WHOLE = [("N-CREATE", "0000"), ("N-SET", "0000")]


def test_completed_appended_to_and_abandoned(around: Bench) -> None:
    with service(around.paths("ways")) as running:
        running.wait_ready()
        running.run("home")
        items = running.run("worklist")["items"]
        first = running.run("exam start 1")
        wait_for(running, "done")
        assert heard(around, first["mpps_sop_instance_uid"]) == [("N-CREATE", "0000")]
        take_a_picture(running, "R")
        running.run("exam finish")
        wait_for(running, "done", "done")
        more = running.run(f"exam append {first['exam_id']}")
        assert (more["appended_to"], more["study_instance_uid"]) == (first["exam_id"], items[0]["study_instance_uid"])
        running.run("exam abandon equipment-failure")
        wrong = running.run("exam start 2")
        abandoned = running.run("exam abandon 110514")
        assert abandoned["reason"] == "110514"
        wait_for(running, *["done"] * 6)
        for exam in (first, more, wrong):
            assert heard(around, exam["mpps_sop_instance_uid"]) == WHOLE
        statuses = [each["step_status"] for each in messages(running)]
        assert statuses[1::2] == ["COMPLETED", "DISCONTINUED", "DISCONTINUED"]
        with pytest.raises(CommandRefused, match="one exam has one patient"):
            running.run("exam start 1 2")
        assert running.run("status")["exam_id"] == ""


def test_refused_is_shown_and_goes_by_hand(around: Bench) -> None:
    with service(around.paths("refused")) as running:
        running.run("worklist")
        around.tell_hospital("mpps 0106")
        exam = running.run("exam start 1")
        running.run("exam abandon")
        wait_for(running, "failed", "failed")
        first, second = messages(running)
        assert "0106H invalid attribute value" in first["reason"]
        assert "not sent, because the N-CREATE of this step failed" in second["reason"]
        around.tell_hospital("mpps 0000")
        assert running.run(f"mpps retry {exam['mpps_sop_instance_uid']}")["queued"] == 2
        wait_for(running, "done", "done")
    assert heard(around, exam["mpps_sop_instance_uid"]) == [("N-CREATE", "0106"), *WHOLE]


def test_killed_while_the_information_system_is_down(around: Bench) -> None:
    paths = around.paths("killed")
    with service(paths) as running:
        running.run("worklist")
        around.tell_hospital("worklist down")
        done = running.run("exam start 1")
        running.run("exam abandon")
        left = running.run("exam start 2")
        running.kill()
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        assert running.run("status")["interrupted_exams"] == [left["exam_id"]]
        running.run(f"exam resume {left['exam_id']}")
        take_a_picture(running, "L")
        running.run("exam finish")
        assert [each["state"] for each in messages(running)] == ["queued"] * 4
        around.tell_hospital("worklist up")
        running.run("mpps retry all")
        wait_for(running, *["done"] * 4)
    assert heard(around, done["mpps_sop_instance_uid"]) == heard(around, left["mpps_sop_instance_uid"]) == WHOLE
