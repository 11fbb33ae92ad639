"""The console's client as its own process against a served table: what a script and a person at a terminal get."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.console.server import serve_console
from firmware_app.model import Event
from firmware_app.services.events import EventBus


class Service:
    def __init__(self, path: Path, bus: EventBus) -> None:
        self.path = path
        self.bus = bus
        self.moving = trio.Event()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    console = Service(tmp_path / "console.sock", EventBus())

    async def say(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        context.progress("about to say it")
        return Reply(" ".join(arguments["word"]), {"words": list(arguments["word"])})

    async def fail(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        raise CommandFailed("no eye to be seen")

    async def move(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        console.moving.set()
        await trio.sleep_forever()
        raise AssertionError

    async def event(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        console.bus.publish(Event("stage.lost", "stage lost: unplugged"))
        return Reply("published")

    table = CommandTable(
        [
            Command("say", "say it", say, (Argument("WORD", repeated=True),)),
            Command("fail", "fail", fail),
            Command("stage move", "move for ever", move),
            Command("event", "something happens", event),
        ]
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_console, console.path, table, console.bus.subscribe)
        yield console
        nursery.cancel_scope.cancel()


def client_command(path: Path, *arguments: object) -> list[str]:
    command, json_output = repr(arguments[0] if arguments else None), bool(arguments[1:])
    code = f"from pathlib import Path; from firmware_app.console.client import run_console as run; import sys; \
sys.exit(run(Path({str(path)!r}), {command}, {json_output}))"
    return [sys.executable, "-c", code]


async def run_client(path: Path, *arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
    with trio.fail_after(30):
        done = await trio.run_process(
            client_command(path, *arguments), stdin=stdin, capture_stdout=True, capture_stderr=True, check=False
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        (["say hello 山田"], (0, "hello 山田\n", "about to say it\n")),
        (["say hello", "--json"], (0, '{"words":["hello"]}\n', "about to say it\n")),
        (["fail"], (1, "", "specular console: no eye to be seen\n")),
        (["say"], (2, "", "specular console: say: WORD is missing (usage: say WORD...)\n")),
        (["syy x"], (2, "", 'specular console: unknown command "syy": did you mean "say"?\n')),
        ([""], (2, "", 'specular console: no command given ("help" lists all)\n')),
        (["say 'a\x1b[2Jb'"], (0, "a\N{REPLACEMENT CHARACTER}[2Jb\n", "about to say it\n")),
    ],
)
async def test_one_command(service: Service, arguments: list[str], outcome: tuple[int, str, str]) -> None:
    assert await run_client(service.path, *arguments) == outcome


async def test_commands_from_a_pipe_stop_at_the_first_that_fails(service: Service) -> None:
    script = b"# an exam\nsay one\n\n  say two\nfail\nsay three\n"
    status, output, errors = await run_client(service.path, stdin=script)
    assert (status, output) == (1, "one\ntwo\n")
    assert errors.endswith("specular console: no eye to be seen\n")
    assert await run_client(service.path, stdin=b"say one\n") == (0, "one\n", "about to say it\n")
    assert await run_client(service.path, stdin=b"") == (0, "", "")
    assert (await run_client(service.path, stdin=b"say\nsay x"))[0] == 2
    not_utf8 = (2, "", "specular console: the line is not UTF-8\n")
    assert await run_client(service.path, stdin=b"say M\xfcller\nsay x") == not_utf8
    assert await run_client(service.path, os.fsdecode(b"say M\xfcller")) == not_utf8


async def test_ctrl_c_cancels_the_running_command(service: Service) -> None:
    process = await trio.lowlevel.open_process(client_command(service.path, "stage move"), stderr=subprocess.DEVNULL)
    with trio.fail_after(30):
        await service.moving.wait()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_no_service_is_said_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "console.sock"
    status, output, errors = await run_client(path, "status")
    assert (status, output) == (1, "")
    assert errors == (
        f"specular console: no service answers on {path}: No such file or directory (is specular.service running?)\n"
    )
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    assert "Connection refused" in (await run_client(path, "status"))[2]


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"", "closed the connection"), (b"HTTP/1.1 400\r\n", "does not speak the console's protocol")],
)
async def test_a_service_that_goes_away_in_between_is_an_error(tmp_path: Path, said: bytes, reason: str) -> None:
    path = tmp_path / "console.sock"
    with trio.socket.socket(trio.socket.AF_UNIX) as listening:
        await listening.bind(str(path))
        listening.listen()

        async def one_client() -> None:
            connection, _ = await listening.accept()
            with connection:
                await connection.recv(1000)
                if said:
                    await connection.send(said)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one_client)
            status, output, errors = await run_client(path, "status")
    assert (status, output) == (1, "")
    assert errors.count("\n") == 1
    assert str(path) in errors
    assert reason in errors


class Terminal:
    """The client at a pseudo terminal, with a person who types and reads."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._seen = ""

    async def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def expect(self, text: str) -> str:
        """Read until `text` is on the screen; returns everything up to it, without the terminal's control sequences."""
        with trio.fail_after(30):
            while text not in self._seen:
                await trio.lowlevel.wait_readable(self._master)
                chunk = os.read(self._master, 4096).decode()
                self._seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", chunk)
        before, found, self._seen = self._seen.partition(text)
        return before + found


async def test_a_session_at_a_terminal(service: Service) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "INPUTRC": "/dev/null"}
    process = await trio.lowlevel.open_process(
        client_command(service.path), stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        terminal = Terminal(master)
        await terminal.expect("Ctrl-D leaves.")
        await terminal.expect("specular> ")
        await terminal.type("sa\thello\n")  # completion writes the rest of the word and a space
        assert "about to say it" in await terminal.expect("\r\nhello\r\n")
        await terminal.expect("specular> ")
        await terminal.type("fail\n")
        await terminal.expect("specular console: no eye to be seen")
        await terminal.expect("specular> ")
        await terminal.type("half a li")
        await terminal.expect("half a li")
        service.bus.publish(Event("stage.lost", "stage lost: \x1b]0;unplugged"))
        shown = await terminal.expect("specular> half a li")  # the half-typed line stays in sight
        assert "* stage.lost: stage lost: \N{REPLACEMENT CHARACTER}]0;unplugged" in shown
        await terminal.type("\x15stage move\n")
        with trio.fail_after(30):
            await service.moving.wait()
        process.send_signal(signal.SIGINT)
        await terminal.expect("stage move: cancelled")
        await terminal.expect("specular> ")
        await terminal.type("\x04")
        with trio.fail_after(30):
            assert await process.wait() == 0
    finally:
        os.close(master)
        process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("asked", "stdin", "said"),
    [("say hello", b"say never\n", "hello\n"), ("", b"say piped\n", "piped\n"), (None, b"say piped\n", "piped\n")],
)
async def test_the_command_of_an_ssh_client_is_one_of_the_console(
    service: Service, tmp_path: Path, asked: str | None, stdin: bytes, said: str
) -> None:
    """sshd hands it over as a text (ForceCommand), which no shell has seen."""
    config = tmp_path / "specular.toml"
    config.write_text(f'[paths]\nruntime = "{service.path.parent}"\n')
    command = [sys.executable, "-m", "firmware_app", "--config", str(config), "console", "--ssh"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()} | ({} if asked is None else {"SSH_ORIGINAL_COMMAND": asked})
    with trio.fail_after(30):
        done = await trio.run_process(
            command, stdin=stdin, capture_stdout=True, capture_stderr=True, check=False, env=environment
        )
    assert (done.returncode, done.stdout.decode()) == (0, said)
