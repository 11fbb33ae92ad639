"""What an exam says as a performed procedure step: the messages, ready to be recorded with it.

An exam never fails for its report: what cannot be composed is told to the operator, and the exam goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import trio

from firmware_app.config import Config
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from firmware_app.model import Code, Event, Exam
from firmware_app.net.attributes import encode_attributes
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import new_uid
from firmware_app.profiles import Profile
from firmware_app.records.mpps import MppsMessage, StepStatus

if TYPE_CHECKING:
    from firmware_app.objects.mpps import MppsComposer, StepAttributes

# The name of the node's table in the configuration: what was queued goes there when it is configured again.
NODE_NAME = "mpps"
# Messages are kept in it; the association may have agreed on another one.
SYNTAX = EXPLICIT_VR_LITTLE_ENDIAN


class StepReports:
    """`composer` makes the data sets, in a worker thread; None where no MPPS is kept: exams then refer to none."""

    def __init__(
        self,
        composer: Callable[[], MppsComposer] | None,
        wake: Callable[[], None],
        publish: Callable[[Event], None],
    ) -> None:
        self._composer = composer
        self._wake = wake
        self._publish = publish

    def new_uid(self) -> str:
        """The SOP Instance UID of the step that an exam will be; empty where no MPPS is kept."""
        return new_uid() if self._composer else ""

    async def begun(self, exam: Exam) -> MppsMessage | None:
        """The N-CREATE of an exam that is about to be recorded; None where it is not reported."""
        return await self._message(exam, "IN PROGRESS", lambda composer: composer.begin(exam))

    async def ended(
        self,
        exam: Exam,
        status: Literal["COMPLETED", "DISCONTINUED"],
        ended_at: datetime,
        files: Sequence[Path],
        reason: Code | None = None,
    ) -> MppsMessage | None:
        """The final N-SET of an exam that is about to be closed, with everything in `files`."""

        unreadable: list[Path] = []

        def end(composer: MppsComposer) -> StepAttributes:
            return composer.end(exam, status, ended_at, _contents(files, unreadable), reason)

        message = await self._message(exam, status, end)
        for file in unreadable:
            text = f"MPPS {status}: {file.name} cannot be read and is not listed"
            self._publish(Event("object.problem", text, {"exam_id": exam.exam_id}, "alert"))
        return message

    def recorded(self) -> None:
        """A message is in the records: send it."""
        self._wake()

    async def _message(
        self, exam: Exam, status: StepStatus, compose: Callable[[MppsComposer], StepAttributes]
    ) -> MppsMessage | None:
        if self._composer is None or not exam.mpps_sop_instance_uid:
            return None
        try:
            made, octets = await trio.to_thread.run_sync(partial(_encoded, self._composer, compose))
        except Exception as error:  # noqa: BLE001 - pydicom has no common base, and the exam must go on
            # Not the error's own text, which may quote the patient.
            text = f"exam {exam.exam_id} cannot be reported as {status}: {type(error).__name__}"
            self._publish(Event("mpps.failed", text, {"exam_id": exam.exam_id}, "alert"))
            return None
        for problem in made.problems:
            # Only the attribute's name: the rest of the sentence may quote the patient.
            text = f"MPPS {status}: {problem.partition(':')[0]} could not be sent as it was"
            uid: dict[str, object] = {"mpps_sop_instance_uid": exam.mpps_sop_instance_uid}
            self._publish(Event("object.problem", text, uid, "warning"))
        return MppsMessage(exam.mpps_sop_instance_uid, exam.exam_id, NODE_NAME, status, octets)


def _contents(files: Sequence[Path], unreadable: list[Path]) -> Iterator[bytes]:
    """What is in the files; a damaged one must not keep the rest of the step from being reported."""
    from firmware_app.objects.mpps import performed_series  # pydicom, as below

    for file in files:
        try:
            data = file.read_bytes()
            performed_series([data])
        except Exception:  # noqa: BLE001 - pydicom has no common base for what a damaged file does to it
            unreadable.append(file)
        else:
            yield data


def _encoded(
    composer: Callable[[], MppsComposer], compose: Callable[[MppsComposer], StepAttributes]
) -> tuple[StepAttributes, bytes]:
    made = compose(composer())
    return made, encode_attributes(made.dataset, SYNTAX, made.as_received)


def step_composer(config: Config, profile: Profile) -> MppsComposer:
    """From configuration and profile. ObjectError where the profile has no such service."""
    from firmware_app.objects.mpps import MppsComposer, StepStation  # pydicom: 0.2 s, not before READY

    if profile.mpps is None:
        raise ObjectError(f"the profile {profile.name} has no tables of performed procedure steps")
    station = StepStation(
        ae_title=config.instrument.ae_title,
        name=config.instrument.station_name,
        archive_ae_title=config.storage.ae_title if config.storage.host else "",
        simulated=any(device is not None and device.simulated for device in (config.stage, config.camera)),
    )
    return MppsComposer(profile, profile.mpps, config.storage.modality, station)
