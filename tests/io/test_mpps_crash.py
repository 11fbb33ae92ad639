"""SIGKILL at random moments, against a peer that fails at random: no step is lost, none doubled, none out of order."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from delivery_peer import LOCAL, Watch
from mpps_peer import ABORT, LOSE_ANSWER, InformationSystem
from mpps_steps import POLICY, end, uid_of

from firmware_app.records.mpps import MessageState, MppsDelivery
from firmware_app.records.store import open_records
from firmware_app.services.mpps import MppsService

KILLS = int(os.environ.get("SPECULAR_CRASH_KILLS", "4"))
REPORTER = Path(__file__).with_name("mpps_reporter.py")


@dataclass
class UnreliableSystem(InformationSystem):
    """Three of ten messages meet a misfortune of chance."""

    chance: random.Random = field(default_factory=lambda: random.Random(20260302))

    def _answer(self, *arguments: Any) -> Any:
        if self.chance.random() < 0.3:
            self.answers.append(self.chance.choice([ABORT, LOSE_ANSWER, 0x0213]))
        return super()._answer(*arguments)


@pytest.fixture
def system() -> Iterator[UnreliableSystem]:
    system = UnreliableSystem()
    system.start()
    yield system
    system.stop()


@dataclass
class Acknowledged:
    begun: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    answers: int = 0

    def note(self, line: bytes) -> None:
        said = json.loads(line)
        if "begun" in said:
            self.begun.add(said["begun"])
        if "ended" in said:
            self.ended.add(said["ended"])
        self.answers += "event" in said


def report_and_kill(state: Path, port: int, first: int, chance: random.Random) -> Acknowledged:
    """What the process said before it was killed."""
    acknowledged = Acknowledged()
    command = [sys.executable, str(REPORTER), str(state), str(port), str(first)]
    paths = os.pathsep.join([str(REPORTER.parent), str(REPORTER.parent.parent)])
    answers_wanted = 1 + chance.randrange(8)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}) as reporter:
        assert reporter.stdout is not None
        while len(acknowledged.ended) < 2 or acknowledged.answers < answers_wanted:
            line = reporter.stdout.readline()
            assert line, "the reporter ended by itself"
            acknowledged.note(line)
        time.sleep(chance.uniform(0.0, 0.02))  # the kill falls anywhere inside a transaction or a message
        reporter.kill()
        for line in reporter.stdout:
            acknowledged.note(line)
    return acknowledged


async def finish_all(state: Path, system: InformationSystem) -> list[MppsDelivery]:
    """Close what a kill left open and report until nothing is left; every message in its order."""
    watch = Watch()
    async with open_records(state) as records, trio.open_nursery() as nursery:
        for exam in await records.unfinished_exams(limit=10_000):
            await end(records, int(exam.exam_id.removeprefix("exam-")))
        waiting = (await records.mpps.counts())[MessageState.QUEUED]
        service = MppsService(records, system.node, LOCAL, watch.publish, POLICY)
        nursery.start_soon(service.run)
        await watch.until(lambda: [event.kind for event in watch.events].count("mpps.sent") == waiting)
        nursery.cancel_scope.cancel()
    async with open_records(state) as records:
        return await records.mpps.messages(limit=100_000)


async def test_no_step_is_lost_doubled_or_out_of_order(tmp_path: Path, system: UnreliableSystem) -> None:
    chance = random.Random(20260301)
    begun: set[int] = set()
    ended: set[int] = set()
    for kill in range(KILLS):
        acknowledged = report_and_kill(tmp_path, system.port, 1000 * (kill + 1), chance)
        begun |= acknowledged.begun
        ended |= acknowledged.ended
    messages = await finish_all(tmp_path, system)
    assert len(ended) >= 2 * KILLS
    assert {message.state for message in messages} == {MessageState.DONE}
    for number in begun:
        assert system.performed[uid_of(number)].PerformedProcedureStepStatus == "COMPLETED"
    # The information system refuses doubles by itself; and it was asked in the order in which the messages were made.
    made = [(message.operation, message.mpps_sop_instance_uid, message.step_status) for message in messages]
    assert list(dict.fromkeys(system.asked)) == made
    assert len(made) == 2 * len({uid for _, uid, _ in made})
