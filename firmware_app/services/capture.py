"""The instrument's operations, one at a time: move, focus, take a picture by hand or without one, keep it.

Each operation runs in the task of whoever asked, so that cancelling the asker stops the motion at once. A capture is
announced only after `records` has it on disk and fsynced; it then goes to the analysis over a channel of capacity 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import trio

from firmware_app.config import Config
from firmware_app.gaze import Gaze, gaze_at
from firmware_app.model import Capture, CornealThickness, Event, Exam, Eye, FixationPoint, Frame, Position, Reject
from firmware_app.records.errors import StorageFault
from firmware_app.records.store import Records
from firmware_app.services import focus
from firmware_app.services.alignment import Aligned, Aligner
from firmware_app.services.burst import Kept as Kept
from firmware_app.services.burst import sharpest as sharpest
from firmware_app.services.contrast import scan_for_focus
from firmware_app.services.crossing import go_over
from firmware_app.services.eyepiece import Eyepiece, Progress, RunSync, hint
from firmware_app.services.eyepiece import next_frames as next_frames
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.lights import LightService
from firmware_app.services.photographer import Photograph, Photographer, ShowTarget
from firmware_app.services.scale import Scale, scale_of
from hw.abc import Camera, Stage
from hw.errors import DeviceFault, Refused
from hw.late import told_when_late

# How far from its nominal place an eye is still that eye. Less than half of the smallest pupillary distance, 48 mm.
EYE_REACH_UM = 15_000.0

WATCH_PERIOD_S = 0.2
PANORAMA_STEP_UM = 170.0  # two frames of 544 um then share two thirds, and the last of five still faces the reflex
PANORAMA_SHOTS = (3, 5)


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
        um_per_px: Callable[[], float | None] | None = None,
        show_target: ShowTarget | None = None,
        run_sync: RunSync = trio.to_thread.run_sync,
    ) -> None:
        """`um_per_px` is the scale before there is a frame; `show_target` lights a fixation target and says so;
        `run_sync` is where pictures are judged. Without them the configuration's scale, no target, a thread."""
        self._config = config
        self._scale_of_frame = scale_of_frame or self._stated_scale
        self._lights = lights or LightService(config.light, stage, publish)
        self._stage = stage
        self._camera = camera
        self._records = records
        self._captures = captures
        self._publish = publish
        self._run_sync = run_sync
        self._busy = ""
        self._operation: trio.CancelScope | None = None
        self.photographer = Photographer(
            config,
            stage,
            camera,
            um_per_px=um_per_px,
            show_target=show_target,
            flash=self._lights.flash,
            run_sync=run_sync,
        )

    @property
    def busy(self) -> str:
        """What the instrument is doing now, or nothing. One operation moves the stage at a time."""
        return self._busy

    async def home(self) -> Position:
        with self._occupy("homing"), told_when_late(self._late):
            return await self._stage.require().home()

    def _late(self, text: str) -> None:
        self._publish(Event("stage.late", text, level="warning"))

    async def move_by(self, dx_um: float, dy_um: float, dz_um: float) -> Position:
        with self._occupy("moving"):
            return await self._stage.require().move_by(dx_um, dy_um, dz_um)

    async def move_to(self, target: Position) -> Position:
        with self._occupy("moving"):
            return await self._stage.require().move_to(target)

    async def stop(self) -> Position:
        """Works at any time: it is the one operation that does not wait for another.

        What was under way ends, also where the stage stood for a moment between two moves or while it was looked.
        """
        try:
            return await self._stage.require().stop()
        finally:
            if self._operation is not None:
                self._operation.cancel()

    async def go_to_eye(self, eye: Eye) -> Position:
        with self._occupy(f"going to the {eye.name.lower()} eye"):
            return await go_over(self._stage.require(), self.photographer.nominal(eye), self.photographer.retract_um)

    async def find_focus(self, progress: Progress) -> focus.FocusPoint:
        """Contrast autofocus around the eye's nominal plane. Raises `Refused` where no endothelium stands out."""
        with self._occupy("focusing"):
            eye, _ = await self._eye_here(self._stage.require())
            eyepiece = self.photographer.eyepiece(eye)
            return await scan_for_focus(eyepiece, self._config.capture.focus_range_um, progress)

    async def align(self, progress: Progress) -> Aligned:
        """Centre the reflex of the eye in front and focus, from where the stage is; the thickness is measured too."""
        with self._occupy("aligning"):
            eyepiece = await self._calibrated_eyepiece()
            return self._told(await self.photographer.align(eyepiece, progress, with_thickness=True))

    async def nudge(self, dx_um: float, dy_um: float, dz_um: float) -> str:
        """Move by hand and tell what the picture then says."""
        with self._occupy("moving"):
            eyepiece = await self._calibrated_eyepiece()
            await eyepiece.stage.move_by(dx_um, dy_um, dz_um)
            return hint(await eyepiece.look())

    async def watch(self, seconds: float, progress: Progress) -> str:
        """Tell again and again where reflex and focus are, for a hand at the stage; it does not hold the instrument."""
        eyepiece = await self._calibrated_eyepiece()
        last = ""
        with trio.move_on_after(seconds):
            while True:
                last = hint(await eyepiece.look())
                progress(last)
                await trio.sleep(WATCH_PERIOD_S)
        return last or "no frame came"

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
            kept = await self._run_sync(sharpest, frames, self.photographer.geometry)
            for line in kept.lines(len(frames)):
                progress(line)
            return await self._keep(exam, eye, kept, position, progress, kept.rejects, gaze=self._lights.gaze)

    async def auto(
        self, exam: Exam, eye: Eye, progress: Progress, point: FixationPoint = FixationPoint.CENTRE
    ) -> tuple[Captured, Photograph]:
        """From wherever the stage is to a capture on disk, without a hand. `Refused` with the reason why not."""
        with self._occupy(f"photographing the {eye.name.lower()} eye"):
            taken = await self.photographer.photograph(eye, progress, point)
            thickness, gaze = self._told(taken.aligned).thickness, self._gaze(point)
            captured = await self._keep(exam, eye, taken.kept, taken.position, progress, taken.rejects, thickness, gaze)
            return captured, taken

    async def series(
        self, exam: Exam, eye: Eye, shots: int, progress: Progress, point: FixationPoint = FixationPoint.CENTRE
    ) -> list[Captured]:
        """Overlapping captures in a row, the one in the middle first: as many as `PANORAMA_SHOTS` allow."""
        low, high = PANORAMA_SHOTS
        if not low <= shots <= high:
            raise Refused(f"a series of {shots} captures: {low} to {high} fit on the reflex of a cornea")
        with self._occupy(f"photographing the {eye.name.lower()} eye in {shots} places"):
            eyepiece = await self.photographer.go_to(eye, progress, point)
            central = point is FixationPoint.CENTRE
            aligned = self._told(await self.photographer.align(eyepiece, progress, with_thickness=central))
            middle = await eyepiece.stage.position()
            gaze = self._gaze(point)
            captures = []
            for number in sorted(range(shots), key=lambda each: abs(each - shots // 2)):
                beside_um = (number - shots // 2) * PANORAMA_STEP_UM
                if beside_um:
                    progress(f"{beside_um:+.0f} um beside the middle")
                    here = await eyepiece.stage.position()
                    await eyepiece.move_to(Position(middle.x_um + beside_um, middle.y_um, here.z_um))
                    await Aligner(eyepiece, progress).focus()
                taken = await self.photographer.shoot(eyepiece, aligned, progress, sideways=False)
                thickness = aligned.thickness if not beside_um else None
                captures.append(
                    await self._keep(exam, eye, taken.kept, taken.position, progress, taken.rejects, thickness, gaze)
                )
            return captures

    def _told(self, aligned: Aligned) -> Aligned:
        """Two ways to measure the thickness that disagree are everybody's business."""
        if aligned.doubt:
            self._publish(Event("thickness.doubtful", aligned.doubt, level="warning"))
        return aligned

    async def _keep(
        self,
        exam: Exam,
        eye: Eye,
        kept: Kept,
        position: Position,
        progress: Progress,
        rejects: Sequence[Reject] = (),
        thickness: CornealThickness | None = None,
        gaze: Gaze | None = None,
    ) -> Captured:
        """On disk, told, and on its way to the analysis."""
        name = f"{eye.name.lower()} eye"
        if not kept.score.is_usable:
            text = f"{name}: no frame of the burst is good: {kept.score.reason}"
            self._publish(Event("capture.doubtful", text, level="warning"))
        scale = self._scale_of_frame(kept.frame, simulated=self._is_simulated_camera())
        with trio.CancelScope(shield=True):  # a stop must not take from the exam what is told to be captured
            capture = await self._records.save_capture(
                exam,
                kept.frame,
                eye=eye,
                position=position,
                um_per_px=scale.um_per_px,
                sharpness=kept.score.sharpness,
                simulated=self._is_simulated(),
                thickness=thickness,
                gaze=gaze,
                calibration=scale.calibration,
            )
        self._publish(Event("capture.captured", f"{name} captured", {"capture_id": capture.capture_id}))
        captured = Captured(capture, kept.frame)
        await self.hand_over(captured, progress)
        if rejects:
            with trio.CancelScope(shield=True):
                await self._keep_rejects(capture, rejects)
        return captured

    async def _keep_rejects(self, capture: Capture, rejects: Sequence[Reject]) -> None:
        """Beside the capture, which is safe already: what the disk does not take of them is only told."""
        try:
            await self._records.save_rejects(capture, rejects)
        except StorageFault as error:
            text = f"{len(rejects)} rejected frames of {capture.capture_id} were not kept: {error}"
            self._publish(Event("capture.rejects_lost", text, {"capture_id": capture.capture_id}, "warning"))

    async def hand_over(self, captured: Captured, progress: Progress) -> None:
        """To the analysis, which takes two ahead of what it measures."""
        try:
            self._captures.send_nowait(captured)
        except trio.WouldBlock:
            progress("the analysis is two captures behind: waiting for it")
            await self._captures.send(captured)

    async def position(self) -> Position:
        return await self._stage.require().position()

    def _is_simulated(self) -> bool:
        """By what is configured: a device that was lost since the burst is what it was."""
        tables = (self._config.stage, self._config.camera)
        return any(table.simulated for table in tables if table is not None)

    def _is_simulated_camera(self) -> bool:
        return self._config.camera is not None and self._config.camera.simulated

    def _gaze(self, point: FixationPoint) -> Gaze:
        """Of a patient who was shown this target."""
        return gaze_at(point, self._config.light.eccentricity_deg)

    async def _calibrated_eyepiece(self) -> Eyepiece:
        """For the eye in front."""
        if self.photographer.um_per_px is None:
            raise Refused("the camera is not calibrated (camera.um_per_px): no picture tells where the reflex is in um")
        eye, _ = await self._eye_here(self._stage.require())
        return self.photographer.eyepiece(eye)

    async def _eye_here(self, stage: Stage) -> tuple[Eye, Position]:
        """Right or left by where the stage is, whoever moved it: a picture cannot get the other eye's name."""
        if not stage.homed:
            raise Refused("the stage is not homed, so nobody knows which eye is in front of it: home it first")
        here = await stage.position()
        for eye in Eye:
            apex = self.photographer.nominal(eye)
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
        with trio.CancelScope() as operation:
            self._operation = operation
            try:
                yield
            finally:
                self._busy, self._operation = "", None
        if operation.cancelled_caught:
            raise DeviceFault("stopped", f"{what} was stopped")
