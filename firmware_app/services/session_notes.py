"""Who came over SSH and left, from the notes that pam_exec leaves (`device.session_note`) into the audit trail."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from firmware_app.model import Event
from firmware_app.progress import DISK_S, idle, working

LOOK_S = 5.0
NOTE_MAX_BYTES = 4096  # two names of at most 255 characters, however they are escaped
NOTES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class SessionNote:
    at: str
    comes: bool
    user: str
    host: str


class Auditing(Protocol):
    def session(self, user: str, address: str, at: str, *, comes: bool) -> Awaitable[None]: ...


class SessionNotes:
    """A note is removed when the trail has it: one that is taken twice after a crash is in the trail twice."""

    def __init__(self, folder: Path, audit: Auditing, publish: Callable[[Event], None]) -> None:
        self._folder = folder
        self._audit = audit
        self._publish = publish
        self._told = ""

    async def run(self) -> None:
        while True:
            while await self.take():
                pass
            with idle("sessions over SSH"):
                await trio.sleep(LOOK_S)

    async def take(self) -> int:
        """The oldest notes, at most NOTES_AT_ONCE; how many there were."""
        try:
            with working("notes of sessions", DISK_S):
                found = await trio.to_thread.run_sync(read_notes, self._folder)
            for path, note in found:
                await self._tell(path, note)
                with working("notes of sessions", DISK_S):
                    await trio.to_thread.run_sync(path.unlink)
        except OSError as error:
            trouble = f"notes of sessions over SSH: {error}"
            if trouble != self._told:
                self._publish(Event("ssh.unread", trouble, level="warning"))
            self._told = trouble
            return 0
        self._told = ""
        return len(found)

    async def _tell(self, path: Path, note: SessionNote | None) -> None:
        if note is None:
            self._publish(Event("ssh.unread", f"{path.name}: no note of a session", level="warning"))
            return
        await self._audit.session(note.user, note.host, note.at, comes=note.comes)
        kind, words = ("opened", "came") if note.comes else ("closed", "left")
        data: dict[str, object] = {"user": note.user, "peer_address": note.host, "at": note.at}
        self._publish(Event(f"ssh.{kind}", f"{note.user} {words} over SSH from {note.host}", data))


def read_notes(folder: Path) -> list[tuple[Path, SessionNote | None]]:
    """Oldest first; None for a file that is none. OSError; a folder that is not there yet has no notes."""
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix == ".json")[:NOTES_AT_ONCE]
    except FileNotFoundError:
        return []
    return [(path, _read_note(path)) for path in names]


def _read_note(path: Path) -> SessionNote | None:
    with path.open("rb") as file:
        return parse_note(file.read(NOTE_MAX_BYTES + 1))


def parse_note(octets: bytes) -> SessionNote | None:
    try:
        said = json.loads(octets) if len(octets) <= NOTE_MAX_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("what") not in ("opened", "closed"):
        return None
    at, user, host = (said.get(key) for key in ("at", "user", "host"))
    if not (isinstance(at, str) and isinstance(user, str) and isinstance(host, str)):
        return None
    return SessionNote(_whole(at), said["what"] == "opened", _whole(user), _whole(host))


def _whole(text: str) -> str:
    """Half a surrogate pair is JSON, as which Python writes an environment's stray octet, and no text of the trail."""
    return text.encode(errors="backslashreplace").decode()
