"""What the steps of a photograph share: look, move, and stay where an eye may be. Motion ends with the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

import trio

from firmware_app.endothelium.look import Look, look_at
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.model import Eye, Frame, Position
from hw.abc import Camera, Stage
from hw.errors import Refused

Progress = Callable[[str], None]
T = TypeVar("T")

# A blink takes 0.3 s, a forced one a second; who keeps the eye closed for longer has to be spoken to.
LID_S = 2.5

# How far from the eye's nominal place the stage is moved by itself: the patient's nose and brow are near.
REACH_UM = (5000.0, 5000.0, 2000.0)


class RunSync(Protocol):
    """Where pictures are judged: `trio.to_thread.run_sync`, or at once where the time is not real."""

    def __call__(self, work: Callable[..., T], /, *arguments: Any) -> Awaitable[T]: ...


class Eyepiece:
    """One eye's picture and stage for the length of one operation."""

    def __init__(
        self,
        stage: Stage,
        camera: Callable[[], Camera],
        geometry: ReflexGeometry,
        eye: Eye,
        nominal: Position,
        run_sync: RunSync,
    ) -> None:
        """`camera` gives the open one, or raises the reason why there is none, also if it is lost in between."""
        self.stage = stage
        self.camera = camera
        self.geometry = geometry
        self.nominal = nominal
        self.name = f"{eye.name.lower()} eye"
        self._run_sync = run_sync

    async def look(self) -> Look:
        """What the next frame shows, whatever that is."""
        (frame,) = await next_frames(self.camera(), 1)
        return await self._run_sync(look_at, frame.pixels, frame.bits_stored, self.geometry)

    async def look_at_open_eye(self, progress: Progress) -> Look:
        """The next frame in which light comes back: a blink is waited for. `Refused` where the eye stays dark."""
        told = False
        with trio.move_on_after(LID_S):
            while True:
                look = await self.look()
                if look.offset is not None:
                    return look
                if not told:
                    progress("dark: waiting for the lid to open")
                    told = True
        raise Refused(f"{self.name}: no light comes back for {LID_S:g} s: the lid is closed, or no eye is there")

    async def move_by(self, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position:
        """`Refused` where that would leave the place in which this eye can be."""
        here = await self.stage.position()
        return await self.move_to(Position(here.x_um + dx_um, here.y_um + dy_um, here.z_um + dz_um))

    async def move_to(self, target: Position) -> Position:
        for axis, reach_um in zip(("x_um", "y_um", "z_um"), REACH_UM, strict=True):
            away_um = getattr(target, axis) - getattr(self.nominal, axis)
            if abs(away_um) > reach_um:
                raise Refused(
                    f"{self.name}: it would be {away_um:+.0f} um in {axis[0]} from its nominal place, at most "
                    f"{reach_um:.0f} are searched: seat the patient again, or move by hand"
                )
        return await self.stage.move_to(target)


async def next_frames(camera: Camera, count: int) -> list[Frame]:
    """The next `count` frames, at least one, begun after this call.

    `Deadline` when the stream stands still: how long that may be knows the camera, from its exposure.
    """
    frames: list[Frame] = []
    async with aclosing(camera.frames()) as stream:
        async for frame in stream:
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


def hint(look: Look) -> str:
    """What a hand at the stage should know: where the reflex is, how deep the endothelium, whether to take it."""
    if look.offset is None:
        return "dark: the lid is closed, or no eye is there"
    parts = [f"reflex {directions(look.offset.x_um, look.offset.y_um)} ({look.offset.words})"]
    best = look.bands.best
    if best is None:
        parts.append("no reflex of a layer: too near or too far")
    elif abs(best.defocus_um) < 3:
        parts.append("in focus")
    else:
        side = "near" if best.defocus_um > 0 else "far"
        parts.append(f"{abs(best.defocus_um):.0f} um too {side} ({best.words})")
    parts.append(f"sharpness {look.score.sharpness:.3f}" if look.score.is_usable else look.score.reason)
    return "; ".join(parts)


def directions(x_um: float, y_um: float) -> str:
    ways: Sequence[tuple[float, str, str]] = ((x_um, "right", "left"), (y_um, "up", "down"))
    told = [f"{abs(um):.0f} um {plus if um > 0 else minus}" for um, plus, minus in ways if abs(um) >= 10]
    return " and ".join(told) or "centred"
