"""What the simulated Grbl prints: the status report with its rarer fields, and the `$` reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hw.sim.firmware_gcode import INCH_MM
from hw.sim.firmware_settings import Settings
from hw.sim.motion import STILL, Vector

HELP: Final = "[HLP:$$ $# $G $I $N $x=val $Nx=line $J=line $SLP $C $X $H ~ ! ? ctrl-x]"
MACHINE_POSITION: Final = 1  # bits of $10
BUFFER_STATE: Final = 2
OFFSET_EVERY: Final = {False: 10, True: 30}  # REPORT_WCO_REFRESH_*: idle, busy
OVERRIDES_EVERY: Final = {False: 10, True: 20}  # REPORT_OVR_REFRESH_*


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one status report is made from."""

    state: str
    busy: bool
    machine_mm: Vector
    offset_mm: Vector
    planner_free: int
    rx_free: int
    speed_mm_per_min: float
    spindle_rpm: float
    pins: str
    overrides_percent: tuple[int, int, int]
    accessories: str


class StatusReport:
    """Counts reports: the work offset comes first and then rarely, the overrides one report later."""

    def __init__(self) -> None:
        self.offset_in = 0
        self.overrides_in = 0

    def line(self, snapshot: Snapshot, settings: Settings) -> str:
        mask = int(settings[10])
        fields = [snapshot.state]
        if mask & MACHINE_POSITION:
            fields.append("MPos:" + position_text(snapshot.machine_mm, settings))
        else:
            x, y, z = (m - o for m, o in zip(snapshot.machine_mm, snapshot.offset_mm, strict=True))
            fields.append("WPos:" + position_text((x, y, z), settings))
        if mask & BUFFER_STATE:
            fields.append(f"Bf:{snapshot.planner_free},{snapshot.rx_free}")
        inches = settings.on(13)
        speed = f"{snapshot.speed_mm_per_min / INCH_MM:.1f}" if inches else f"{snapshot.speed_mm_per_min:.0f}"
        fields.append(f"FS:{speed},{snapshot.spindle_rpm:.0f}")
        if snapshot.pins:
            fields.append("Pn:" + snapshot.pins)
        fields += self._rare(snapshot, settings)
        return f"<{'|'.join(fields)}>"

    def _rare(self, snapshot: Snapshot, settings: Settings) -> list[str]:
        fields = []
        if self.offset_in > 0:
            self.offset_in -= 1
        else:
            self.offset_in = OFFSET_EVERY[snapshot.busy] - 1
            self.overrides_in = max(self.overrides_in, 1)  # never both in one report
            fields.append("WCO:" + position_text(snapshot.offset_mm, settings))
        if self.overrides_in > 0:
            self.overrides_in -= 1
        else:
            self.overrides_in = OVERRIDES_EVERY[snapshot.busy] - 1
            fields.append("Ov:" + ",".join(map(str, snapshot.overrides_percent)))
            if snapshot.accessories:
                fields.append("A:" + snapshot.accessories)
        return fields


def position_text(position_mm: Vector, settings: Settings) -> str:
    if settings.on(13):
        return ",".join(f"{value / INCH_MM:.4f}" for value in _unsigned_zero(position_mm))
    return ",".join(f"{value:.3f}" for value in _unsigned_zero(position_mm))


def _unsigned_zero(position_mm: Vector) -> list[float]:
    return [value if abs(value) >= 0.00005 else 0.0 for value in position_mm]


def offset_lines(coordinates: dict[str, Vector], g92_mm: Vector, settings: Settings) -> list[str]:
    """`$#`"""
    zero = position_text(STILL, settings)
    lines = [f"[{name}:{position_text(offset, settings)}]" for name, offset in sorted(coordinates.items())]
    lines += [f"[{name}:{zero}]" for name in ("G28", "G30")]
    lines += [f"[G92:{position_text(g92_mm, settings)}]", f"[TLO:{zero.split(',')[0]}]", f"[PRB:{zero}:0]"]
    return lines
