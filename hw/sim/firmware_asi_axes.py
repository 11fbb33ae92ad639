"""The three axes of a simulated ASI controller: servo motors with encoders, limit switches and firmware limits. Pure.

Each axis goes at its own speed. What is not documented is guessed as little as possible: an anti-backlash move comes
from below, HALT brakes with the axis's ramp, and a motor stops at once where its switch is pressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hw.sim.motion import Motion, Profile, Slides, Vector

UNITS: Final[tuple[Vector, Vector, Vector]] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
UPPER: Final = 1
LOWER: Final = -1

# (command, axis letter) -> what it was set to
Parameters = dict[tuple[str, str], float]


class Axes:
    """Numbered as the slides are: 0 x, 1 y, 2 z. The counts are the controller's coordinates, in mm."""

    def __init__(self, slides: Slides, letters: str, parameters: Parameters) -> None:
        self.slides = slides
        self.letters = letters
        self.parameters = parameters
        self.disabled: set[int] = set()
        self._forced: dict[int, int] = {}  # switches that are pressed although no slide is there
        self._motions: list[Motion] = []
        self._ends_s: dict[int, float] = {}

    def settle(self, now_s: float) -> None:
        """What has come to its end rests."""
        if self.slides.moving and now_s >= self.slides.end_s:
            self.slides.halt(now_s)

    def at_mm(self, axis: int, now_s: float) -> float:
        return self.slides.machine_mm(now_s)[axis]

    def busy(self, axis: int, now_s: float) -> bool:
        return now_s < self._ends_s.get(axis, now_s)

    def any_busy(self, now_s: float) -> bool:
        return any(self.busy(axis, now_s) for axis in range(3))

    def switch(self, axis: int, now_s: float) -> int:
        """Which limit switch of the axis is pressed: `UPPER`, `LOWER` or 0."""
        return self._forced.get(axis) or self._reached(axis, now_s)

    def _reached(self, axis: int, now_s: float) -> int:
        if "XYZ"[axis] not in self.slides.pressed(now_s):
            return 0
        return UPPER if self.slides.physical_mm(now_s)[axis] > -self.slides.travel_mm[axis] / 2 else LOWER

    def start(self, targets_mm: Mapping[int, float], now_s: float) -> None:
        """A new command ends the one before. A disabled axis does not move, and nobody is told."""
        self.slides.halt(now_s)
        self._ends_s.clear()
        self._motions = []
        for axis, target_mm in targets_mm.items():
            self._forced.pop(axis, None)
            if axis not in self.disabled:
                self._motions += self._ways(axis, target_mm, now_s)
        self.slides.start(*self._motions)

    def brake(self, now_s: float) -> None:
        if not self.slides.moving:
            return
        at_mm = self.slides.machine_mm(now_s)
        self._motions = [replace(motion.braked(now_s), start_mm=at_mm) for motion in self._motions]
        self.slides.halt(now_s)
        for axis in self._ends_s:
            self._ends_s[axis] = max(
                (motion.end_s for motion in self._motions if motion.direction[axis]), default=now_s
            )
        self.slides.start(*self._motions)

    def stop_dead(self, now_s: float) -> None:
        self.slides.halt(now_s)
        self._ends_s.clear()

    def press(self, axis: int, which: int, now_s: float) -> None:
        """A hand on a switch: the motor stops, and the switch stays pressed until the axis is moved."""
        self.stop_dead(now_s)
        self._forced[axis] = which

    def call(self, positions_mm: Mapping[int, float], now_s: float) -> None:
        """HERE: other coordinates for the same place. Limits and home go with it, they are places of the hardware."""
        at_mm = list(self.slides.machine_mm(now_s))
        for axis, position_mm in positions_mm.items():
            for command in ("SL", "SU", "HM"):
                self.parameters[command, self.letters[axis]] += position_mm - at_mm[axis]
            at_mm[axis] = position_mm
        self.slides.redefine((at_mm[0], at_mm[1], at_mm[2]))

    def _ways(self, axis: int, target_mm: float, now_s: float) -> list[Motion]:
        letter = self.letters[axis]
        low_mm, high_mm = self.parameters["SL", letter], self.parameters["SU", letter]
        speed, ramp_s = self.parameters["S", letter], self.parameters["AC", letter] / 1000
        backlash_mm = self.parameters["B", letter]
        target_mm = min(max(target_mm, low_mm), high_mm)
        places = [max(target_mm - backlash_mm, low_mm), target_mm] if backlash_mm else [target_mm]
        start_mm, start_s = self.slides.machine_mm(now_s), now_s
        motions: list[Motion] = []
        for place_mm in places:
            way_mm = place_mm - start_mm[axis]
            x, y, z = (unit if way_mm >= 0 else -unit for unit in UNITS[axis])
            motion = Motion(start_s, start_mm, (x, y, z), Profile(abs(way_mm), speed, speed / max(ramp_s, 0.001)))
            against = way_mm * self._reached(axis, now_s) > 0
            motion = replace(motion, cut_s=start_s if against else self.slides.switch_s(motion))
            motions.append(motion)
            if motion.cut_s < motion.start_s + motion.profile.duration_s:
                break
            start_mm, start_s = motion.position(motion.end_s), motion.end_s
        self._ends_s[axis] = motions[-1].end_s
        return motions
