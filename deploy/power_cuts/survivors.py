"""What is left of a state folder after a power cut, opened by the product itself, beside what had been promised."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.power_cuts.acknowledgements import (
    Captured,
    Committed,
    ExamBegun,
    ExamClosed,
    Measured,
    StepReported,
    Stored,
    Told,
)
from firmware_app.model import CommitmentState, DeliveryState, Morphometry
from firmware_app.records import files
from firmware_app.records.errors import FileDamaged, RecordsError, UnknownRecord
from firmware_app.records.mpps import MessageState
from firmware_app.records.store import Records, open_records

EVERYTHING = 100_000


@dataclass(frozen=True, slots=True)
class Survivors:
    """`damaged`: what is in the records and not whole. `lost`: what was promised and is not there."""

    damaged: tuple[str, ...]
    lost: tuple[str, ...]


async def look(state_dir: Path, told: Sequence[Told]) -> Survivors:
    """Opens the records as the service does after the power comes back, repairs included."""
    try:
        async with open_records(state_dir) as records:
            damaged = [problem async for problem in _damaged(records)]
            whole = _Whole(records, state_dir)
            await whole.read()
            lost = [words for each in told if (words := await whole.missing(each))]
            damaged += half_written(state_dir)
            return Survivors(tuple(damaged), tuple(lost))
    except RecordsError as error:
        everything = tuple(f"{type(each).__name__}: the records cannot be opened" for each in told)
        return Survivors((f"cannot be opened: {error}",), everything)


def half_written(state_dir: Path) -> list[str]:
    """Opening the records removes what a crash left half written."""
    left = state_dir.rglob(f"*{files.TEMPORARY_SUFFIX}")
    return [f"{path.relative_to(state_dir)} is left half written" for path in left]


async def _damaged(records: Records) -> AsyncIterator[str]:
    """Every file that a row names must be what the row says."""
    for exam in await records.exams(EVERYTHING):
        for capture in await records.captures(exam.exam_id):
            try:
                await records.load_frame(capture.capture_id)
                await records.measurement(capture.capture_id)
            except (FileDamaged, ValueError) as error:
                yield f"capture {capture.capture_id}: {error}"
        for instance in await records.objects(exam.exam_id):
            try:
                await records.verify_object(instance.sop_instance_uid)
            except FileDamaged as error:
                yield f"instance {instance.sop_instance_uid}: {error}"


class _Whole:
    """The records read once, then asked for one promise after another."""

    def __init__(self, records: Records, state_dir: Path) -> None:
        self._records = records
        self._state_dir = state_dir
        self._deliveries: dict[str, tuple[DeliveryState, CommitmentState]] = {}
        self._steps: set[tuple[str, str]] = set()

    async def read(self) -> None:
        deliveries = await self._records.deliveries(limit=EVERYTHING)
        self._deliveries = {each.sop_instance_uid: (each.state, each.commitment) for each in deliveries}
        done = await self._records.mpps.messages(state=MessageState.DONE, limit=EVERYTHING)
        self._steps = {(each.mpps_sop_instance_uid, each.step_status) for each in done}

    async def missing(self, told: Told) -> str:
        """In words what of it is not there, or is not what was told; empty when all is."""
        try:
            match told:
                case ExamBegun(exam_id, patient_id):
                    kept = (await self._records.exam(exam_id)).patient.patient_id
                    return "" if kept == patient_id else f"exam {exam_id} is of {kept}, not of {patient_id}"
                case Captured():
                    return await self._captured(told)
                case Measured():
                    return await self._measured(told)
                case ExamClosed():
                    return await self._closed(told)
                case Stored(uid):
                    return _words(self._stored([uid]), "stored")
                case Committed(instances):
                    return _words(self._committed(instances), "committed")
                case StepReported(uid, step_status):
                    is_there = (uid, step_status) in self._steps
                    return "" if is_there else f"step {uid} {step_status} is not known as reported"
        except RecordsError as error:
            return f"{type(told).__name__}: {error}"

    async def _captured(self, told: Captured) -> str:
        await self._records.load_frame(told.capture_id)
        files.verify(self._state_dir / "exams" / told.exam_id / f"{told.capture_id}.png", told.sha256)
        return ""

    async def _measured(self, told: Measured) -> str:
        """Every edit keeps the numbers before and after it, so that each revision can be asked for."""
        edits = await self._records.edits(told.capture_id)
        latest = await self._records.measurement(told.capture_id)
        if latest is None or told.revision > len(edits) + 1:
            return f"measurement {told.revision} of {told.capture_id} is not there"
        if told.revision > 1:
            kept = edits[told.revision - 2].after.numbers
        else:
            kept = edits[0].before.numbers if edits else latest.morphometry
        same = _plain(kept) == told.morphometry
        return "" if same else f"measurement {told.revision} of {told.capture_id} has other numbers than were told"

    async def _closed(self, told: ExamClosed) -> str:
        if not await self._records.exam_is_finished(told.exam_id):
            return f"exam {told.exam_id} is open again"
        for uid in told.instances:
            await self._records.verify_object(uid)
            if uid not in self._deliveries:
                raise UnknownRecord(f"instance {uid} is in no queue")
        for path, sha256 in told.files.items():
            files.verify(self._state_dir / path, sha256)
        return ""

    def _stored(self, instances: Iterable[str]) -> list[str]:
        return self._not_so(instances, lambda state, commitment: state is DeliveryState.STORED)

    def _committed(self, instances: Iterable[str]) -> list[str]:
        return self._not_so(instances, lambda state, commitment: commitment is CommitmentState.COMMITTED)

    def _not_so(self, uids: Iterable[str], is_so: Callable[[DeliveryState, CommitmentState], bool]) -> list[str]:
        return [uid for uid in uids if uid not in self._deliveries or not is_so(*self._deliveries[uid])]


def _words(uids: Sequence[str], state: str) -> str:
    return f"{', '.join(uids)} not known as {state}" if uids else ""


def _plain(numbers: Morphometry | None) -> object:
    """As the console sends it."""
    return None if numbers is None else json.loads(json.dumps(asdict(numbers)))
