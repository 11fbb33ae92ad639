"""What may be done to the simulated instrument, and the line on which some of it happens."""

from __future__ import annotations

import math

import pytest

from hw.sim.fault_commands import Fault, parse
from hw.sim.line import Line

COMMANDS = [
    ("unplug stage", Fault("unplug", "stage")),
    ("replug camera", Fault("replug", "camera")),
    ("eio camera", Fault("eio", "camera")),
    ("silence", Fault("silence", "stage", value=1)),
    ("silence on", Fault("silence", "stage", value=1)),
    ("silence camera on", Fault("silence", "camera", value=1)),
    ("silence camera off", Fault("silence", "camera")),
    ("garbage", Fault("garbage", "stage")),
    ("half camera", Fault("half", "camera")),
    ("slow 0.5", Fault("slow", "stage", value=0.5)),
    ("slow stage off", Fault("slow", "stage")),
    ("alarm 9", Fault("alarm", value=9)),
    ("restart", Fault("restart")),
    ("stuck y", Fault("stuck", axis=1)),
    ("stuck off", Fault("free")),
    ("lost z -250", Fault("lost", axis=2, value=-250)),
    ("drop 3", Fault("drop", "camera", value=3)),
    ("corrupt 1", Fault("corrupt", "camera", value=1)),
]
NONE_OF_THEM = [
    "",
    "unplug",
    "unplug moon",
    "eio",
    "silence 1",
    "garbage both",
    "slow",
    "slow 0",
    "slow -1",
    "slow 61",
    "slow nan",
    "slow x",
    "alarm",
    "alarm x",
    "alarm 100",
    "stuck xy",
    "stuck",
    "lost x",
    "lost x inf",
    "lost x 100001",
    "lost q 1",
    "drop -1",
    "drop 1001",
    "drop 99999999999999999999",
    "restart now",
]


@pytest.mark.parametrize(("line", "fault"), COMMANDS)
def test_commands(line: str, fault: Fault) -> None:
    assert parse(line) == fault
    assert parse(f"  {line.replace(' ', '   ')} ") == fault


@pytest.mark.parametrize("line", NONE_OF_THEM)
def test_what_is_no_command_is_told_with_what_is_one(line: str) -> None:
    with pytest.raises(ValueError, match=r"unknown command .* there are: unplug stage\|camera, "):
        parse(line)


def test_a_slow_line_keeps_the_order() -> None:
    line = Line()
    line.delay_s = 0.5
    line.carry(b"first", 1.0)
    line.delay_s = 0.0
    line.carry(b"second", 1.1)
    assert line.due_s == 1.5
    assert line.arrived(1.49) == b""
    assert line.arrived(1.5) == b"firstsecond"
    assert line.due_s == math.inf


def test_half_a_line_runs_into_the_next() -> None:
    line = Line()
    line.halve_next()
    line.carry(b"\r\n1234 \r\nok\r\n", 0.0)
    line.carry(b"ok\r\n", 0.0)
    assert line.arrived(0.0) == b"12ok\r\nok\r\n"


def test_silence_swallows_and_a_new_cable_has_no_faults() -> None:
    line = Line()
    line.silent = True
    line.carry(b"lost", 0.0)
    assert line.arrived(9.0) == b""
    line.delay_s = 1.0
    line.halve_next()
    line.clear()
    line.carry(b"whole\r\n", 9.0)
    assert line.arrived(9.0) == b"whole\r\n"
