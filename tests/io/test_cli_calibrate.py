"""`specular calibrate`: on image files, and asking the running service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from PIL import Image
from rendered_target import RenderedTarget

from firmware_app.cli import main
from firmware_app.console.commands import CommandContext, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.console.server import serve_console
from firmware_app.services.calibration import CalibrationService
from firmware_app.services.calibration_commands import CalibrationCommands
from firmware_app.services.commands import EXPECTED
from firmware_app.services.events import EventBus
from hw.errors import Refused


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "grid.png"
    Image.fromarray(RenderedTarget(pitch_um=10.0, turn_deg=3.0).picture()).save(path)
    return path


def test_pictures_of_a_target(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(picture), str(picture), "--lines-per-mm", "100", "--json"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == second
    assert first["um_per_px"] == pytest.approx(0.85, rel=5e-4)
    assert (first["status"], first["file"]) == ("ok", str(picture))
    assert first["rotation_deg"] == pytest.approx(3, abs=0.05)
    assert main(["calibrate", str(picture), "--pitch-um", "10"]) == 0
    assert "0.85 um/px +-" in capsys.readouterr().out.replace("0.84999", "0.85").replace("0.85001", "0.85")


def test_what_is_no_target_is_named_and_fails(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(picture), "--pitch-um", "10", "--um-per-px", "0.2", "--json"]) == 1
    told = capsys.readouterr()
    row = json.loads(told.out)
    assert (row["status"], row["um_per_px"]) == ("refused", None)
    assert row["reason"]
    assert told.err == "specular calibrate: 1 of 1 pictures show no target that could be measured\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "one of the arguments --pitch-um --lines-per-mm is required"),
        (["--pitch-um", "0"], "'0' is not um above 0"),
        (["--lines-per-mm", "100", "--pattern", "stars"], "invalid choice: 'stars'"),
        (["x.png", "--pitch-um", "10", "--stage"], "--stage needs the instrument, not image files"),
    ],
)
def test_wrong_usage(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(["calibrate", *arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    assert told in capsys.readouterr().err


@contextmanager
def service(folder: Path, answer: Reply | Exception) -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
    """The console of a service whose calibration says this."""
    asked: list[tuple[str, Mapping[str, Any]]] = []

    class Said(CalibrationCommands):
        async def _camera(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
            return self._say("camera", arguments)

        async def _stage(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
            return self._say("stage", arguments)

        def _say(self, what: str, arguments: Mapping[str, Any]) -> Reply:
            asked.append((what, arguments))
            if isinstance(answer, Exception):
                raise answer
            return answer

    ready, stop = threading.Event(), trio.Event()
    token: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        token.append(trio.lowlevel.current_trio_token())
        no_service: CalibrationService = None  # type: ignore[assignment]
        table = CommandTable(Said(no_service, "Otto").table())
        async with trio.open_nursery() as nursery:
            run = lambda task_status: serve_console(  # noqa: E731
                folder / "console.sock", table, EventBus().subscribe, expected=EXPECTED, task_status=task_status
            )
            await nursery.start(lambda task_status: run(task_status))
            ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert ready.wait(30)
    try:
        yield asked
    finally:
        token[0].run_sync_soon(stop.set)
        thread.join(30)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "specular.toml"
    path.write_text(f'[paths]\nruntime = "{tmp_path}"\nstate = "{tmp_path}/state"\n')
    return path


def test_without_pictures_the_running_service_does_it(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--target", 'no. 7 "old"', "--tolerance", "0.1", "--by", "Tina T."]
    with service(tmp_path, Reply("0.85 um/px on record", {"um_per_px": 0.85})) as asked:
        assert main(["calibrate", "--config", str(config), "--lines-per-mm", "100", *words]) == 0
        assert (
            main(["calibrate", "--config", str(config), "--pitch-um", "50", "--stage", "--pattern", "dots", "--json"])
            == 0
        )
    (first, given), (second, other) = asked
    assert (first, given["pitch_um"], given["pattern"], given["tolerance"]) == ("camera", 10.0, "grid", 0.1)
    assert (given["target"], given["by"]) == ('no. 7 "old"', "Tina T.")
    assert (second, other["pitch_um"], other["pattern"]) == ("stage", 50.0, "dots")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "0.85 um/px on record"
    assert json.loads(out[1]) == {"um_per_px": 0.85}


def test_what_the_service_refuses_and_that_there_is_none(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(tmp_path, Refused("calibration: no periodic target is seen")):
        assert main(["calibrate", "--config", str(config), "--pitch-um", "10"]) == 1
    assert "specular calibrate: calibration: no periodic target is seen" in capsys.readouterr().err
    assert main(["calibrate", "--config", str(config), "--pitch-um", "10"]) == 1
    assert "no service answers on" in capsys.readouterr().err
