"""Illumination, flash and fixation lamps, which hang on outputs of the stage's board.

What the lamps are wanted to show is kept here, not on the board: a board that was unplugged has forgotten it, and gets
it again as a part of its profile. Every switching is verified by the driver against what the board itself says of its
outputs. Without lamps everything works all the same, and says that it is somebody's voice that tells the patient where
to look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trio

from firmware_app.config.light import LightConfig
from firmware_app.gaze import FIXATION_TARGETS, Gaze, gaze_at
from firmware_app.model import Event
from firmware_app.progress import COMPUTE_S, finished, idle, working
from firmware_app.services.causes import in_one_line
from firmware_app.services.hardware import DeviceSlot
from hw.abc import Stage
from hw.errors import DeviceError, Refused

ILLUMINATION, FLASH, FIXATION = "illumination", "flash", "fixation"
DIMMED = (ILLUMINATION, FLASH)
# A board in alarm switches nothing until it was homed, and one that was reset is dark; it tells us of neither.
AGAIN_S = 2.0
OFF_DEADLINE_S = 1.0  # a flash must go off whatever happens, and a board that does not answer must not hold anybody


@dataclass(frozen=True, slots=True)
class ShownTarget:
    """Where the patient is asked to look now; `lit` is whether a lamp shows it or somebody has to say it."""

    gaze: Gaze
    lit: bool
    words: str


class LightService:
    def __init__(self, config: LightConfig, stage: DeviceSlot[Stage], publish: Callable[[Event], None]) -> None:
        self._config = config
        self._stage = stage
        self._publish = publish
        self._outputs = config.outputs()
        self._wanted = dict.fromkeys(self._outputs, 0.0)
        self._shown: dict[str, float] = {}
        self._outputs_lost = 0  # what the board counted when `_shown` was last true of it
        self._maybe_lit: set[str] = set()
        self._trouble = ""
        self._changed = trio.Event()
        self._turn = trio.Lock()
        self._gaze: Gaze | None = None

    @property
    def gaze(self) -> Gaze | None:
        """Where the patient was last asked to look in this exam; None where nobody asked."""
        return self._gaze

    @property
    def detail(self) -> str:
        """For the status: what each lamp shows, and what it should show where that differs."""
        looking = f"; looking {self._gaze.target}" if self._gaze else ""
        if not self._outputs:
            return f"no lamps are configured ([light]){looking}"
        lamps = ", ".join(self._lamp_words(lamp) for lamp in self._outputs)
        trouble = f"; not as wanted: {self._trouble}" if self._trouble else ""
        return f"{lamps}{looking}{trouble}"

    def levels(self) -> dict[str, float | None]:
        """Lamp to level as the board has confirmed it; None where it has not."""
        if not self._stage.is_ready:
            return dict.fromkeys(self._outputs)
        self._forget_what_was_put_out(self._stage.require())
        return {lamp: self._shown.get(lamp) for lamp in self._outputs}

    # ------------------------------------------------------------------------------------------- by hand

    async def switch(self, lamp: str, level: float | None) -> float:
        """A lamp to this level, None for the configured one; returns the level. `Refused` where it is not fitted."""
        if lamp not in DIMMED or lamp not in self._outputs:
            fitted = ", ".join(name for name in DIMMED if name in self._outputs) or "none"
            raise Refused(f"no {lamp} lamp is configured ([light.{lamp}]); there is: {fitted}")
        wanted = self._configured_level(lamp) if level is None else level
        await self._set_now(lamp, wanted)
        return wanted

    async def show_target(self, target: str) -> ShownTarget:
        """Ask the patient to look there; returns once the board has confirmed the lamp.

        Without fixation lamps somebody has to say it, which `words` says; the gaze is kept with the captures all the
        same. `Refused` for a target that there is not, and any `hw.errors.DeviceError` of the board.
        """
        if target not in FIXATION_TARGETS:
            raise Refused(f"there is no fixation target {target!r}; there are {', '.join(FIXATION_TARGETS)}")
        gaze = gaze_at(target, self._config.eccentricity_deg)
        fixation = self._config.fixation
        if fixation is not None:
            await self._set_now(FIXATION, fixation.levels[list(FIXATION_TARGETS).index(target)])
        self._gaze = gaze
        where = "ahead" if target == "centre" else f"{target}, {self._config.eccentricity_deg:g} degrees"
        voice = f"no fixation lamp is configured: ask the patient to look {where}"
        return ShownTarget(gaze, fixation is not None, f"fixation lamp {target} is lit" if fixation else voice)

    async def aim(self, target: str) -> str:
        """Before a photograph by itself: show the target, and tell what was done. `Refused` where nobody would look.

        A peripheral picture is marked as one, so somebody must have made the patient look: a lamp, or a person who has
        said so (`fixation`).
        """
        told = self._gaze is not None and self._gaze.target == target
        if self._config.fixation is None and target != "centre" and not told:
            raise Refused(
                f"no fixation target {target}: no fixation lamp is configured ([light.fixation]); "
                f"ask the patient to look {target} and say so (fixation {target}), then again"
            )
        return (await self.show_target(target)).words

    async def hide_target(self) -> None:
        """No fixation lamp, and nobody knows where the patient looks."""
        self._gaze = None
        if FIXATION in self._outputs:
            await self._set_now(FIXATION, 0.0)

    @asynccontextmanager
    async def flash(self) -> AsyncIterator[None]:
        """For the length of a burst, where a flash lamp is fitted; it goes off however the scope is left."""
        if FLASH not in self._outputs:
            yield
            return
        try:
            # Inside: a board that is left while it answers has lit the lamp already.
            await self._set_now(FLASH, self._configured_level(FLASH))
            yield
        finally:
            with trio.CancelScope(shield=True):
                await self._flash_off()

    # ------------------------------------------------------------------------------------------- by itself

    def exam_opened(self) -> None:
        """The illumination goes on, in its own task: an exam opens whether or not there is light."""
        if ILLUMINATION in self._outputs:
            self._wanted[ILLUMINATION] = self._configured_level(ILLUMINATION)
        self._changed.set()

    def exam_closed(self) -> None:
        """Everything off."""
        self._gaze = None
        self._wanted = dict.fromkeys(self._outputs, 0.0)
        self._changed.set()

    async def restore(self, stage: Stage) -> None:
        """A part of the board's profile: called while it is opened. A lamp that fails does not cost the stage."""
        self._shown.clear()
        self._outputs_lost = stage.outputs_lost
        missing = [f"{lamp} on {output}" for lamp, output in self._outputs.items() if output not in stage.outputs]
        if missing:
            there = ", ".join(stage.outputs) or "none"
            text = f"{stage.identity.label} has no output for {', '.join(missing)}; it has: {there}"
            self._publish(Event("light.missing", f"lights: {text}", level="warning"))
        async with self._turn:
            await self._settle(stage)
        if self._trouble:
            self._changed.set()

    async def put_out(self, stage: Stage) -> None:
        """Before a board is let go: nobody could switch off what is left lit. What is wanted stays wanted."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + OFF_DEADLINE_S):
            for lamp in sorted(self._maybe_lit):
                with suppress(DeviceError):  # it is lost, or in alarm and has put them out itself
                    await self._tell(stage, lamp, 0.0)

    async def run(self) -> None:
        """Bring the lamps to what is wanted, again and again where the board refuses, until cancelled."""
        while self._outputs:
            with trio.move_on_after(AGAIN_S), idle("a lamp to change"):
                await self._changed.wait()
            self._changed = trio.Event()
            with idle("the stage, whose board switches the lamps"):
                await self._stage.wait_ready()
            with working("switching lamps", COMPUTE_S):  # the board answers after the motion that it makes
                async with self._turn:
                    if self._stage.is_ready:  # it may be another one by now, or none
                        await self._settle(self._stage.require())
        finished(self.detail)

    async def _settle(self, stage: Stage) -> None:
        """A board in alarm takes no line: that a dark lamp cannot be told to be dark is not worth a warning."""
        self._forget_what_was_put_out(stage)
        troubles, is_news = [], False
        for lamp, level in self._wanted.items():
            if self._shown.get(lamp) == level:
                continue
            try:
                await self._tell(stage, lamp, level)
            except DeviceError as error:
                troubles.append(f"{lamp}: {in_one_line(error)}")
                is_news |= level > 0 or lamp in self._maybe_lit
        self._note("; ".join(troubles), is_news=is_news)

    def _forget_what_was_put_out(self, stage: Stage) -> None:
        """A board that had an alarm or was reset shows nothing of what it was told."""
        if self._outputs_lost != stage.outputs_lost:
            self._outputs_lost = stage.outputs_lost
            self._shown.clear()

    async def _set_now(self, lamp: str, level: float) -> None:
        async with self._turn:
            await self._tell(self._stage.require(), lamp, level)
            self._wanted[lamp] = level

    async def _flash_off(self) -> None:
        self._wanted[FLASH] = 0.0
        trouble = f"no answer within {OFF_DEADLINE_S:g} s"
        with trio.move_on_after(OFF_DEADLINE_S):
            try:
                await self._set_now(FLASH, 0.0)
                return
            except DeviceError as error:
                trouble = in_one_line(error)
        self._note(f"{FLASH}: {trouble}")
        self._changed.set()  # `run` tries again

    async def _tell(self, stage: Stage, lamp: str, level: float) -> None:
        self._shown.pop(lamp, None)  # nobody knows what it shows if this goes wrong
        if level:
            self._maybe_lit.add(lamp)
        await stage.set_output(self._outputs[lamp], level)
        self._shown[lamp] = level
        if not level:
            self._maybe_lit.discard(lamp)

    def _note(self, trouble: str, *, is_news: bool = True) -> None:
        if is_news and trouble and trouble != self._trouble:
            self._publish(Event("light.failed", f"lights: {trouble}", level="warning"))
        self._trouble = trouble

    def _configured_level(self, lamp: str) -> float:
        table = self._config.illumination if lamp == ILLUMINATION else self._config.flash
        return table.level if table is not None else 0.0

    def _lamp_words(self, lamp: str) -> str:
        level = self.levels()[lamp]
        on = "unknown" if level is None else "off" if level == 0 else f"{100 * level:.0f} %"
        return f"{lamp} ({self._outputs[lamp]}) {on}"
