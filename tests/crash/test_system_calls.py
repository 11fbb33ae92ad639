"""The supervisor of system calls: what it says is what the process gets, below Python and below SQLite."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from place import ENVIRONMENT, HERE
from system_calls import GO_ON, Call, Fail, Judge, Kill, Short, Supervisor, Verdict


def supervised(program: str, judge: Judge) -> tuple[int, str]:
    """Exit status and output of a Python program whose writing calls `judge` decides."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, str(HERE / "filtered_start.py"), str(theirs.fileno()), sys.executable, "-c", program]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, pass_fds=[theirs.fileno()])
        supervisor = Supervisor(ours, process.pid, judge)
        output, _ = process.communicate(timeout=60)
        supervisor.join()
    return process.returncode, output.decode()


def judge_of(folder: Path, kind: str, verdict: Verdict, seen: list[str] | None = None) -> Judge:
    def judge(call: Call) -> Verdict:
        if not call.path.startswith(str(folder)):
            return GO_ON
        if seen is not None:
            seen.append(f"{call.kind} {Path(call.path).name}")
        return verdict if call.kind == kind else GO_ON

    return judge


FILES = """
import errno, os
os.mkdir({folder!r} + "/new")
try:
    fd = os.open({folder!r} + "/a", os.O_WRONLY | os.O_CREAT)
    print(os.write(fd, b"12345678"), os.pwrite(fd, b"abcd", 2))
    os.fsync(fd)
    os.ftruncate(fd, 6)
    os.rename({folder!r} + "/a", {folder!r} + "/b")
    os.unlink({folder!r} + "/b")
except OSError as error:
    print(errno.errorcode[error.errno])
"""
ALL = ["mkdir new", "open a", "write a", "write a", "sync a", "truncate a", "rename a", "unlink b"]


def test_every_call_is_seen_in_order_and_goes_on(tmp_path: Path) -> None:
    seen: list[str] = []
    status, output = supervised(FILES.format(folder=str(tmp_path)), judge_of(tmp_path, "", GO_ON, seen))
    assert (status, output) == (0, "8 4\n")
    assert seen == ALL


@pytest.mark.parametrize("kind", ["open", "write", "sync", "truncate", "rename", "unlink"])
def test_a_call_fails_with_the_errno_and_is_not_done(tmp_path: Path, kind: str) -> None:
    _, output = supervised(FILES.format(folder=str(tmp_path)), judge_of(tmp_path, kind, Fail(errno.EROFS)))
    assert output.splitlines()[-1] == "EROFS"
    assert (tmp_path / "b").exists() is (kind == "unlink")


def test_half_of_a_write_is_done_where_the_process_is_in_its_file(tmp_path: Path) -> None:
    program = f"""
import os
fd = os.open({str(tmp_path)!r} + "/a", os.O_WRONLY | os.O_CREAT)
print(os.write(fd, b"12345678"), os.write(fd, b"abcdefgh"), os.pwrite(fd, b"XY", 1))
"""
    status, output = supervised(program, judge_of(tmp_path, "write", Short()))
    assert (status, output) == (0, "4 4 1\n")
    assert (tmp_path / "a").read_bytes() == b"1X34abcd"


def test_the_process_is_killed_before_the_call_is_done(tmp_path: Path) -> None:
    status, _ = supervised(FILES.format(folder=str(tmp_path)), judge_of(tmp_path, "rename", Kill()))
    assert status == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == ["a", "new"]


SQLITE = """
import sqlite3
connection = sqlite3.connect({folder!r} + "/d", isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA synchronous = FULL")
connection.execute("CREATE TABLE t (a)")
try:
    connection.execute("INSERT INTO t VALUES (1)")
except sqlite3.Error as error:
    print(error.sqlite_errorname)
print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
"""


def nth(judged: Callable[[Call], bool], number: int, verdict: Verdict) -> Judge:
    count = 0

    def judge(call: Call) -> Verdict:
        nonlocal count
        if not judged(call):
            return GO_ON
        count += 1
        return verdict if count == number else GO_ON

    return judge


@pytest.mark.parametrize(
    ("kind", "number", "code", "name"),
    [
        ("write", 6, errno.ENOSPC, "SQLITE_FULL"),
        ("write", 6, errno.EIO, "SQLITE_IOERR_WRITE"),
        ("sync", 3, errno.EIO, "SQLITE_IOERR_FSYNC"),
    ],
)
def test_sqlite_below_python_is_reached_too(tmp_path: Path, kind: str, number: int, code: int, name: str) -> None:
    def of_log(call: Call) -> bool:
        return call.kind == kind and call.path.endswith("d-wal")

    status, output = supervised(SQLITE.format(folder=str(tmp_path)), nth(of_log, number, Fail(code)))
    assert (status, output) == (0, f"{name}\n0\n")
