"""When delivery tries, waits and ends: an archive that follows a script, hours in no time, real records."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from inspect import isawaitable
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from delivery_peer import LOCAL, Watch, dicom_instance
from failing_sqlite import make_sqlite_fail
from records_material import START, exam_of, instance, uid_of

from firmware_app.model import DeliveryState
from firmware_app.net.errors import ConnectFailed
from firmware_app.net.instance_file import InstanceFile, InstanceUnreadable
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.storage import StoreResult
from firmware_app.records.queue import INTERRUPTED
from firmware_app.records.steering import Chosen
from firmware_app.records.store import Records, open_records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.delivery import SendFailed, run_delivery
from firmware_app.services.queue_task import IDLE_LOOK_S

ARCHIVE = Node("archive", "127.0.0.1", 1, "ARCHIVE")
POLICY = BackoffPolicy(first_s=2.0, max_s=300.0)
NOT_THERE = SendFailed(ConnectFailed("archive", "refused"), in_transfer=False)

Line = str | Exception | Callable[[], object]


class Script:
    """One line an association: "ok" stores all, "one" stores one and ends, an exception is raised."""

    def __init__(self, *lines: Line) -> None:
        self.lines: deque[Line] = deque(lines)
        self.times: list[float] = []
        self.asked: list[str] = []

    async def store(
        self, node: Node, local_ae: LocalApplicationEntity, files: Sequence[InstanceFile]
    ) -> AsyncGenerator[StoreResult, None]:
        self.times.append(trio.current_time())
        line = self.lines.popleft() if self.lines else "ok"
        for file in files:
            self.asked.append(file.sop_instance_uid)
            if isinstance(line, Exception):
                raise line
            if line == "silence":
                await trio.sleep_forever()
            if callable(line):
                done = line()
                if isawaitable(done):
                    await done
            yield StoreResult(file.sop_instance_uid, 0x0000, "stored", "")
            if line == "one":
                return


@dataclass
class Running:
    records: Records
    watch: Watch
    script: Script
    wake: trio.MemorySendChannel[None]
    nursery: trio.Nursery

    async def until(self, kind: str, count: int) -> None:
        await self.watch.until(lambda: self.watch.kinds().count(kind) == count)

    async def states(self) -> list[str]:
        return [row.state.value for row in await self.records.deliveries()]


@asynccontextmanager
async def delivering(
    state_dir: Path, script: Script, count: int, clock: Callable[[], datetime] | None = None
) -> AsyncIterator[Running]:
    began = trio.current_time()
    watch = Watch()
    wake, woken = trio.open_memory_channel[None](1)
    clock = clock or (lambda: START + timedelta(seconds=trio.current_time() - began))
    async with open_records(state_dir, clock=clock) as records:
        await records.begin_exam(exam_of())
        for number in range(1, count + 1):
            made = instance(number, data=dicom_instance(number))
            await records.save_object("exam-1", None, **made, enqueue_for="archive")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(
                    run_delivery,
                    records,
                    ARCHIVE,
                    LOCAL,
                    woken,
                    watch.publish,
                    POLICY,
                    store=script.store,
                    chance=lambda: 0.0,
                )
            )
            yield Running(records, watch, script, wake, nursery)
            nursery.cancel_scope.cancel()


def gaps(times: list[float]) -> list[float]:
    return [round(later - earlier, 3) for earlier, later in pairwise(times)]


async def test_the_waits_double_up_to_the_longest_and_never_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    script = Script(*[NOT_THERE] * 40)
    async with delivering(tmp_path, script, 2) as running:
        await running.until("stored", 2)
        first, second = await running.records.deliveries()
    assert gaps(script.times) == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0] + [300.0] * 32
    assert (first.attempts, second.attempts) == (41, 1)
    assert script.asked == [uid_of(1)] * 41 + [uid_of(2)]
    assert running.watch.levels()[:3] == ["warning", "debug", "debug"]
    assert running.watch.kinds()[-3:] == ["recovered", "stored", "stored"]


async def test_a_restart_keeps_the_appointment(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()

    def clock() -> datetime:
        return START + timedelta(seconds=trio.current_time() - began)

    script = Script(*[NOT_THERE] * 8)
    async with delivering(tmp_path, script, 1, clock) as running:
        await running.until("retry", 8)
    async with delivering(tmp_path, script, 1, clock) as running:
        await running.until("stored", 1)
    assert gaps(script.times)[-1] == 256.0


async def test_a_retry_by_hand_does_not_wait(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    script = Script(NOT_THERE)
    async with delivering(tmp_path, script, 1) as running:
        await running.until("retry", 1)
        assert await running.records.retry(uid_of(1)) == 1
        running.wake.send_nowait(None)
        await running.until("stored", 1)
    assert gaps(script.times) == [0.0]


async def test_a_clock_set_back_does_not_hold_the_queue_for_a_year(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    began, set_back = trio.current_time(), [timedelta(0)]

    def clock() -> datetime:
        return START + timedelta(seconds=trio.current_time() - began) - set_back[0]

    script = Script(NOT_THERE)
    async with delivering(tmp_path, script, 1, clock) as running:
        await running.until("retry", 1)
        set_back[0] = timedelta(days=365)
        await running.until("stored", 1)
    assert gaps(script.times) == [2.0]


async def test_an_empty_queue_is_looked_at_now_and_then(tmp_path: Path, mock_clock: trio.testing.MockClock) -> None:
    script = Script()
    async with delivering(tmp_path, script, 1) as running:
        await running.until("stored", 1)
        while running.wake.statistics().tasks_waiting_receive == 0:
            await trio.testing.wait_all_tasks_blocked()
        await running.records.save_object("exam-1", None, **instance(2, data=dicom_instance(2)), enqueue_for="archive")
        mock_clock.jump(IDLE_LOOK_S)
        await running.until("stored", 2)
    assert gaps(script.times) == [IDLE_LOOK_S]


async def test_what_one_association_did_not_take_goes_over_the_next_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    script = Script("one", "one")
    async with delivering(tmp_path, script, 3) as running:
        await running.until("stored", 3)
    assert script.asked == [uid_of(1), uid_of(2), uid_of(3)]
    assert gaps(script.times) == [0.0, 0.0]


async def test_a_file_that_turns_unreadable_while_it_is_sent_is_parked(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    script = Script(InstanceUnreadable("1.dcm: Input/output error"))
    async with delivering(tmp_path, script, 2) as running:
        await running.until("stored", 1)
        assert await running.states() == ["failed", "stored"]
        assert running.watch.levels()[0] == "alert"


@pytest.mark.parametrize("line", ["silence", NOT_THERE], ids=["while sending", "while waiting"])
async def test_ending_leaves_nothing_as_sending(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, line: Line
) -> None:
    script = Script(line)
    async with delivering(tmp_path, script, 2) as running:
        while not script.asked:
            await trio.testing.wait_all_tasks_blocked()
        running.nursery.cancel_scope.cancel()
    async with open_records(tmp_path) as records:
        first, second = await records.deliveries()
    assert (first.state, second.state) == (DeliveryState.QUEUED, DeliveryState.QUEUED)
    assert first.attempts == 1


async def test_a_broken_off_send_says_so(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    script = Script("silence")
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of())
        await records.save_object("exam-1", None, **instance(1, data=dicom_instance(1)), enqueue_for="archive")
        _, woken = trio.open_memory_channel[None](1)
        watch = Watch()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(run_delivery, records, ARCHIVE, LOCAL, woken, watch.publish, POLICY, store=script.store)
            )
            while not script.asked:
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        delivery = await records.delivery(uid_of(1), "archive")
    assert (delivery.state, delivery.reason) == (DeliveryState.QUEUED, INTERRUPTED)


async def test_an_answer_that_arrived_is_recorded_though_we_are_told_to_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    script = Script()
    async with delivering(tmp_path, script, 0) as running:
        await running.records.save_object("exam-1", None, **instance(1, data=dicom_instance(1)), enqueue_for="archive")
        script.lines.append(running.nursery.cancel_scope.cancel)
        running.wake.send_nowait(None)
        await trio.sleep_forever()
    async with open_records(tmp_path) as records:
        assert (await records.delivery(uid_of(1), "archive")).state is DeliveryState.STORED


async def test_closing_the_wake_up_ends_it(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    script = Script()
    async with delivering(tmp_path, script, 1) as running:
        running.wake.close()
        while running.nursery.child_tasks:
            await trio.testing.wait_all_tasks_blocked()
        assert await running.states() == ["stored"]


async def test_a_disk_that_refuses_pauses_and_then_the_same_uid_is_sent_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail = make_sqlite_fail(monkeypatch)
    script = Script(lambda: fail("UPDATE deliveries SET state = 'stored'", sqlite3.SQLITE_FULL))
    async with delivering(tmp_path, script, 2) as running:
        await running.until("paused", 1)
        assert running.watch.levels() == ["warning"]
        assert "said SQLite" in running.watch.outcomes()[0].text
        fail("BEGIN", sqlite3.SQLITE_READONLY)
        await running.until("paused", 3)
        assert running.watch.levels() == ["warning", "debug", "debug"]
        fail("", 0)
        await running.until("stored", 2)
        assert await running.states() == ["stored", "stored"]
    assert script.asked == [uid_of(1), uid_of(1), uid_of(2)]


@pytest.mark.parametrize("what", ["the instance", "the node"])
async def test_what_is_held_while_an_association_is_open_is_not_sent(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, what: str
) -> None:
    script = Script()
    async with delivering(tmp_path, script, 0) as running:
        steering = running.records.steering

        async def hold() -> None:
            if what == "the node":
                await steering.hold_node("archive")
            else:
                await steering.hold(Chosen(sop_instance_uid=uid_of(2)))

        script.lines.append(hold)
        for number in (1, 2, 3):
            made = instance(number, data=dicom_instance(number))
            await running.records.save_object("exam-1", None, **made, enqueue_for="archive")
        running.wake.send_nowait(None)
        await running.until("stored", 1 if what == "the node" else 2)
        await trio.testing.wait_all_tasks_blocked()
        expected = [uid_of(1)] if what == "the node" else [uid_of(1), uid_of(3)]
        assert script.asked == expected
        left = ["queued", "queued"] if what == "the node" else ["held", "stored"]
        assert await running.states() == ["stored", *left]
        await steering.release_node("archive")
        await steering.release(Chosen())
        running.wake.send_nowait(None)
        await running.until("stored", 3)
    assert len(script.asked) == 3


async def test_what_is_sent_elsewhere_while_an_association_is_open_is_not_sent_here(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    script = Script()
    async with delivering(tmp_path, script, 0) as running:

        async def redirect() -> None:
            await running.records.steering.redirect(Chosen(sop_instance_uid=uid_of(2)), "backup")

        script.lines.append(redirect)
        for number in (1, 2):
            made = instance(number, data=dicom_instance(number))
            await running.records.save_object("exam-1", None, **made, enqueue_for="archive")
        running.wake.send_nowait(None)
        await running.until("stored", 1)
        await trio.testing.wait_all_tasks_blocked()
        rows = await running.records.deliveries()
    assert script.asked == [uid_of(1)]
    assert [(row.node, row.state.value) for row in rows] == [("archive", "stored"), ("backup", "queued")]


async def test_what_is_held_before_its_file_turns_out_damaged_stays_held(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script()
    async with delivering(tmp_path, script, 0) as running:
        held = await running.records.save_object(
            "exam-1", None, **instance(1, data=dicom_instance(1)), enqueue_for="archive"
        )
        (tmp_path / held.file).write_bytes(b"damaged")
        verify = running.records.verify_object

        async def hold_then_verify(uid: str) -> None:
            await running.records.steering.hold(Chosen())
            await verify(uid)

        monkeypatch.setattr(running.records, "verify_object", hold_then_verify)
        running.wake.send_nowait(None)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert await running.states() == ["held"]
    assert script.asked == []
