"""The whole instrument asks the embedded archive for a patient it has stored, and examines that patient again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from instrument_bench import Bench, bench, service

from firmware_app.demo.console_link import CommandRefused

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


def test_a_patient_comes_back(around: Bench) -> None:
    with service(around.paths("again")) as running:
        running.wait_ready()
        running.run("home")
        assert running.run("patients --name Garc*")["patients"] == []
        running.run("exam unscheduled P77 García^Zoë --birth-date 19600229 --sex F")
        running.run("eye R")
        running.run("capture R")
        running.run("exam finish")
        running.wait("stored", lambda: set(running.states()) == {"stored"})
        (found,) = running.run("patients --name Garc*")["patients"]
        assert found["patient"]["name"] == "García^Zoë" and found["problems"] == []
        assert (found["patient"]["birth_date"], found["patient"]["sex"]) == ("19600229", "F")
        assert running.run("patients --id P7?")["patients"] == [found]
        assert running.run("patients --last")["patients"] == [found]
        with pytest.raises(CommandRefused, match="has 1 patients, not 2"):
            running.run("exam patient 2")
        text = running.link.run("exam patient 1")[0]
        assert "García^Zoë, ID P77, born 19600229, sex F" in text
        assert text.startswith("unscheduled exam")
        running.run("exam abandon")


def test_a_name_is_not_in_the_log(around: Bench) -> None:
    logs = [file.read_bytes() for file in Path(around.root).rglob("*.log")]
    assert logs and not any(b"Garc" in log for log in logs)
