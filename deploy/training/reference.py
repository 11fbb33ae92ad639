"""What PyTorch answers with the shipped weights to a rendered picture: the reference that the numpy twin is held to.

    python -m deploy.training.reference --folder FOLDER

writes tests/image/network_reference.npz and ends with 1 if the two differ by more than 1e-4 anywhere.
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from deploy.training.bank import INPUT_STEPS, SIDE_PX
from deploy.training.scenes import draw_scenes
from deploy.training.tissue import load_tissues
from firmware_app.endothelium.network import LEVELS, forward, weights_from
from firmware_app.endothelium.network_input import network_input

WEIGHTS = Path("firmware_app/endothelium/cell_network.npz")
REFERENCE = Path("tests/image/network_reference.npz")
TOLERANCE = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the training keeps its mosaics")
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    with np.load(WEIGHTS) as stored:
        arrays = dict(stored)
    rng = np.random.default_rng(arguments.seed)
    tissues = load_tissues(320, arguments.folder / "tissues.npz", 2)
    scene = draw_scenes(tissues, rng, SIDE_PX, 1)[0]
    planes, _ = network_input(scene.grey[:104, :128])
    steps = np.rint(planes * INPUT_STEPS).astype(np.int8)
    planes = steps.astype(np.float32) / INPUT_STEPS
    expected = torch_forward(planes, arrays)
    difference = float(np.abs(forward(planes, weights_from(arrays)) - expected).max())
    digest = np.frombuffer(sha256(WEIGHTS.read_bytes()).digest(), np.uint8)
    np.savez_compressed(REFERENCE, steps=steps, logits=expected, weights_sha256=digest)
    print(f"logits from {expected.min():.2f} to {expected.max():.2f}, greatest difference {difference:.2e}")
    return 0 if difference <= TOLERANCE else 1


def torch_forward(
    planes: npt.NDArray[np.float32], arrays: dict[str, npt.NDArray[np.generic]]
) -> npt.NDArray[np.float32]:
    """(4, rows, columns) logits by PyTorch's own operators, from the folded weights that the package holds."""

    def convolved(x: torch.Tensor, name: str) -> torch.Tensor:
        kernel = torch.from_numpy(arrays[f"{name}.kernel"].astype(np.float32)).permute(3, 2, 0, 1)
        bias = torch.from_numpy(arrays[f"{name}.bias"].astype(np.float32))
        return functional.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)

    def twice(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.relu(convolved(functional.relu(convolved(x, f"{name}.0")), f"{name}.1"))

    x = torch.from_numpy(planes)[None]
    skipped = []
    for level in range(LEVELS):
        x = twice(x if level == 0 else functional.max_pool2d(x, 2), f"down{level}")
        skipped.append(x)
    for level in reversed(range(LEVELS - 1)):
        x = twice(
            torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), skipped[level]], 1), f"up{level}"
        )
    return convolved(x, "head")[0].numpy()


if __name__ == "__main__":
    raise SystemExit(main())
