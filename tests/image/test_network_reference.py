"""The numpy forward pass against PyTorch's answer to the same planes with the shipped weights.

The reference is written by `python -m deploy.training.reference`; new weights need a new one.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from firmware_app.endothelium.network import OUTPUTS, forward, shipped_weights

REFERENCE = Path(__file__).with_name("network_reference.npz")
STEPS = 127  # the planes are whole numbers of this many steps from 0 to 1
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def reference() -> dict[str, npt.NDArray[np.generic]]:
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def test_the_reference_was_made_with_the_weights_of_the_package(reference: dict[str, npt.NDArray[np.generic]]) -> None:
    shipped = (files("firmware_app.endothelium") / "cell_network.npz").read_bytes()
    assert reference["weights_sha256"].tobytes().hex() == sha256(shipped).hexdigest()


def test_numpy_answers_as_the_training_framework_does(reference: dict[str, npt.NDArray[np.generic]]) -> None:
    planes, expected = reference["steps"].astype(np.float32) / STEPS, reference["logits"]
    assert expected.shape == (len(OUTPUTS), *planes.shape[1:])
    logits = forward(planes, shipped_weights())
    assert np.abs(logits - expected).max() <= TOLERANCE
    # a reference in which the network sees nothing would show nothing
    assert np.ptp(expected, axis=(1, 2)).min() > 2
    assert np.ptp(planes) > 1
