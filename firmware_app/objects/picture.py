"""What is to be wrapped in an object: a camera frame, an image file, or a page made from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from firmware_app.calibration import Calibration
from firmware_app.model import Capture, Code, Eye, Measurement, ReferencedInstance

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Where the patient was asked to look (CID 4201), by the words of the command line.
GAZES = {
    "ahead": Code("408744005", "SCT", "Primary gaze"),
    "up": Code("255533007", "SCT", "Upward gaze"),
    "down": Code("255521002", "SCT", "Downward gaze"),
    "right": Code("255531009", "SCT", "Right gaze"),
    "left": Code("255530005", "SCT", "Left gaze"),
    "right-up": Code("255526007", "SCT", "Upward right gaze"),
    "left-up": Code("255525006", "SCT", "Upward left gaze"),
    "right-down": Code("255524005", "SCT", "Downward right gaze"),
    "left-down": Code("255523004", "SCT", "Downward left gaze"),
}

# A fixation target (gaze.FIXATION_TARGETS) and the gaze that it asks for.
GAZE_OF_TARGET = {
    "centre": "ahead",
    "up": "up",
    "up-right": "right-up",
    "right": "right",
    "down-right": "right-down",
    "down": "down",
    "down-left": "left-down",
    "left": "left",
    "up-left": "left-up",
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure that a picture shows; `eye` is None where nobody said which."""

    eye: Eye | None
    taken_at: str  # ISO 8601 with offset
    um_per_px: float | None
    simulated: bool = False
    calibration: Calibration | None = None

    @classmethod
    def of(cls, capture: Capture) -> Exposure:
        return cls(capture.eye, capture.captured_at, capture.um_per_px, capture.simulated, capture.calibration)


@dataclass(frozen=True, slots=True)
class Loss:
    """Compression with loss that the pixels have behind them (PS3.3 C.7.6.1.1.5), first to last."""

    ratios: tuple[float, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Radiography:
    """What is known of a radiograph beyond its pixels, as text; empty where it is not."""

    plate_id: str = ""
    view_position: str = ""
    kvp: str = ""
    distance_source_to_detector_mm: str = ""
    exposure_uas: str = ""
    image_area_dose_product: str = ""
    relative_x_ray_exposure: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels with what they show. `measurements` go with `exposures` in order.

    `pixels` is (rows, columns) or (rows, columns, 3) uint8 RGB. `burned_in`: patient data is drawn into the pixels.
    """

    kind: Literal["image", "report"]
    pixels: Pixels
    bits_stored: int
    exposures: tuple[Exposure, ...]
    instance_number: int
    burned_in: bool
    measurements: tuple[Measurement | None, ...] = ()
    source_images: tuple[ReferencedInstance, ...] = ()
    series_number: int | None = None
    series_description: str = ""
    gaze: str = ""  # of GAZES; empty where nobody knows
    gaze_deg: tuple[float, float] | None = None  # (left, up) as in model.Gaze; None where nobody measured it
    loss: Loss | None = None
    radiography: Radiography = Radiography()
    eyes: tuple[Eye, ...] = field(init=False)
    simulated: bool = field(init=False)

    def __post_init__(self) -> None:
        shown = {exposure.eye for exposure in self.exposures if exposure.eye is not None}
        object.__setattr__(self, "eyes", tuple(sorted(shown, reverse=True)))
        object.__setattr__(self, "simulated", any(exposure.simulated for exposure in self.exposures))


def camera_picture(
    pixels: Pixels, capture: Capture, *, instance_number: int, measurement: Measurement | None = None
) -> Picture:
    """The frame as the camera gave it."""
    exposure, looked = Exposure.of(capture), capture.gaze
    return Picture(
        "image",
        pixels,
        capture.bits_stored,
        (exposure,),
        instance_number,
        False,
        (measurement,),
        gaze="" if looked is None else GAZE_OF_TARGET.get(looked.target, ""),
        gaze_deg=None if looked is None else (looked.horizontal_deg, looked.vertical_deg),
    )


def report_picture(
    page: npt.NDArray[np.uint8],
    captures: Sequence[Capture],
    *,
    instance_number: int,
    burned_in: bool = True,
    measurements: Sequence[Measurement | None] = (),
    source_images: Sequence[ReferencedInstance] = (),
) -> Picture:
    """A page or overlay drawn from captures; a page carries the patient's name in its pixels."""
    exposures = tuple(Exposure.of(capture) for capture in captures)
    return Picture("report", page, 8, exposures, instance_number, burned_in, tuple(measurements), tuple(source_images))
