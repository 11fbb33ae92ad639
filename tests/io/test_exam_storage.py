"""An exam and where its instances go: the second archive, and a disk that has no room for one more."""

from __future__ import annotations

from pathlib import Path

import pytest
from exam_bench import configuration, exam_bench
from records_material import exam_of

from firmware_app.model import Eye, Patient
from firmware_app.services.standing import Standing, standing_of
from hw.errors import Refused

PATIENT = Patient("Test^Room", "P1")


async def test_without_room_no_exam_begins_and_nothing_is_recorded(tmp_path: Path) -> None:
    room = [True]

    async def require_room() -> None:
        if not room[0]:
            raise Refused("no new exam: the disk is nearly full")

    async with exam_bench(tmp_path, None, require_room=require_room) as bench:
        opened = await bench.exams.start((), PATIENT, "op")
        room[0] = False
        finished = await bench.finish_with_pictures(opened, Eye.RIGHT)  # the open one has the reserve
        assert finished.queued_for == "storage"
        for begin in (bench.exams.start((), PATIENT, "op"), bench.exams.append(opened.exam_id, "op")):
            with pytest.raises(Refused, match="no new exam: the disk is nearly full"):
                await begin
        assert bench.exams.exam is None
        assert [each.exam_id for each in await bench.records.exams()] == [opened.exam_id]
        room[0] = True
        await bench.exams.start((), PATIENT, "op")


@pytest.mark.parametrize(
    ("first", "second", "queued_for"),
    [
        (True, True, "storage and second_storage"),
        (True, False, "storage"),
        (False, True, "second_storage"),
        (False, False, ""),
    ],
)
async def test_what_is_finished_goes_where_it_is_sent_by_itself(
    tmp_path: Path, first: bool, second: bool, queued_for: str
) -> None:
    storage = {"ip_address": "127.0.0.1", "port": 104, "ae_title": "ARCHIVE", "automatic": first}
    config = configuration(storage=storage)
    async with exam_bench(tmp_path, None, config, other_nodes={"second_storage": second}) as bench:
        exam = await bench.exams.start((), PATIENT, "op")
        finished = await bench.finish_with_pictures(exam, Eye.RIGHT)
        assert finished.queued_for == queued_for
        rows = await bench.records.deliveries()
        assert {row.node for row in rows} == set(queued_for.split(" and "))
        told = [event for event in bench.watch.events if event.kind == "delivery.queued"]
        assert [event.data["standing"] for event in told] == [str(standing_of(row)) for row in rows]


async def test_by_hand_to_one_of_the_configured_archives(tmp_path: Path) -> None:
    async with exam_bench(tmp_path, None, other_nodes={"second_storage": False}) as bench:
        await bench.records.begin_exam(exam_of())
        finished = await bench.finish_with_pictures(exam_of(), Eye.RIGHT)
        uids = [each.sop_instance_uid for each in finished.deliverables]
        sent = await bench.exams.send("exam-1", "second_storage")
        assert [(each.sop_instance_uid, each.node, standing_of(each)) for each in sent] == [
            (uid, "second_storage", Standing.QUEUED) for uid in uids
        ]
        with pytest.raises(Refused, match=r"elsewhere is no configured storage node \(storage, second_storage\)"):
            await bench.exams.send("exam-1", "elsewhere")
