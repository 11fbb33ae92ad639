"""The forward pass against a slow, obvious one: taps summed pixel by pixel; strips, padding, and weights by name."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.endothelium import network
from firmware_app.endothelium.network import (
    LEVELS,
    MULTIPLE_PX,
    OUTPUTS,
    Layer,
    Weights,
    answer,
    answer_both_ways,
    convolution,
    doubled,
    forward,
    halved,
    shipped_weights,
    weights_from,
)

PACKAGE_MAX_BYTES = 2 << 20
WIDTHS = (5, 3, 4, 6)
Array = npt.NDArray[np.float32]


def framed(planes: Array) -> Array:
    return np.pad(planes, ((0, 0), (1, 1), (1, 1)))


def slow_convolution(planes: Array, kernel: Array, bias: Array) -> Array:
    """(inputs, rows, columns) and a kernel (3, 3, inputs, outputs): zeros around, no rectifier."""
    _, rows, columns = planes.shape
    padded = framed(planes)
    out = np.empty((kernel.shape[3], rows, columns))
    for output in range(kernel.shape[3]):
        for row in range(rows):
            for column in range(columns):
                patch = padded[:, row : row + 3, column : column + 3].transpose(1, 2, 0)
                out[output, row, column] = (patch * kernel[:, :, :, output]).sum() + bias[output]
    return out.astype(np.float32)


def random_layer(rng: np.random.Generator, inputs: int, outputs: int) -> tuple[Array, Array]:
    spread = (2 / (9 * inputs)) ** 0.5
    kernel = rng.normal(0, spread, (3, 3, inputs, outputs)).astype(np.float32)
    return kernel, rng.normal(0, 0.3, outputs).astype(np.float32)


def as_layer(kernel: Array, bias: Array) -> Layer:
    arrays = {f"{name}.kernel": kernel for name in layer_names()} | {f"{name}.bias": bias for name in layer_names()}
    return weights_from(arrays).down[0][0]


def layer_names() -> list[str]:
    sides = [f"down{level}" for level in range(LEVELS)] + [f"up{level}" for level in range(LEVELS - 1)]
    return [f"{side}.{index}" for side in sides for index in (0, 1)] + ["head"]


def random_arrays(seed: int, widths: tuple[int, ...] = WIDTHS) -> dict[str, npt.NDArray[np.generic]]:
    """What a training would store, of a network with these channels."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, npt.NDArray[np.generic]] = {}

    def store(name: str, inputs: int, outputs: int) -> None:
        arrays[f"{name}.kernel"], arrays[f"{name}.bias"] = random_layer(rng, inputs, outputs)

    for level, (inputs, outputs) in enumerate(zip((2, *widths), widths, strict=False)):
        store(f"down{level}.0", inputs, outputs)
        store(f"down{level}.1", outputs, outputs)
    for level in range(LEVELS - 1):
        store(f"up{level}.0", widths[level + 1] + widths[level], widths[level])
        store(f"up{level}.1", widths[level], widths[level])
    arrays["head.kernel"] = rng.normal(0, 1, (1, 1, widths[0], len(OUTPUTS))).astype(np.float32)
    arrays["head.bias"] = rng.normal(0, 1, len(OUTPUTS)).astype(np.float32)
    return arrays


