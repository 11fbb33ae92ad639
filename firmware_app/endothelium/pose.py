"""One pose for a picture and all its turned and mirrored copies, so that they give the same cells to the pixel.

A network does not answer a turned picture quite as it answers the picture. Turning every picture first so that its
brightest quarter is at the top left, and the brighter of that quarter's two neighbours at the top right, takes the
difference away. It costs nothing, and light is never so even that two quarters are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Pose:
    """Flips of rows and columns, then perhaps an exchange of both."""

    flip_rows: bool
    flip_columns: bool
    exchange: bool

    def taken(self, image: npt.NDArray[T]) -> npt.NDArray[T]:
        """The image (rows, columns) in this pose."""
        turned = image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return np.ascontiguousarray(turned.T if self.exchange else turned)

    def undone(self, image: npt.NDArray[T]) -> npt.NDArray[T]:
        """What `taken` was given."""
        turned = image.T if self.exchange else image
        return np.ascontiguousarray(turned[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1])


def pose_of(image: npt.NDArray[np.generic]) -> Pose:
    """The pose in which the brightest quarter comes first, and its brighter neighbour beside it."""
    rows, columns = ((size + 1) // 2 for size in image.shape)
    quarters = np.array(
        [
            [part.sum(dtype=np.float64) for part in (half[:, :columns], half[:, -columns:])]
            for half in (image[:rows], image[-rows:])
        ]
    )
    row, column = np.unravel_index(int(quarters.argmax()), (2, 2))
    beside, below = quarters[row, 1 - column], quarters[1 - row, column]
    return Pose(bool(row), bool(column), bool(below > beside))
