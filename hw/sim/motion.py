"""Straight motion with a trapezoid of speed, and the slides it moves. Time is an argument, nothing looks at a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

Vector = tuple[float, float, float]

FAR_SWITCH_MM = 1.0  # how far beyond the travel the far switch sits, so that the whole travel can be used
HARD_STOP_MM = 1.0  # how far beyond a switch the slide can be pushed before it jams
STILL = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Profile:
    """From `speed0` up to at most `cruise` and down to rest after `distance` (mm, mm/s, mm/s2)."""

    distance: float
    cruise: float
    acceleration: float
    speed0: float = 0.0

    @property
    def peak(self) -> float:
        return max(self.speed0, min(self.cruise, math.sqrt(self.acceleration * self.distance + self.speed0**2 / 2)))

    @property
    def up_s(self) -> float:
        return (self.peak - self.speed0) / self.acceleration

    @property
    def down_s(self) -> float:
        return self.peak / self.acceleration

    @property
    def cruise_s(self) -> float:
        ramps = (2 * self.peak**2 - self.speed0**2) / (2 * self.acceleration)
        return max(0.0, self.distance - ramps) / self.peak if self.peak else 0.0

    @property
    def duration_s(self) -> float:
        return self.up_s + self.cruise_s + self.down_s

    def speed(self, t_s: float) -> float:
        if t_s <= 0:
            return self.speed0
        if t_s < self.up_s:
            return self.speed0 + self.acceleration * t_s
        return max(0.0, min(self.peak, self.acceleration * (self.duration_s - t_s)))

    def travelled(self, t_s: float) -> float:
        if t_s >= self.duration_s:
            return self.distance
        if t_s <= 0:
            return 0.0
        if t_s < self.up_s:
            return self.speed0 * t_s + self.acceleration * t_s**2 / 2
        left_s = self.duration_s - t_s
        if left_s < self.down_s:
            return self.distance - self.acceleration * left_s**2 / 2
        up_mm = (self.peak**2 - self.speed0**2) / (2 * self.acceleration)
        return up_mm + self.peak * (t_s - self.up_s)

    def time_at(self, distance: float) -> float:
        """When `distance` is reached."""
        if distance >= self.distance:
            return self.duration_s
        up_mm = (self.peak**2 - self.speed0**2) / (2 * self.acceleration)
        down_mm = self.peak**2 / (2 * self.acceleration)
        if distance <= up_mm:
            speed = math.sqrt(self.speed0**2 + 2 * self.acceleration * max(0.0, distance))
            return (speed - self.speed0) / self.acceleration
        if distance >= self.distance - down_mm:
            return self.duration_s - math.sqrt(2 * (self.distance - distance) / self.acceleration)
        return self.up_s + (distance - up_mm) / self.peak


@dataclass(frozen=True, slots=True)
class Motion:
    """One straight motion in the machine frame, begun at `start_s`; a switch may cut it short at `cut_s`."""

    start_s: float
    start_mm: Vector
    direction: Vector
    profile: Profile
    cut_s: float = math.inf

    @property
    def end_s(self) -> float:
        return min(self.cut_s, self.start_s + self.profile.duration_s)

    def position(self, now_s: float) -> Vector:
        return along(self.start_mm, self.direction, self.profile.travelled(min(now_s, self.cut_s) - self.start_s))

    def speed(self, now_s: float) -> float:
        return self.profile.speed(now_s - self.start_s) if now_s < self.cut_s else 0.0

    def braked(self, now_s: float) -> Motion:
        """The same motion slowing down from now on."""
        speed, left = self.speed(now_s), self.profile.distance - self.profile.travelled(now_s - self.start_s)
        acceleration = self.profile.acceleration
        stop_mm = min(left, speed**2 / (2 * acceleration))
        profile = Profile(stop_mm, max(speed, 1e-9), acceleration, speed)
        return Motion(now_s, self.position(now_s), self.direction, profile)


def along(start: Vector, direction: Vector, distance: float) -> Vector:
    x, y, z = (a + u * distance for a, u in zip(start, direction, strict=True))
    return (x, y, z)


def straight(start: Vector, end: Vector) -> tuple[Vector, float]:
    """Unit direction and length."""
    dx, dy, dz = (b - a for a, b in zip(start, end, strict=True))
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    return ((dx / length, dy / length, dz / length), length) if length else (STILL, 0.0)


def limited(per_axis: Vector, direction: Vector) -> float:
    """The largest value along `direction` that exceeds no axis's own."""
    return min((value / abs(u) for value, u in zip(per_axis, direction, strict=True) if u), default=math.inf)


