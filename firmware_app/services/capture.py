"""Taking the picture: go to an eye, find the endothelium, keep the sharpest frame of a burst.

Each operation runs in the task of whoever asked, so that cancelling the asker stops the motion at once. A capture is
announced only after `records` has it on disk and fsynced; it then goes to the analysis over a channel of capacity 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import trio

from firmware_app.config import Config
from firmware_app.endothelium.sharpness import sharpness
from firmware_app.endothelium.usability import FrameScore, score_frame
from firmware_app.model import Capture, Event, Exam, Eye, Frame, Position
from firmware_app.records.store import Records
from firmware_app.services import focus
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.lights import LightService
from firmware_app.services.scale import Scale, scale_of
from hw.abc import Camera, Stage
from hw.errors import Deadline, Refused

# One frame is exposed and sent in about 0.1 s; a camera that needs twenty times that has stopped.
FRAME_DEADLINE_S = 2.0

# How far from its nominal place an eye is still that eye. Less than half of the smallest pupillary distance, 48 mm.
EYE_REACH_UM = 15_000.0

Progress = Callable[[str], None]


class ScaleOfFrame(Protocol):
    """The scale of a frame that the camera has just taken."""

    def __call__(self, frame: Frame, *, simulated: bool) -> Scale: ...


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """What travels to the analysis: the record and its pixels, so that nobody reads them back from disk."""

    capture: Capture
    frame: Frame


class CaptureService:
    def __init__(
        self,
        config: Config,
        stage: DeviceSlot[Stage],
        camera: DeviceSlot[Camera],
        records: Records,
        captures: trio.MemorySendChannel[Captured],
        publish: Callable[[Event], None],
        *,
        lights: LightService | None = None,
        scale_of_frame: ScaleOfFrame | None = None,
    ) -> None:
        self._config = config
        self._scale_of_frame = scale_of_frame or self._stated_scale
        self._lights = lights or LightService(config.light, stage, publish)
        self._stage = stage
        self._camera = camera
        self._records = records
        self._captures = captures
        self._publish = publish
        self._busy = ""

    @property
    def busy(self) -> str:
        """What the instrument is doing now, or nothing. One operation moves the stage at a time."""
        return self._busy

    async def home(self) -> Position:
        with self._occupy("homing"):
            return await self._stage.require().home()

    async def move_by(self, dx_um: float, dy_um: float, dz_um: float) -> Position:
        with self._occupy("moving"):
            return await self._stage.require().move_by(dx_um, dy_um, dz_um)

    async def move_to(self, target: Position) -> Position:
        with self._occupy("moving"):
            return await self._stage.require().move_to(target)

    async def stop(self) -> Position:
        """Works at any time: it is the one operation that does not wait for another."""
        return await self._stage.require().stop()

    async def go_to_eye(self, eye: Eye) -> Position:
        with self._occupy(f"going to the {eye.name.lower()} eye"):
            return await self._stage.require().move_to(self._nominal(eye))

    async def find_focus(self, progress: Progress) -> focus.FocusPoint:
        """Contrast autofocus around the eye's nominal plane. Raises `Refused` where no endothelium stands out."""
        with self._occupy("focusing"):
            stage = self._stage.require()
            eye, _ = await self._eye_here(stage)
            centre_um = self._nominal(eye).z_um
            range_um = self._config.capture.focus_range_um
            points = await self._scan(stage, focus.coarse_positions(centre_um, range_um))
            progress(f"coarse: best {focus.best(points).z_um - centre_um:+.0f} um from nominal")
            if not focus.has_peak(points):
                raise Refused(
                    f"focus: no endothelium within {range_um:.0f} um of the {eye.name.lower()} eye's nominal plane: "
                    "the sharpness has no peak; is the eye there, open and centred?"
                )
            for half_range_um, step_um in focus.PASSES:
                points = await self._scan(stage, focus.fine_positions(focus.best(points).z_um, half_range_um, step_um))
                progress(f"step {step_um:.0f} um: best {focus.best(points).z_um - centre_um:+.1f} um from nominal")
            await self._move_z(stage, focus.refine(points))
            return await self._score_here(stage)

    async def capture(self, exam: Exam, eye: Eye, progress: Progress) -> Captured:
        """A burst, the sharpest usable frame kept. When this returns, the capture is on disk and fsynced."""
        with self._occupy(f"capturing the {eye.name.lower()} eye"):
            stage, camera = self._stage.require(), self._camera.require()
            # Asked before the burst: a stage that is lost while the frames come must not cost the picture.
            there, position = await self._eye_here(stage)
            if there is not eye:
                raise Refused(f"capture: the stage is at the {there.name.lower()} eye, not the {eye.name.lower()}")
            async with self._lights.flash():
                frames = await next_frames(camera, self._config.capture.burst)
            kept = await trio.to_thread.run_sync(sharpest, frames)
            for line in kept.lines(len(frames)):
                progress(line)
            if not kept.score.is_usable:
                text = f"{eye.name.lower()} eye: no frame of the burst is good: {kept.score.reason}"
                self._publish(Event("capture.doubtful", text, level="warning"))
            scale = self._scale_of_frame(kept.frame, simulated=camera.identity.simulated)
            capture = await self._records.save_capture(
                exam,
                kept.frame,
                eye=eye,
                position=position,
                um_per_px=scale.um_per_px,
                sharpness=kept.score.sharpness,
                simulated=stage.identity.simulated or camera.identity.simulated,
                gaze=self._lights.gaze,
                calibration=scale.calibration,
            )
            self._publish(
                Event("capture.captured", f"{eye.name.lower()} eye captured", {"capture_id": capture.capture_id})
            )
            captured = Captured(capture, kept.frame)
            await self.hand_over(captured, progress)
            return captured

    async def hand_over(self, captured: Captured, progress: Progress) -> None:
        """To the analysis, which takes two ahead of what it measures."""
        try:
            self._captures.send_nowait(captured)
        except trio.WouldBlock:
            progress("the analysis is two captures behind: waiting for it")
            await self._captures.send(captured)

    async def position(self) -> Position:
        return await self._stage.require().position()

    async def _scan(self, stage: Stage, positions_um: list[float]) -> list[focus.FocusPoint]:
        points = []
        for z_um in positions_um:
            await self._move_z(stage, z_um)
            points.append(await self._score_here(stage))
        return points

    async def _move_z(self, stage: Stage, z_um: float) -> None:
        here = await stage.position()
        await stage.move_to(Position(here.x_um, here.y_um, z_um))

    async def _score_here(self, stage: Stage) -> focus.FocusPoint:
        (frame,) = await next_frames(self._camera.require(), 1)
        score = await trio.to_thread.run_sync(sharpness, frame.pixels)
        return focus.FocusPoint((await stage.position()).z_um, score)

    def _nominal(self, eye: Eye) -> Position:
        if self._config.stage is None:
            raise Refused("no stage is configured: the [stage] table is absent")
        x_um, y_um, z_um = self._config.stage.right_eye_um if eye is Eye.RIGHT else self._config.stage.left_eye_um
        return Position(x_um, y_um, z_um)

    async def _eye_here(self, stage: Stage) -> tuple[Eye, Position]:
        """Right or left by where the stage is, whoever moved it: a picture cannot get the other eye's name."""
        if not stage.homed:
            raise Refused("the stage is not homed, so nobody knows which eye is in front of it: home it first")
        here = await stage.position()
        for eye in Eye:
            apex = self._nominal(eye)
            if max(abs(here.x_um - apex.x_um), abs(here.y_um - apex.y_um)) <= EYE_REACH_UM:
                return eye, here
        raise Refused("the stage is at neither eye: go to one first (eye R, eye L)")

    def occupied(self, what: str) -> AbstractContextManager[None]:
        """For others who move the stage or need the camera to themselves; as for our own operations."""
        return self._occupy(what)

    def _stated_scale(self, frame: Frame, *, simulated: bool) -> Scale:
        """Where nobody keeps calibrations."""
        return scale_of(None, self._config.camera.um_per_px if self._config.camera else 0.0)

    @contextmanager
    def _occupy(self, what: str) -> Iterator[None]:
        """Hold the instrument for one operation; a second one is refused with what the first is doing."""
        if self._busy:
            raise Refused(f"the instrument is busy {self._busy}")
        self._busy = what
        try:
            yield
        finally:
            self._busy = ""


