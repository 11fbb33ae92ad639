"""Verbs for image files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, um_per_px
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, show_files, stopping

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "analyze", "measure image files (PNG, TIFF, JPEG, DICOM)", parents.printed)
    verb.epilog = "Exit status 1 if any image was refused; every image is answered all the same."
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    verb.add_argument("--um-per-px", type=um_per_px, metavar="X", help="the scale (default: the file's, if it has one)")
    verb.add_argument("--labels", type=Path, metavar="DIR", help="write DIR/<stem>.png: 16 bits, one id per cell")
    verb.add_argument("--overlay", type=Path, metavar="DIR", help="write DIR/<stem>.png: the cells drawn on the image")
    verb.set_defaults(run=analyze)


def analyze(arguments: argparse.Namespace) -> int:
    from firmware_app.services.image_files import OutputClash, analyze_files

    with stopping(EXIT_USAGE, OutputClash), stopping(EXIT_FAILED, OSError):
        results = analyze_files(
            arguments.images,
            um_per_px=arguments.um_per_px,
            labels_dir=arguments.labels,
            overlay_dir=arguments.overlay,
        )
    if not arguments.json:
        print(f"{'CD/mm2':>8} {'area px':>8} {'CV %':>6} {'HEX %':>6} {'N':>5}  Q  file")
    show_files(arguments.json, results, _analysis_line, of=len(arguments.images))
    return EXIT_DONE


def _analysis_line(result: dict[str, object]) -> str:
    """Without a scale there is no density: the mean cell area in pixels then stands for it."""
    forms = (
        ("cd_per_mm2", ".0f", 8),
        ("mean_area_px", ".0f", 8),
        ("cv_percent", ".1f", 6),
        ("hex_percent", ".1f", 6),
        ("n", "d", 5),
    )
    numbers = " ".join(("-" if result[key] is None else format(result[key], form)).rjust(w) for key, form, w in forms)
    reason = f": {result['reason']}" if result["reason"] else ""
    quality = result["quality"] or "-"
    return f"{numbers}  {quality}  {result['file']}{reason}"
