"""Running other programs: what they said is told only when they failed."""

from __future__ import annotations

import subprocess
import sys


class CannotInstall(Exception):
    """The machine lacks something, or a program refused; the text says which and why."""


def say(words: str) -> None:
    print(f"deploy/install: {words}", file=sys.stderr, flush=True)


def run(*command: str) -> str:
    """Its standard output. Raises `CannotInstall` with the last lines of what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotInstall(f"{command[0]}: {error.strerror or error}") from error
    if done.returncode:
        said = " | ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise CannotInstall(f"{' '.join(command)}: exit status {done.returncode}: {said}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Also where there is no such program: no, then."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
