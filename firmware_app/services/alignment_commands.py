"""Photographs without a hand at the console, and what a hand needs where that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext, number
from firmware_app.console.protocol import Reply
from firmware_app.model import Eye, FixationPoint
from firmware_app.services import screens
from firmware_app.services.capture import CaptureService
from firmware_app.services.exam import ExamService

# Where a nudge goes, as the picture is seen: right and up are the stage's x and y.
DIRECTIONS = {
    "left": (-1.0, 0.0, 0.0),
    "right": (1.0, 0.0, 0.0),
    "up": (0.0, 1.0, 0.0),
    "down": (0.0, -1.0, 0.0),
    "nearer": (0.0, 0.0, 1.0),
    "back": (0.0, 0.0, -1.0),
}


@dataclass(frozen=True, slots=True)
class AlignmentCommands:
    """The handlers. What the services refuse is the operator's answer."""

    capture: CaptureService
    exams: ExamService

    def table(self) -> tuple[Command, ...]:
        eye = Argument("EYE", "the patient's own right or left", Eye, choices=("R", "L"))
        points = tuple(str(point) for point in FixationPoint)
        point = Argument("--at", "where the patient looks", FixationPoint, choices=points, default=FixationPoint.CENTRE)
        way = Argument("WAY", "in the picture, or in depth", choices=tuple(DIRECTIONS))
        return (
            Command("auto", "photograph an eye by itself: align, focus, thickness, shoot", self._auto, (eye, point)),
            Command("align", "centre the reflex of the eye in front and focus, from where the stage is", self._align),
            Command(
                "nudge",
                "move by hand, and tell where reflex and focus are",
                self._nudge,
                (way, Argument("UM", "how far, um", number(0, 5000))),
            ),
            Command(
                "watch",
                "tell again and again where reflex and focus are, while you nudge",
                self._watch,
                (Argument("--seconds", "for how long", number(1, 3600), default=60.0),),
            ),
        )

    async def _auto(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        captured, taken = await self.exams.take_by_itself(arguments["eye"], context.progress, arguments["at"])
        return screens.photographed(captured, taken)

    async def _align(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return screens.aligned(await self.capture.align(context.progress))

    async def _nudge(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        x_um, y_um, z_um = (share * arguments["um"] for share in DIRECTIONS[arguments["way"]])
        text = await self.capture.nudge(x_um, y_um, z_um)
        return Reply(text, {"hint": text})

    async def _watch(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        text = await self.capture.watch(arguments["seconds"], context.progress)
        return Reply(text, {"hint": text})
