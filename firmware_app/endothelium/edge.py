"""The image's edge: it cuts cells, but for those whose border happens to run along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware_app.endothelium.filters import FloatImage
from firmware_app.endothelium.watershed import Labels

# Of a side of the picture. A side that lies at random in a mosaic runs along borders for 5 to 25 % (on four sets of
# real pictures); one that does so for longer is a line that was drawn around the picture, and cuts cells.
LINE_SHARE_MIN = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """By label: how many pixels of the edge the region has, the mean there of the network's border (0 for none), and
    whether the edge leaves the region whole: it has none of it, or its own border runs there."""

    length_px: npt.NDArray[np.float64]
    mean_border: npt.NDArray[np.float64]
    closed: npt.NDArray[np.bool_]


def along_edge(labels: Labels, border: FloatImage, seen_min: float) -> Edge:
    """`labels` (rows, columns) and the network's `border` there, 0..1, which is seen from `seen_min`."""
    count = int(labels.max(initial=0)) + 1
    length, total = np.zeros(count), np.zeros(count)
    for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        length += np.bincount(labels[side], minlength=count)
        if np.mean(border[side] >= seen_min) < LINE_SHARE_MIN:
            total += np.bincount(labels[side], border[side], count)
    mean = total / np.maximum(length, 1)
    return Edge(length, mean, (length == 0) | (mean >= seen_min))
