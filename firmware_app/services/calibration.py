"""Calibrating on a target in front of the instrument: the scale of the camera, and how far the stage really goes.

Both look at the same target of known pitch. The stage is judged by the target alone, without the camera's scale: it is
moved by a fifth of the pitch, where the pattern cannot be taken for its neighbour even if the stage goes twice too far,
then by twice that and so on, each move telling which of the equal places of the next one is meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import trio

from firmware_app.calibration import Calibration, StageCheck
from firmware_app.config import Config
from firmware_app.endothelium.graticule import (
    FloatArray,
    NoTarget,
    Pattern,
    TargetScale,
    measure_target,
    pattern_phases,
    pattern_shift,
)
from firmware_app.model import Event, Frame, Position
from firmware_app.records.calibrations import Entry, Journal, append, read_journal
from firmware_app.records.errors import StorageFault
from firmware_app.services.capture import CaptureService
from firmware_app.services.eyepiece import Progress, next_frames
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.scale import Scale, camera_warnings, scale_of, stage_warnings
from hw.abc import Camera, Identity, Stage
from hw.errors import Refused

FRAMES = 5
FIRST_MOVE_PITCHES = 0.2
FIELD_SHARE = 0.25  # of the field's shorter side: the pattern fills the picture before and after
STAGE_COVERAGE = 2.0  # of 95 %
TARGET_WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Target:
    """What is in front of the instrument. `tolerance_percent` is what its maker promises of the pitch (95 %)."""

    pitch_um: float
    pattern: Pattern
    name: str = ""
    tolerance_percent: float = 0.0

    @property
    def words(self) -> str:
        named = f", {self.name}" if self.name else ""
        return f"{self.pattern} of {self.pitch_um:g} um{named}"[:TARGET_WORDS_MAX]


class Calibrations:
    """What is on record, read once and after each addition, and the scale that follows from it."""

    def __init__(self, config: Config, now: Callable[[], datetime]) -> None:
        self._folder = Path(config.paths.state)
        self._limits = config.calibration
        self._camera, self._stage = config.camera, config.stage
        self._now = now
        self._size_px: tuple[int, int] | None = None
        self.journal, self._trouble = _read(self._folder)

    @property
    def nominal_um_per_px(self) -> float:
        return self._camera.um_per_px if self._camera else 0.0

    def latest_camera(self) -> Calibration | None:
        """At the size of the last frame, any while there was none; a simulator's where one is configured, or none's."""
        simulated = self._camera is not None and self._camera.simulated
        if self._size_px is not None:
            rows, columns = self._size_px
            return self.journal.camera(simulated=simulated, rows=rows, columns=columns)
        return next((each for each in reversed(self.journal.cameras) if each.simulated == simulated), None)

    def um_per_px(self) -> float | None:
        """Of this camera, before it has taken a frame that tells its size."""
        return scale_of(self.latest_camera(), self.nominal_um_per_px).um_per_px

    def latest_stage(self) -> StageCheck | None:
        return self.journal.stage(simulated=self._stage is not None and self._stage.simulated)

    def scale(self, frame: Frame, *, simulated: bool) -> Scale:
        """Of a frame that this camera took now."""
        self._size_px = frame.rows, frame.columns
        on_record = self.journal.camera(simulated=simulated, rows=frame.rows, columns=frame.columns)
        return scale_of(on_record, self.nominal_um_per_px)

    def warnings(self) -> tuple[str, ...]:
        now, camera, stage = self._now(), self.latest_camera(), self.latest_stage()
        return (
            *([self._trouble] if self._trouble else []),
            *self.journal.problems,
            *camera_warnings(camera, self.nominal_um_per_px, self._limits, now),
            *stage_warnings(stage, self._limits, now),
        )

    @property
    def detail(self) -> str:
        """For the status and the self-test."""
        stage = self.latest_stage()
        ratios = f"; stage x {stage.x_ratio:.4f}, y {stage.y_ratio:.4f} um per um" if stage else ""
        warnings = "".join(f"; WARNING: {each}" for each in self.warnings())
        return f"{scale_of(self.latest_camera(), self.nominal_um_per_px).words}{ratios}{warnings}"

    async def add(self, entry: Entry) -> None:
        """On the disk when this returns. `records.errors.StorageFault`."""
        await trio.to_thread.run_sync(append, self._folder, entry)
        self.journal, self._trouble = await trio.to_thread.run_sync(_read, self._folder)


def _read(folder: Path) -> tuple[Journal, str]:
    """A journal that cannot be read must not stop the instrument: nothing is on record then, and that is told."""
    try:
        return read_journal(folder), ""
    except StorageFault as error:
        return Journal(), str(error)


class CalibrationService:
    """One calibration at a time; each occupies the instrument like a capture. `Refused` says why there is none."""

    def __init__(
        self,
        book: Calibrations,
        capture: CaptureService,
        stage: DeviceSlot[Stage],
        camera: DeviceSlot[Camera],
        now: Callable[[], datetime],
        publish: Callable[[Event], None],
    ) -> None:
        self.book = book
        self._capture = capture
        self._stage = stage
        self._camera = camera
        self._now = now
        self._publish = publish

    async def calibrate_camera(self, target: Target, operator: str, progress: Progress) -> Calibration:
        """Several pictures of the target, and their scale on record."""
        with self._capture.occupied("calibrating the camera"):
            camera = self._camera.require()
            frames = await next_frames(camera, FRAMES)
            scales = []
            for number, frame in enumerate(frames, start=1):
                scale = await self._measure(frame, target)
                progress(f"picture {number} of {FRAMES}: {scale.um_per_px:.5g} um/px, ripple {scale.ripple_px:.2g} px")
                scales.append(scale)
            made = calibration_of(scales, frames[0], target, operator, camera.identity, self._now())
            before = self.book.journal.camera(simulated=made.simulated, rows=made.rows, columns=made.columns)
            made = with_drift(made, before)
            await self.book.add(Entry(camera=made))
        self._publish(Event("calibration.camera", f"camera calibrated: {scale_of(made, 0.0).words}"))
        return made

    async def check_stage(self, target: Target, distance_um: float, operator: str, progress: Progress) -> StageCheck:
        """Move x and y over the target by up to `distance_um`, come back, and keep what the camera saw of it."""
        if target.pattern == "lines":
            raise Refused("ruled lines show only the way across them: a grid or dots are needed for the stage")
        with self._capture.occupied("checking the stage"):
            stage, camera = self._stage.require(), self._camera.require()
            origin = await stage.position()
            (frame,) = await next_frames(camera, 1)
            seen = await self._measure(frame, target)
            farthest_um = min(distance_um, FIELD_SHARE * min(frame.rows, frame.columns) * seen.um_per_px)
            walks = [
                await self._walk(axis, origin, frame, seen, target, farthest_um, progress) for axis in ("x_um", "y_um")
            ]
            made = stage_check_of(walks, target, operator, stage.identity, camera.identity, self._now())
            await self.book.add(Entry(stage=made))
        text = f"stage checked: x {made.x_ratio:.4f}, y {made.y_ratio:.4f} um per um"
        self._publish(Event("calibration.stage", text))
        return made

    async def _measure(self, frame: Frame, target: Target) -> TargetScale:
        work = partial(measure_target, frame.pixels, target.pitch_um, target.pattern, self.book.nominal_um_per_px)
        try:
            return await trio.to_thread.run_sync(work)
        except NoTarget as error:
            raise Refused(f"calibration: {error}") from error

    async def _walk(
        self,
        axis: str,
        origin: Position,
        frame: Frame,
        seen: TargetScale,
        target: Target,
        farthest_um: float,
        progress: Progress,
    ) -> Walk:
        """Longer and longer moves along one axis from the same place, and back to it."""
        stage, camera = self._stage.require(), self._camera.require()
        before = await trio.to_thread.run_sync(pattern_phases, frame.pixels, seen.frequencies)
        commanded, shifts = [], []
        per_um = np.zeros(2)
        for move_um in move_lengths(target.pitch_um, farthest_um):
            reached = await stage.move_to(replace(origin, **{axis: getattr(origin, axis) + move_um}))
            told_um = getattr(reached, axis) - getattr(origin, axis)
            (after,) = await next_frames(camera, 1)
            phases = await trio.to_thread.run_sync(pattern_phases, after.pixels, seen.frequencies)
            shift = pattern_shift(before, phases, seen.frequencies, per_um * told_um)
            per_um = shift / told_um
            commanded.append(told_um)
            shifts.append(shift)
            progress(f"{axis[0]} {told_um:.1f} um: {_on_target_um(shift, seen, target):.2f} um on the target")
        await stage.move_to(origin)
        return Walk(
            tuple(commanded), tuple(_on_target_um(each, seen, target) for each in shifts), _angle_deg(shifts[-1])
        )


@dataclass(frozen=True, slots=True)
class Walk:
    """What was commanded along one axis and what the camera saw, in um, and the direction in the picture."""

    commanded_um: tuple[float, ...]
    seen_um: tuple[float, ...]
    angle_deg: float

    @property
    def ratio(self) -> float:
        """Through the origin, the long moves counting most."""
        return sum(c * s for c, s in self._pairs) / sum(c * c for c, _ in self._pairs)

    @property
    def uncertainty_percent(self) -> float:
        """From how far the single moves are from the ratio: the stage's own steps are most of it."""
        squares = sum((s - self.ratio * c) ** 2 for c, s in self._pairs)
        spread = math.sqrt(squares / max(len(self._pairs) - 1, 1))
        return 100 * STAGE_COVERAGE * spread / math.sqrt(sum(c * c for c, _ in self._pairs))

    @property
    def _pairs(self) -> list[tuple[float, float]]:
        return list(zip(self.commanded_um, self.seen_um, strict=True))


