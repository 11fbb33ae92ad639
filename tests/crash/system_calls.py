"""Every call by which a process writes to files, held at the system-call boundary until we say how it ends.

Seccomp user notification (Linux 5.6): the kernel stops the calling thread and asks us, whoever calls: Python, SQLite, a
codec. We let the call go on, fail it with an errno, do a part of it, or kill the process there. The supervised process
installs the filter itself and hands us the listener (`filtered_start.py`); it needs no privileges, and what is not in
`CALLS` runs at full speed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

WriteCall = Literal["open", "write", "sync", "truncate", "rename", "mkdir", "unlink"]
Where = Literal[
    "fd", "path", "at"
]  # which arguments name the file: 0 is an fd, 0 a path, or 1 a path (openat and like)

# <asm/unistd.h>: number on x86-64, number on arm64 (generic) or None, what it is to us, how it names its file.
_TABLE: Final[tuple[tuple[int | None, int | None, WriteCall, Where], ...]] = (
    (1, 64, "write", "fd"),  # write
    (18, 68, "write", "fd"),  # pwrite64
    (20, 66, "write", "fd"),  # writev
    (296, 70, "write", "fd"),  # pwritev
    (74, 82, "sync", "fd"),  # fsync
    (75, 83, "sync", "fd"),  # fdatasync
    (77, 46, "truncate", "fd"),  # ftruncate
    (285, 47, "truncate", "fd"),  # fallocate
    (2, None, "open", "path"),  # open
    (257, 56, "open", "at"),  # openat
    (82, None, "rename", "path"),  # rename
    (264, 38, "rename", "at"),  # renameat
    (316, 276, "rename", "at"),  # renameat2
    (83, None, "mkdir", "path"),  # mkdir
    (258, 34, "mkdir", "at"),  # mkdirat
    (87, None, "unlink", "path"),  # unlink
    (263, 35, "unlink", "at"),  # unlinkat
)
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # <linux/audit.h>
_MACHINE: Final = os.uname().machine
_COLUMN: Final = {"x86_64": 0, "aarch64": 1}.get(_MACHINE, 0)
CALLS: Final = {row[_COLUMN]: (row[2], row[3]) for row in _TABLE if row[_COLUMN] is not None}
_WRITE: Final = (1, 64)[_COLUMN]
_PWRITE: Final = (18, 68)[_COLUMN]
_OPENS_TO_WRITE: Final = os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC

# <linux/filter.h>, <linux/seccomp.h>
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}.get(_MACHINE, 317)
_PIDFD_GETFD: Final = 438
_SET_NO_NEW_PRIVS = 38
_NOTIFICATION = struct.Struct("=QII iIQ6Q")  # id, thread, flags; number, arch, instruction pointer, arguments
_RESPONSE = struct.Struct("=QqiI")  # id, value, negative errno, flags
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Call:
    """One write-class call of the supervised process, not yet done. `size` is what a write has to write."""

    kind: WriteCall
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """The kernel does it."""


@dataclass(frozen=True, slots=True)
class Fail:
    """It is not done and returns this errno."""

    errno: int


@dataclass(frozen=True, slots=True)
class Short:
    """Only the first half of the octets is written; other calls go on."""


@dataclass(frozen=True, slots=True)
class Kill:
    """The process is killed before it is done. To be killed behind it is to be killed before the next one."""


Verdict = GoOn | Fail | Short | Kill
GO_ON: Final = GoOn()
Judge = Callable[[Call], Verdict]


# --------------------------------------------------------------------------------------- in the supervised process


def install_filter() -> int:
    """From now on this process asks; returns the listener's descriptor. `OSError` where the kernel cannot."""
    program = _program()

    class Instructions(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]

    told = Instructions(len(program) // 8, program)
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    listener = int(_libc.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(told)))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER)")
    return listener


