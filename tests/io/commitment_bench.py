"""The commitment service with real records and its own port, between instances that are stored and an archive."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import trio
from commitment_peer import COMMITMENT, SYNTAXES, Archive
from delivery_peer import LOCAL, Watch, dicom_instance
from records_material import StandingClock, exam_of, instance, uid_of

from firmware_app.model import CommitmentState, Delivery, Event
from firmware_app.net.listener import ListenerRules, serve
from firmware_app.net.node import Node
from firmware_app.records.store import Records, open_records
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.commitment import CommitmentPolicy, CommitmentService

STORAGE = "storage"
POLICY = CommitmentPolicy(
    backoff=BackoffPolicy(first_s=2.0, max_s=300.0), report_timeout_s=3600.0, same_association_wait_s=0.0
)
BRISK = CommitmentPolicy(backoff=BackoffPolicy(first_s=0.002, max_s=0.01), same_association_wait_s=0.0)
SAME = CommitmentPolicy(backoff=POLICY.backoff, same_association_wait_s=60.0)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Bench:
    records: Records
    service: CommitmentService
    port: int
    watch: Watch
    clock: StandingClock
    stored_again: list[None] = field(default_factory=list)

    async def store(self, *numbers: int, exam: int = 1, leave: Sequence[int] = (), finished: bool = True) -> None:
        """An exam whose instances are at the archive, but for those to `leave` in the queue."""
        await self.records.begin_exam(exam_of(exam))
        for number in (*numbers, *leave):
            made = instance(number, data=dicom_instance(number))
            await self.records.save_object(f"exam-{exam}", None, **made, enqueue_for=STORAGE)
        if finished:
            await self.records.finish_exam(f"exam-{exam}")
        await self.deliver(*numbers)

    async def deliver(self, *numbers: int) -> None:
        for number in numbers:
            await self.records.mark_sending(uid_of(number), STORAGE)
            await self.records.mark_stored(uid_of(number), STORAGE, 0)
        self.service.wake()

    async def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.service.wake()

    async def until(self, kind: str, count: int = 1) -> list[Event]:
        """Wait for so many events of the kind; all of them."""
        with trio.fail_after(30):
            await self.watch.until(lambda: len(self.events(kind)) >= count)
        return self.events(kind)

    def events(self, kind: str) -> list[Event]:
        return [event for event in self.watch.events if event.kind == f"commitment.{kind}"]

    async def delivery(self, number: int) -> Delivery:
        return await self.records.delivery(uid_of(number), STORAGE)

    async def commitments(self, *numbers: int) -> list[CommitmentState]:
        return [(await self.delivery(number)).commitment for number in numbers]


@asynccontextmanager
async def bench(
    state_dir: Path,
    peer: Archive | None,
    policy: CommitmentPolicy = POLICY,
    *,
    node: Node | None = None,
    rules: ListenerRules | None = None,
    clock: Callable[[], datetime] | None = None,
) -> AsyncIterator[Bench]:
    watch, standing = Watch(), clock if isinstance(clock, StandingClock) else StandingClock()
    again: list[None] = []
    async with open_records(state_dir, clock=standing) as records, trio.open_nursery() as nursery:
        service = CommitmentService(
            records,
            node or (peer.node if peer else None),
            LOCAL,
            ((COMMITMENT, tuple(SYNTAXES)),),
            STORAGE,
            policy,
            watch.publish,
            lambda: again.append(None),
            chance=lambda: 0.0,
        )

        async def listen(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(LOCAL, 0, rules=rules, on_event=service.take_report, task_status=task_status)

        port = await nursery.start(listen)
        nursery.start_soon(service.run)
        yield Bench(records, service, port, watch, standing, again)
        nursery.cancel_scope.cancel()
