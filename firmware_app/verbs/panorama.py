"""The verb that stitches image files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_app.verbs.options import add_verb, um_per_px
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Stop, show, show_progress, stopping

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    text = "stitch overlapping pictures of one eye, and measure all of their cells once"
    verb = add_verb(verbs, "panorama", text, parents.printed)
    verb.epilog = (
        "A picture that shares no cells with the others is left out and named; exit status 1 then, and where the cells "
        "cannot be measured, with the panorama written all the same."
    )
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="PNG, TIFF, JPEG or DICOM, in any order")
    verb.add_argument("-o", "--out", required=True, type=Path, metavar="OUT.png", help="the stitched picture")
    verb.add_argument(
        "--um-per-px", type=um_per_px, metavar="X", help="the scale (default: the files', if they have one)"
    )
    verb.add_argument("--labels", type=Path, metavar="FILE", help="write a PNG: 16 bits, one id per cell")
    verb.add_argument("--overlay", type=Path, metavar="FILE", help="write a PNG: the cells drawn on the panorama")
    verb.set_defaults(run=panorama)


def panorama(arguments: argparse.Namespace) -> int:
    from firmware_app.endothelium.panorama import NoPanorama
    from firmware_app.records.errors import StorageFault
    from firmware_app.services.panorama import PanoramaClash, panorama_of_files

    with stopping(EXIT_USAGE, PanoramaClash), stopping(EXIT_FAILED, NoPanorama, StorageFault, OSError):
        row: dict[str, Any] = panorama_of_files(
            arguments.images,
            arguments.out,
            um_per_px=arguments.um_per_px,
            labels=arguments.labels,
            overlay=arguments.overlay,
            say=show_progress,
        )
    show_progress("")
    if not arguments.json:
        for capture in row["captures"]:
            show(False, None, _capture_line(capture))
    show(arguments.json, row, _numbers_line(row))
    left_out = [each for each in row["captures"] if each["row_px"] is None]
    if row["status"] != "ok":
        raise Stop(EXIT_FAILED, f"{row['file']}: {row['reason']}")
    if left_out:
        raise Stop(EXIT_FAILED, f"left out: {'; '.join(each['name'] for each in left_out)}: {left_out[0]['reason']}")
    return EXIT_DONE


def _capture_line(capture: dict[str, Any]) -> str:
    if capture["row_px"] is None:
        return f"{'left out':>14} {'':>11}  {capture['name']}: {capture['reason']}"
    reason = f": {capture['reason']}" if capture["reason"] else ""
    place = f"at {capture['column_px']},{capture['row_px']}"
    return f"{place:>14} {capture['cells']:>5} cells  {capture['name']}{reason}"


def _numbers_line(row: dict[str, Any]) -> str:
    size = f"{row['file']}: {row['columns']}x{row['rows']} px, quality {row['quality']['grade']}"
    numbers = row["morphometry"]
    if numbers is None:
        return f"{size}, not measured"
    density = (
        f"area {numbers['mean_area_px']:.0f} px"
        if numbers["cd_per_mm2"] is None
        else f"CD {numbers['cd_per_mm2']:.0f} /mm2"
    )
    hexagons = "-" if numbers["hex_percent"] is None else f"{numbers['hex_percent']:.1f} %"
    warnings = f": {row['reason']}" if row["reason"] else ""
    return f"{size}, {density}, CV {numbers['cv_percent']:.1f} %, HEX {hexagons}, N {numbers['n']}{warnings}"
