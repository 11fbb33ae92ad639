"""`specular analyze` over an archive: folders, several processes, interruptions, and going on afterwards."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysis_material import archive, numbers_of, specular
from PIL import Image

from firmware_app.services import analysis_journal
from firmware_app.services.analysis_journal import JournalError, identity, open_journal
from firmware_app.services.analysis_processes import WorkerError, analyze_in_processes
from firmware_app.services.analysis_run import Means, plan_run
from firmware_app.services.image_analysis import Wanted

TIMEOUT_S = 60.0


def rows_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def alone(images: Path) -> list[dict[str, Any]]:
    """What one process says of them, one after the other."""
    return rows_of(specular("analyze", images, "--json").stdout)


def test_a_folder_is_answered_image_by_image_in_its_order(images: Path, alone: list[dict[str, Any]]) -> None:
    names = [str(Path(row["file"]).relative_to(images)) for row in alone]
    assert names == ["a.png", "b.png", "flat.png", "visit/a.png", "visit/c.png", "visit/cut.png"]
    assert [row["status"] for row in alone] == ["ok", "ok", "refused", "ok", "ok", "refused"]


def test_what_is_no_image_is_named_on_stderr_only(images: Path) -> None:
    done = specular("analyze", images)
    assert done.returncode == 1, "two images were refused"
    assert f"specular analyze: {images}/notes.txt: passed over, no PNG, TIFF, JPEG or DICOM" in done.stderr.splitlines()
    assert "notes.txt" not in done.stdout
    assert done.stderr.splitlines()[-1].endswith("(and 1 more refused)")


def test_several_processes_say_the_same_in_the_same_order(
    images: Path, alone: list[dict[str, Any]], tmp_path: Path
) -> None:
    outputs = ("--labels", tmp_path / "l", "--overlay", tmp_path / "o", "--csv", tmp_path / "t.csv")
    done = specular("analyze", images, "--json", "--jobs", 3, *outputs)
    assert numbers_of(rows_of(done.stdout)) == numbers_of(alone)
    labels = np.asarray(Image.open(tmp_path / "l" / "visit" / "a.png"))
    assert labels.max() == alone[3]["n"]
    assert sorted(path.name for path in (tmp_path / "l").rglob("*.png")) == ["a.png", "a.png", "b.png", "c.png"]
    assert (tmp_path / "o" / "flat.png").is_file(), "the overlay of a refused image says why"
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert [line["file"] for line in table] == [row["file"] for row in alone]
    assert [line["n"] for line in table] == ["" if row["n"] is None else str(row["n"]) for row in alone]


def test_a_process_that_dies_costs_one_image(images: Path) -> None:
    files = [images / name for name in ("a.png", "b.png", "visit/a.png", "visit/c.png")]
    answers = analyze_in_processes(files, Wanted(), 1)
    got = dict([next(answers)])
    (worker,) = multiprocessing.active_children()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    got.update(answers)
    lost = [answer for answer in got.values() if answer.lost]
    assert sorted(got) == [0, 1, 2, 3]
    assert len(lost) == 1
    assert lost[0].row["reason"] == "its process died: SIGKILL, perhaps for lack of memory"
    assert [answer.row["status"] for answer in got.values()].count("ok") == 3
    assert multiprocessing.active_children() == []


def test_a_process_that_does_not_start_is_one_clear_error(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    with pytest.raises(WorkerError, match="does not start: exit status 1"):
        list(analyze_in_processes([images / "a.png"], Wanted(), 2))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_everything(images: Path, tmp_path: Path, jobs: int) -> None:
    """As a terminal does it: to the whole process group."""
    many = [images / "a.png"] * 200
    command = [sys.executable, "-m", "firmware_app", "analyze", *map(str, many), "--jobs", str(jobs), "--json"]
    command += ["--csv", str(tmp_path / "t.csv"), "--resume", str(tmp_path / "r.jsonl")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        # the pipes end when the last process of the group has
        rest, errors = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == 130
    assert errors == ""
    assert len(rest.splitlines()) < len(many) - 1
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"], "half a table is none"


def test_a_killed_run_goes_on_where_it_stopped(images: Path, alone: list[dict[str, Any]], tmp_path: Path) -> None:
    journal = tmp_path / "r.jsonl"
    words = ["analyze", images, "--json", "--resume", journal]
    command = [sys.executable, "-m", "firmware_app", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.kill()
    before = journal.read_bytes()
    whole = before[: before.rindex(b"\n") + 1]
    journal.write_bytes(whole + b'{"file":"/an/image/that/was/being/writ')  # as a kill within a write leaves it
    done = specular(*words)
    assert numbers_of(rows_of(done.stdout)) == numbers_of(alone)
    assert journal.read_bytes().startswith(whole)
    lines = rows_of(journal.read_text())
    assert len(lines) == len(alone)
    assert "images were measured before" in done.stderr
    again = specular(*words)
    assert again.stdout == done.stdout, "the seconds too: nothing was measured again"
    assert f"{len(alone)} of {len(alone)} images were measured before" in again.stderr


def resumed(tmp_path: Path, *words: object) -> tuple[int, list[dict[str, Any]]]:
    """How many images an earlier run knew, and the rows."""
    done = specular("analyze", *words, "--json", "--resume", tmp_path / "r.jsonl")
    known = [line for line in done.stderr.splitlines() if "were measured before" in line]
    return (int(known[0].split()[2]) if known else 0), rows_of(done.stdout)


def test_what_changed_is_measured_again(images: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "in" / "one.png", tmp_path / "in" / "other.png"
    one.parent.mkdir()
    for file, source in ((one, images / "a.png"), (other, images / "b.png")):
        file.write_bytes(source.read_bytes())
    labels = ("--labels", tmp_path / "l")
    assert resumed(tmp_path, one.parent)[0] == 0
    assert resumed(tmp_path, one.parent)[0] == 2
    assert resumed(tmp_path, one.parent, *labels)[0] == 0, "their labels were not there yet"
    assert resumed(tmp_path, one.parent, *labels)[0] == 2
    (tmp_path / "l" / "one.png").unlink()
    assert resumed(tmp_path, one.parent, *labels)[0] == 1
    assert (tmp_path / "l" / "one.png").is_file()
    known, rows = resumed(tmp_path, one.parent, "--um-per-px", 1.0)
    assert known == 0
    assert all(row["cd_per_mm2"] for row in rows)
    one.write_bytes((images / "b.png").read_bytes())
    known, rows = resumed(tmp_path, one.parent)
    assert known == 1
    assert numbers_of(rows)[0] == numbers_of(rows)[1] | {"file": str(one)}


def test_other_software_measures_again(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(images / "a.png", Wanted())
    assert before == identity(images / "a.png", Wanted())
    assert before != identity(images / "a.png", Wanted(um_per_px=1.0))
    assert identity(images / "absent.png", Wanted()) is None
    monkeypatch.setattr(analysis_journal.firmware_app, "__version__", "9")
    analysis_journal.software.cache_clear()
    assert before != identity(images / "a.png", Wanted())
    monkeypatch.undo()
    analysis_journal.software.cache_clear()


@pytest.mark.parametrize(
    "text", ["file,cd\n", "no end of line", '{"file":"a","status":"ok"}\n', "[]\n", "\n", "\0" * 50]
)
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "precious"
    path.write_text(text)
    with pytest.raises(JournalError, match="precious: line 1 is not a result of specular analyze"), open_journal(path):
        pass
    assert path.read_text() == text
    done = specular("analyze", tmp_path / "a.png", "--resume", path)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("kept", [0, 1, 5, 8, 40])
def test_a_first_line_that_was_torn_is_ours(tmp_path: Path, images: Path, kept: int) -> None:
    path = tmp_path / "r.jsonl"
    of = identity(images / "a.png", Wanted())
    with open_journal(path) as journal:
        journal.add(of, {"file": "a.png", "n": 1})
    path.write_bytes(path.read_bytes()[:kept])
    with open_journal(path) as journal:
        assert journal.row_of(of) is None
        journal.add(of, {"file": "a.png", "n": 2})
    with open_journal(path) as journal:
        assert journal.row_of(of) == {"file": "a.png", "n": 2}


def test_two_runs_do_not_write_one_journal(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "r.jsonl"
    with open_journal(path):
        done = specular("analyze", images, "--resume", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"specular analyze: {path}: another run is writing this file\n"


def test_an_image_that_was_lost_is_asked_about_again(images: Path, tmp_path: Path) -> None:
    """Its row says nothing about the image, so that the journal does not keep it."""
    files = [tmp_path / f"{number}.png" for number in range(6)]
    for file in files:
        file.write_bytes((images / "a.png").read_bytes())
    with open_journal(tmp_path / "r.jsonl") as journal:
        rows = plan_run(files, Wanted(), means=Means(jobs=2), journal=journal).rows()
        found = [next(rows)]
        worker, _ = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        found += rows
    (lost,) = [row["file"] for row in found if row["status"] == "refused"]
    with open_journal(tmp_path / "r.jsonl") as journal:
        run = plan_run(files, Wanted(), journal=journal)
        assert len(run.known) == 5
        assert [row["status"] for row in run.rows()] == ["ok"] * 6
        assert run.works[next(number for number in range(6) if number not in run.known)].file == Path(str(lost))


def test_an_output_that_cannot_be_written_stops_the_run(images: Path, tmp_path: Path) -> None:
    (tmp_path / "l" / "a.png").mkdir(parents=True)
    done = specular("analyze", images, "--labels", tmp_path / "l", "--jobs", 2)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"specular analyze: {tmp_path}/l/a.png: ")


def test_a_reader_that_went_away_is_no_error_of_ours(images: Path) -> None:
    command = f"{sys.executable} -m firmware_app analyze {images} --jobs 2 | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_the_parent_of_the_processes_is_killed(images: Path) -> None:
    """Then they end by themselves: nobody is left who would."""
    command = [sys.executable, "-m", "firmware_app", "analyze", *[str(images / "a.png")] * 50, "--jobs", "2", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.kill()
    deadline = time.monotonic() + TIMEOUT_S
    while alive(running.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(running.pid)


def alive(group: int) -> bool:
    """Whether a process of that group is running; one that only waits to be collected is not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rsplit(")", 1)[1].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(process_group) == group and state != "Z":
            return True
    return False
