"""A process that records and says so, line by line, until somebody kills it: `python records_writer.py STATE SEED`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio
from records_material import CAPTURED, NODE, exam_of, frame_of, instance, uid_of

from firmware_app.records.files import digest
from firmware_app.records.store import open_records


def acknowledge(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def write_until_killed(state_dir: Path, first: int) -> None:
    async with open_records(state_dir) as records:
        acknowledge(opened=True)
        for number in range(first, first + 1000):
            exam = exam_of(number // 5)
            await records.begin_exam(exam)
            acknowledge(exam=exam.exam_id)
            frame = frame_of(number, bits=12)
            capture = await records.save_capture(exam, frame, **CAPTURED)
            acknowledge(capture=capture.capture_id, sha256=digest(frame.pixels.tobytes()))
            made = instance(number)
            await records.save_object(exam.exam_id, capture.capture_id, **made, enqueue_for=NODE)
            acknowledge(queued=uid_of(number), sha256=digest(made["data"]))
            if number % 2:
                (head,) = await records.next_due(NODE)
                await records.mark_sending(head.sop_instance_uid, NODE)
                await records.mark_stored(head.sop_instance_uid, NODE, 0)
                acknowledge(stored=head.sop_instance_uid)


if __name__ == "__main__":
    trio.run(write_until_killed, Path(sys.argv[1]), int(sys.argv[2]))