def slow_forward(planes: Array, arrays: dict[str, npt.NDArray[np.generic]]) -> Array:
    """The U-Net as it is drawn: down by the greatest of four, up by repeating, the finer level after the coarser."""

    def twice(x: Array, name: str) -> Array:
        for index in (0, 1):
            kernel = np.asarray(arrays[f"{name}.{index}.kernel"], np.float32)
            x = np.maximum(slow_convolution(x, kernel, np.asarray(arrays[f"{name}.{index}.bias"], np.float32)), 0)
        return x

    x, skipped = planes, []
    for level in range(LEVELS):
        if level:
            channels, rows, columns = x.shape
            x = x.reshape(channels, rows // 2, 2, columns // 2, 2).max(axis=(2, 4))
        x = twice(x, f"down{level}")
        skipped.append(x)
    for level in reversed(range(LEVELS - 1)):
        x = twice(np.concatenate([x.repeat(2, axis=1).repeat(2, axis=2), skipped[level]]), f"up{level}")
    head = np.asarray(arrays["head.kernel"], np.float32)[0, 0]
    bias = np.asarray(arrays["head.bias"], np.float32)
    return np.einsum("io,irc->orc", head, x) + bias[:, None, None]


def sigmoid(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def stacked(said: network.Answer) -> Array:
    return np.stack([said.border, said.depth, said.trust, said.guttae])


def picture(seed: int, rows: int, columns: int) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, (2, rows, columns)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    seed=st.integers(0, 999),
)
def test_a_convolution_is_the_sum_of_its_taps(inputs: int, outputs: int, rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.normal(size=(inputs, rows, columns)).astype(np.float32)
    kernel, bias = random_layer(rng, inputs, outputs)
    expected = np.maximum(slow_convolution(planes, kernel, bias), 0)
    out = convolution(framed(planes), as_layer(kernel, bias))
    assert out.dtype == np.float32
    assert np.array_equal(out, framed(out[:, 1:-1, 1:-1]))  # nothing but zeros around: the next tap reads them
    assert out[:, 1:-1, 1:-1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rows_a_strip", [1, 2, 3, 7, 8, 11, 12, 50])
def test_where_the_strips_end_does_not_matter(monkeypatch: pytest.MonkeyPatch, rows_a_strip: int) -> None:
    rng = np.random.default_rng(1)
    inputs, rows, columns = 3, 11, 6
    planes = rng.normal(size=(inputs, rows, columns)).astype(np.float32)
    kernel, bias = random_layer(rng, inputs, 4)
    expected = np.maximum(slow_convolution(planes, kernel, bias), 0)
    monkeypatch.setattr(network, "STRIP_BYTES", rows_a_strip * 4 * 9 * inputs * (columns + 2))
    out = convolution(framed(planes), as_layer(kernel, bias))
    assert out[:, 1:-1, 1:-1] == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(out, framed(out[:, 1:-1, 1:-1]))


def test_a_strip_is_never_less_than_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    planes = rng.normal(size=(2, 5, 9)).astype(np.float32)
    layer = as_layer(*random_layer(rng, 2, 3))
    whole = convolution(framed(planes), layer)
    monkeypatch.setattr(network, "STRIP_BYTES", 1)
    assert convolution(framed(planes), layer) == pytest.approx(whole, abs=1e-6)


def test_halving_keeps_the_greatest_of_four_and_doubling_repeats() -> None:
    planes = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6) - 30
    expected = np.array([[[7, 9, 11], [19, 21, 23]], [[31, 33, 35], [43, 45, 47]]], np.float32) - 30
    assert np.array_equal(halved(framed(planes)), framed(expected))
    assert np.array_equal(doubled(framed(planes)), framed(planes.repeat(2, axis=1).repeat(2, axis=2)))
    assert np.array_equal(halved(doubled(framed(planes))), framed(planes))


@pytest.mark.parametrize("shape", [(8, 8), (16, 24)])
def test_the_forward_pass_is_the_network_as_it_is_drawn(shape: tuple[int, int]) -> None:
    arrays = random_arrays(3)
    planes = picture(4, *shape)
    logits = forward(planes, weights_from(arrays))
    assert logits.shape == (len(OUTPUTS), *shape)
    assert logits.dtype == np.float32
    expected = slow_forward(planes, arrays)
    assert np.ptp(expected) > 1  # or it would show nothing
    assert logits == pytest.approx(expected, abs=1e-4)


def test_the_answer_is_the_forward_pass_where_nothing_has_to_be_filled_up() -> None:
    weights, planes = weights_from(random_arrays(5)), picture(6, 16, 32)
    said = stacked(answer(planes, weights))
    assert said == pytest.approx(sigmoid(forward(planes, weights)), abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (7, 9), (15, 16), (17, 8), (23, 42)])
def test_any_size_is_answered_as_its_picture_mirrored(shape: tuple[int, int]) -> None:
    weights, planes = weights_from(random_arrays(7)), picture(8, *shape)
    said = stacked(answer(planes, weights))
    assert said.shape == (len(OUTPUTS), *shape)
    assert said.min() >= 0
    assert said.max() <= 1
    before = [-size % MULTIPLE_PX // 2 for size in shape]
    after = [-size % MULTIPLE_PX - b for size, b in zip(shape, before, strict=True)]
    widths = [(0, 0), (before[0], after[0]), (before[1], after[1])]
    inside = (slice(None), slice(before[0], before[0] + shape[0]), slice(before[1], before[1] + shape[1]))
    expected = sigmoid(forward(np.pad(planes, widths, mode="symmetric"), weights))[inside]
    assert said == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(16, 24), (12, 22), (10, 8)])
