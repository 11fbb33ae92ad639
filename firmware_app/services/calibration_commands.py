"""Calibration at the console: the camera, the stage, and what is on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from firmware_app.calibration import Calibration
from firmware_app.console.commands import Argument, Command, CommandContext, number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.services.calibration import CalibrationService, Target

PATTERNS = ("grid", "dots", "lines")
SHOWN = 20


def target_name(word: str) -> str:
    """`ValueError` for what no object could carry."""
    if not word.isprintable() or "\\" in word or len(word) > 120:
        raise ValueError("at most 120 printable characters without backslash")
    return word


@dataclass(frozen=True, slots=True)
class CalibrationCommands:
    """The handlers. `Refused` with its reason is the console's expected error."""

    calibration: CalibrationService
    operator: str

    def table(self) -> tuple[Command, ...]:
        target = (
            Argument("PITCH_UM", "um from line to line or dot to dot: 10 for 100 lines/mm", number(0.5, 10_000)),
            Argument("--pattern", "what the target shows", choices=PATTERNS, default="grid"),
            Argument("--target", "its name or number, for the record", target_name, default=""),
            Argument("--tolerance", "percent that its maker promises of the pitch", number(0, 50), default=0.0),
            Argument("--by", "who does it (default: the configured operator)", target_name, default=""),
        )
        farthest = Argument("--distance", "um of the longest move", number(1, 10_000), default=200.0)
        return (
            Command("calibrate camera", "measure um/px on the target in front of the instrument", self._camera, target),
            Command(
                "calibrate stage",
                "move over the target and compare with what the camera sees",
                self._stage,
                (*target, farthest),
            ),
            Command("calibrate show", "the scale that holds, and what was measured before", self._show),
        )

    async def _camera(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        by = arguments["by"] or self.operator
        made = await self.calibration.calibrate_camera(_target(arguments), by, context.progress)
        drift = "" if made.drift_percent is None else f", {made.drift_percent:+.2f} % from the one before"
        square = "" if made.anisotropy_percent is None else f", pixels {made.anisotropy_percent:+.2f} % from square"
        text = (
            f"{made.um_per_px:.5g} um/px +-{made.uncertainty_percent:.2g} % on record{drift}{square}, "
            f"turned by {made.rotation_deg:.2f} degrees"
        )
        return Reply(self._with_warnings(text), asdict(made))

    async def _stage(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        by, farthest = arguments["by"] or self.operator, arguments["distance"]
        made = await self.calibration.check_stage(_target(arguments), farthest, by, context.progress)
        text = (
            f"over {made.distance_um:.0f} um the stage goes {made.x_ratio:.4f} um a um in x, {made.y_ratio:.4f} in y, "
            f"+-{made.uncertainty_percent:.2g} %; the camera is turned by {made.angle_deg:.2f} degrees against it"
        )
        return Reply(self._with_warnings(text), asdict(made))

    async def _show(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        book = self.calibration.book
        rows = [_row(each) for each in book.journal.cameras[-SHOWN:]]
        head = ("measured", "um/px", "+- %", "drift %", "px", "by", "target", "camera")
        table = f"\n{format_table(head, rows)}" if rows else "\nno camera was calibrated yet"
        data = {
            "cameras": [asdict(each) for each in book.journal.cameras[-SHOWN:]],
            "stages": [asdict(each) for each in book.journal.stages[-SHOWN:]],
            "warnings": list(book.warnings()),
        }
        return Reply(book.detail + table, data)

    def _with_warnings(self, text: str) -> str:
        return "".join([text, *(f"\nWARNING: {each}" for each in self.calibration.book.warnings())])


def _target(arguments: Mapping[str, Any]) -> Target:
    return Target(arguments["pitch_um"], arguments["pattern"], arguments["target"], arguments["tolerance"])


def _row(each: Calibration) -> tuple[str, ...]:
    figures = f"{each.um_per_px:.5g}", f"{each.uncertainty_percent:.2g}", _signed(each.drift_percent)
    size = f"{each.columns}x{each.rows}"
    return (each.measured_at, *figures, size, each.operator, each.target, each.camera)


def _signed(percent: float | None) -> str:
    return "" if percent is None else f"{percent:+.2f}"
