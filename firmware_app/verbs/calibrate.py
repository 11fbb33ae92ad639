"""The verb that measures the scale: on pictures of a target, or by the running service on the target in front of it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_app.verbs.options import add_verb, number, um_per_px
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Stop, read_config, show, stopping

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    text = "measure um/px on a target of known pitch: in image files, or in front of the running instrument"
    verb = add_verb(verbs, "calibrate", text, parents.configured, parents.printed)
    verb.epilog = (
        "With image files nothing is kept: each is measured and told. Without one the running service takes pictures "
        "of the target in front of it and keeps the result on record; --stage moves over the target and judges the "
        "steps per mm. Exit status 1 where no target can be measured."
    )
    verb.add_argument("images", nargs="*", type=Path, metavar="IMAGE", help="pictures of a target")
    pitch = verb.add_mutually_exclusive_group(required=True)
    pitch.add_argument("--pitch-um", type=_pitch_um, metavar="UM", help="from line to line or from dot to dot")
    pitch.add_argument("--lines-per-mm", type=_lines_per_mm, metavar="N", help="the same as lines per mm: 100 is 10 um")
    verb.add_argument("--pattern", choices=("grid", "dots", "lines"), default="grid", help="(default: grid)")
    verb.add_argument("--target", default="", metavar="NAME", help="its name or number, for the record")
    verb.add_argument("--tolerance", type=_percent, default=0.0, metavar="PERCENT", help="what its maker promises")
    verb.add_argument("--by", default="", metavar="NAME", help="who does it (default: the configured operator)")
    verb.add_argument("--um-per-px", type=um_per_px, default=0.0, metavar="X", help="nominal: chooses the right period")
    verb.add_argument("--stage", action="store_true", help="check the steps per mm of the stage instead")
    verb.set_defaults(run=calibrate)


def calibrate(arguments: argparse.Namespace) -> int:
    pitch_um = arguments.pitch_um or 1000 / arguments.lines_per_mm
    if not arguments.images:
        return _by_the_service(arguments, pitch_um)
    if arguments.stage:
        raise Stop(EXIT_USAGE, "--stage needs the instrument, not image files")
    return _of_files(arguments, pitch_um)


def _of_files(arguments: argparse.Namespace, pitch_um: float) -> int:
    from firmware_app.services.target_files import measure_target_file

    refused = 0
    for file in arguments.images:
        row = measure_target_file(file, pitch_um, arguments.pattern, arguments.um_per_px)
        show(arguments.json, row, _line(row))
        refused += row["status"] != "ok"
    if refused:
        raise Stop(EXIT_FAILED, f"{refused} of {len(arguments.images)} pictures show no target that could be measured")
    return EXIT_DONE


def _line(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return f"{row['file']}: {row['reason']}"
    square = "" if row["anisotropy_percent"] is None else f", pixels {row['anisotropy_percent']:+.2f} % from square"
    return (
        f"{row['file']}: {row['um_per_px']:.5g} um/px +-{row['uncertainty_percent']:.2g} %{square}, "
        f"turned by {row['rotation_deg']:.2f} degrees"
    )


def _by_the_service(arguments: argparse.Namespace, pitch_um: float) -> int:
    config = read_config(arguments)
    import trio

    from firmware_app.console.protocol import Failure
    from firmware_app.services.running_service import NoService, ask_service

    words = ["calibrate", "stage" if arguments.stage else "camera", f"{pitch_um:.10g}"]
    words += ["--pattern", arguments.pattern, "--tolerance", f"{arguments.tolerance:g}"]
    for option, value in (("--target", arguments.target), ("--by", arguments.by)):
        words += [option, value] if value else []
    with stopping(EXIT_FAILED, NoService):
        answer = trio.run(ask_service, config.paths.console_socket, shlex.join(words))
    if isinstance(answer, Failure):
        raise Stop(EXIT_FAILED, answer.error)
    show(arguments.json, answer.data or {}, answer.text)
    return EXIT_DONE


def _pitch_um(word: str) -> float:
    return number(word, 10_000.0, "um above 0, at most 10000")


def _lines_per_mm(word: str) -> float:
    return number(word, 2000.0, "lines per mm above 0, at most 2000")


def _percent(word: str) -> float:
    return number(word, 50.0, "percent above 0, at most 50")