def test_a_picture_turned_round_is_filled_up_in_the_same_way(shape: tuple[int, int]) -> None:
    arrays = random_arrays(9)
    turned = {name: value[::-1, ::-1] if name.endswith("kernel") else value for name, value in arrays.items()}
    planes = picture(10, *shape)
    said = stacked(answer(planes, weights_from(arrays)))
    other = stacked(answer(planes[:, ::-1, ::-1], weights_from(turned)))
    assert other[:, ::-1, ::-1] == pytest.approx(said, abs=1e-5)


@pytest.mark.parametrize("shape", [(16, 24), (13, 22)])
def test_both_ways_is_the_mean_of_the_picture_and_of_it_turned_round(shape: tuple[int, int]) -> None:
    weights, planes = weights_from(random_arrays(16)), picture(17, *shape)
    upright, turned = stacked(answer(planes, weights)), stacked(answer(planes[:, ::-1, ::-1], weights))
    both = stacked(answer_both_ways(planes, weights))
    assert np.abs(upright - turned[:, ::-1, ::-1]).max() > 0.01  # or it would show nothing
    assert both == pytest.approx((upright + turned[:, ::-1, ::-1]) / 2, abs=1e-6)
    assert both.dtype == np.float32
    other = stacked(answer_both_ways(planes[:, ::-1, ::-1], weights))
    assert other[:, ::-1, ::-1] == pytest.approx(both, abs=1e-6)


def test_an_answer_that_is_very_sure_is_a_plain_nought_or_one() -> None:
    arrays = random_arrays(11)
    arrays["head.bias"] = np.array([-500, 500, -500, 500], np.float32)
    said = stacked(answer(picture(12, 8, 8), weights_from(arrays)))
    assert said.mean(axis=(1, 2)) == pytest.approx([0, 1, 0, 1])


def test_weights_become_matrices_for_the_product() -> None:
    weights = weights_from(random_arrays(13))
    assert [len(weights.down), len(weights.up)] == [LEVELS, LEVELS - 1]
    ends = (2, *WIDTHS)
    for level, (first, second) in enumerate(weights.down):
        assert first.kernel.shape == (WIDTHS[level], 9 * ends[level])
        assert second.kernel.shape == (WIDTHS[level], 9 * WIDTHS[level])
        assert first.bias.shape == second.bias.shape == (WIDTHS[level], 1)
    for level, (first, second) in enumerate(weights.up):
        assert first.kernel.shape == (WIDTHS[level], 9 * (WIDTHS[level + 1] + WIDTHS[level]))
        assert second.kernel.shape == (WIDTHS[level], 9 * WIDTHS[level])
    assert weights.head.kernel.shape == (len(OUTPUTS), WIDTHS[0])
    assert weights.head.kernel.flags.c_contiguous
    assert weights.story == {}


def test_half_precision_weights_are_read_as_floats_and_the_story_as_words() -> None:
    arrays = {name: value.astype(np.float16) for name, value in random_arrays(14).items()}
    arrays["story"] = np.frombuffer(json.dumps({"steps": 7}).encode(), np.uint8)
    weights = weights_from(arrays)
    assert weights.head.kernel.dtype == weights.down[0][0].bias.dtype == np.float32
    assert weights.story == {"steps": 7}


@pytest.mark.parametrize("missing", ["down2.1.kernel", "up0.0.bias", "head.kernel"])
def test_a_missing_array_is_named(missing: str) -> None:
    arrays = random_arrays(15)
    del arrays[missing]
    with pytest.raises(KeyError, match=missing):
        weights_from(arrays)


def test_the_package_has_small_weights_with_their_story_and_reads_them_once() -> None:
    weights: Weights = shipped_weights()
    assert shipped_weights() is weights
    assert len(weights.down) == LEVELS
    assert weights.head.kernel.shape[0] == len(OUTPUTS)
    stages = weights.story["stages"]
    assert isinstance(stages, list)
    assert stages
    for stage in stages:
        assert "deploy.training.train" in stage["command"]
        assert "--seed" in stage["command"]
        assert stage["training_losses"]
    assert len((files("firmware_app.endothelium") / "cell_network.npz").read_bytes()) <= PACKAGE_MAX_BYTES
