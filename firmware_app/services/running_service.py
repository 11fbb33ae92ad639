"""One question to the service that is running, over its console's socket."""

from __future__ import annotations

from pathlib import Path

import trio

from firmware_app.console.protocol import (
    REPLY_LINE_MAX_BYTES,
    Answer,
    BadLine,
    Failure,
    LineSplitter,
    LineTooLong,
    Progress,
    Reply,
    Run,
    decode_service_message,
    encode_request,
)

REQUEST_ID = 1
RECEIVE_BYTES = 64 * 1024


class NoService(Exception):
    """Nobody answers there; the text says which path and why."""


async def ask_service(socket_path: Path, line: str) -> Reply | Failure:
    """What a command of the console answers. Waits as long as the service does. Raises `NoService`."""
    try:
        stream = await trio.open_unix_socket(str(socket_path))
    except OSError as error:
        raise NoService(f"no service answers on {socket_path}: {error.strerror or error}") from error
    splitter = LineSplitter(REPLY_LINE_MAX_BYTES)
    try:
        async with stream:
            await stream.send_all(encode_request(Run(REQUEST_ID, line)))
            while chunk := await stream.receive_some(RECEIVE_BYTES):
                for each in splitter.feed(chunk):
                    message = decode_service_message(each)
                    if isinstance(message, Answer) and not isinstance(message.content, Progress):
                        return message.content
    except (BadLine, LineTooLong) as error:
        raise NoService(f"what listens on {socket_path} is not the service: {error}") from error
    except trio.BrokenResourceError as error:
        raise NoService(f"the service on {socket_path} went away") from error
    raise NoService(f"the service on {socket_path} closed the connection without an answer")
