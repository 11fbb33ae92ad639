"""An exam service on real records, without a stage or a camera: what a crash left comes back from disk instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio
from delivery_peer import LOCAL, Watch
from mpps_steps import POLICY
from records_material import CAPTURED, frame_of

from firmware_app.config import Config
from firmware_app.instrument import write_deliverables
from firmware_app.model import Exam, Eye
from firmware_app.net.node import Node
from firmware_app.profiles import load_profile
from firmware_app.records.store import Records, local_now, open_records
from firmware_app.services.analysis import Analysed, run_analysis
from firmware_app.services.capture import Captured, CaptureService
from firmware_app.services.exam import ExamService, FinishedExam
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.mpps import MppsService
from firmware_app.services.recorder import run_recorder
from firmware_app.services.step_reports import StepReports, step_composer


def nothing(text: str) -> None:
    """Nobody watches the progress."""


@dataclass
class ExamBench:
    records: Records
    exams: ExamService
    mpps: MppsService
    watch: Watch
    closed: list[str]  # one word each time that an exam was told to be closed

    async def finish_with_pictures(self, exam: Exam, *eyes: Eye) -> FinishedExam:
        """Captures as an interrupted exam has them on disk, then resumed and finished."""
        for number, eye in enumerate(eyes):
            await self.records.save_capture(exam, frame_of(number), **(CAPTURED | {"eye": eye}))
        self.exams.exam = None  # as after a crash
        await self.exams.resume(exam.exam_id, nothing)
        return await self.exams.finish(nothing)


def configuration(**tables: Any) -> Config:
    known = {
        "instrument": {"ae_title": "SPECULAR", "station_name": "ROOM1", "operator": "Op^Otto"},
        "storage": {"ip_address": "127.0.0.1", "port": 104, "ae_title": "ARCHIVE"},
    }
    return msgspec.convert(known | tables, Config)


@asynccontextmanager
async def exam_bench(
    state_dir: Path, node: Node | None, config: Config | None = None, *, compose: Any = None, **more: Any
) -> AsyncIterator[ExamBench]:
    """With `node` None no MPPS is kept; `compose` stands in for what makes the messages; `more` is the exams'."""
    used = config or configuration()
    profile = load_profile(used.profile)
    watch = Watch()
    closed: list[str] = []
    captures_in, captures_out = trio.open_memory_channel[Captured](2)
    analysed_in, analysed_out = trio.open_memory_channel[Analysed](0)
    async with open_records(state_dir) as records, trio.open_nursery() as nursery:
        slots = [DeviceSlot[Any](name, local_now) for name in ("stage", "camera")]
        mpps = MppsService(records, node, LOCAL, watch.publish, POLICY)
        composer = (compose or partial(step_composer, used, profile)) if node else None
        exams = ExamService(
            state_dir,
            records,
            CaptureService(used, *slots, records, captures_in, watch.publish),
            partial(write_deliverables, used, profile),
            "storage" if used.storage.host else "",
            lambda: None,
            local_now,
            watch.publish,
            steps=StepReports(composer, mpps.wake, watch.publish),
            send_automatically=used.storage.automatic,
            closed=lambda: closed.append("closed"),
            **more,
        )
        nursery.start_soon(run_analysis, captures_out, analysed_in, watch.publish)
        nursery.start_soon(run_recorder, analysed_out, records, exams, watch.publish)
        nursery.start_soon(mpps.run)
        yield ExamBench(records, exams, mpps, watch, closed)
        nursery.cancel_scope.cancel()
