"""systemd hears that all is well as long as every part gets on: a real notification socket, and parts that really hang.

One test for each way of hanging; and the waits that are none.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from delivery_peer import LOCAL, Watch, dicom_instance
from mpps_steps import POLICY
from records_material import SC_CLASS, exam_of, uid_of

from firmware_app.app import ServiceGroup
from firmware_app.model import Eye
from firmware_app.net.node import Node, Timeouts
from firmware_app.progress import COMPUTE_S, DISK_S, SERVICE_S, ProgressTable, idle, working
from firmware_app.records.store import open_records
from firmware_app.services.analysis import run_analysis
from firmware_app.services.delivery import run_delivery, send_in_order
from firmware_app.services.health import LAG_PROBE_S, LoopLag, Watchdog

PERIOD_S = 10.0


class Systemd:
    """The other end of NOTIFY_SOCKET. The kernel holds ten messages, so whoever lets time pass reads them."""

    def __init__(self, bound: socket.socket) -> None:
        self._bound = bound
        self._messages: list[bytes] = []

    def listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._messages.append(self._bound.recv(1000))

    def heard(self) -> list[bytes]:
        """What came since the last call."""
        self.listen()
        messages, self._messages = self._messages, []
        return messages

    async def sleep(self, seconds: float) -> None:
        """Under autojump."""
        with trio.move_on_after(seconds):
            while True:
                await trio.sleep(PERIOD_S)
                self.listen()

    async def jump(self, clock: trio.testing.MockClock, seconds: float, piece_s: float = PERIOD_S / 2) -> None:
        """The clock by hand: threads are at work, which autojump does not see."""
        for _ in range(int(seconds / piece_s)):
            clock.jump(piece_s)
            await trio.testing.wait_all_tasks_blocked()
            self.listen()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        bound.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", str(int(PERIOD_S * 1e6)))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield Systemd(bound)


class Watched:
    """A table, a watchdog that looks at it, and a group of services, as the application joins them."""

    def __init__(self, nursery: trio.Nursery, watch: Watch) -> None:
        self.watch = watch
        self.table = ProgressTable(trio.current_time)
        self.watchdog = Watchdog(self.table, watch.publish)
        self.group = ServiceGroup(nursery, self.table)
        self.group.start_soon("watchdog", self.watchdog.run)

    def alerts(self) -> list[str]:
        return [event.text for event in self.watch.events if event.kind == "service.hangs"]


@pytest.fixture
def watched(nursery: trio.Nursery, systemd: Systemd) -> Watched:
    return Watched(nursery, Watch())


async def test_twice_per_period_while_all_is_well(
    watched: Watched, systemd: Systemd, autojump_clock: trio.testing.MockClock
) -> None:
    async def works() -> None:
        while True:
            with idle("work"):
                await trio.sleep(1)

    watched.group.start_soon("worker", works)
    await systemd.sleep(14.9)
    assert systemd.heard() == [b"WATCHDOG=1"] * 3
    assert watched.watchdog.withheld == ""


async def test_an_await_that_never_returns(
    watched: Watched, systemd: Systemd, autojump_clock: trio.testing.MockClock
) -> None:
    async def hangs() -> None:
        await trio.Event().wait()  # nobody ever sets it, and nobody said what it waits for

    watched.group.start_soon("lights", hangs)
    await systemd.sleep(SERVICE_S - 1)
    assert len(systemd.heard()) == 2 * SERVICE_S // PERIOD_S
    await systemd.sleep(1000)
    assert len(systemd.heard()) <= 1
    (alert,) = watched.alerts()  # told once, however long it lasts
    assert alert.startswith("lights hangs: its own work for 1")


async def test_a_service_that_ends_without_an_error(
    watched: Watched, systemd: Systemd, autojump_clock: trio.testing.MockClock
) -> None:
    async def ends() -> None:
        with trio.CancelScope() as inner:
            inner.cancel()
            await trio.sleep(1)

    watched.group.start_soon("worklist", ends)
    await systemd.sleep(11)
    systemd.heard()
    await systemd.sleep(100)
    assert systemd.heard() == []
    (alert,) = watched.alerts()
    assert "worklist has ended by itself" in alert


async def test_one_that_goes_on_is_told_and_systemd_hears_again(
    watched: Watched, systemd: Systemd, autojump_clock: trio.testing.MockClock
) -> None:
    late = trio.Event()

    async def slow() -> None:
        with working("a slow disk", 20):
            await late.wait()
        with idle("work"):
            await trio.sleep_forever()

    watched.group.start_soon("records", slow)
    await systemd.sleep(60)
    systemd.heard()
    late.set()
    await systemd.sleep(11)
    assert systemd.heard() == [b"WATCHDOG=1"] * 2
    assert [event.kind for event in watched.watch.events] == ["service.hangs", "service.goes_on"]


async def test_nothing_is_held_back_while_the_service_ends(
    watched: Watched, systemd: Systemd, autojump_clock: trio.testing.MockClock
) -> None:
    async def ends() -> None:
        pass

    watched.table.is_ending = True
    watched.group.start_soon("analysis", ends)
    await systemd.sleep(11)
    assert systemd.heard() == [b"WATCHDOG=1"] * 3


# ------------------------------------------------------------------------------------------- real services


class StuckThread:
    """Work that blocks its thread until the test ends, as a read from a dead disk does."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, *_: object, **__: object) -> object:
        self.entered.set()
        assert self.released.wait(60)
        return None


