"""The half of the simulated Grbl below its lines: planner, motion, holds, alarms, resets, status.

The real program is one loop that works on one line at a time and looks after real-time bytes wherever it waits. Here a
line is a generator that yields the time at which it wants to go on, `math.inf` for "when something has changed". An
alarm is a second generator that goes first, as the real interrupt handling does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from hw.sim.firmware_gcode import Modal
from hw.sim.firmware_reports import Snapshot, StatusReport
from hw.sim.firmware_settings import Settings
from hw.sim.motion import Motion, Profile, Slides, Vector, limited, straight

Steps = Generator[float, None, None]

RX_BYTES: Final = 128
PLANNER_BLOCKS: Final = 15
ALARM_PAUSE_S: Final = 0.5
HARD_LIMIT, SOFT_LIMIT, RESET_IN_MOTION, RESET_IN_HOMING = 1, 2, 3, 6
# The probing alarms leave the board running in the alarm state; all others end in a reset.
SELF_RESETTING_ALARMS: Final = frozenset({1, 2, 3, 6, 7, 8, 9, 10})
SUSPENDED_STATES: Final = frozenset({"Hold", "Door", "Sleep"})
BUSY_STATES: Final = frozenset({"Run", "Jog", "Home", "Hold", "Door"})
OVERRIDE_STEPS: Final = {0: None, 1: 10, 2: -10, 3: 1, 4: -1}  # 0x90.. feed, 0x99.. spindle; None: back to 100 %
RAPID_PERCENT: Final = {0x95: 100, 0x96: 50, 0x97: 25}


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    target_mm: Vector
    speed_mm_per_s: float
    rapid: bool = False


class Controller(ABC):
    def __init__(self, slides: Slides, settings: Settings, now_s: float) -> None:
        self.slides = slides
        self.settings = settings
        self._now_s = now_s
        self._output = bytearray()
        self._state = "Alarm" if settings.on(22) else "Idle"  # HOMING_INIT_LOCK: power-up alone locks
        self._forget()

    # ------------------------------------------------------------------------------------------ start and reset

    def _forget(self) -> None:
        """All that does not survive a reset."""
        self._interrupt: Steps | None = None
        self._interrupt_wake_s = math.inf
        self._reset_wanted = False
        self._status_wanted = False
        self._planner: deque[PlannedBlock] = deque()
        self._switch_s = math.inf
        self._braking = False
        self._modal = Modal()
        self._feed_percent, self._rapid_percent, self._spindle_percent = 100, 100, 100
        self._status = StatusReport()
        self._planned_mm = self.slides.machine_mm(self._now_s)

    def _start(self) -> None:
        self._say("")
        self._say("Grbl 1.1h ['$' for help]")
        if self.settings.on(21) and self.slides.pressed(self._now_s):
            self._say("[MSG:Check Limits]")
            self._state = "Alarm"
        if self._state in ("Alarm", "Sleep"):
            self._say("[MSG:'$H'|'$X' to unlock]")
            self._state = "Alarm"
        else:
            self._state = "Idle"
            self._start_up()

    def _abort(self) -> None:
        self._drop_line()
        self._stop_dead()
        self._forget()
        self._start()

    @abstractmethod
    def _start_up(self) -> None:
        """Run what is stored for the start of an unlocked board."""

    @abstractmethod
    def _drop_line(self) -> None:
        """End the line that is being worked on, and forget the ones that wait."""

    @property
    @abstractmethod
    def _rx_free(self) -> int: ...

    @property
    @abstractmethod
    def _offset_mm(self) -> Vector:
        """The work offset in force."""

    def _say(self, line: str) -> None:
        self._output += line.encode("ascii") + b"\r\n"

    def _spoken(self) -> bytes:
        output, self._output = bytes(self._output), bytearray()
        return output

    def lamps(self) -> dict[str, float]:
        """How bright what hangs on the outputs is, 0..1."""
        full = self.settings[30] or 1.0
        coolant = self._modal.coolant.split()
        return {"spindle": self._spindle_rpm / full, "flood": float("M8" in coolant), "mist": float("M7" in coolant)}

    # ------------------------------------------------------------------------------------------ alarms

    def _alarm(self, code: int) -> None:
        self._say(f"ALARM:{code}")
        self._state = "Alarm"
        self._reset_wanted = code in SELF_RESETTING_ALARMS
        self._interrupt = self._alarm_sequence(code)
        self._interrupt_wake_s = self._now_s

    def _alarm_sequence(self, code: int) -> Steps:
        resume_s = self._now_s + ALARM_PAUSE_S
        while self._now_s < resume_s:
            yield resume_s
        if code in (HARD_LIMIT, SOFT_LIMIT):
            self._say("[MSG:Reset to continue]")
            self._reset_wanted = False  # also one that was sent during the pause
            while not self._reset_wanted:
                yield math.inf

    def _run_interrupt(self) -> bool:
        if self._interrupt is None:
            return False
        try:
            self._interrupt_wake_s = next(self._interrupt)
        except StopIteration:
            self._interrupt = None
            if self._reset_wanted:
                self._abort()
            return True
        return False

    # ------------------------------------------------------------------------------------------ motion

    def _enqueue(self, block: PlannedBlock) -> None:
        """At the end of the planner, which must have room."""
        self._planned_mm = block.target_mm
        if straight(self._queued_mm, block.target_mm)[1] > 0:
            self._planner.append(block)

    @property
    def _queued_mm(self) -> Vector:
        return self._planner[-1].target_mm if self._planner else self.slides.machine_mm(self._now_s)

    def _begin(self, state: str) -> None:
        if self._state == "Idle" and self._planner:
            self._state = state
            self._next_block()

    def _next_block(self) -> None:
        while self._planner:
            block, at_mm = self._planner[0], self.slides.machine_mm(self._now_s)
            direction, length_mm = straight(at_mm, block.target_mm)
            percent = self._rapid_percent if block.rapid else self._feed_percent
            speed = min(block.speed_mm_per_s * percent / 100, limited(self.settings.axes(110), direction) / 60)
            if length_mm > 0 and speed > 0:
                profile = Profile(length_mm, speed, limited(self.settings.axes(120), direction))
                motion = Motion(self._now_s, at_mm, direction, profile)
                self.slides.start(motion)
                self._switch_s = self.slides.switch_s(motion) if self.settings.on(21) else math.inf
                return
            self._planner.popleft()
        self._state = "Idle"

    def _run_motion(self) -> bool:
        if not self.slides.moving or self._state == "Home":
            return False
        if self._switch_s <= self._now_s:
            self._stop_dead()
            self._alarm(HARD_LIMIT)
            return True
        if self.slides.end_s > self._now_s:
            return False
        self.slides.halt(self._now_s)
        if self._braking:
            self._braked()
        else:
            self._planner.popleft()
            self._next_block()
        return True

    def _brake(self) -> None:
        self.slides.brake(self._now_s)
        self._braking = True

    def _braked(self) -> None:
        self._braking = False
        if self._planner and straight(self.slides.machine_mm(self._now_s), self._planner[0].target_mm)[1] == 0:
            self._planner.popleft()  # the hold came when the block was as good as done
        if self._state == "Jog":
            self._planner.clear()
            self._planned_mm = self.slides.machine_mm(self._now_s)
            self._state = "Idle"

    def _stop_dead(self) -> None:
        self.slides.halt(self._now_s)
        self._planner.clear()
        self._braking = False
        self._switch_s = math.inf

    # ------------------------------------------------------------------------------------------ real-time bytes

    def _realtime(self, byte: int) -> bool:
        """Whether it was one."""
        if byte == 0x18:
            self._reset()
        elif byte == 0x3F:  # ?
            self._status_wanted = True
        elif self._interrupt is None and byte == 0x21:  # !
            self._hold("Hold")
        elif self._interrupt is None and byte == 0x84:
            self._hold("Door")
        elif self._interrupt is None and byte == 0x85 and self._state == "Jog" and not self._braking:
            self._brake()
        elif byte == 0x7E:  # ~
            self._resume()
        elif 0x90 <= byte <= 0x9D:
            self._override(byte)
        return byte in (0x18, 0x21, 0x3F, 0x7E) or byte >= 0x80

    def _reset(self) -> None:
        if self._interrupt is not None:
            self._reset_wanted = True
        elif self._state == "Home":
            self._stop_dead()
            self._alarm(RESET_IN_HOMING)
        elif self.slides.moving:
            self._stop_dead()
            self._alarm(RESET_IN_MOTION)
        else:
            self._abort()

    def _hold(self, state: str) -> None:
        if self._state not in ("Idle", "Run", "Jog", "Hold"):
            return
        if state == "Door" and self._state != "Door":
            self._say("[MSG:Check Door]")
        if self._state == "Jog" and state == "Hold":
            state = "Jog"  # a hold cancels a jog
        if self.slides.moving and not self._braking:
            self._brake()
        self._state = state

    def _resume(self) -> None:
        if self._state in ("Hold", "Door") and not self._braking:
            self._state = "Run"
            self._next_block()

    def _override(self, byte: int) -> None:
        self._status.overrides_in = 0
        if byte in RAPID_PERCENT:
            self._rapid_percent = RAPID_PERCENT[byte]
        elif byte <= 0x94:
            self._feed_percent = _overridden(self._feed_percent, byte - 0x90)
        elif byte >= 0x99:
            self._spindle_percent = _overridden(self._spindle_percent, byte - 0x99)

    # ------------------------------------------------------------------------------------------ status

    def _answer_status(self) -> None:
        """Once, however often it was asked."""
        if not self._status_wanted or self._interrupt is not None:
            return
        self._status_wanted = False
        self._say(self._status.line(self._snapshot(), self.settings))

    def _is_on(self, word: str) -> bool:
        return word == self._modal.spindle or word in self._modal.coolant.split()

    @property
    def _spindle_rpm(self) -> float:
        """Within $31 and $30, whatever S was."""
        rpm = self._modal.spindle_rpm
        return 0.0 if self._modal.spindle == "M5" or not rpm else min(self.settings[30], max(self.settings[31], rpm))

    def _snapshot(self) -> Snapshot:
        held = {"Hold": int(self._braking), "Door": 2 if self._braking else 0}
        lamps = {"M3": "S", "M4": "C", "M8": "F", "M7": "M"}
        accessories = "".join(lamps.get(word, "") for word in (self._modal.spindle, "M8", "M7") if self._is_on(word))
        return Snapshot(
            state=f"{self._state}:{held[self._state]}" if self._state in held else self._state,
            busy=self._state in BUSY_STATES,
            machine_mm=self.slides.machine_mm(self._now_s),
            offset_mm=self._offset_mm,
            planner_free=PLANNER_BLOCKS - len(self._planner),
            rx_free=self._rx_free,
            speed_mm_per_min=self.slides.speed(self._now_s) * 60,
            spindle_rpm=self._spindle_rpm,
            pins=self.slides.pressed(self._now_s),
            overrides_percent=(self._feed_percent, self._rapid_percent, self._spindle_percent),
            accessories=accessories,
        )


def _overridden(percent: int, key: int) -> int:
    step = OVERRIDE_STEPS[key]
    return 100 if step is None else min(200, max(10, percent + step))
