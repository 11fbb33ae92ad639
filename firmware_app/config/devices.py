"""The tables of the devices: what every kind has in common, and what one kind alone is asked.

`kind` chooses the table's other keys; a key of another kind is refused by name. Which driver a kind is, is decided in
`services.devices`. What a driver of a stage takes has the driver's own default here too.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from firmware_app.config.fields import AbsolutePath, DevicePort, PositionVector, PositiveVector
from hw.asi.described import AsiSettings
from hw.grbl.described import GrblSettings
from hw.sangaboard.described import SangaboardSettings

StageKind = Literal["grbl", "sangaboard", "asi"]
CameraKind = Literal["serial", "v4l2", "folder"]
Vector = tuple[float, float, float]

Baud = Annotated[int, Meta(ge=1200, le=4_000_000, description="a baud rate from 1200 to 4000000")]
Tolerance = Annotated[float, Meta(gt=0, le=1000, description="um above 0, at most 1000")]
Retract = Annotated[float, Meta(ge=0, le=100_000, description="um from 0 (never back) to 100000")]
Settle = Annotated[float, Meta(ge=0, le=10, description="seconds from 0 to 10")]
_Backlash = Annotated[float, Meta(ge=0, le=10_000)]
BacklashVector = Annotated[
    tuple[_Backlash, _Backlash, _Backlash],
    Meta(description="three numbers, um in x, y and z, from 0 (none) to 10000, such as [20.0, 20.0, 5.0]"),
]
_BoardBacklash = Annotated[float, Meta(ge=0, le=10)]
BoardBacklashVector = Annotated[
    tuple[_BoardBacklash, _BoardBacklash, _BoardBacklash],
    Meta(description="three numbers, mm in x, y and z, from 0 (none) to 10, such as [0.04, 0.04, 0.0]"),
]
_Step = Annotated[float, Meta(ge=-1000, le=1000)]
StepVector = Annotated[
    tuple[_Step, _Step, _Step],
    Meta(description="three numbers, um in x, y and z, negative where counts fall, such as [0.1, 0.1, -0.05]"),
]
StepDelayUs = Annotated[int, Meta(ge=1, le=1_000_000, description="whole us from 1 to 1000000")]
RampUs = Annotated[int, Meta(ge=0, le=10_000_000, description="whole us from 0 to 10000000")]
_End = Literal["low", "high"]
ExposureUs = Annotated[int, Meta(ge=1, le=1_000_000, description="whole us from 1 to 1000000")]
PixelCount = Annotated[int, Meta(ge=0, le=16384, description="whole px from 0 (as the camera has it) to 16384")]

_GRBL, _SANGABOARD, _ASI = GrblSettings(), SangaboardSettings(), AsiSettings()


class Reach(NamedTuple):
    """The box that the stage can move in, um of its machine frame; `keys` are the keys that it follows from."""

    low_um: Vector
    high_um: Vector
    keys: tuple[str, ...]


# ------------------------------------------------------------------------------------------------ stages


class StageConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What every stage has. The eyes' places are in the machine frame, x towards the patient's left eye."""

    kind: StageKind = "grbl"
    port: DevicePort = "/dev/specular-stage"
    simulated: bool = False
    baud: Baud = 115200
    tolerance_um: Tolerance = 5.0
    settle_s: Settle = 0.05
    backlash_um: BacklashVector = (0.0, 0.0, 0.0)
    right_eye_um: PositionVector = (-82000.0, -20000.0, -20000.0)
    left_eye_um: PositionVector = (-18000.0, -20000.0, -20000.0)
    retract_um: Retract = 8000.0

    @property
    def reach(self) -> Reach:
        """Each kind knows its own; without a kind nothing bounds it."""
        return Reach((-math.inf,) * 3, (math.inf,) * 3, ())


class GrblConfig(StageConfig, frozen=True, forbid_unknown_fields=True):
    steps_per_mm: PositiveVector = _GRBL.steps_per_mm
    max_rate_mm_per_min: PositiveVector = _GRBL.max_rate_mm_per_min
    acceleration_mm_per_s2: PositiveVector = _GRBL.acceleration_mm_per_s2
    travel_mm: PositiveVector = _GRBL.travel_mm

    @property
    def reach(self) -> Reach:
        """After homing the machine space is [-travel, 0] on each axis."""
        low_um = _above(_below(self.travel_mm), self.backlash_um)
        return Reach(low_um, (0.0, 0.0, 0.0), ("stage.travel_mm", "stage.backlash_um"))


class SangaboardConfig(StageConfig, frozen=True, forbid_unknown_fields=True):
    """`low_um` and `high_um` are the reach from the origin, which `frame` says the meaning of."""

    kind: StageKind = "sangaboard"
    right_eye_um: PositionVector = (-32000.0, 0.0, 0.0)
    left_eye_um: PositionVector = (32000.0, 0.0, 0.0)
    um_per_step: StepVector = _SANGABOARD.um_per_step
    min_step_delay_us: StepDelayUs = _SANGABOARD.min_step_delay_us
    ramp_time_us: RampUs = _SANGABOARD.ramp_time_us
    frame: Literal["endstops", "by_hand"] = _SANGABOARD.frame
    low_um: PositionVector = _SANGABOARD.low_um
    high_um: PositionVector = _SANGABOARD.high_um

    @property
    def reach(self) -> Reach:
        return Reach(_above(self.low_um, self.backlash_um), self.high_um, ("stage.low_um", "stage.high_um"))