@contextlib.asynccontextmanager
async def released_at_the_end(stuck: StuckThread) -> AsyncIterator[None]:
    """Inside of the nursery, which waits for the thread."""
    try:
        yield
    finally:
        stuck.released.set()


async def _entered(stuck: StuckThread) -> None:
    assert await trio.to_thread.run_sync(stuck.entered.wait, 30)


async def test_a_disk_that_never_answers(
    tmp_path: Path, systemd: Systemd, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivery asks the records, whose thread is stuck: delivery hangs, and who waits for the turn does not."""
    stuck = StuckThread()
    watch = Watch()
    async with open_records(tmp_path / "state") as records:
        monkeypatch.setattr(records._queue, "requeue_interrupted", stuck)
        async with trio.open_nursery() as nursery, released_at_the_end(stuck):
            watched = Watched(nursery, watch)
            _wake, delivery_wake = trio.open_memory_channel[None](1)
            node = Node("storage", "127.0.0.1", 104, "ARCHIVE")
            watched.group.start_soon(
                "delivery",
                lambda: run_delivery(
                    records, node, LOCAL, delivery_wake, watch.publish, POLICY, store=lambda *_: pytest.fail("sent")
                ),
            )
            await _entered(stuck)
            watched.group.start_soon("console", records.counts)
            await systemd.jump(mock_clock, DISK_S)
            systemd.heard()
            await systemd.jump(mock_clock, 60)
            assert len(systemd.heard()) <= 1
            (alert,) = watched.alerts()
            assert "delivery hangs: the disk for" in alert
            states = {state.name: state for state in watched.table.states()}
            assert (states["console"].doing, states["console"].what) == ("idle", "its turn at the records")
            nursery.cancel_scope.cancel()


async def test_an_analysis_that_never_ends(
    systemd: Systemd, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firmware_app.services import analysis

    taken = SimpleNamespace(capture=SimpleNamespace(capture_id="C1", eye=Eye.RIGHT))
    stuck = StuckThread()
    monkeypatch.setattr(analysis, "_measure_timed", stuck)
    watch = Watch()
    async with trio.open_nursery() as nursery, released_at_the_end(stuck):
        watched = Watched(nursery, watch)
        captures_in, captures_out = trio.open_memory_channel[object](1)
        analysed_in, _analysed_out = trio.open_memory_channel[object](0)
        watched.group.start_soon("analysis", run_analysis, captures_out, analysed_in, watch.publish)
        await systemd.jump(mock_clock, 10 * COMPUTE_S)
        assert watched.alerts() == []  # it waits for a capture
        await captures_in.send(taken)
        await _entered(stuck)
        await systemd.jump(mock_clock, COMPUTE_S + 20)
        (alert,) = watched.alerts()
        assert "analysis hangs: measuring C1 for" in alert
        nursery.cancel_scope.cancel()


async def test_a_dead_archive_stops_nothing(
    tmp_path: Path, systemd: Systemd, mock_clock: trio.testing.MockClock
) -> None:
    """It takes the connection and never says a word, for hours: delivery waits, again and again: that is well."""
    watch = Watch()
    state = tmp_path / "state"
    with socket.create_server(("127.0.0.1", 0)) as dead:
        node = Node("storage", "127.0.0.1", dead.getsockname()[1], "ARCHIVE", Timeouts.all(3600.0))
        async with open_records(state) as records, trio.open_nursery() as nursery:
            await records.begin_exam(exam_of())
            await records.save_object(
                exam_of().exam_id, None, kind="report", sop_class_uid=SC_CLASS, sop_instance_uid=uid_of(1),
                transfer_syntax_uid="1.2.840.10008.1.2", data=dicom_instance(1), enqueue_for="storage",
            )  # fmt: skip
            watched = Watched(nursery, watch)
            _wake, delivery_wake = trio.open_memory_channel[None](1)

            async def store(*arguments: object) -> object:
                async for result in send_in_order(*arguments, contexts=[(SC_CLASS, ("1.2.840.10008.1.2",))]):
                    yield result

            watched.group.start_soon(
                "delivery",
                lambda: run_delivery(records, node, LOCAL, delivery_wake, watch.publish, POLICY, store=store),
            )
            for _ in range(6 * 60):
                await systemd.jump(mock_clock, 60, 60)
                while any(state.doing == "working" for state in watched.table.states()):
                    await trio.to_thread.run_sync(time.sleep, 0.001)  # the disk is a real one
            assert watched.alerts() == []
            assert len(systemd.heard()) > 6 * 50
            assert (await records.delivery(uid_of(1), "storage")).attempts >= 5  # each an hour of silence
            nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------- the loop itself

BLOCKED_LOOP = """
import time, trio
from firmware_app.app import ServiceGroup
from firmware_app.progress import ProgressTable
from firmware_app.services.health import Watchdog
from firmware_app.services.log import configure_log, last_words

def blocks_the_loop():
    time.sleep(600)

async def main():
    configure_log("info")
    last_words()
    async with trio.open_nursery() as nursery:
        table = ProgressTable(trio.current_time)
        ServiceGroup(nursery, table).start_soon("watchdog", Watchdog(table, print).run)
        await trio.sleep(1)
        blocks_the_loop()

trio.run(main)
"""


def test_a_loop_that_is_blocked(tmp_path: Path) -> None:
    """systemd hears nothing any more; its SIGABRT makes the service say where every thread is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        surroundings = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        with subprocess.Popen(
            [sys.executable, "-c", BLOCKED_LOOP], env=surroundings, stderr=subprocess.PIPE, text=True
        ) as service:
            assert systemd.recv(100) == b"WATCHDOG=1"
            heard = 1
            systemd.settimeout(5)
            while True:
                try:
                    systemd.recv(100)
                except TimeoutError:
                    break
                heard += 1
            assert 1 < heard < 10  # for the second in which the loop turned
            service.send_signal(signal.SIGABRT)  # what systemd does then
            _, said = service.communicate(timeout=30)
        assert service.returncode == -signal.SIGABRT
        assert "in blocks_the_loop" in said


async def test_loop_lag_is_what_a_blocked_loop_costs(nursery: trio.Nursery, mock_clock: trio.testing.MockClock) -> None:
    lag = LoopLag()
    nursery.start_soon(lag.run)
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(LAG_PROBE_S + 0.25)  # the loop was busy elsewhere for a quarter of a second
    await trio.testing.wait_all_tasks_blocked()
    assert lag.worst_s == pytest.approx(0.25)
    assert lag.recent_worst_s() == pytest.approx(0.25)
