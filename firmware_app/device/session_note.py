"""Notes that somebody came over SSH or left: run by pam_exec(8), as root, in the moment of it.

The note is a file in the state folder, written and flushed before the session begins, so that it is in the audit trail
however the service is at that moment, and whether or not the machine goes on. Nothing but the standard library is
imported here: every login waits for it.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path("/var/lib/specular/sessions")
WORDS = {"open_session": "opened", "close_session": "closed"}
SHOWN_MAX = 255  # of a user's or a host's name


def note_of(environment: Mapping[str, str], at: str) -> dict[str, str] | None:
    """None where it is no session over SSH."""
    what = WORDS.get(environment.get("PAM_TYPE", ""))
    if what is None or environment.get("PAM_SERVICE") != "sshd":
        return None
    user, host = (environment.get(name, "")[:SHOWN_MAX] for name in ("PAM_USER", "PAM_RHOST"))
    return {"at": at, "what": what, "user": user, "host": host}


def become(user: str) -> None:
    """Root writes into no folder of somebody else's."""
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def write_note(folder: Path, note: Mapping[str, str]) -> Path:
    """In order of their names, whole or not at all, on the disk when this returns."""
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{time.time_ns():020}-{os.getpid()}.json"
    unfinished = path.with_suffix(".part")
    with unfinished.open("x", encoding="utf-8") as file:
        json.dump(note, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def main() -> int:
    note = note_of(os.environ, datetime.now(UTC).astimezone().isoformat(timespec="milliseconds"))
    if note is None:
        return 0
    try:
        if os.geteuid() == 0:
            become("specular")
        write_note(FOLDER, note)
    except (OSError, KeyError) as error:
        # A full disk must keep nobody out who could make room; sshd's own log has the session all the same.
        sys.stderr.write(f"specular session note: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
