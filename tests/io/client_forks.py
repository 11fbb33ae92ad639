"""Real processes of the command line without the interpreter's start: each is forked with everything imported.

Over the socket on descriptor 0 comes one message a process: its arguments as JSON, and with it the descriptors that
become its stdout and stderr, and one that gets its exit status as an octet.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

sys.path.append(str(Path(__file__).resolve().parents[1]))

from forked import run_to_the_end

import firmware_app.net.verification
import firmware_app.profiles
import firmware_app.services.network_verbs  # noqa: F401
from firmware_app.cli import main

MAX_MESSAGE = 65536


def serve(control: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, 3)
        if not message:
            return
        if os.fork() == 0:
            become_client(json.loads(message), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def become_client(arguments: list[str], output: int, errors: int, status: int) -> NoReturn:
    sys.stdout, sys.stderr = os.fdopen(output, "w"), os.fdopen(errors, "w")
    run_to_the_end(partial(main, arguments), status)


if __name__ == "__main__":
    serve(socket.socket(fileno=0))