class Slides:
    """Three slides, their switches, and where they truly are.

    The controller counts steps from wherever it was switched on; `physical = machine + offset`. The home switches are
    at physical 0, the far ones just beyond the travel. A slide pushed past a switch jams and loses steps.
    """

    def __init__(self, physical_mm: Vector, travel_mm: Vector, steps_per_mm: Vector) -> None:
        self.travel_mm = travel_mm
        self.steps_per_mm = steps_per_mm
        self._offset_mm = physical_mm
        self._rest_mm: Vector = STILL
        self._motions: tuple[Motion, ...] = ()

    @property
    def moving(self) -> bool:
        return bool(self._motions)

    @property
    def end_s(self) -> float:
        return max((motion.end_s for motion in self._motions), default=-math.inf)

    def start(self, *motions: Motion) -> None:
        """Motions at the same time add up: homing drives axes side by side."""
        self._motions = motions

    def brake(self, now_s: float) -> None:
        self._motions = tuple(motion.braked(now_s) for motion in self._motions)

    def halt(self, now_s: float) -> None:
        """Rest where the slides are now. What was pushed past a hard stop has lost steps."""
        self._rest_mm = self.machine_mm(now_s)
        self._motions = ()
        clamped = self._clamped(self._rest_mm)
        x, y, z = (p - m for p, m in zip(clamped, self._rest_mm, strict=True))
        self._offset_mm = (x, y, z)

    def power_off(self, now_s: float) -> None:
        """The count is gone, the slides stay."""
        self.halt(now_s)
        self._offset_mm, self._rest_mm = self.physical_mm(now_s), STILL

    def redefine(self, machine_mm: Vector) -> None:
        """Call the place where the slides rest `machine_mm`."""
        physical = self._clamped(self._rest_mm)
        self._rest_mm = self._stepped(machine_mm)
        x, y, z = (p - m for p, m in zip(physical, self._rest_mm, strict=True))
        self._offset_mm = (x, y, z)

    def machine_mm(self, now_s: float) -> Vector:
        """Where the controller believes the slides to be: whole steps."""
        if not self._motions:
            return self._rest_mm
        x, y, z = self._motions[0].start_mm
        for motion in self._motions:
            mx, my, mz = motion.position(now_s)
            sx, sy, sz = motion.start_mm
            x, y, z = x + mx - sx, y + my - sy, z + mz - sz
        return self._stepped((x, y, z))

    def physical_mm(self, now_s: float) -> Vector:
        return self._clamped(self.machine_mm(now_s))

    def speed(self, now_s: float) -> float:
        return math.hypot(*(motion.speed(now_s) for motion in self._motions))

    def pressed(self, now_s: float) -> str:
        """The axes whose switch is pressed."""
        axes = zip("XYZ", self.physical_mm(now_s), self.travel_mm, self.steps_per_mm, strict=True)
        # A slide that ran into its switch rests at the nearest whole step, which may be just short of it.
        return "".join(
            axis
            for axis, at_mm, travel_mm, steps in axes
            if at_mm >= -0.75 / steps or at_mm <= -travel_mm - FAR_SWITCH_MM + 0.75 / steps
        )

    def switch_s(self, motion: Motion) -> float:
        """When `motion` runs into the first switch that is not pressed yet; infinity if it does not."""
        times = [math.inf]
        for axis, u in enumerate(motion.direction):
            if u == 0:
                continue
            switch = 0.0 if u > 0 else -self.travel_mm[axis] - FAR_SWITCH_MM
            distance = (switch - self._offset_mm[axis] - motion.start_mm[axis]) / u
            if 0 < distance <= motion.profile.distance:
                times.append(motion.start_s + motion.profile.time_at(distance))
        return min(times)

    def distance_to_switch(self, axis: int, sign: int) -> float:
        switch = 0.0 if sign > 0 else -self.travel_mm[axis] - FAR_SWITCH_MM
        return max(0.0, (switch - self._offset_mm[axis] - self._rest_mm[axis]) * sign)

    def _stepped(self, position: Vector) -> Vector:
        x, y, z = (round(p * steps) / steps for p, steps in zip(position, self.steps_per_mm, strict=True))
        return (x, y, z)

    def _clamped(self, machine_mm: Vector) -> Vector:
        x, y, z = (
            min(HARD_STOP_MM, max(-travel - FAR_SWITCH_MM - HARD_STOP_MM, m + offset))
            for m, offset, travel in zip(machine_mm, self._offset_mm, self.travel_mm, strict=True)
        )
        return (x, y, z)