async def next_frames(camera: Camera, count: int) -> list[Frame]:
    """The next `count` frames begun after this call. Raises `Deadline` when the stream stands still."""
    frames: list[Frame] = []
    with trio.move_on_after(FRAME_DEADLINE_S * count):
        async with aclosing(camera.frames()) as stream:
            async for frame in stream:
                frames.append(frame)
                if len(frames) == count:
                    return frames
    raise Deadline(
        f"camera {camera.identity.label}: {len(frames)} of {count} frames in {FRAME_DEADLINE_S * count:.0f} s"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The frame of a burst that is kept, and why each of the others that are not usable is not."""

    frame: Frame
    score: FrameScore
    rejected: tuple[str, ...] = ()

    def lines(self, frames: int) -> list[str]:
        """What the operator is told of a burst of so many frames."""
        told = [f"{count} of {frames} frames rejected: {reason}" for reason, count in Counter(self.rejected).items()]
        if self.score.is_usable:
            good = frames - len(self.rejected)
            return [*told, f"the sharpest of {good} frames kept, sharpness {self.score.sharpness:.3g}"]
        return [*told, f"no frame is good, the best one is kept: {self.score.reason}; capture again if you can"]


def sharpest(frames: Sequence[Frame]) -> Kept:
    """The sharpest usable frame of a burst of at least one.

    When none is usable the best of them is kept all the same: a swollen cornea is nothing but haze, a restless patient
    may not be photographed better today, and the analysis refuses what it cannot measure. Raises `Refused` only where
    no frame holds anything that could be looked at later: black all over, or white.
    """
    scored = [(score_frame(frame.pixels, frame.bits_stored), frame) for frame in frames]
    if all(score.is_empty for score, _ in scored):
        reasons = "; ".join(dict.fromkeys(score.reason for score, _ in scored))
        raise Refused(f"capture: nothing to keep in {len(scored)} frames: {reasons}")
    usable = [(score, frame) for score, frame in scored if score.is_usable]
    if not usable:
        score, frame = max(scored, key=lambda pair: (not pair[0].is_empty, pair[0].usability * pair[0].sharpness))
        others = tuple(other.reason for other, rejected in scored if rejected is not frame)
        return Kept(frame, score, others)
    score, frame = max(usable, key=lambda pair: pair[0].sharpness)
    return Kept(frame, score, tuple(other.reason for other, _ in scored if not other.is_usable))
