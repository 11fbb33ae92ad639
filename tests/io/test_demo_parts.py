"""What the demo is made of: its folder, its configuration file, its child processes, its link to the console."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

from firmware_app.config import check_config, load_config
from firmware_app.demo import folder
from firmware_app.demo.configuration import DemoPaths, configuration_text
from firmware_app.demo.console_link import CommandRefused, answers, connected
from firmware_app.demo.processes import DemoFailed, running, signals_as_interrupts, tail
from hw.sim.instrument import SimSettings, stage_config

INSTRUMENT = {"stage": "/tmp/x/stage", "camera": "/tmp/x/camera", "stage_config": stage_config(SimSettings())}
HOSPITAL = {
    "worklist": {"ip": "127.0.0.1", "port": 4001, "ae_title": "WORKLIST"},
    "archive": {"ip": "127.0.0.1", "port": 4002, "ae_title": "ARCHIVE"},
    "printer": {"ip": "127.0.0.1", "port": 4003, "ae_title": "PRINTER"},
}


# ------------------------------------------------------------------------------------------------ configuration


@pytest.mark.parametrize("name", ["plain", 'quote " and \\ and ümlaut 山'])
def test_the_configuration_is_one_that_the_service_accepts(tmp_path: Path, name: str) -> None:
    paths = DemoPaths(tmp_path / name, tmp_path / "run")
    paths.out.mkdir()
    paths.configuration.write_text(configuration_text(paths, INSTRUMENT, HOSPITAL, 4004), encoding="utf-8")
    assert check_config(paths.configuration) == []
    config = load_config(paths.configuration)
    assert config.network.interface == "lo"
    assert (config.worklist.port, config.storage.port, config.patient_query.port) == (4001, 4002, 4002)
    assert (config.mpps.port, config.commitment.port, config.print.port) == (4001, 4002, 4003)
    assert (config.instrument.port, config.print.layout) == (4004, "2,1")
    assert config.stage is not None
    assert config.stage.simulated
    assert config.stage.port == "/tmp/x/stage"
    assert config.camera is not None
    assert config.camera.um_per_px == 0.85
    assert config.paths.state == str(paths.state)


# ------------------------------------------------------------------------------------------------ folder


def test_a_new_folder_is_made_and_marked(tmp_path: Path) -> None:
    folder.take_over(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / folder.MARKER).exists()


def test_an_earlier_demo_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    folder.take_over(tmp_path)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "old.db").touch()
    (tmp_path / "summary.json").touch()
    (tmp_path / "notes of mine").touch()
    folder.take_over(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {folder.MARKER, "notes of mine"}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(DemoFailed, match="not empty"):
        folder.take_over(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DemoFailed, match="cannot be used"):
        folder.take_over(tmp_path / "file")


def test_a_link_in_the_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thing").touch()
    folder.take_over(tmp_path / "out")
    (tmp_path / "out" / "state").symlink_to(tmp_path / "precious")
    folder.take_over(tmp_path / "out")
    assert (tmp_path / "precious" / "thing").exists()
    assert not (tmp_path / "out" / "state").is_symlink()


def written(path: Path, transfer_syntax_uid: str, comment: str) -> Path:
    data_set = Dataset()
    data_set.SOPClassUID = SecondaryCaptureImageStorage
    data_set.SOPInstanceUID = "1.2.3"
    data_set.ImageComments = comment
    data_set.ensure_file_meta()
    data_set.file_meta.TransferSyntaxUID = transfer_syntax_uid
    data_set.save_as(path, enforce_file_format=True)
    return path


def test_same_content_is_the_same_bytes_or_the_same_values_in_another_syntax(tmp_path: Path) -> None:
    ours = written(tmp_path / "ours", ExplicitVRLittleEndian, "x")
    assert folder.same_content(ours, written(tmp_path / "same", ExplicitVRLittleEndian, "x"))
    assert folder.same_content(ours, written(tmp_path / "implicit", ImplicitVRLittleEndian, "x"))
    assert not folder.same_content(ours, written(tmp_path / "other", ExplicitVRLittleEndian, "y"))
    assert not folder.same_content(ours, written(tmp_path / "both", ImplicitVRLittleEndian, "y"))


# ------------------------------------------------------------------------------------------------ processes


def test_a_child_says_its_first_line_and_is_ended(tmp_path: Path) -> None:
    with running("hospital", ["hospital", "--out", str(tmp_path / "archive")], tmp_path) as child:
        assert child.first_line(20)["hospital"] == "simulated"
    assert child.process.returncode == 0


def test_a_child_is_ended_when_the_demo_fails(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyError),
        running("hospital", ["hospital", "--out", str(tmp_path / "archive")], tmp_path) as child,
    ):
        child.first_line(20)
        raise KeyError
    assert child.process.returncode == 0


def test_a_child_that_ends_too_early_is_told_with_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(DemoFailed, match="hospital ended with status 2 before it said where it listens") as failed,
        running("hospital", ["hospital", "--no-such-option"], tmp_path) as child,
    ):
        child.first_line(20)
    assert failed.value.log == child.log
    assert any("--no-such-option" in line for line in tail(child.log))


def test_a_child_that_does_not_come_up_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(DemoFailed, match="hospital has not risen within 0 s"),
        running("hospital", ["hospital", "--out", str(tmp_path / "archive")], tmp_path) as child,
    ):
        child.first_line(20)
        child.wait_until(lambda: False, 0.0, "risen")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ending_signals_unwind_like_ctrl_c(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), signals_as_interrupts():
        os.kill(os.getpid(), number)
        signal.pause()
    assert signal.getsignal(number) is before


def test_the_tail_of_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none") == []


# ------------------------------------------------------------------------------------------------ console link


@contextmanager
def service(path: Path, answer: Callable[[dict[str, object]], list[dict[str, object]] | None]) -> Iterator[None]:
    """A console that answers every request by `answer`; None closes the connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw", encoding="utf-8") as lines:
                for line in lines:
                    messages = answer(json.loads(line))
                    if messages is None:
                        return
                    lines.write("".join(json.dumps(message) + "\n" for message in messages))
                    lines.flush()

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_a_command_gets_its_answer_and_its_progress(tmp_path: Path) -> None:
    def answer(request: dict[str, object]) -> list[dict[str, object]]:
        return [
            {"event": {"kind": "stage.ready", "text": "stage ready", "data": {}}},
            {"id": request["id"], "progress": "half way"},
            {"id": 4711, "ok": True, "text": "somebody else's", "data": {}},
            {"id": request["id"], "ok": True, "text": f"did {request['line']}", "data": {"n": 1}},
        ]

    told: list[str] = []
    with service(tmp_path / "s", answer), connected(tmp_path / "s") as link:
        assert link.run("eye R", told.append) == ("did eye R", {"n": 1})
        assert link.run("focus", told.append) == ("did focus", {"n": 1})
    assert told == ["half way", "half way"]


def test_a_refusal_names_command_and_reason(tmp_path: Path) -> None:
    def answer(request: dict[str, object]) -> list[dict[str, object]]:
        return [{"id": request["id"], "ok": False, "kind": "failed", "error": "not homed"}]

    with (
        service(tmp_path / "s", answer),
        connected(tmp_path / "s") as link,
        pytest.raises(CommandRefused, match='refused "eye R": not homed'),
    ):
        link.run("eye R")


def test_a_service_that_goes_away_is_told(tmp_path: Path) -> None:
    with (
        service(tmp_path / "s", lambda request: None),
        connected(tmp_path / "s") as link,
        pytest.raises(CommandRefused, match='broke at "home"'),
    ):
        link.run("home")


def test_nobody_listens(tmp_path: Path) -> None:
    assert not answers(tmp_path / "s")
