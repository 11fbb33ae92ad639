"""What a person or a log sees of a long run, on stderr."""

from __future__ import annotations

import sys

import pytest

from firmware_app.verbs.images import LINE_EVERY, Progress


def run(of: int, known: int = 0) -> None:
    progress = Progress(of, known)
    for number in range(of):
        progress.clear()
        progress.one_more(refused=number // 10)
    progress.clear()


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    run(2 * LINE_EVERY + 50)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("specular analyze: 100/250, 9 refused, about 0 s left")
    assert lines[1].startswith("specular analyze: 200/250, 19 refused")


def test_a_short_run_is_silent_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    run(LINE_EVERY)
    assert capsys.readouterr().err == ""


def test_what_was_known_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    run(LINE_EVERY + 30, known=LINE_EVERY + 10)
    assert capsys.readouterr().err == "specular analyze: 110 of 130 images were measured before\n"


def test_a_terminal_gets_one_line_that_stays_in_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run(3)
    said = capsys.readouterr().err
    assert "\n" not in said
    parts = said.split("\r\x1b[K")
    assert [part.split(",")[0] for part in parts if part] == ["1/3", "2/3", "3/3"]
    assert said.endswith("\r\x1b[K"), "nothing of it stays before the results"
