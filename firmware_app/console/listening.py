"""Where the console listens: one Unix socket per runtime folder, for its owner only."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET_MODE = 0o600
FOLDER_MODE = 0o700
BACKLOG = 16


class ConsoleUnavailable(Exception):
    """No console can be served there; the text names the path and the reason."""


@contextmanager
def listening_socket(path: Path) -> Iterator[socket.socket]:
    """A listening, non-blocking socket at `path`, removed at the end. Raises `ConsoleUnavailable`.

    A socket that a crashed service left behind is replaced; one that somebody answers on never is.
    """
    with _folder_of_our_own(path):
        with _failures_named(path):
            _remove_stale(path)
            sock = _bound(path)
        try:
            yield sock
        finally:
            path.unlink(missing_ok=True)
            sock.close()


@contextmanager
def _folder_of_our_own(path: Path) -> Iterator[None]:
    """The socket's folder, made where missing and locked: of two services starting at once, one gets it."""
    folder = path.parent
    with _failures_named(folder):
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _failures_named(folder):
            status = os.fstat(descriptor)
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise ConsoleUnavailable(f"{folder}: must belong to this user and be writable by nobody else")
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConsoleUnavailable(f"{path}: another service is running here") from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConsoleUnavailable(f"{path}: {error.strerror or error}") from error


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConsoleUnavailable(f"{path}: is there already and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        # A Unix socket connects at once or not at all; EAGAIN is a full backlog, so somebody is there.
        answer = probe.connect_ex(str(path))
    if answer != errno.ECONNREFUSED:
        raise ConsoleUnavailable(f"{path}: another service answers here")
    path.unlink()


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # On Linux the socket file gets the mode that the socket has when it is bound, so it is never wider open.
        os.fchmod(sock.fileno(), SOCKET_MODE)
        sock.bind(str(path))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
