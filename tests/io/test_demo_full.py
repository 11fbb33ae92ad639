"""`specular demo` as a whole: every process, every room, one seed. The other seeds: tests/benchmarks/run_seeds.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

DEMO_TIMEOUT_S = 110


def demo(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "firmware_app", "demo", "--out", str(out), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def still_running(out: Path) -> list[bytes]:
    """The command lines of processes that name the demo's folder."""
    command_lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command_lines.append(process.read_bytes())
        except OSError:
            continue  # it ended meanwhile
    return [line for line in command_lines if os.fsencode(out) in line and b"firmware_app" in line]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the words of one demo that succeeded, was kept running, tried by hand, and ended by Ctrl-C."""
    out = tmp_path_factory.mktemp("demo") / "out"
    with demo(out, "--seed", "1", "--keep") as process:
        assert process.stdout is not None
        words = ""
        while line := process.stdout.readline():
            words += line
            if "Ctrl-C here ends it" in line:
                break
        try_console(words)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=DEMO_TIMEOUT_S)
    assert (process.returncode, errors) == (0, ""), words + rest
    return out, words


def try_console(words: str) -> None:
    """The command that the demo advertises, as somebody would type it."""
    [command] = [line.split() for line in words.splitlines() if " console --config " in line]
    shown = subprocess.run([*command, "--json", "-c", "queue"], capture_output=True, text=True, timeout=30, check=True)
    assert {each["state"] for each in json.loads(shown.stdout)["deliveries"]} == {"stored"}


@pytest.fixture(scope="module")
def summary(finished: tuple[Path, str]) -> dict[str, Any]:
    return json.loads((finished[0] / "summary.json").read_text(encoding="utf-8"))


def test_both_eyes_are_measured_close_to_the_truth_or_refused_with_a_reason(summary: dict[str, Any]) -> None:
    assert set(summary["eyes"]) == {"R", "L"}
    for eye in summary["eyes"].values():
        if eye["measured"] is None:
            assert eye["reason"]
            continue
        assert abs(eye["difference"]["cd_per_mm2"]) <= 3.0
        assert abs(eye["difference"]["cv_percent"]) <= 4.0
        assert abs(eye["difference"]["hex_percent"]) <= 8.0


def test_the_archive_holds_every_instance_for_the_scheduled_patient(
    finished: tuple[Path, str], summary: dict[str, Any]
) -> None:
    out, _ = finished
    assert len(summary["instances"]) >= 2
    for instance in summary["instances"]:
        archived = dcmread(out / "archive" / f"{instance['sop_instance_uid']}.dcm")
        assert archived.StudyInstanceUID == summary["study_instance_uid"]
        assert str(archived.PatientName) == "Lindström^Åsa"
        assert archived.AccessionNumber == summary["accession_number"]
        assert (out / instance["file"]).is_file()


def test_the_folder_has_a_report_and_an_overlay_of_each_eye(
    finished: tuple[Path, str], summary: dict[str, Any]
) -> None:
    assert len(summary["pictures"]) >= 3
    for name in summary["pictures"]:
        with Image.open(finished[0] / name) as picture:
            picture.load()
            assert picture.width >= 640


def test_the_archive_has_committed_to_every_instance(summary: dict[str, Any]) -> None:
    for instance in summary["instances"]:
        assert (instance["captured"], instance["stored"], instance["committed"]) == (True, True, True)


def test_the_performed_procedure_step_is_the_one_that_every_instance_names(
    finished: tuple[Path, str], summary: dict[str, Any]
) -> None:
    out, _ = finished
    for instance in summary["instances"]:
        (step,) = dcmread(out / instance["file"]).ReferencedPerformedProcedureStepSequence
        assert step.ReferencedSOPInstanceUID == summary["performed_procedure_step"]


def test_one_film_shows_both_eyes(finished: tuple[Path, str], summary: dict[str, Any]) -> None:
    (film,) = summary["films"]
    with Image.open(finished[0] / film) as page:
        left, right = (page.crop(box) for box in ((0, 0, 750, 1200), (750, 0, 1500, 1200)))
        assert page.size == (1500, 1200)
        assert min(left.getextrema()[1], right.getextrema()[1]) > 100
        # Both captions end in the banner that says SIMULATED.
        shown = np.asarray(page)[:, [*range(40, 710), *range(790, 1460)]]
    assert (shown > 200).all(axis=1).any()


def test_the_words_tell_every_step_and_the_table(finished: tuple[Path, str]) -> None:
    _, words = finished
    steps = ("worklist", "home", "auto R", "auto L", "exam finish", "stored", "archive asked over DICOM")
    steps += ("committed", "performed procedure step: COMPLETED", "printed")
    assert [step for step in steps if f"ok      {step}" not in words] == []
    assert "CD, cells/mm2" in words
    assert "\x1b" not in words


def test_nothing_of_the_demo_is_left_running(finished: tuple[Path, str]) -> None:
    assert still_running(finished[0]) == []


def test_a_folder_of_somebody_else_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with demo(tmp_path) as process:
        words, errors = process.communicate(timeout=DEMO_TIMEOUT_S)
    assert process.returncode == 1
    assert words == ""
    assert errors.startswith(f"specular demo: {tmp_path} is not empty")
    assert errors.count("\n") == 1


def test_a_negative_seed_is_refused_in_one_line(tmp_path: Path) -> None:
    with demo(tmp_path, "--seed", "-1") as process:
        words, errors = process.communicate(timeout=DEMO_TIMEOUT_S)
    assert process.returncode != 0
    assert words == ""
    assert "seed" in errors
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_ends_its_children(tmp_path: Path) -> None:
    with demo(tmp_path / "out") as process:
        assert process.stdout is not None
        while "embedded hospital" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 130
        process.communicate()
    assert still_running(tmp_path / "out") == []
