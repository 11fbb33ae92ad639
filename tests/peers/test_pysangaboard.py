"""OpenFlexure's own host software (the `sangaboard` package from PyPI) drives our simulated boards.

It runs in a process of its own, as it would on a user's machine, and finds the port where `specular sim` says it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

READY_S = 60
# What somebody would type who owns such a board. Each line printed is a JSON value.
SESSION = """
import json, sys, warnings
from sangaboard import Sangaboard

def tell(**values):
    print(json.dumps(values), flush=True)

with Sangaboard(sys.argv[1]) as board:
    tell(firmware=board.firmware, version=board.version_tuple, board=board.board)
    board.zero_position()
    board.move_rel([300, -200, 50])
    tell(position=list(board.position))
    board.move_rel(40, axis="z")
    board.move_abs([100, 100, 100])
    tell(position=list(board.position), step_time=board.step_time)
    if hasattr(board, "endstops"):
        board.endstops.home("min", ["x", "y", "z"])
        tell(homed=list(board.position), installed=board.endstops.installed, status=list(board.endstops.status))
    if hasattr(board, "illumination"):
        board.illumination.cc_led = 0.32
        board.illumination.set_pwm_led(1, 0.5)
        tell(cc=board.illumination.cc_led, pwm=board.illumination.get_pwm_led(), channels=board.illumination.channels)
    board.release_motors()
"""


@contextmanager
def simulator(stage: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "hw.sim", "--no-camera", "--stage", stage]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def session(stage: str) -> dict[str, Any]:
    """Everything it was told, the last position under that name."""
    with simulator(stage) as ready:
        done = subprocess.run(
            [sys.executable, "-c", SESSION, ready["stage"]],
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = {"positions": []}
    for line in done.stdout.splitlines():
        values = json.loads(line)
        told["positions"] += [values["position"]] if "position" in values else []
        told |= values
    return told


@pytest.mark.parametrize(
    ("stage", "firmware", "version"),
    [
        ("sangaboard-1.0", "Sangaboard Firmware v1.0.1+SPECULAR-SIM", [1, 0]),
        ("sangaboard-0.5", "Sangaboard Firmware v0.5.1+SPECULAR-SIM", [0, 5]),
    ],
)
def test_moves_homing_and_lamps(stage: str, firmware: str, version: list[int]) -> None:
    told = session(stage)
    assert (told["firmware"], told["version"], told["board"]) == (firmware, version, "Sangaboard v0.5")
    assert told["positions"] == [[300, -200, 50], [100, 100, 100]]
    assert told["step_time"] == 100
    assert told["installed"] == ["min", "soft"]
    if version == [0, 5]:  # v1.0 tells of each switch, and the package takes the first of these lines for the end
        assert (told["homed"], told["status"]) == ([200, 200, 200], [0, 0, 0])
    assert told["cc"] == pytest.approx(0.32)
    assert told["pwm"] == [0.0, 0.5]
    assert told["channels"] == [1, 2]


def test_the_oldest_firmware() -> None:
    told = session("sangaboard-0.4")
    assert (told["firmware"], told["version"]) == ("OpenFlexure Motor Board v0.4+SPECULAR-SIM", [0, 4])
    assert told["positions"] == [[300, -200, 50], [100, 100, 100]]
    assert "installed" not in told
    assert "cc" not in told
