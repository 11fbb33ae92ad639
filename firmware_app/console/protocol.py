"""The console's lines: one JSON object each way per line, UTF-8, on a Unix stream socket. Pure.

Client to service
    {"id": 7, "line": "capture R --burst 9"}    run a command; the service splits the words like a shell does
    {"id": 7, "cancel": true}                   stop it: cancellation is the stop button
    {"subscribe": true}                         send me the events from now on

Service to client
    {"id": 7, "progress": "focus 3 of 9"}       any number of these, then exactly one of the next two
    {"id": 7, "ok": true, "text": "...", "data": {...}}
    {"id": 7, "ok": false, "kind": "failed" | "usage" | "busy" | "cancelled", "error": "one line"}
    {"event": {"kind": "stage.ready", "text": "...", "data": {...}, "level": "info"}}
    {"missed": 12}                              that many events were lost just before the next one

`id` is the client's own; it is null where a line could not be read far enough to know it. Closing the connection
cancels whatever it still runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec

from firmware_app.model import Event

# A command is typed by hand or holds a few paths of at most 4096 bytes.
REQUEST_LINE_MAX_BYTES = 64 * 1024
# A reply may carry a whole worklist: 1000 items of 1 kB, with room.
REPLY_LINE_MAX_BYTES = 16 * 1024 * 1024

RequestId = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
FailureKind = Literal["failed", "usage", "busy", "cancelled"]


class BadLine(ValueError):
    """A line that is no message of this protocol; the text says why."""


class LineTooLong(ValueError):
    """The other side sends without a newline: what follows cannot be told apart any more."""


@dataclass(frozen=True, slots=True)
class Run:
    request_id: int
    line: str


@dataclass(frozen=True, slots=True)
class Cancel:
    request_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    pass


Request = Run | Cancel | Subscribe


class _RequestLine(msgspec.Struct, forbid_unknown_fields=True):
    id: RequestId | None = None
    line: str | None = None
    cancel: bool = False
    subscribe: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answers: `text` for people, `data` (JSON values, stable keys) for programs."""

    text: str = ""
    data: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command gave no result, in one line."""

    kind: FailureKind
    error: str


@dataclass(frozen=True, slots=True)
class Progress:
    text: str


@dataclass(frozen=True, slots=True)
class Missed:
    count: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of the service that belongs to one request."""

    request_id: int | None
    content: Reply | Failure | Progress


ServiceMessage = Answer | Event | Missed


class _ServiceLine(msgspec.Struct):
    id: int | None = None
    progress: str | None = None
    ok: bool | None = None
    text: str = ""
    data: dict[str, object] | None = None
    kind: FailureKind = "failed"
    error: str = ""
    event: Event | None = None
    missed: int | None = None


LineT = TypeVar("LineT")
_request_decoder = msgspec.json.Decoder(_RequestLine)
_service_decoder = msgspec.json.Decoder(_ServiceLine)


def decode_request(line: bytes) -> Request:
    """One line of a client. Raises `BadLine`."""
    message = _decoded(_request_decoder, line)
    if message.subscribe and message.id is None and message.line is None and not message.cancel:
        return Subscribe()
    if message.subscribe or message.id is None or (message.line is None) != message.cancel:
        raise BadLine('neither {"id", "line"} nor {"id", "cancel": true} nor {"subscribe": true}')
    return Cancel(message.id) if message.line is None else Run(message.id, message.line)


def encode_request(request: Request) -> bytes:
    match request:
        case Run(request_id, line):
            return _line({"id": request_id, "line": line})
        case Cancel(request_id):
            return _line({"id": request_id, "cancel": True})
        case Subscribe():
            return _line({"subscribe": True})


def decode_service_message(line: bytes) -> ServiceMessage:
    """One line of the service. Raises `BadLine`."""
    message = _decoded(_service_decoder, line)
    if message.event is not None:
        return message.event
    if message.missed is not None:
        return Missed(message.missed)
    if message.progress is not None:
        return Answer(message.id, Progress(message.progress))
    if message.ok is None:
        raise BadLine("neither an answer nor an event")
    return Answer(message.id, Reply(message.text, message.data) if message.ok else Failure(message.kind, message.error))


def encode_service_message(message: ServiceMessage) -> bytes:
    match message:
        case Answer(request_id, Progress(text)):
            return _line({"id": request_id, "progress": text})
        case Answer(request_id, Reply(text, data)):
            return _line({"id": request_id, "ok": True, "text": text, "data": data or {}})
        case Answer(request_id, Failure(kind, error)):
            return _line({"id": request_id, "ok": False, "kind": kind, "error": one_line(error)})
        case Missed(count):
            return _line({"missed": count})
        case Event():
            # Nobody's patient data goes to a console that only listens: see `Event.patient`.
            shown = {"kind": message.kind, "text": message.text, "data": message.data, "level": message.level}
            return _line({"event": shown})
        case _:
            raise TypeError(f"no message of the service: {message!r}")


class LineSplitter:
    """Bytes in any pieces -> whole lines without their newline. Holds at most `limit_bytes` of an unfinished one."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that `chunk` completes; empty ones are skipped. Raises `LineTooLong`."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._extend(end)
            line, self._pending = bytes(self._pending), bytearray()
            if line.strip():
                yield line
        self._extend(rest)

    def _extend(self, piece: bytes) -> None:
        if len(self._pending) + len(piece) > self._limit_bytes:
            raise LineTooLong(f"a line is longer than {self._limit_bytes} bytes")
        self._pending += piece


def one_line(text: str) -> str:
    return " ".join(text.split())


def _decoded(decoder: msgspec.json.Decoder[LineT], line: bytes) -> LineT:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadLine(str(error)) from error


def _line(message: object) -> bytes:
    return msgspec.json.encode(message) + b"\n"
