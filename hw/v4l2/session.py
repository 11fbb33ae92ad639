"""One camera as its profile wants it: picture size, depth, rate and controls, applied again after every reopening.

Blocking, as `device.py` is: a USB camera takes milliseconds for each control, and hundreds to start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hw.errors import Refused
from hw.v4l2 import abi
from hw.v4l2.controls import Control, by_identity, checked_value, exposure_value, find
from hw.v4l2.device import VideoDevice
from hw.v4l2.formats import MAX_SIDE, Layout, choose

# Drivers that make their pictures up, or are fed by a program: as the firmware of a simulator, they say so by name.
SIMULATED_DRIVERS = frozenset({"vivid", "vimc", "v4l2 loopback"})
RATE_TOLERANCE = 0.05  # 29.97 frames/s are 30


@dataclass(frozen=True, slots=True)
class V4l2Settings:
    """The profile of a camera. 0, None and "" leave things as the driver has them.

    `pixel_format` is a four-letter name (`GREY`, `Y16`, `MJPG`), for cameras that offer several of one depth.
    `exposure_us` and `gain` switch the automatic ones off. `controls` sets any others by the kernel's names (or as
    `exposure_time_absolute`), to a number or to the words of a menu, in this order and before exposure and gain.
    """

    bits_stored: int = 8
    width_px: int = 0
    height_px: int = 0
    frames_per_s: float = 0.0
    pixel_format: str = ""
    exposure_us: int | None = None
    gain: int | None = None
    controls: Mapping[str, int | str] = field(default_factory=dict)
    buffers: int = 4


class Session:
    """Made by `open`; owns its device. Everything raises a `DeviceError` that names the device."""

    def __init__(self, device: VideoDevice, settings: V4l2Settings, simulated: bool) -> None:
        self.device = device
        self.path = device.path
        self.settings = settings
        self.description = device.description()
        self._require_as_declared(simulated)
        self.fourccs = device.fourccs()
        self.controls = device.controls()
        self.layout = self.layout_for(settings.bits_stored)
        self.geometry = self._picture_size()
        self.frames_per_s = 0.0
        self.exposure_us = 0
        self.set_format(self.layout)
        for name, value in settings.controls.items():
            self.set_control(self.control(name), value)
        if settings.gain is not None:
            self._set_gain(settings.gain)
        if settings.exposure_us is not None:
            self.set_exposure(settings.exposure_us)

    @classmethod
    def open(cls, path: str, settings: V4l2Settings, simulated: bool) -> Session:
        """Open, identify, apply the profile. On any error the device is closed again."""
        device = VideoDevice.open(path)
        try:
            return cls(device, settings, simulated)
        except BaseException:
            device.close()
            raise

    def close(self) -> None:
        self.device.close()

    def start(self) -> None:
        self.device.start(self.settings.buffers, self.geometry.image_bytes)

    # ------------------------------------------------------------------------------------------ pictures

    def layout_for(self, bits_stored: int) -> Layout:
        """The pixel format for a depth; `Refused` says which depths there are."""
        try:
            return choose(self.fourccs, bits_stored, self.settings.pixel_format)
        except ValueError as error:
            raise Refused(f"{self.path}: {error}") from error

    def set_format(self, layout: Layout) -> None:
        """While nothing streams. `Refused`, nothing changed, where the camera lacks this size or rate in it."""
        width, height = self.geometry.width, self.geometry.height
        geometry = self.device.set_format(layout, width, height)
        wanted = self.settings.frames_per_s
        rate = self.device.set_frames_per_s(wanted) if wanted else self.device.frames_per_s()
        if wanted and rate and abs(rate - wanted) > RATE_TOLERANCE * wanted:
            if layout is not self.layout:
                self.set_format(self.layout)
            offered = sorted(self.device.rates_per_s(layout.fourcc, width, height))
            rates = ", ".join(f"{there:.4g}" for there in offered or [rate])
            raise Refused(
                f"{self.path}: no {wanted:g} frames/s at {width}x{height} px in {layout.name}: the camera has {rates}"
            )
        self.geometry, self.layout, self.frames_per_s = geometry, layout, rate

    def _picture_size(self) -> abi.Geometry:
        settings, now = self.settings, self.device.geometry()
        width, height = settings.width_px or now.width, settings.height_px or now.height
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise Refused(f"{self.path}: a picture of {width}x{height} px: up to {MAX_SIDE}x{MAX_SIDE} can be read")
        return abi.Geometry(width, height, now.fourcc, now.field, now.line_bytes, now.image_bytes)

    # ------------------------------------------------------------------------------------------ controls

    def control(self, name: str) -> Control:
        try:
            return find(self.controls, name)
        except ValueError as error:
            raise Refused(f"{self.path}: {error}") from error

    def get_control(self, name: str) -> int:
        return self.device.value_of(self.control(name))

    def set_control(self, control: Control, value: int | str) -> None:
        """`Refused` names the control and its range."""
        try:
            number = checked_value(control, value)
        except ValueError as error:
            raise Refused(f"{self.path}: {error}") from error
        self.device.set_value(control, number)

    def exposure_number(self, exposure_us: int) -> tuple[Control, int]:
        """Which control has the exposure, and the number to set; `Refused` where it cannot be set in us."""
        control = by_identity(self.controls, abi.CID_EXPOSURE_ABSOLUTE)
        if control is None:
            there = ", ".join(control.name for control in self.controls) or "none"
            raise Refused(f"{self.path}: this camera has no exposure time; its controls are: {there}")
        try:
            return control, exposure_value(control, exposure_us)
        except ValueError as error:
            raise Refused(f"{self.path}: {error}") from error

    def set_exposure(self, exposure_us: int) -> None:
        control, number = self.exposure_number(exposure_us)
        automatic = by_identity(self.controls, abi.CID_EXPOSURE_AUTO)
        if automatic is not None:
            self.set_control(automatic, abi.EXPOSURE_MANUAL)
        self.set_control(control, number)
        self.exposure_us = exposure_us

    def _set_gain(self, gain: int) -> None:
        control = by_identity(self.controls, abi.CID_GAIN, abi.CID_ANALOGUE_GAIN)
        if control is None:
            there = ", ".join(control.name for control in self.controls) or "none"
            raise Refused(f"{self.path}: this camera has no gain; its controls are: {there}")
        automatic = by_identity(self.controls, abi.CID_AUTOGAIN)
        if automatic is not None:
            self.set_control(automatic, 0)
        self.set_control(control, gain)

    def _require_as_declared(self, simulated: bool) -> None:
        driver = self.description.driver
        if (driver in SIMULATED_DRIVERS) is not simulated:
            says = "is a simulator" if driver in SIMULATED_DRIVERS else "is not a simulator"
            raise Refused(
                f"{self.path}: the driver {driver} {says}, but the configuration has "
                f"simulated = {str(simulated).lower()}"
            )
