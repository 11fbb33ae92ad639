"""The console's server over a real Unix socket: several clients, cancelling, and whatever a client may do wrong."""

from __future__ import annotations

import json
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from firmware_app.console import server
from firmware_app.console.commands import Argument, Command, CommandBusy, CommandContext, CommandFailed, CommandTable
from firmware_app.console.listening import ConsoleUnavailable
from firmware_app.console.protocol import REQUEST_LINE_MAX_BYTES, Reply
from firmware_app.console.server import ConsoleUser, serve_console
from firmware_app.model import Event
from firmware_app.services.events import EventBus
from hw.errors import DeviceLost


class Instrument:
    """A few commands whose course the test decides."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.stopped = trio.Event()
        self.finish = trio.Event()
        self.table = CommandTable(
            [
                Command("say", "say it", self.say, (Argument("WORD", repeated=True),)),
                Command("move", "move until told", self.move),
                Command("fail", "fail in some way", self.fail, (Argument("HOW"),)),
                Command("chatter", "much progress", self.chatter),
            ]
        )

    async def say(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return Reply(" ".join(arguments["word"]), {"words": list(arguments["word"])})

    async def move(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        context.progress("moving")
        self.begun.set()
        try:
            await self.finish.wait()
        except trio.Cancelled:
            self.stopped.set()
            raise
        return Reply("there")

    async def chatter(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        for number in range(100_000):
            context.progress(f"{number} {'x' * 100}")
        return Reply("done")

    async def fail(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        match arguments["how"]:
            case "failed":
                raise CommandFailed("no eye\nto be seen")
            case "busy":
                raise CommandBusy("an exam is open")
            case "lost":
                raise DeviceLost("/dev/ttyACM0: gone")
            case "nursery":
                async with trio.open_nursery():
                    raise DeviceLost("gone in a nursery")
            case _:
                raise ZeroDivisionError("a bug")


class Client:
    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._pending = b""

    async def send(self, **request: object) -> None:
        await self.stream.send_all(json.dumps(request).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        with trio.fail_after(10):
            while b"\n" not in self._pending:
                chunk = await self.stream.receive_some()
                if not chunk:
                    raise EOFError
                self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def ask(self, line: str, request_id: int = 1) -> dict[str, Any]:
        """The answer to one command, its progress left out."""
        await self.send(id=request_id, line=line)
        while "ok" not in (message := await self.receive()):
            pass
        return message


class Console:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.instrument = Instrument()
        self.bus = EventBus(capacity=4)
        self.used: list[tuple[bool, ConsoleUser]] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_unix_socket(str(self.path)) as stream:
            yield Client(stream)


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[Console]:
    console = Console(path)
    async with trio.open_nursery() as nursery:
        serve = partial(serve_console, observe=lambda comes, user: console.used.append((comes, user)))
        await nursery.start(serve, path, console.instrument.table, console.bus.subscribe, (DeviceLost,))
        yield console
        nursery.cancel_scope.cancel()


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    async with served(tmp_path / "run" / "console.sock") as console:
        yield console


async def test_only_the_owner_may_use_the_socket_and_it_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "run" / "console.sock"
    async with served(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_a_command_gets_exactly_one_answer(console: Console) -> None:
    async with console.client() as client:
        assert await client.ask("say 'good morning' 山田", 7) == {
            "id": 7,
            "ok": True,
            "text": "good morning 山田",
            "data": {"words": ["good morning", "山田"]},
        }
        assert (await client.ask("help", 8))["data"]["commands"][0]["name"] == "chatter"


async def test_two_clients_do_not_disturb_each_other(console: Console) -> None:
    async with console.client() as one, console.client() as two:
        await one.send(id=1, line="move")
        assert await one.receive() == {"id": 1, "progress": "moving"}
        assert (await two.ask("say hello", 1))["text"] == "hello"
        console.instrument.finish.set()
        assert (await one.receive())["text"] == "there"


async def test_cancelling_stops_the_command_and_answers_it(console: Console) -> None:
    async with console.client() as client:
        await client.send(id=1, line="move")
        await console.instrument.begun.wait()
        await client.send(id=2, cancel=True)  # nothing runs under that id
        await client.send(id=1, cancel=True)
        assert await client.receive() == {"id": 1, "progress": "moving"}
        assert await client.receive() == {"id": 1, "ok": False, "kind": "cancelled", "error": "move: cancelled"}
        assert console.instrument.stopped.is_set()
        assert (await client.ask("say again", 1))["ok"]


@pytest.mark.parametrize("how", ["close", "half close", "reset while the service writes"])
async def test_a_client_that_goes_away_cancels_what_it_runs(console: Console, how: str) -> None:
    async with console.client() as client:
        await client.send(id=1, line="move")
        await console.instrument.begun.wait()
        if how == "half close":
            client.stream.socket.shutdown(socket.SHUT_WR)
        elif how == "reset while the service writes":
            await client.send(id=2, line="chatter")
            await client.send(id=3, line="chatter")
            await client.receive()
            await client.stream.aclose()
        else:
            await client.stream.aclose()
        with trio.fail_after(10):
            await console.instrument.stopped.wait()
    async with console.client() as client:
        assert (await client.ask("say still here"))["ok"]


async def test_the_end_of_the_service_stops_what_runs(tmp_path: Path) -> None:
    async with served(tmp_path / "console.sock") as console, console.client() as client:
        await client.send(id=1, line="move")
        await console.instrument.begun.wait()
    assert console.instrument.stopped.is_set()


@pytest.mark.parametrize(
    ("line", "kind", "error"),
    [
        ("say", "usage", "say: WORD is missing (usage: say WORD...)"),
        ("sya x", "usage", 'unknown command "sya": did you mean "say"?'),
        ("help sya", "usage", 'unknown command "sya": did you mean "say"?'),
        ("fail failed", "failed", "no eye to be seen"),
        ("fail busy", "busy", "an exam is open"),
        ("fail lost", "failed", "/dev/ttyACM0: gone"),
        ("fail nursery", "failed", "gone in a nursery"),
    ],
)
async def test_errors_are_one_line_of_a_kind(console: Console, line: str, kind: str, error: str) -> None:
    with structlog.testing.capture_logs() as logged:
        async with console.client() as client:
            assert await client.ask(line) == {"id": 1, "ok": False, "kind": kind, "error": error}
    assert logged == []


async def test_a_bug_in_a_command_is_answered_and_logged_and_the_service_goes_on(console: Console) -> None:
    with structlog.testing.capture_logs() as logged:
        async with console.client() as client:
            answer = await client.ask("fail bug")
            assert (answer["kind"], answer["error"]) == ("failed", "a bug")
            assert (await client.ask("say fine"))["ok"]
    assert [(entry["event"], entry["command"], entry["exc_info"]) for entry in logged] == [
        ("console.command_broke", "fail", True)
    ]


async def test_garbage_is_refused_and_the_connection_stays(console: Console) -> None:
    async with console.client() as client:
        for garbage in (b"status\n", b"\xff\xfe\n", b"{}\n", b'{"id":1}\n'):
            await client.stream.send_all(garbage)
            answer = await client.receive()
            assert (answer["id"], answer["kind"]) == (None, "usage")
            assert answer["error"].startswith("not a request: ")
        assert (await client.ask("say fine"))["ok"]


async def test_an_over_long_line_is_refused_and_the_connection_closed(console: Console) -> None:
    async with console.client() as client:
        await client.stream.send_all(b"x" * (REQUEST_LINE_MAX_BYTES + 1))
        answer = await client.receive()
        assert (answer["id"], answer["kind"]) == (None, "usage")
        assert "longer than" in answer["error"]
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await client.receive()


async def test_one_client_runs_a_bounded_number_of_commands(console: Console) -> None:
    async with console.client() as client:
        for request_id in range(server.COMMANDS_PER_CLIENT_MAX):
            await client.send(id=request_id, line="move")
            await client.receive()
        assert (await client.ask("move", 0))["error"] == "request 0 is running already"
        assert (await client.ask("say x", 99))["kind"] == "busy"
        await client.send(id=0, cancel=True)
        assert (await client.receive())["kind"] == "cancelled"
        assert (await client.ask("say x", 99))["ok"]


async def test_clients_are_bounded(console: Console) -> None:
    clients = [await trio.open_unix_socket(str(console.path)) for _ in range(server.CLIENTS_MAX)]
    for stream in clients:  # each is being served
        assert (await Client(stream).ask("say x"))["ok"]
    async with console.client() as late:
        assert (await late.receive())["kind"] == "busy"
        with pytest.raises(EOFError):
            await late.receive()
    for stream in clients:
        await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    async with console.client() as later:
        assert (await later.ask("say x"))["ok"]


async def test_progress_nobody_reads_is_dropped_but_never_the_result(console: Console) -> None:
    async with console.client() as client:
        await client.send(id=1, line="chatter")
        await trio.testing.wait_all_tasks_blocked()
        count = 0
        while "progress" in (message := await client.receive()):
            count += 1
        assert message == {"id": 1, "ok": True, "text": "done", "data": {}}
        assert 0 < count < 100_000


async def test_subscribers_get_events_and_a_slow_one_learns_how_many_it_missed(console: Console) -> None:
    async with console.client() as client:
        await client.send(subscribe=True)
        await client.send(subscribe=True)  # twice is once
        assert (await client.ask("say listening"))["ok"]
        console.bus.publish(Event("stage.ready", "ready", {"port": "/dev/x"}))
        assert await client.receive() == {
            "event": {"kind": "stage.ready", "text": "ready", "data": {"port": "/dev/x"}, "level": "info"}
        }
        sent = 20_000  # far more than socket buffers, outbox and subscription hold
        for number in range(sent):
            console.bus.publish(Event("test", "x" * 200, {"number": number}))
            if number % 100 == 0:
                await trio.testing.wait_all_tasks_blocked()
        numbers: list[int] = []
        missed = 0
        while not numbers or numbers[-1] != sent - 1:
            message = await client.receive()
            if "missed" in message:
                missed += message["missed"]
            else:
                numbers.append(message["event"]["data"]["number"])
                assert numbers[-1] == len(numbers) + missed - 1, "what is missing was told before"
        assert missed > 0
        assert len(numbers) + missed == sent


async def test_the_events_command_watches(console: Console) -> None:
    async with console.client() as client:
        await client.send(id=1, line="events 2")
        await trio.testing.wait_all_tasks_blocked(0.01)
        console.bus.publish(Event("a", "one"))
        console.bus.publish(Event("b", "two"))
        assert [await client.receive() for _ in range(2)] == [
            {"id": 1, "progress": "a: one"},
            {"id": 1, "progress": "b: two"},
        ]
        answer = await client.receive()
        assert answer["text"] == "2 events"
        assert [event["kind"] for event in answer["data"]["events"]] == ["a", "b"]


async def refusal(path: Path) -> str:
    """Why no console can be served at `path`."""
    with pytest.raises(ConsoleUnavailable) as caught:
        await serve_console(path, CommandTable(), EventBus().subscribe)
    return str(caught.value)


async def test_a_second_service_is_refused_and_the_first_goes_on(console: Console) -> None:
    assert await refusal(console.path) == f"{console.path}: another service is running here"
    async with console.client() as client:
        assert (await client.ask("say fine"))["ok"]


async def test_a_socket_somebody_else_answers_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "console.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert await refusal(path) == f"{path}: another service answers here"


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "console.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    async with served(path) as console, console.client() as client:
        assert (await client.ask("say fine"))["ok"]


async def test_places_where_no_console_can_be(tmp_path: Path) -> None:
    file = tmp_path / "console.sock"
    file.write_text("precious")
    assert await refusal(file) == f"{file}: is there already and is not a socket"
    assert file.read_text() == "precious"
    assert "File exists" in await refusal(file / "console.sock")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert (
        await refusal(shared / "console.sock") == f"{shared}: must belong to this user and be writable by nobody else"
    )
    assert "too long" in await refusal(tmp_path / ("x" * 200) / "console.sock")


async def test_who_comes_and_goes_is_told_by_the_kernel(console: Console) -> None:
    async with console.client() as client:
        await client.ask("say hello")
    await trio.testing.wait_all_tasks_blocked(0.05)
    us = ConsoleUser(os.getuid(), pwd.getpwuid(os.getuid()).pw_name, os.getpid())
    assert console.used == [(True, us), (False, us)]


async def test_an_event_never_carries_patient_data_to_a_console(console: Console) -> None:
    async with console.client() as client:
        await client.send(subscribe=True)
        await client.ask("say hello")
        console.bus.publish(Event("exam.started", "exam 1", patient={"name": "Doe^Jane"}))
        message = await client.receive()
    assert message == {"event": {"kind": "exam.started", "text": "exam 1", "data": {}, "level": "info"}}
