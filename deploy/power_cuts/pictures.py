"""What the camera of the machine sees, and what the analysis says of it: made on the host."""

from __future__ import annotations

import io
import pickle

import numpy as np
from PIL import Image

from deploy.power_cuts.configuration import MEASURED, PICTURES, UM_PER_PX
from firmware_app.endothelium.measure import measure
from firmware_app.records.files import digest
from hw.sim.mosaic import Window, build_mosaic

ROWS, COLUMNS, COUNT = 200, 240, 6  # some 70 cells each
SEED, BORDER_UM, BITS = 6, 1.5, 8


def pictures() -> dict[str, bytes]:
    """Places of a rendered cornea, and their measurements by checksum: files by their path in the machine."""
    cornea = build_mosaic(SEED)
    found, measured = {}, {}
    for number in range(COUNT):
        window = Window(number * COLUMNS * UM_PER_PX, 0.0, ROWS, COLUMNS, UM_PER_PX)
        pixels = (60 + 130 * (1 - np.exp(-cornea.border_distance_um(window) / BORDER_UM))).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "png")
        found[f"{PICTURES}/{number}.png"] = stream.getvalue()
        measured[digest(pixels.tobytes())] = measure(pixels, BITS, UM_PER_PX)
    found[MEASURED] = pickle.dumps(measured)
    return found
