"""A photograph without a hand: drive to the eye, align, focus, measure the thickness, shoot, judge, shoot again.

Sequence only. It holds nothing: leaving it at any await stops the stage, by the promise of `hw.abc.Stage`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass

import trio

from firmware_app.config import Config
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.model import Eye, FixationPoint, Position, Reject
from firmware_app.records.rejects import REJECTS_MAX
from firmware_app.services.alignment import Aligned, Aligner, NotFocused
from firmware_app.services.burst import Kept, sharpest
from firmware_app.services.contrast import scan_for_focus
from firmware_app.services.crossing import go_over
from firmware_app.services.eyepiece import Eyepiece, Progress, RunSync, next_frames
from firmware_app.services.hardware import DeviceSlot
from hw.abc import Camera, Stage
from hw.errors import Refused

BURSTS_MAX = 6  # of some 0.3 s each: longer than any blink
CONTRAST_AFTER = 3
GAZE_S = 0.4  # until an eye rests on a new target: 0.2 s to notice it, and a saccade
UNCALIBRATED_UM_PER_PX = 1.0  # for what needs no lengths

Flash = Callable[[], AbstractAsyncContextManager[None]]
ShowTarget = Callable[[FixationPoint], Awaitable[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """`kept` with where the stage was; `rejects` are the frames of all bursts that were not good, oldest first.

    `rejected` counts them by reason, with those that showed nothing at all, which are not among `rejects`.
    """

    kept: Kept
    position: Position
    aligned: Aligned
    rejected: Counter[str]
    bursts: int
    rejects: tuple[Reject, ...] = ()


class Photographer:
    def __init__(
        self,
        config: Config,
        stage: DeviceSlot[Stage],
        camera: DeviceSlot[Camera],
        *,
        um_per_px: Callable[[], float | None] | None = None,
        show_target: ShowTarget | None = None,
        flash: Flash = nullcontext,
        run_sync: RunSync = trio.to_thread.run_sync,
    ) -> None:
        """`show_target` lights the lamp that the patient is to look at, or says what to tell him; without one only the
        centre is possible. `um_per_px` is the calibration on record, without one the configuration's; `flash` lights a
        burst."""
        self._config = config
        self._stage = stage
        self._camera = camera
        self._run_sync = run_sync
        self.show_target = show_target
        self._flash = flash
        self._um_per_px = um_per_px or self._stated_um_per_px

    @property
    def um_per_px(self) -> float | None:
        return self._um_per_px()

    def _stated_um_per_px(self) -> float | None:
        return (self._config.camera.um_per_px if self._config.camera else 0.0) or None

    @property
    def geometry(self) -> ReflexGeometry:
        table = self._config.reflex
        return ReflexGeometry(
            self.um_per_px or UNCALIBRATED_UM_PER_PX,
            half_angle_deg=table.half_angle_deg,
            slit_width_um=table.slit_width_um,
            reflex_radius_um=table.reflex_radius_um,
            halo_radius_um=table.halo_radius_um,
            halo_level=table.halo_level,
            black_level=table.black_level,
            vignetting=table.vignetting,
        )

    def nominal(self, eye: Eye) -> Position:
        """Where the configuration has this eye."""
        if self._config.stage is None:
            raise Refused("no stage is configured: the [stage] table is absent")
        x_um, y_um, z_um = self._config.stage.right_eye_um if eye is Eye.RIGHT else self._config.stage.left_eye_um
        return Position(x_um, y_um, z_um)

    @property
    def retract_um(self) -> float:
        """How far back the stage goes on its way from eye to eye."""
        return self._config.stage.retract_um if self._config.stage else 0.0

    def eyepiece(self, eye: Eye) -> Eyepiece:
        stage, _ = self._stage.require(), self._camera.require()
        return Eyepiece(stage, self._camera.require, self.geometry, eye, self.nominal(eye), self._run_sync)

    async def photograph(self, eye: Eye, progress: Progress, point: FixationPoint = FixationPoint.CENTRE) -> Photograph:
        """From wherever the stage is. Raises `Refused` with the reason where there is nothing worth keeping."""
        eyepiece = await self.go_to(eye, progress, point)
        aligned = await self.align(eyepiece, progress, with_thickness=point is FixationPoint.CENTRE)
        return await self.shoot(eyepiece, aligned, progress)

    async def go_to(self, eye: Eye, progress: Progress, point: FixationPoint) -> Eyepiece:
        if self.um_per_px is None:
            raise Refused(
                "the camera is not calibrated (camera.um_per_px): by itself nothing can be aligned; go by hand"
            )
        eyepiece = self.eyepiece(eye)
        if not eyepiece.stage.homed:
            raise Refused("the stage is not homed, so nobody knows where the eyes are: home it first")
        await self._show(point, progress)
        progress(f"driving to the {eyepiece.name}")
        await go_over(eyepiece.stage, eyepiece.nominal, self.retract_um)
        return eyepiece

    async def align(self, eyepiece: Eyepiece, progress: Progress, *, with_thickness: bool) -> Aligned:
        """By geometry; by contrast where that finds no focus."""
        aligner = Aligner(eyepiece, progress, with_thickness=with_thickness)
        try:
            return await aligner.run()
        except NotFocused as error:
            progress(f"{error}; focusing by contrast")
            await scan_for_focus(eyepiece, self._config.capture.focus_range_um, progress)
            return aligner.by_contrast()

    async def shoot(
        self, eyepiece: Eyepiece, aligned: Aligned, progress: Progress, *, sideways: bool = True
    ) -> Photograph:
        """Bursts until one has a good frame; between two the eye is looked for again.

        After the last one the best frame is kept, which the caller has to call doubtful.
        """
        rejected: Counter[str] = Counter()
        rejects: deque[Reject] = deque(maxlen=REJECTS_MAX)
        for number in range(1, BURSTS_MAX + 1):
            # Asked before the burst: a stage that is lost while the frames come must not cost the picture.
            position = await eyepiece.stage.position()
            async with self._flash():
                frames = await next_frames(eyepiece.camera(), self._config.capture.burst)
            try:
                kept = await self._run_sync(sharpest, frames, eyepiece.geometry)
            except Refused as error:
                if number == BURSTS_MAX:
                    raise
                rejected["dark or white all over"] += len(frames)
                progress(f"{error}; again")
                await self._again(eyepiece, progress, position, sideways)
                continue
            rejected.update(kept.rejected)
            rejects.extend(kept.rejects)
            if kept.score.is_usable or number == BURSTS_MAX:
                break
            rejected[kept.score.reason] += 1
            rejects.append(Reject(kept.frame, kept.score.reason))
            progress(f"no frame of the burst is good: {kept.score.reason}; again")
            if number == CONTRAST_AFTER and "focus" in kept.score.reason:
                await self._focus_by_contrast(eyepiece, progress)
            else:
                await self._again(eyepiece, progress, position, sideways)
        for line in kept.lines(len(frames)):
            progress(line)
        return Photograph(kept, position, aligned, rejected, number, tuple(rejects))

    async def _again(self, eyepiece: Eyepiece, progress: Progress, focus: Position, sideways: bool) -> None:
        """Back onto the reflex, if it has left. What cannot be found again is the next burst's to tell."""
        aligner = Aligner(eyepiece, progress, focus_z_um=focus.z_um)
        try:
            await (aligner.run() if sideways else aligner.focus())
        except Refused as error:
            progress(str(error))

    async def _focus_by_contrast(self, eyepiece: Eyepiece, progress: Progress) -> None:
        """Where the geometry says that it is in focus and the cells say no: the picture decides."""
        progress("focusing by contrast")
        try:
            await scan_for_focus(eyepiece, self._config.capture.focus_range_um, progress)
        except Refused as error:
            progress(str(error))

    async def _show(self, point: FixationPoint, progress: Progress) -> None:
        if self.show_target is not None:
            progress(await self.show_target(point))
            await trio.sleep(GAZE_S)
        elif point is not FixationPoint.CENTRE:
            raise Refused(f"this instrument has no fixation target {point}: only the centre")
