"""The whole instrument with the embedded hospital: from an eye to "committed", however the report comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from instrument_bench import Bench, Running, bench, service

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


def finish_an_exam(running: Running) -> set[str]:
    """One eye of an unscheduled patient; the SOP Instance UIDs that are now on their way."""
    running.run("exam unscheduled P1 Test^Commitment")
    running.run("eye R")
    running.run("capture R")
    return {instance["sop_instance_uid"] for instance in running.run("exam finish")["instances"]}


def commitments(running: Running, uids: set[str]) -> set[str]:
    return {each["commitment"] for each in running.deliveries() if each["sop_instance_uid"] in uids}


def wait_for(running: Running, uids: set[str], commitment: str) -> None:
    running.wait(f"commitment {commitment}", lambda: commitments(running, uids) == {commitment})


def states(running: Running) -> list[str]:
    transactions: list[dict[str, Any]] = running.run("commitment")["transactions"]
    return [each["state"] for each in transactions]


def test_committed_however_the_report_comes(around: Bench) -> None:
    with service(around.paths("ways")) as running:
        running.wait_ready()
        running.run("home")
        for mode in ("normal", "same", "twice"):
            around.tell_hospital(f"commitment {mode}")
            wait_for(running, finish_an_exam(running), "committed")
        assert states(running) == ["answered"] * 3
        assert {each["state"] for each in running.deliveries()} == {"stored"}
        around.tell_hospital("commitment fail")
        uids = finish_an_exam(running)
        running.wait("a failure", lambda: states(running).count("answered") == 4)
        assert commitments(running, uids) == {"requested"}
        assert {each["commitment_reason"] for each in running.deliveries() if each["sop_instance_uid"] in uids} == {
            "0110H processing failure; asked again"
        }
        around.tell_hospital("commitment normal")
        running.run("commitment retry all")
        wait_for(running, uids, "committed")
        assert "asked of commitment (ARCHIVE at" in running.run("status")["services"]["storage commitment"]


def test_killed_before_the_report_and_committed_after_the_restart(around: Bench) -> None:
    paths = around.paths("killed")
    around.tell_hospital("commitment never")
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        uids = finish_an_exam(running)
        wait_for(running, uids, "requested")
        running.wait("the request to be answered", lambda: states(running) == ["requested"])
        running.kill()
    with service(paths) as running:
        assert commitments(running, uids) == {"requested"}
        around.tell_hospital("commitment normal")
        around.tell_hospital("commitment report")
        wait_for(running, uids, "committed")
        assert states(running) == ["answered"]
