"""What the analysis says of pictures as large as the camera's: made on the host, where it takes no minute each."""

from __future__ import annotations

import pickle

import numpy as np

from firmware_app.endothelium.measure import measure
from hw.sim.mosaic import Window, build_mosaic
from hw.sim.optics import COLUMNS, ROWS, UM_PER_PX

COUNT, SEED, BORDER_UM, BITS = 2, 6, 1.5, 8


def measurements() -> bytes:
    """Of places of one rendered cornea; pickled."""
    cornea = build_mosaic(SEED)
    found = []
    for number in range(COUNT):
        window = Window(number * 200 * UM_PER_PX, 0.0, ROWS, COLUMNS, UM_PER_PX)
        pixels = (60 + 130 * (1 - np.exp(-cornea.border_distance_um(window) / BORDER_UM))).astype(np.uint8)
        found.append(measure(pixels, BITS, UM_PER_PX))
    return pickle.dumps(found)