def _program() -> bytes:
    """Classic BPF: what opens a file asks only if it may write to it, everything else of `CALLS` always."""

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    lines = [step(_LOAD, _ARCH_AT), step(_JUMP_EQUAL, _AUDIT_ARCH[_MACHINE], 1, 0), step(_RETURN, _ALLOW)]
    lines.append(step(_LOAD, _NUMBER_AT))
    for number, (kind, where) in CALLS.items():
        if kind == "open":
            flags_at = _ARGUMENTS_AT + 8 * (2 if where == "at" else 1)
            check = [step(_LOAD, flags_at), step(_JUMP_SET, _OPENS_TO_WRITE, 0, 1)]
            body = [*check, step(_RETURN, _NOTIFY), step(_RETURN, _ALLOW)]
        else:
            body = [step(_RETURN, _NOTIFY)]
        lines += [step(_JUMP_EQUAL, number, 0, len(body)), *body]
    lines.append(step(_RETURN, _ALLOW))
    return b"".join(lines)


# --------------------------------------------------------------------------------------- in the supervising process


class Supervisor:
    """Answers for one process in a thread of its own until that process has ended. `judge` decides each call."""

    def __init__(self, control: socket.socket, pid: int, judge: Judge) -> None:
        """`control` is where `filtered_start.py` sends the listener."""
        _, (self._listener, *_), _, _ = socket.recv_fds(control, 16, 1)
        self._pid = pid
        self._pidfd = os.pidfd_open(pid)
        self.judge = judge
        self._thread = threading.Thread(target=self._serve, name=f"supervisor of {pid}", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """The process has ended."""
        self._thread.join()
        os.close(self._listener)
        os.close(self._pidfd)

    def _serve(self) -> None:
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        while True:
            ((_, happened),) = waiting.poll()
            if happened & select.POLLIN:
                self._answer_one()
            elif happened:  # nobody is left who could ask
                return

    def _answer_one(self) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
        except OSError:  # killed while it asked
            return
        asked, thread, _, number, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        # Killed while it waits: then an answer reaches nobody.
        with contextlib.suppress(OSError):
            response = self._settle(f"/proc/{thread}", number, arguments)
            if response is not None:
                value, error, flags = response
                fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(asked, value, -error, flags))

    def _settle(self, thread: str, number: int, arguments: list[int]) -> tuple[int, int, int] | None:
        """The value, the errno and the flags of the response; None: it gets none."""
        kind, where = CALLS[number]
        if where == "fd":
            path = os.readlink(f"{thread}/fd/{arguments[0] & 0xFFFFFFFF}")
        else:
            path = _text(thread, arguments[1 if where == "at" else 0])
        size = arguments[2] if number in (_WRITE, _PWRITE) else 0
        match self.judge(Call(kind, path, size)):
            case Fail(code):
                return 0, code, 0
            case Short() if number in (_WRITE, _PWRITE) and size > 1:
                return self._write_half(thread, number, arguments), 0, 0
            case Kill():
                os.kill(self._pid, signal.SIGKILL)
                return None
        return 0, 0, _CONTINUE

    def _write_half(self, thread: str, number: int, arguments: list[int]) -> int:
        """In the place of the process, on its own open file: a `write` moves the offset that it goes on from."""
        fd, address, size, offset, *_ = arguments
        octets = _memory(thread, address, size // 2)
        ours = int(_libc.syscall(_PIDFD_GETFD, self._pidfd, ctypes.c_int(fd & 0xFFFFFFFF), 0))
        if ours < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            return os.write(ours, octets) if number == _WRITE else os.pwrite(ours, octets, offset)
        finally:
            os.close(ours)


def _memory(thread: str, address: int, size: int) -> bytes:
    with open(f"{thread}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size)


def _text(thread: str, address: int) -> str:
    """A path of the process: up to its zero octet, a page's rest at a time, because the next page may not be there."""
    octets = b""
    while b"\0" not in octets and len(octets) < 4096:
        octets += _memory(thread, address + len(octets), 4096 - (address + len(octets)) % 4096)
    return os.fsdecode(octets.partition(b"\0")[0])
