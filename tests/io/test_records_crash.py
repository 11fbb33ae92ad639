"""SIGKILL at random moments: whatever was acknowledged is there, intact, queued, and in order."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from records_material import NODE

from firmware_app.model import DeliveryState
from firmware_app.records.files import digest
from firmware_app.records.store import open_records

KILLS = int(os.environ.get("SPECULAR_CRASH_KILLS", "10"))
WRITER = Path(__file__).with_name("records_writer.py")


@dataclass
class Acknowledged:
    exams: set[str] = field(default_factory=set)
    captures: dict[str, str] = field(default_factory=dict)
    queued: dict[str, str] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)

    def note(self, line: bytes) -> None:
        said = json.loads(line)
        if "exam" in said:
            self.exams.add(said["exam"])
        if "capture" in said:
            self.captures[said["capture"]] = said["sha256"]
        if "queued" in said:
            self.queued[said["queued"]] = said["sha256"]
        if "stored" in said:
            self.stored.add(said["stored"])


def write_and_kill(state: Path, first: int, chance: random.Random, acknowledged: Acknowledged) -> None:
    writer = subprocess.Popen([sys.executable, str(WRITER), str(state), str(first)], stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout is not None
        for _ in range(1 + chance.randrange(12)):
            line = writer.stdout.readline()
            assert line, "the writer ended by itself"
            acknowledged.note(line)
        # One step takes 1 to 8 ms here: the kill falls anywhere inside the next one or two.
        time.sleep(chance.uniform(0.0, 0.01))
        writer.kill()
        for line in writer.stdout:
            acknowledged.note(line)


def half_written(state: Path) -> list[Path]:
    return list(state.rglob("*.tmp"))


async def check(state: Path, acknowledged: Acknowledged) -> None:
    async with open_records(state) as records:
        exams = {exam.exam_id for exam in await records.exams(limit=10_000)}
        assert acknowledged.exams <= exams
        for capture_id, sha256 in acknowledged.captures.items():
            frame = await records.load_frame(capture_id)
            assert digest(frame.pixels.tobytes()) == sha256
        deliveries = {each.sop_instance_uid: each.state for each in await records.deliveries(limit=10_000)}
        for sop_instance_uid, sha256 in acknowledged.queued.items():
            await records.verify_object(sop_instance_uid)
            assert (await records.object(sop_instance_uid)).sha256 == sha256
            assert deliveries[sop_instance_uid] in (DeliveryState.QUEUED, DeliveryState.STORED)
        for sop_instance_uid in acknowledged.stored:
            assert deliveries[sop_instance_uid] is DeliveryState.STORED
        waiting = [outgoing.sop_instance_uid for outgoing in await records.next_due(NODE, limit=10_000)]
        assert waiting == [uid for uid, state in deliveries.items() if state is DeliveryState.QUEUED]
        assert half_written(state) == []


async def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20260301)
    acknowledged = Acknowledged()
    for kill in range(KILLS):
        write_and_kill(tmp_path, 1000 * (kill + 1), chance, acknowledged)
        await check(tmp_path, acknowledged)
    assert len(acknowledged.captures) >= KILLS
    assert acknowledged.stored
