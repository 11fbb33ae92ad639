"""Panoramas of image files and of an exam's captures: what is read, and what is drawn and told of the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware_app.endothelium.panorama import NoPanorama, Panorama, PanoramaSource, make_panorama
from firmware_app.model import Capture, Frame
from firmware_app.records.files import write_files
from firmware_app.report.overlay import draw_overlay
from firmware_app.services.image_files import ImageFile, ImageFileError, read_image

SCALES_DIFFER = 0.01  # pixels of captures that are more unlike than this share do not fit on each other


class PanoramaClash(ValueError):
    """Two outputs would be the same file, an output would overwrite an input, or it has the wrong kind of name."""


def panorama_of_files(
    files: Sequence[Path],
    out: Path,
    *,
    um_per_px: float | None = None,
    labels: Path | None = None,
    overlay: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, object]:
    """Stitch and measure image files, write the pictures, and return the row of the command line.

    A given scale overrules the files'. Raises `PanoramaClash` before anything is read, `NoPanorama` with the name of
    the file where one cannot be read, and `OSError` or `records.errors.StorageFault` when an output cannot be written.
    """
    began = time.perf_counter()
    targets = [target for target in (out, labels, overlay) if target is not None]
    check_outputs(files, targets)
    for target in targets:
        # what an earlier run left there is not the result of this one
        target.unlink(missing_ok=True)
    images = [read(file, um_per_px is not None) for file in files]
    scale = um_per_px if um_per_px is not None else common_scale(files, images)
    sources = [PanoramaSource(image.pixels, image.bits_stored) for image in images]
    panorama = make_panorama(sources, scale, say=say)
    seconds = time.perf_counter() - began
    write(out, png_of(panorama.pixels))
    if labels is not None and panorama.measurement.mosaic is not None:
        write(labels, png_of(panorama.measurement.mosaic.labels.astype(np.uint16)))
    if overlay is not None:
        write(overlay, overlay_png(panorama))
    return {"file": str(out), **panorama_data(panorama, [str(file) for file in files]), "seconds": seconds}


def check_outputs(files: Sequence[Path], targets: Sequence[Path]) -> None:
    inputs = {file.resolve() for file in files}
    for number, target in enumerate(targets):
        if target.suffix.lower() != ".png":
            raise PanoramaClash(f"{target} is to be a PNG file: name it so")
        if target.resolve() in inputs:
            raise PanoramaClash(f"{target} would overwrite an input image")
        if target.resolve() in {other.resolve() for other in targets[:number]}:
            raise PanoramaClash(f"two outputs would both be {target}")


def read(file: Path, scale_given: bool) -> ImageFile:
    try:
        return read_image(file, scale_given=scale_given)
    except ImageFileError as error:
        raise NoPanorama(f"{file}: {error}") from error


def common_scale(files: Sequence[Path], images: Sequence[ImageFile]) -> float | None:
    """That of all files, or None where none states one."""
    known = [(file, image.um_per_px) for file, image in zip(files, images, strict=True) if image.um_per_px is not None]
    if not known:
        return None
    if len(known) < len(files):
        raise NoPanorama(f"{known[0][0]} states a scale and others do not: give one for all (--um-per-px)")
    first = known[0][1]
    for file, scale in known:
        if abs(scale - first) > SCALES_DIFFER * first:
            raise NoPanorama(f"{file} has {scale:.4g} um per pixel, {known[0][0]} has {first:.4g}")
    return first


def panorama_data(panorama: Panorama, names: Sequence[str]) -> dict[str, object]:
    """Everything that is known of a panorama but its pixels; pairs number the captures from 1."""
    measurement = panorama.measurement
    numbers, refusal = measurement.morphometry, measurement.refusal
    reason = refusal.reason if refusal is not None else "; ".join(numbers.warnings) if numbers is not None else ""
    return {
        "status": "ok" if numbers is not None else "refused",
        "reason": reason or None,
        "rows": panorama.pixels.shape[0],
        "columns": panorama.pixels.shape[1],
        "bits_stored": panorama.bits_stored,
        "fit_px": panorama.fit_px,
        "apart_px": panorama.apart_px,
        "captures": [
            {
                "name": name,
                "row_px": source.place_px and source.place_px[0],
                "column_px": source.place_px and source.place_px[1],
                "cells": source.cells,
                "reason": source.reason or None,
            }
            for name, source in zip(names, panorama.sources, strict=True)
        ],
        "pairs": [
            {"first": a + 1, "second": b + 1, **asdict(shift)} for (a, b), shift in sorted(panorama.shifts.items())
        ],
        "morphometry": numbers and asdict(numbers),
        "quality": asdict(measurement.quality),
    }


def panorama_of_captures(
    captures: Sequence[Capture], frames: Sequence[Frame], say: Callable[[str], None]
) -> tuple[Panorama, dict[str, object], dict[str, bytes]]:
    """Of one eye's captures of one exam: the panorama, what is known of it, and its files by name.

    All captures have the same scale. Raises `NoPanorama`.
    """
    first = captures[0]
    sources = [
        PanoramaSource(frame.pixels, frame.bits_stored, expected_px(capture))
        for capture, frame in zip(captures, frames, strict=True)
    ]
    panorama = make_panorama(sources, first.um_per_px, say=say)
    data: dict[str, object] = {"exam_id": first.exam_id, "eye": str(first.eye)}
    data |= panorama_data(panorama, [capture.capture_id for capture in captures])
    name = f"panorama-{first.eye}"
    files = {
        f"{name}.png": png_of(panorama.pixels),
        f"{name}-cells.png": overlay_png(panorama),
        f"{name}.json": msgspec.json.encode(data),
    }
    return panorama, data, files


def expected_px(capture: Capture) -> tuple[float, float] | None:
    """Where the stage was, as (row, column) of the picture: x runs to the right in it, y up."""
    if capture.um_per_px is None:
        return None
    return -capture.position.y_um / capture.um_per_px, capture.position.x_um / capture.um_per_px


def overlay_png(panorama: Panorama) -> bytes:
    return png_of(draw_overlay(panorama.pixels, panorama.bits_stored, panorama.measurement))


def png_of(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write(target: Path, data: bytes) -> None:
    """As a whole or not at all, as everything that shows a patient."""
    write_files(target.parent, {target.name: data})