def move_lengths(pitch_um: float, farthest_um: float) -> list[float]:
    """From a fifth of the pitch, doubling; the last is the farthest. `Refused` where there is no room for one."""
    first = FIRST_MOVE_PITCHES * pitch_um
    if farthest_um < first:
        raise Refused(f"calibration: {farthest_um:.3g} um are too short for a target of {pitch_um:g} um")
    lengths = [first]
    while 2 * lengths[-1] < farthest_um:
        lengths.append(2 * lengths[-1])
    return lengths if lengths[-1] == farthest_um else [*lengths, farthest_um]


def calibration_of(
    scales: Sequence[TargetScale], frame: Frame, target: Target, operator: str, camera: Identity, now: datetime
) -> Calibration:
    """The mean of the pictures. Their own uncertainty is not made smaller by their number: they show the same dirt."""
    um_per_px = sum(each.um_per_px for each in scales) / len(scales)
    spread = max(abs(each.um_per_px - um_per_px) for each in scales) / um_per_px * 100
    own = max(each.uncertainty_percent for each in scales)
    anisotropies = [each.anisotropy_percent for each in scales if each.anisotropy_percent is not None]
    return Calibration(
        measured_at=now.isoformat(timespec="seconds"),
        um_per_px=um_per_px,
        uncertainty_percent=math.hypot(own, spread, target.tolerance_percent),
        target=target.words,
        operator=operator,
        camera=f"{camera.label} ({camera.firmware})",
        rows=frame.rows,
        columns=frame.columns,
        simulated=camera.simulated,
        rotation_deg=scales[0].rotation_deg,
        anisotropy_percent=sum(anisotropies) / len(anisotropies) if anisotropies else None,
    )


