"""Notes of sessions over SSH: what pam_exec is told becomes a file, and what is no note is told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from firmware_app.device.session_note import note_of, write_note
from firmware_app.model import Event
from firmware_app.services.session_notes import NOTES_AT_ONCE, SessionNote, SessionNotes, parse_note, read_notes

AT = "2026-03-01T10:00:00.000+01:00"
PAM = {"PAM_SERVICE": "sshd", "PAM_TYPE": "open_session", "PAM_USER": "admin", "PAM_RHOST": "192.0.2.9"}


class Trail:
    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str, bool]] = []

    async def session(self, user: str, address: str, at: str, *, comes: bool) -> None:
        self.taken.append((user, address, at, comes))


def test_a_session_over_ssh_is_noted_and_no_other() -> None:
    assert note_of(PAM, AT) == {"at": AT, "what": "opened", "user": "admin", "host": "192.0.2.9"}
    assert (note_of(PAM | {"PAM_TYPE": "close_session"}, AT) or {})["what"] == "closed"
    assert note_of(PAM | {"PAM_SERVICE": "sudo"}, AT) is None
    assert note_of(PAM | {"PAM_TYPE": "auth"}, AT) is None
    assert note_of({}, AT) is None


async def test_notes_are_taken_in_their_order_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    for change in ({}, {"PAM_TYPE": "close_session"}, {"PAM_USER": "service"}):
        write_note(folder, note_of(PAM | change, AT) or {})
    (folder / "unfinished.part").write_text("{")
    trail, events = Trail(), list[Event]()
    notes = SessionNotes(folder, trail, events.append)
    assert await notes.take() == 3
    assert [(user, comes) for user, _, _, comes in trail.taken] == [
        ("admin", True),
        ("admin", False),
        ("service", True),
    ]
    assert {(address, at) for _, address, at, _ in trail.taken} == {("192.0.2.9", AT)}
    assert [event.kind for event in events] == ["ssh.opened", "ssh.closed", "ssh.opened"]
    assert await notes.take() == 0 and [path.name for path in folder.iterdir()] == ["unfinished.part"]


async def test_what_is_no_note_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "0.json").write_text("[]")
    write_note(tmp_path, note_of(PAM, AT) or {})
    trail, events = Trail(), list[Event]()
    assert await SessionNotes(tmp_path, trail, events.append).take() == 2
    assert [event.kind for event in events] == ["ssh.unread", "ssh.opened"] and len(trail.taken) == 1


async def test_without_a_folder_nobody_came(tmp_path: Path) -> None:
    assert await SessionNotes(tmp_path / "none", Trail(), lambda event: pytest.fail(str(event))).take() == 0


async def test_a_folder_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("")
    events = list[Event]()
    notes = SessionNotes(tmp_path / "sessions", Trail(), events.append)
    assert [await notes.take(), await notes.take()] == [0, 0] and len(events) == 1
    (tmp_path / "sessions").unlink()
    assert await notes.take() == 0
    (tmp_path / "sessions").write_text("")
    assert await notes.take() == 0 and len(events) == 2  # mended in between: trouble anew


def test_many_notes_are_taken_some_at_a_time(tmp_path: Path) -> None:
    for number in range(NOTES_AT_ONCE + 1):
        (tmp_path / f"{number:04}.json").write_text("{}")
    assert len(read_notes(tmp_path)) == NOTES_AT_ONCE


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xff",
        b"{}",
        b'{"what": "opened"}',
        b'{"what": "opened", "at": 1, "user": "a", "host": "b"}',
        b" " * 5000,
        b"[" * 4096,
    ],
)
def test_a_file_of_anything_is_no_note(octets: bytes) -> None:
    assert parse_note(octets) is None


def test_a_note_is_what_was_written(tmp_path: Path) -> None:
    path = write_note(tmp_path, note_of(PAM | {"PAM_USER": 'a"\n'}, AT) or {})
    assert json.loads(path.read_text())["user"] == 'a"\n'
    assert parse_note(path.read_bytes()) == SessionNote(AT, True, 'a"\n', "192.0.2.9")


def test_a_name_that_is_no_text_is_noted_as_text(tmp_path: Path) -> None:
    path = write_note(tmp_path, note_of(PAM | {"PAM_RHOST": os.fsdecode(b"\xff")}, AT) or {})
    note = parse_note(path.read_bytes())
    assert note is not None and note.host == r"\udcff" and note.host.isascii()
