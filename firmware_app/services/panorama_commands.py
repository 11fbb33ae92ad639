"""The panorama of an eye at the console: the captures of the open exam that overlap, as one picture and measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, whole_number
from firmware_app.console.protocol import Reply
from firmware_app.endothelium.panorama import CAPTURES_MAX, NoPanorama, Panorama
from firmware_app.model import Capture, Eye, FixationPoint, Frame
from firmware_app.records.store import Records
from firmware_app.services import screens
from firmware_app.services.capture import PANORAMA_SHOTS
from firmware_app.services.exam import ExamService


@dataclass(frozen=True, slots=True)
class PanoramaCommands:
    """The handlers. What the services refuse, and what the records say, are the console's expected errors."""

    exams: ExamService
    records: Records

    def table(self) -> tuple[Command, ...]:
        eye = Argument("EYE", "the patient's own right or left", Eye, choices=("R", "L"))
        text = "stitch the captures of an eye in the open exam, and measure all of their cells once"
        low, high = PANORAMA_SHOTS
        words = f"take so many first ({low} to {high}), by itself; without it those that are there are stitched"
        take = Argument("--take", words, whole_number(low, high), default=0)
        points = tuple(str(point) for point in FixationPoint)
        at = Argument("--at", "where the patient looks", FixationPoint, choices=points, default=FixationPoint.CENTRE)
        return (Command("panorama", text, self._panorama, (eye, take, at)),)

    async def _panorama(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        exam, eye = self.exams.require(), arguments["eye"]
        if arguments["take"]:
            series = await self.exams.take_series(eye, arguments["take"], context.progress, arguments["at"])
            captures = [captured.capture for captured in series]
        else:
            point = arguments["at"]
            captures = [each for each in await self.records.captures(exam.exam_id) if each.eye is eye]
            captures = [each for each in captures if each.point is point]
        name = f"{eye.name.lower()} eye"
        if len(captures) < 2:
            raise CommandFailed(
                f"the {name} has {len(captures)} captures in this exam: a panorama needs two that overlap "
                f"(panorama {eye} --take 3, or move the stage by some 200 um and capture again)"
            )
        if len(captures) > CAPTURES_MAX:
            context.progress(f"the last {CAPTURES_MAX} of {len(captures)} captures are taken")
            captures = captures[-CAPTURES_MAX:]
        if len({capture.um_per_px for capture in captures}) > 1:
            raise CommandFailed(f"the captures of the {name} have different scales: the camera was calibrated between")
        frames = [await self.records.load_frame(capture.capture_id) for capture in captures]
        try:
            work = partial(_build, captures, frames, context.progress)
            panorama, data, files = await trio.to_thread.run_sync(work)
        except NoPanorama as error:
            raise CommandFailed(f"no panorama of the {name}: {error}") from error
        paths = [str(await self.records.save_picture(exam.exam_id, each, octets)) for each, octets in files.items()]
        placed = sum(source.place_px is not None for source in panorama.sources)
        numbers = screens.measurement_text(panorama.measurement)
        text = f"{name}, {placed} of {len(captures)} captures: {numbers}; kept as {paths[0]}"
        return Reply(text, {**data, "files": paths})


def _build(
    captures: Sequence[Capture], frames: Sequence[Frame], progress: Callable[[str], None]
) -> tuple[Panorama, dict[str, object], dict[str, bytes]]:
    """In a worker thread; each step is told in the event loop, which is also where a cancelled command ends."""
    from firmware_app.services.panorama import panorama_of_captures  # Pillow and pydicom: not before READY

    return panorama_of_captures(captures, frames, lambda text: trio.from_thread.run_sync(progress, text))
