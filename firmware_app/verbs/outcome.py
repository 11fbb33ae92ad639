"""How a verb ends, and what it prints: the exit status, one line of reason, rows for people or programs."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from firmware_app.services.causes import causes, in_one_line

if TYPE_CHECKING:
    from firmware_app.config import Config

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


class Stop(Exception):
    """An expected end without success: the exit status and the one line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@contextmanager
def stopping(status: int, *expected: type[BaseException]) -> Iterator[None]:
    """Turn errors of these kinds, alone or in groups, into `Stop` with their text in one line."""
    try:
        yield
    except BaseException as error:
        if not all(isinstance(cause, expected) for cause in causes(error)):
            raise
        raise Stop(status, in_one_line(error)) from error


@contextmanager
def importing() -> Iterator[None]:
    """For the imports of a short verb: not searched for garbage, now or at the exit: 34 of the 155 ms of an echo."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def needing_demo() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise Stop(EXIT_FAILED, f"needs the extra `demo` (pip install specular[demo]): {error}") from error


def read_config(arguments: argparse.Namespace, *, with_files: bool = False) -> Config:
    """The configuration of the file, or the defaults of the profile that was asked for; or `Stop`."""
    from firmware_app.config import ConfigError, load_config

    profile: str | None = getattr(arguments, "of_profile", None)
    if profile is not None:
        return _defaults_of(profile, arguments)
    with stopping(EXIT_USAGE, ConfigError):
        return load_config(arguments.config, with_files=with_files)


def _defaults_of(profile: str, arguments: argparse.Namespace) -> Config:
    from firmware_app.config.reading import default_config
    from firmware_app.profiles import ProfileError, load_profile

    if arguments.config is not None:
        raise Stop(EXIT_USAGE, "--profile and --config exclude each other: the file names its profile")
    with stopping(EXIT_USAGE, ProfileError):
        return default_config(load_profile(profile))


def show(as_json: bool, data: object, text: str) -> None:
    """One line, whatever a peer's names hold: a line break in one would read as a row of its own."""
    import msgspec

    from firmware_app.console.text import printable

    if as_json:
        print(msgspec.json.encode(data).decode(), flush=True)
    elif text:
        print(printable(text).replace("\n", " "), flush=True)


def show_files(as_json: bool, rows: Iterator[dict[str, object]], line: Callable[[dict[str, object]], str]) -> None:
    """A row per file as it is made, each `ok` or refused.

    `Stop` names the first refusal, or why nothing more could be written.
    """
    refusals: list[str] = []
    for row in _until_output_fails(rows):
        show(as_json, row, line(row))
        if row["status"] != "ok":
            refusals.append(f"{row['file']}: {row['reason']}")
    end_with_refusals(refusals)


def end_with_refusals(refusals: Sequence[str]) -> None:
    """`Stop` with the first of them, if there are any."""
    if refusals:
        more = f" (and {len(refusals) - 1} more refused)" if len(refusals) > 1 else ""
        raise Stop(EXIT_FAILED, refusals[0] + more)


def _until_output_fails(rows: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    """Not around the rows' printing: a reader of ours that went away is no failure of the output files."""
    with stopping(EXIT_FAILED, OSError):
        yield from rows


def show_progress(text: str) -> None:
    """Where somebody watches; a log or a pipe gets only the errors."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
