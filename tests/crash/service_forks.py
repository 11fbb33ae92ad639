"""Service processes without the interpreter's start: each is forked from this one, with everything imported.

Half of the life of a service that is killed at random is its imports, in which nothing can be lost. Over the socket on
descriptor 0 comes one message a process, its arguments as JSON, and with it descriptors: its output, a pipe that gets
its exit status as an octet, and perhaps a socket for the listener of `system_calls`. Answered with the process id.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from importlib import import_module
from typing import NoReturn

from broken_build import BROKEN
from forked import run_to_the_end
from place import end_with_parent
from system_calls import install_filter

from firmware_app.cli import main
from firmware_app.services.late_imports import MODULES

MAX_MESSAGE = 65536
IMPORTED = ("firmware_app.app", "hw.folder_camera.camera", "hw.grbl.stage", *MODULES)


def serve(control: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, 3)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            become_service(**json.loads(message), descriptors=descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(f"{pid}\n".encode())


def become_service(arguments: list[str], broken: str, descriptors: list[int]) -> NoReturn:
    end_with_parent()
    output, status, *listener_socket = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for standard in (1, 2):
        os.dup2(output, standard)

    def service() -> int:
        if broken:
            BROKEN[broken]()
        if listener_socket:
            with socket.socket(fileno=listener_socket[0]) as to_supervisor:
                socket.send_fds(to_supervisor, [b"listener"], [install_filter()])
        return main(arguments)

    run_to_the_end(service, status)


if __name__ == "__main__":
    for name in IMPORTED:
        import_module(name)
    serve(socket.socket(fileno=0))
