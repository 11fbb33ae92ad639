"""Going on from weights that are there: a network, as wide or wider, that begins by answering as they do.

Net2Net (Chen, Goodfellow, Shlens 2016, arXiv 1511.05641): a channel is doubled by doubling it where it is made and
halving it where it is read. A little noise lets the copies part. The batch normalisation that had been multiplied into
the weights gets the mean and deviation of a first batch, so that it changes nothing either.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deploy.training.network import INPUTS, CellNetwork

Arrays = dict[str, npt.NDArray[np.generic]]
Indices = npt.NDArray[np.int64]

NOISE_REL = 0.15  # of a kernel's own deviation, on the copies


def continue_from(network: CellNetwork, arrays: Arrays, batch: torch.Tensor, rng: np.random.Generator) -> None:
    """Give `network` the folded weights of a network as wide or narrower; `batch` (n, 2, rows, columns) of its input.

    ValueError if a layer of `network` is narrower than it was.
    """
    normalise = [
        norm.register_forward_pre_hook(normalised_as_it_comes)
        for norm in network.modules()
        if isinstance(norm, nn.BatchNorm2d)
    ]
    down: list[Indices] = []
    source: Indices = np.arange(INPUTS)
    for level, block in enumerate(network.down):
        source = fill_block(block, f"down{level}", arrays, source, rng)
        down.append(source)
    below = down[-1]
    for level in reversed(range(len(network.up))):
        offset = kernel_of(arrays, f"up{level}.0").shape[2] - kernel_of(arrays, f"down{level}.1").shape[3]
        joined = np.concatenate([below, offset + down[level]])
        below = fill_block(network.up[level], f"up{level}", arrays, joined, rng)
    fill(network.head, kernel_of(arrays, "head"), np.arange(network.head.out_channels), below, rng)
    bias = torch.from_numpy(np.asarray(arrays["head.bias"], np.float32))
    with torch.no_grad():
        assert network.head.bias is not None
        network.head.bias.copy_(bias)
        network(batch)
    for hook in normalise:
        hook.remove()


def fill_block(block: nn.Module, name: str, arrays: Arrays, inputs: Indices, rng: np.random.Generator) -> Indices:
    """Both convolutions of a block. `inputs` names the old channel behind each input; what it returns, each output."""
    assert isinstance(block, nn.Sequential)
    for index in (0, 1):
        convolution, norm = block[3 * index], block[3 * index + 1]
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        kernel = kernel_of(arrays, f"{name}.{index}")
        wide, narrow = convolution.out_channels, kernel.shape[3]
        if wide < narrow:
            raise ValueError(f"{name}.{index} had {narrow} channels and cannot be narrowed to {wide}")
        outputs = np.concatenate([np.arange(narrow), rng.permutation(narrow)[: wide - narrow]])
        outputs = np.concatenate([outputs, rng.integers(0, narrow, wide - len(outputs))])
        fill(convolution, kernel, outputs, inputs, rng)
        bias = np.asarray(arrays[f"{name}.{index}.bias"], np.float32)[outputs]
        with torch.no_grad():
            norm.bias.copy_(torch.from_numpy(bias))
        inputs = outputs
    return inputs


def kernel_of(arrays: Arrays, name: str) -> npt.NDArray[np.float32]:
    """(rows, columns, inputs, outputs)"""
    return np.asarray(arrays[f"{name}.kernel"], np.float32)


def fill(
    convolution: nn.Conv2d,
    kernel: npt.NDArray[np.float32],
    outputs: Indices,
    inputs: Indices,
    rng: np.random.Generator,
) -> None:
    """Every input shares the old weight with its copies; copied outputs get some noise."""
    copies = np.bincount(inputs, minlength=kernel.shape[2])[inputs]
    widened = kernel[:, :, inputs][..., outputs] / copies[:, None]
    repeated = np.arange(len(outputs)) >= kernel.shape[3]
    widened += repeated * NOISE_REL * widened.std() * rng.standard_normal(widened.shape)
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(widened.transpose(3, 2, 0, 1).astype(np.float32)))


def normalised_as_it_comes(norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Mean and deviation of what arrives, so that normalising with them and undoing it leaves all but the bias.

    The bias of a norm that was filled is what is to be added to what arrives.
    """
    assert isinstance(norm, nn.BatchNorm2d)
    deviation, mean = torch.std_mean(inputs[0], dim=(0, 2, 3), correction=0)
    with torch.no_grad():
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(deviation**2)
        norm.weight.copy_(torch.sqrt(deviation**2 + norm.eps))
        norm.bias.add_(mean)
