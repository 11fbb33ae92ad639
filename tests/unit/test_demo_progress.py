"""Progress lines, piped and on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest

from firmware_app.demo.progress import Progress


def ticking() -> Callable[[], float]:
    ticks = iter(range(100))
    return lambda: float(next(ticks))


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_piped_is_one_plain_line_a_step() -> None:
    stream = StringIO()
    progress = Progress(stream, ticking())
    with progress.step("stage homed") as step:
        step.now("homing")
        step.result = "at z 0 um"
    assert stream.getvalue() == "   3.0 s  ok      stage homed: at z 0 um (1.0 s)\n"


def test_a_failed_step_is_named_and_the_error_goes_on() -> None:
    stream = StringIO()
    with pytest.raises(KeyError), Progress(stream, ticking()).step("focus"):
        raise KeyError
    assert "failed  focus (" in stream.getvalue()


def test_a_terminal_sees_the_running_step_and_one_final_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    with Progress(stream, ticking()).step("focus") as step:
        step.now("x" * 100)
    running, final = stream.getvalue().split("\r\x1b[K")[2:]
    assert len(running) == 39
    assert "ok      focus (" in final
    assert stream.getvalue().count("\n") == 1


def test_a_dumb_terminal_is_treated_as_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with Progress(stream, ticking()).step("focus"):
        pass
    assert "\x1b" not in stream.getvalue()
