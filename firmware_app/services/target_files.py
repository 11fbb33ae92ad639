"""Pictures of calibration targets in image files: one row each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firmware_app.endothelium.graticule import NoTarget, Pattern, measure_target
from firmware_app.services.image_files import ImageFileError, read_image

KEYS = ("um_per_px", "uncertainty_percent", "anisotropy_percent", "rotation_deg", "skew_deg", "ripple_px")


def measure_target_file(file: Path, pitch_um: float, pattern: Pattern, nominal_um_per_px: float) -> dict[str, Any]:
    """`status` is `ok` or `refused` with its `reason`; a number that is not known is null."""
    row: dict[str, Any] = {"file": str(file), "status": "refused", "reason": "", **dict.fromkeys(KEYS)}
    try:
        image = read_image(file, scale_given=True)
        scale = measure_target(image.pixels, pitch_um, pattern, nominal_um_per_px)
    except (ImageFileError, NoTarget) as error:
        return row | {"reason": str(error)}
    return row | {"status": "ok", **{key: getattr(scale, key) for key in KEYS}}
