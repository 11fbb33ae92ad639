"""The service and a damaged database: it begins anew by itself, and says what it did until somebody has read it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from damage import DAMAGES, PAGE, everything, fill, overwrite
from records_material import StandingClock

from firmware_app.console.commands import CommandContext, CommandFailed, CommandTable
from firmware_app.demo.console_link import CommandRefused, answers, connected
from firmware_app.demo.processes import Child, running
from firmware_app.model import Event
from firmware_app.records import safekeeping
from firmware_app.records.store import DATABASE_NAME, Records, local_now, open_records
from firmware_app.services import records_keeping
from firmware_app.services.opening_progress import PATIENCE_US, OpeningProgress
from firmware_app.services.records_commands import RecordsCommands
from firmware_app.services.records_keeping import RecordsKeeping

READY_S = 60.0


def configuration(folder: Path) -> Path:
    runtime = folder / "r"
    runtime.mkdir(parents=True)
    path = folder / "specular.toml"
    path.write_text(
        f'[paths]\nstate = "{folder / "state"}"\nruntime = "{runtime}"\n[instrument]\nport = 0\n', encoding="utf-8"
    )
    return path


def wait(condition: Callable[[], bool], what: str, child: Child) -> None:
    give_up_s = time.monotonic() + READY_S
    while not condition():
        assert child.process.poll() is None, child.log.read_text()
        assert time.monotonic() < give_up_s, f"{what}\n{child.log.read_text()[-4000:]}"
        time.sleep(0.05)


async def state_with(folder: Path, exams: range) -> dict[str, object]:
    clock = StandingClock()
    async with open_records(folder, clock=clock) as records:
        await fill(records, clock, exams)
        return await everything(records)


def rebuilds(console: Path) -> list[dict[str, object]]:
    try:
        with connected(console) as link:
            return list(link.run("records")[1]["rebuilds"])
    except (CommandRefused, OSError):
        return []


def test_damage_that_is_found_while_the_service_runs(tmp_path: Path) -> None:
    path = configuration(tmp_path)
    state, console = tmp_path / "state", tmp_path / "r" / "console.sock"
    trio.run(state_with, state, range(5, 45))
    with running("service", ["run", "--config", str(path)], tmp_path) as child:
        wait(lambda: answers(console), "console", child)
        database = state / DATABASE_NAME
        overwrite(database, PAGE, bytes(database.stat().st_size - PAGE))
        with connected(console) as link, pytest.raises(CommandRefused):
            link.run("exams --limit 1000")
        wait(lambda: len(rebuilds(console)) == 1, "rebuilt", child)
        with connected(console) as link:
            text, data = link.run("exams --limit 1000")
            assert [each["exam_id"] for each in data["exams"]] == [f"exam-{number}" for number in range(44, 4, -1)]
            assert "R 0 L 2" in text
            assert "not acknowledged" in link.run("status")[0]
            told = link.run("records")[0]
            for words in ("40 exams, 80 captures", "queued again", "set-aside/"):
                assert words in told
            selftest = [sys.executable, "-m", "firmware_app", "selftest", "--json", "--config", str(path)]
            said = subprocess.run(selftest, capture_output=True, text=True, check=False)
            results = {each["name"]: each for each in map(json.loads, said.stdout.splitlines())}
            assert results["records"]["result"] == "fail"
            assert "40 exams" in results["records"]["reason"]
            assert "set-aside" in link.run("records acknowledge --by 'Dr. Who'")[0]
            assert "not acknowledged" not in link.run("status")[0]
            with pytest.raises(CommandRefused, match="nothing was rebuilt"):
                link.run("records acknowledge")
        log = [json.loads(line) for line in child.log.read_text().splitlines()]
        kinds = [line["event"] for line in log]
        for kind in ("records.damaged", "records.rebuilding", "records.rebuilt", "service.ready"):
            assert kind in kinds
        assert [line["level"] for line in log if line["event"] in ("records.damaged", "records.rebuilt")] == [
            "critical",
            "critical",
        ]
        assert "Yamada" not in child.log.read_text()


# ----------------------------------------------------------------------------------------------- its own service


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_keeping, "FIRST_LOOK_AFTER_S", 0.0)
    monkeypatch.setattr(records_keeping, "LOOK_EVERY_S", 0.01)


class Keeping:
    """The service, running until the scope is left; its events, and the time that it reads."""

    def __init__(self, records: Records) -> None:
        self.events: list[Event] = []
        self.ahead = timedelta()
        self.service = RecordsKeeping(records, self._publish, lambda: local_now() + self.ahead)
        self._published = trio.Event()

    def _publish(self, event: Event) -> None:
        self.events.append(event)
        self._published.set()
        self._published = trio.Event()

    async def until_told(self, kind: str, times: int) -> None:
        with trio.fail_after(READY_S):
            while len(self.told(kind)) < times:
                await self._published.wait()

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


async def test_a_copy_is_made_once_a_day_and_checked(at_once: None, tmp_path: Path) -> None:
    await state_with(tmp_path, range(1, 3))
    async with open_records(tmp_path) as records:
        keeping = Keeping(records)
        assert keeping.service.detail == "not checked whole yet"
        async with trio.open_nursery() as scope:
            scope.start_soon(keeping.service.run)
            await keeping.until_told("records.checked", 1)
            assert "checked whole at " in keeping.service.detail
            assert "; copy of " in keeping.service.detail
            first = (tmp_path / safekeeping.COPY_NAME).stat().st_ino
            keeping.ahead = timedelta(days=1, seconds=1)
            await keeping.until_told("records.checked", 2)
            assert (tmp_path / safekeeping.COPY_NAME).stat().st_ino != first
            scope.cancel_scope.cancel()


async def test_a_young_copy_is_not_made_again_but_the_database_is_checked(at_once: None, tmp_path: Path) -> None:
    await state_with(tmp_path, range(1, 3))
    for _ in range(2):
        async with open_records(tmp_path) as records, trio.open_nursery() as scope:
            keeping = Keeping(records)
            scope.start_soon(keeping.service.run)
            await keeping.until_told("records.checked", 1)
            scope.cancel_scope.cancel()
        copy = (tmp_path / safekeeping.COPY_NAME).stat().st_ino
    assert (tmp_path / safekeeping.COPY_NAME).stat().st_ino == copy


async def test_a_disk_without_room_is_told_and_the_next_look_tries_again(
    at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await state_with(tmp_path, range(1, 2))
    async with open_records(tmp_path) as records, trio.open_nursery() as scope:
        keeping = Keeping(records)
        with monkeypatch.context() as patch:
            patch.setattr(safekeeping, "FREE_AFTER_COPY_BYTES", 1 << 60)
            scope.start_soon(keeping.service.run)
            await keeping.until_told("records.no_copy", 2)
            assert "no new copy: no copy is made" in keeping.service.detail
        await keeping.until_told("records.checked", 1)
        scope.cancel_scope.cancel()


async def test_damage_that_the_check_finds_ends_the_service_and_not_the_nursery(at_once: None, tmp_path: Path) -> None:
    await state_with(tmp_path, range(1, 4))
    async with open_records(tmp_path) as records, trio.open_nursery() as scope:
        DAMAGES["reference to nothing"](tmp_path / DATABASE_NAME)
        keeping = Keeping(records)
        scope.start_soon(keeping.service.run)
        with trio.fail_after(READY_S):
            await records.is_damaged.wait()
    async with open_records(tmp_path) as records:
        assert len(await records.exams()) == 3
        assert len(await records.soundness.rebuilds()) == 1


async def test_a_rebuild_is_an_alert_at_every_start_until_it_is_acknowledged(at_once: None, tmp_path: Path) -> None:
    await state_with(tmp_path, range(1, 4))
    DAMAGES["missing"](tmp_path / DATABASE_NAME)
    for _ in range(2):
        async with open_records(tmp_path) as records, trio.open_nursery() as scope:
            keeping = Keeping(records)
            scope.start_soon(keeping.service.run)
            await keeping.until_told("records.rebuilt", 2)  # and again after every look
            assert {event.level for event in keeping.told("records.rebuilt")} == {"alert"}
            scope.cancel_scope.cancel()
    async with open_records(tmp_path) as records:
        keeping = Keeping(records)
        commands = {command.name: command for command in RecordsCommands(keeping.service, records, "Dr. Ω").table()}
        context = CommandContext(CommandTable(commands.values()), lambda text: None)
        shown = await commands["records"].handler(context, {})
        assert "it is missing" in shown.text
        await commands["records acknowledge"].handler(context, {"by": ""})
        assert (
            json.loads((tmp_path / shown.data["rebuilds"][0]["folder"] / "acknowledged.json").read_text())["by"]
            == "Dr. Ω"
        )
        with pytest.raises(CommandFailed):
            await commands["records acknowledge"].handler(context, {"by": ""})
        assert "missing" not in (await commands["records"].handler(context, {})).text


def test_systemd_waits_for_a_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        progress = OpeningProgress()
        progress("looking")
        progress.over()
        assert systemd.recv(200).decode() == f"STATUS=records: looking\nEXTEND_TIMEOUT_USEC={PATIENCE_US}"
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        progress.over()
        assert systemd.recv(200) == b"WATCHDOG_USEC=10000000\nWATCHDOG=1"
        progress("looking")
        assert systemd.recv(200).decode().endswith(f"WATCHDOG_USEC={PATIENCE_US}\nWATCHDOG=1")
        with pytest.raises(BlockingIOError):
            systemd.recv(200)
        OpeningProgress().over()
        with pytest.raises(BlockingIOError):
            systemd.recv(200)