def with_drift(made: Calibration, before: Calibration | None) -> Calibration:
    return made if before is None else replace(made, drift_percent=100 * (made.um_per_px / before.um_per_px - 1))


def stage_check_of(
    walks: Sequence[Walk], target: Target, operator: str, stage: Identity, camera: Identity, now: datetime
) -> StageCheck:
    """What a simulated camera says of a real stage is no check of it."""
    x, y = walks
    return StageCheck(
        measured_at=now.isoformat(timespec="seconds"),
        x_ratio=x.ratio,
        y_ratio=y.ratio,
        uncertainty_percent=math.hypot(max(x.uncertainty_percent, y.uncertainty_percent), target.tolerance_percent),
        angle_deg=x.angle_deg,
        distance_um=max(x.commanded_um[-1], y.commanded_um[-1]),
        target=target.words,
        operator=operator,
        stage=f"{stage.label} ({stage.firmware})",
        simulated=stage.simulated or camera.simulated,
    )


def _on_target_um(shift_px: FloatArray, seen: TargetScale, target: Target) -> float:
    """By the target's own pitch, so that the camera's scale and its pixels do not matter."""
    return target.pitch_um * float(np.hypot(*(seen.frequencies @ shift_px)))


def _angle_deg(shift_px: FloatArray) -> float:
    """From the rows of the picture, -90 to 90: whether camera or target moves makes no difference."""
    return (math.degrees(math.atan2(shift_px[1], shift_px[0])) + 90) % 180 - 90
