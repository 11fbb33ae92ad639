"""The lamps at the console: illumination and flash by hand, and where the patient is asked to look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from firmware_app.console.commands import Argument, Command, CommandContext
from firmware_app.console.protocol import Reply
from firmware_app.gaze import FIXATION_TARGETS
from firmware_app.services.lights import DIMMED, LightService

OFF = "off"


def level_of(word: str) -> float | None:
    """`on` is the configured level, None here; otherwise percent as 0 to 1. `ValueError` says what is allowed."""
    if word == "on":
        return None
    if word == OFF:
        return 0.0
    try:
        percent = float(word)
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise ValueError("on, off, or percent from 0 to 100")
    return percent / 100


@dataclass(frozen=True, slots=True)
class LightCommands:
    """The handlers. What the board refuses or does not do is the console's expected error."""

    lights: LightService

    def table(self) -> tuple[Command, ...]:
        lamp = Argument("LAMP", "which; without it, all lamps as they are", choices=DIMMED, default="")
        level = Argument("LEVEL", "on, off, or percent from 0 to 100", level_of, default=None)
        targets = (*FIXATION_TARGETS, OFF)
        target = Argument("TARGET", "where; without it, what is shown now", choices=targets, default="")
        return (
            Command("light", "switch the illumination or the flash lamp by hand", self._light, (lamp, level)),
            Command(
                "fixation",
                "show the patient where to look, by his or her own right and left; kept with the captures",
                self._fixation,
                (target,),
            ),
        )

    async def _light(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        lamp, level = arguments["lamp"], arguments["level"]
        if not lamp:
            return self._state(self.lights.detail)
        shown = await self.lights.switch(lamp, level)
        return self._state(f"{lamp} {'off' if shown == 0 else f'at {100 * shown:g} %'}, confirmed by the board")

    async def _fixation(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        target = arguments["target"]
        if target == OFF:
            await self.lights.hide_target()
            return self._state("no fixation target")
        if target:
            return self._state((await self.lights.show_target(target)).words)
        gaze = self.lights.gaze
        return self._state(f"looking {gaze.target}" if gaze else "no fixation target is shown")

    def _state(self, text: str) -> Reply:
        gaze = self.lights.gaze
        return Reply(text, {"levels": self.lights.levels(), "gaze": asdict(gaze) if gaze else None})