class AsiConfig(StageConfig, frozen=True, forbid_unknown_fields=True):
    """ASI MS-2000 and Tiger: 0 is at the home switch of each axis."""

    kind: StageKind = "asi"
    axes: Annotated[
        str, Meta(pattern=r"\A[A-Z]{3}\Z", description='the controller\'s three letters for x, y and z, such as "XYZ"')
    ] = _ASI.axes
    speed_mm_per_s: PositiveVector = _ASI.speed_mm_per_s
    ramp_ms: PositiveVector = _ASI.ramp_ms
    board_backlash_mm: BoardBacklashVector = _ASI.board_backlash_mm
    travel_mm: PositiveVector = _ASI.travel_mm
    home_ends: Annotated[
        tuple[_End, _End, _End], Meta(description='"low" or "high" for x, y and z, such as ["high", "high", "high"]')
    ] = _ASI.home_ends
    pull_off_mm: Annotated[float, Meta(gt=0, le=100, description="mm above 0, at most 100")] = _ASI.pull_off_mm

    @property
    def reach(self) -> Reach:
        pull_off_um = 1000 * self.pull_off_mm
        ends = [
            (pull_off_um, 1000 * travel_mm) if end == "low" else (-1000 * travel_mm, -pull_off_um)
            for end, travel_mm in zip(self.home_ends, self.travel_mm, strict=True)
        ]
        low, high = ((ends[0][i], ends[1][i], ends[2][i]) for i in (0, 1))
        keys = ("stage.travel_mm", "stage.home_ends", "stage.pull_off_mm")
        return Reach(_above(low, self.backlash_um), high, keys)


def _below(travel_mm: Vector) -> Vector:
    x, y, z = travel_mm
    return (-1000 * x, -1000 * y, -1000 * z)


def _above(low_um: Vector, backlash_um: Vector) -> Vector:
    """Every place is come to from below, so that the play must be left free at the lower end."""
    return (low_um[0] + backlash_um[0], low_um[1] + backlash_um[1], low_um[2] + backlash_um[2])


# ------------------------------------------------------------------------------------------------ cameras


class CameraConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What every camera has. `um_per_px` is its nominal scale; a calibration on record goes before it."""

    kind: CameraKind = "serial"
    port: DevicePort = "/dev/specular-camera"
    simulated: bool = False
    bits_stored: Literal[8, 10, 12, 16] = 8
    um_per_px: Annotated[float, Meta(ge=0, le=100, description="um from 0 (not calibrated) to 100")] = 0.0


class SerialCameraConfig(CameraConfig, frozen=True, forbid_unknown_fields=True):
    bits_stored: Literal[8, 12] = 8
    exposure_us: ExposureUs = 8000


class V4l2Config(CameraConfig, frozen=True, forbid_unknown_fields=True):
    """0, "" and -1 leave things as the driver has them."""

    kind: CameraKind = "v4l2"
    exposure_us: Annotated[int, Meta(ge=0, le=1_000_000, description="whole us from 0 (automatic) to 1000000")] = 0
    gain: Annotated[int, Meta(ge=-1, le=1_000_000, description="a whole number from -1 (automatic) to 1000000")] = -1
    width_px: PixelCount = 0
    height_px: PixelCount = 0
    frames_per_s: Annotated[float, Meta(ge=0, le=1000, description="a rate from 0 (as the camera has it) to 1000")] = (
        0.0
    )
    pixel_format: Annotated[
        str, Meta(pattern=r"\A(?:[A-Z0-9 ]{3,4}(?:-BE)?)?\Z", description='a format such as "GREY", "Y16-BE", or ""')
    ] = ""
    controls: Annotated[
        dict[
            Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[ -~]*\Z")],
            Annotated[int, Meta(ge=-(2**31), lt=2**31)] | Annotated[str, Meta(max_length=64)],
        ],
        Meta(
            max_length=64,
            description='names of controls with numbers or menu words, such as { "Power Line" = "50 Hz" }',
        ),
    ] = {}


class FolderCameraConfig(CameraConfig, frozen=True, forbid_unknown_fields=True):
    """Images of a folder, for service work: `port` is the folder, and it is never a real camera."""

    kind: CameraKind = "folder"
    port: AbsolutePath = "/dev/specular-camera"
    simulated: bool = True
    frames_per_s: Annotated[float, Meta(gt=0, le=1000, description="a rate above 0, at most 1000")] = 10.0


# ------------------------------------------------------------------------------------------------ which

KINDS: dict[type[Struct], dict[str, type[Struct]]] = {
    StageConfig: {"grbl": GrblConfig, "sangaboard": SangaboardConfig, "asi": AsiConfig},
    CameraConfig: {"serial": SerialCameraConfig, "v4l2": V4l2Config, "folder": FolderCameraConfig},
}
