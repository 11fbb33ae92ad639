"""Lamps on the tool outputs of a Grbl board: `spindle` (PWM by S), `flood` and, where it was compiled in, `mist`.

Grbl tells what is on in the `A:` field of its status, which it sends with the next report after a change and then
rarely. That report is what a switch is verified by.
"""

from __future__ import annotations

from typing import Final

from hw.errors import DeviceFault
from hw.grbl import codec
from hw.grbl.codec import BuildOptions, Status
from hw.grbl.link import GrblLink

MAX_SPEED: Final = 30  # $30 and $31: what S stands for full and least PWM
MIN_SPEED: Final = 31
REPORTS: Final = 22  # REPORT_OVR_REFRESH_BUSY_COUNT, and one for a `WCO:` that has precedence
SPEED_TOLERANCE: Final = 1.0  # S is reported in whole numbers
MARKS: Final = {"spindle": "S", "flood": "F", "mist": "M"}
VARIABLE_SPINDLE: Final = "V"
MIST: Final = "M"


def lamp_names(options: BuildOptions | None) -> tuple[str, ...]:
    has_mist = options is not None and MIST in options.options
    return ("spindle", "flood", "mist") if has_mist else ("spindle", "flood")


class GrblLamps:
    """Needs a board that takes lines: idle, without an alarm."""

    def __init__(self, link: GrblLink, device: dict[int, float], options: BuildOptions | None) -> None:
        self.names = lamp_names(options)
        self._link = link
        self._device = device
        self._dims = options is not None and VARIABLE_SPINDLE in options.options and device.get(MAX_SPEED, 0) > 0

    async def set(self, name: str, level: float) -> None:
        """Until the board shows it so; `DeviceFault` where it shows something else."""
        if name == "spindle":
            speed = self._speed(level)
            await self._link.command(codec.encode_spindle(speed))
        else:
            speed = None
            lit = (await self._accessories()).accessories
            for line in _coolant_lines(name, level > 0, lit):
                await self._link.command(line)
        status = await self._accessories()
        if (MARKS[name] in status.accessories) != (level > 0):
            shown = "on" if MARKS[name] in status.accessories else "off"
            raise DeviceFault("output", f"{self._link.label} shows {name} {shown} (A:{status.accessories})")
        if speed and status.spindle is not None and abs(status.spindle - speed) > SPEED_TOLERANCE:
            raise DeviceFault("output", f"{self._link.label} shows S{status.spindle:g} instead of S{speed:g}")

    def _speed(self, level: float) -> float:
        """S for this level; without PWM any speed is on."""
        if level == 0:
            return 0.0
        full = self._device.get(MAX_SPEED, 1.0)
        return max(level * full, self._device.get(MIN_SPEED, 0.0)) if self._dims else max(full, 1.0)

    async def _accessories(self) -> Status:
        """A report with `Ov:`, which is the one that has `A:`. Grbl sends it at once after a change, else rarely."""
        for _ in range(REPORTS):
            status = await self._link.status()
            if status.overrides_percent is not None:
                return status
        raise DeviceFault("output", f"{self._link.label} does not tell what is on: no Ov: in {REPORTS} reports")


def _coolant_lines(name: str, on: bool, lit: str) -> list[bytes]:
    """`M9` ends both, so the other one is switched on again."""
    commands = {"flood": codec.FLOOD_ON, "mist": codec.MIST_ON}
    if on:
        return [commands[name]]
    other = "mist" if name == "flood" else "flood"
    return [codec.COOLANT_OFF, *([commands[other]] if MARKS[other] in lit else [])]
