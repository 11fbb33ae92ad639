"""What is to be wrapped in an object: a camera frame, or a page made from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from firmware_app.model import Capture, Eye, Measurement, ReferencedInstance

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels with what they show. `captures` are the exposures in the picture, `measurements` go with them in order.

    `pixels` is (rows, columns) or (rows, columns, 3) uint8 RGB. `burned_in`: patient data is drawn into the pixels.
    """

    kind: Literal["image", "report"]
    pixels: Pixels
    bits_stored: int
    captures: tuple[Capture, ...]
    instance_number: int
    burned_in: bool
    measurements: tuple[Measurement | None, ...] = ()
    source_images: tuple[ReferencedInstance, ...] = ()
    series_number: int | None = None
    series_description: str = ""
    eyes: tuple[Eye, ...] = field(init=False)
    simulated: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "eyes", tuple(sorted({capture.eye for capture in self.captures}, reverse=True)))
        object.__setattr__(self, "simulated", any(capture.simulated for capture in self.captures))


def camera_picture(
    pixels: Pixels, capture: Capture, *, instance_number: int, measurement: Measurement | None = None
) -> Picture:
    """The frame as the camera gave it."""
    return Picture("image", pixels, capture.bits_stored, (capture,), instance_number, False, (measurement,))


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
    return Picture(
        "report", page, 8, tuple(captures), instance_number, burned_in, tuple(measurements), tuple(source_images)
    )
