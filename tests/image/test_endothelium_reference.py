"""The core on real images with manual outlines and dots: read for validation only, nothing here is fitted to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware_app.endothelium.measure import measure
from firmware_app.endothelium.mosaic import build_mosaic, whole_regions
from firmware_app.model import Measurement

pytestmark = pytest.mark.shared_data


def images(shared: Path, name: str, step: int = 1) -> list[Path]:
    found = sorted((shared / "data" / "endothelium" / name / "images").iterdir())[::step]
    assert found, f"no images in {name}"
    return found


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def error_percent(measurement: Measurement, outlines: np.ndarray) -> float:
    """Density error over the annotated patch: a counted cell belongs to it with three quarters of its area."""
    assert measurement.mosaic is not None
    labels = measurement.mosaic.labels
    total = np.bincount(labels.ravel())
    inside = np.bincount(labels.ravel(), (outlines > 0).ravel())
    ours = total[1:][inside[1:] >= 0.75 * total[1:]].mean()
    truth = build_mosaic(outlines, whole_regions(outlines, np.ones(outlines.shape, bool)), 0.6).area_px.mean()
    return 100 * float(truth / ours - 1)


@pytest.mark.parametrize(("name", "step", "mean_error", "worst_error"), [("gavet", 1, 2, 8), ("confoscan52", 5, 3, 9)])
def test_density_agrees_with_the_manual_outlines(
    shared: Path, name: str, step: int, mean_error: float, worst_error: float
) -> None:
    errors = []
    for path in images(shared, name, step):
        measurement = measure(load(path), 8)
        if measurement.refusal is not None:
            # some confoscan52 crops show a dozen whole cells; nothing else is a reason to refuse here
            assert name != "gavet", path.name
            assert "whole cells" in measurement.refusal.reason, path.name
            continue
        outlines = np.asarray(Image.open(path.parents[1] / "labels" / path.name)).astype(np.int32)
        errors.append(abs(error_percent(measurement, outlines)))
    assert len(errors) >= 0.8 * len(images(shared, name, step))
    assert np.mean(errors) < mean_error
    assert np.max(errors) < worst_error


def test_uncountable_images_are_refused(shared: Path) -> None:
    uncountable = []
    for path in images(shared, "specular385"):
        dots = path.parents[1] / "points" / f"{path.stem}.tsv"
        if len(dots.read_text().splitlines()) - 1 < 10:
            uncountable.append(path)
    assert len(uncountable) > 10
    for path in uncountable[::4]:
        assert measure(load(path), 8).refusal is not None, path.name
