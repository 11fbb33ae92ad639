"""The cell network in PyTorch: a small U-Net. What runs on the instrument is its numpy twin, `endothelium.network`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

WIDTHS = (20, 40, 80, 128)
INPUTS, OUTPUTS = 2, 4


def two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class CellNetwork(nn.Module):
    """(n, 2, rows, columns) local contrast -> (n, 4, rows, columns) logits of border, depth, trust and guttae.

    Rows and columns must be multiples of 8.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList([two_convolutions(a, b) for a, b in zip((INPUTS, *widths), widths, strict=False)])
        self.up = nn.ModuleList([two_convolutions(b + a, a) for a, b in pairwise(widths)])
        self.head = nn.Conv2d(widths[0], OUTPUTS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skipped = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skipped.append(x)
        for level in reversed(range(len(self.up))):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest")
            x = self.up[level](torch.cat([x, skipped[level]], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def folded(network: CellNetwork) -> dict[str, npt.NDArray[np.float32]]:
    """Weights (rows, columns, inputs, outputs) and biases with the batch normalisation multiplied in, by layer name."""
    arrays: dict[str, npt.NDArray[np.float32]] = {}

    def store(name: str, kernel: torch.Tensor, bias: torch.Tensor) -> None:
        arrays[f"{name}.kernel"] = kernel.detach().permute(2, 3, 1, 0).contiguous().float().numpy()
        arrays[f"{name}.bias"] = bias.detach().float().numpy()

    for group, blocks in (("down", network.down), ("up", network.up)):
        for level, block in enumerate(blocks):
            for index in (0, 1):
                convolution, norm = block[3 * index], block[3 * index + 1]
                gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                kernel = convolution.weight * gain[:, None, None, None]
                store(f"{group}{level}.{index}", kernel, norm.bias - norm.running_mean * gain)
    store("head", network.head.weight, network.head.bias)
    return arrays
