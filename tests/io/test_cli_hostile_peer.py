"""`specular echo` as a process of its own against peers that do everything wrong, or merely oddly.

Each case says what the client has sent when it is gone, and its exit status: 0 exactly when the echo was answered with
success, whatever became of the release. A failure is one line on stderr that names the node and the cause.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from hostile_cases import CASES, FAILED, WAIT_S, Case
from hostile_peer import PATIENCE_S, serve_once

AT_ONCE = 12  # most cases wait for something, few for a processor
FORKS = Path(__file__).with_name("client_forks.py")


class Outcome(NamedTuple):
    sent: str
    status: int
    output: str
    errors: str
    port: int


def echo_arguments(port: int, timeout_s: float) -> list[str]:
    return ["echo", f"PEER@127.0.0.1:{port}", "--timeout", str(timeout_s), "--json"]


def run(case: Case, control: socket.socket) -> Outcome:
    pipes = [os.pipe() for _ in range(3)]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        arguments = json.dumps(echo_arguments(port, case.timeout_s)).encode()
        socket.send_fds(control, [arguments], [write for _, write in pipes])
        for _, write in pipes:
            os.close(write)
        try:
            peer = serve_once(listening, case.script)
        except (AssertionError, TimeoutError) as failure:
            output, errors, status = (read_to_end(read) for read, _ in pipes)
            raise AssertionError(f"{failure}; client: {status!r} {output!r} {errors!r}") from failure
    output, errors, status = (read_to_end(read) for read, _ in pipes)
    return Outcome(peer.words, status[0], output.decode(), errors.decode(), port)


def read_to_end(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """The selected cases, many at once."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = {call.params["name"] for call in calls if call is not None and call.params.get("name") in CASES}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with subprocess.Popen([sys.executable, str(FORKS)], stdin=theirs) as forks, ours:
        theirs.close()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield {name: pool.submit(run, CASES[name], ours) for name in CASES if name in chosen}
        ours.close()
        forks.wait(PATIENCE_S)


@pytest.mark.parametrize("name", CASES)
def test_echo(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    check(CASES[name], outcomes[name].result())


def check(case: Case, outcome: Outcome) -> None:
    assert outcome.status == case.status, outcome
    if case.sent:
        assert outcome.sent == case.sent
    if case.status == FAILED:
        assert outcome.output == ""
        assert outcome.errors.startswith(f"specular echo: node (PEER at 127.0.0.1:{outcome.port}): ")
        assert outcome.errors.count("\n") == 1
        assert outcome.errors.rstrip("\n").isprintable()
        assert case.cause in outcome.errors
    else:
        (row,) = map(json.loads, outcome.output.splitlines())
        assert outcome.errors == ""
        assert bool(row["release_failure"]) == bool(case.cause)
        assert case.cause in (row["release_failure"] or "")


# The same from the very start of the interpreter, for one case of each outcome.
@pytest.mark.parametrize("whole", ["answered: at once", "releasing: abort", "rejected: 1/1/7", "echoing: silence"])
def test_echo_from_its_start(whole: str) -> None:
    case = CASES[whole]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = [sys.executable, "-m", "firmware_app", *echo_arguments(port, case.timeout_s)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
            peer = serve_once(listening, case.script)
            output, errors = client.communicate(timeout=PATIENCE_S)
    check(case, Outcome(peer.words, client.returncode, output, errors, port))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    command = [sys.executable, "-m", "firmware_app", *echo_arguments(port, WAIT_S)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == FAILED
    assert "cannot connect: Connection refused" in ended.stderr
    assert ended.stderr.count("\n") == 1
