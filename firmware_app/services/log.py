"""Events as JSON lines on stderr, where journald picks them up. Events carry no patient data by their contract.

Where stderr is the journal, each line has the priority in front as `<4>` (sd-daemon(3)), which journald takes off and
files the line under: `journalctl -p warning` works, and a line stays one JSON document. The native protocol could do
the same with fields, for a socket of our own and a library; nobody filters by more than the priority.

What names a patient travels apart from the rest (`Event.patient`, the texts of exceptions and of other people's
libraries, which quote what they find odd). It is written only with `log.patient_data = true`, and never into the tail
that the service keeps for the service bundle.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
import trio

from firmware_app.model import Event, EventLevel
from firmware_app.progress import idle
from firmware_app.services.causes import causes
from firmware_app.services.events import Subscription
from firmware_app.services.repeats import Repeated, RepeatFilter

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LOG_METHODS: dict[EventLevel, str] = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "alert": "critical",
}
# syslog(3) by structlog's level; an alert of ours asks for a person, as LOG_ALERT does.
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 1}
# journald cuts a line at 48 KiB (LineMax), and half of a JSON document is none.
TEXT_MAX = 4096
FIELDS_MAX = 40
LINE_MAX = 16 * 1024
FRAMES_MAX = 30
# Lines that the task which keeps them has not yet taken: some seconds of a flood.
UNKEPT_MAX = 2048
# Whose messages are about programs and never about data.
TRUSTED_LIBRARIES = ("trio", "asyncio", "concurrent")


class LogTail:
    """The last lines, without patient data, for whoever keeps them. Telling never waits; the oldest goes first."""

    def __init__(self, maximum: int = UNKEPT_MAX) -> None:
        self._lines: deque[str] = deque(maxlen=maximum)

    def put(self, line: str) -> None:
        self._lines.append(line)

    def take(self) -> list[str]:
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        return taken


TAIL = LogTail()


def configure_log(level: str, patient_data: bool = False) -> None:
    """Write from now on; libraries that log or warn in Python's own way are routed here too."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            _exception_without_values,
            _Rendering(patient_data, has_priorities=stderr_is_the_journal()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    logging.root.handlers = [_Library()]
    logging.root.setLevel(logging.WARNING)


def last_words() -> None:
    """What ends the process says so in the log: an exception nobody expected, without the values that it quotes, and
    the signal that systemd sends when the watchdog was not told, with where every thread was.
    """
    sys.excepthook = lambda _, error, __: _broke(error)
    threading.excepthook = lambda details: _broke(details.exc_value)
    sys.unraisablehook = lambda details: _broke(details.exc_value)
    faulthandler.enable()


def _broke(error: BaseException | None) -> None:
    structlog.get_logger().critical("service.broke", text="an error that nobody expected", exc_info=error)


def stderr_is_the_journal(environment: Mapping[str, str] = os.environ) -> bool:
    """systemd.exec(5): JOURNAL_STREAM holds device and inode of the journal's stream, as DECIMAL:DECIMAL."""
    stream = environment.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return bool(stream) and stream == f"{status.st_dev}:{status.st_ino}"


async def run_log(events: Subscription) -> None:
    """Write every event, for ever; what repeats itself too often is counted."""
    log = structlog.get_logger()
    repeats = RepeatFilter()
    while True:
        event = None
        with trio.move_on_at(repeats.next_end_s()), idle("events"):
            event = await events.receive()
        now_s = trio.current_time()
        for repeated in repeats.ended(now_s):
            _tell_repeated(log, repeated)
        missed = events.take_missed()
        if missed:
            log.warning("log.missed", text=f"{missed} events were lost just before the next one", missed=missed)
        if event is not None and repeats.admits(event.kind, event.text, now_s):
            _tell(log, event)


def _tell(log: Any, event: Event) -> None:
    data = {("field_" + key if key in RESERVED else key): value for key, value in event.data.items()}
    getattr(log, LOG_METHODS[event.level])(event.kind, text=event.text, patient=event.patient, **data)


RESERVED = ("event", "text", "level", "timestamp", "patient", "exc_info")


def _tell_repeated(log: Any, repeated: Repeated) -> None:
    which = f": {repeated.text}" if repeated.text else " with other words each"
    text = f"{repeated.count} more of {repeated.kind} within {repeated.seconds:.0f} s{which}"
    log.warning("log.repeated", text=text, kind=repeated.kind, count=repeated.count)


# ------------------------------------------------------------------------------------------- what is written


class _Rendering:
    """The last processor: one line, bounded; and the same without patient data for the tail."""

    def __init__(self, patient_data: bool, *, has_priorities: bool) -> None:
        self._patient_data = patient_data
        self._has_priorities = has_priorities
        self._render = structlog.processors.JSONRenderer(ensure_ascii=False)

    def __call__(self, logger: Any, method: str, said: MutableMapping[str, Any]) -> str:
        patient = said.pop("patient", None)
        line = self._line(logger, method, said)
        TAIL.put(line)
        if patient and self._patient_data:
            line = self._line(logger, method, {**said, "patient": patient})
        return f"<{PRIORITIES.get(method, 6)}>{line}" if self._has_priorities else line

    def _line(self, logger: Any, method: str, said: MutableMapping[str, Any]) -> str:
        line = str(self._render(logger, method, {key: bounded(value) for key, value in said.items()}))
        if len(line.encode()) <= LINE_MAX:
            return line
        few = {key: bounded(said[key], 256) for key in ("event", "text", "level", "timestamp") if key in said}
        return str(self._render(logger, method, {**few, "cut": len(line)}))


def bounded(value: Any, text_max: int = TEXT_MAX) -> Any:
    """The value as JSON can hold it, with no text and no list longer than a reader needs."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): bounded(each, text_max) for key, each in list(value.items())[:FIELDS_MAX]}
    if isinstance(value, (list, tuple)):
        more = len(value) - FIELDS_MAX
        return [bounded(each, text_max) for each in value[:FIELDS_MAX]] + ([f"({more} more)"] if more > 0 else [])
    text = str(value)
    return text if len(text) <= text_max else f"{text[:text_max]} ({len(text) - text_max} characters more)"


def _exception_without_values(_: Any, __: str, said: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where and which, for the developer; what it says may quote a patient's name."""
    error = said.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        said["exception"] = ", ".join(dict.fromkeys(_kind(cause) for cause in causes(error)))
        said["traceback"] = [
            f"{frame.filename}:{frame.lineno} {frame.name}"
            for cause in causes(error)
            for frame in traceback.extract_tb(cause.__traceback__)
        ][-FRAMES_MAX:]
        said["patient"] = {"said": "; ".join(str(cause) for cause in causes(error))}
    return said


def _kind(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


class _Library(logging.Handler):
    """Another library's message: who said it and where; the words only of those that know no data."""

    def emit(self, record: logging.LogRecord) -> None:
        where = f"{record.pathname}:{record.lineno}"
        name = record.name.partition(".")[0]
        words = bounded(record.getMessage())
        if name == "py":  # py.warnings: the place is in the words, FILE:LINE: CATEGORY: TEXT
            where = ":".join(words.split(":")[:3])
        trusted = name in TRUSTED_LIBRARIES
        text = words if trusted else f"{record.name} has found something odd in the data"
        log = structlog.get_logger()
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(log, level)(f"library.{name}", text=text, where=where, patient=None if trusted else {"said": words})
