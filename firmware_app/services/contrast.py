"""Focus by contrast alone: scan in depth, coarse to fine. It needs no geometry, some twenty looks and a patient eye."""

from __future__ import annotations

from firmware_app.model import Position
from firmware_app.services import focus
from firmware_app.services.eyepiece import Eyepiece, Progress
from hw.errors import Refused


async def scan_for_focus(eyepiece: Eyepiece, range_um: float, progress: Progress) -> focus.FocusPoint:
    """Around the nominal depth, +-`range_um`. Raises `Refused` where no endothelium stands out, or out of reach."""
    centre_um = eyepiece.nominal.z_um
    points = await _scan(eyepiece, focus.coarse_positions(centre_um, range_um))
    progress(f"coarse: best {focus.best(points).z_um - centre_um:+.0f} um from nominal")
    if not focus.has_peak(points):
        raise Refused(
            f"focus: no endothelium within {range_um:.0f} um of the {eyepiece.name}'s nominal plane: "
            "the sharpness has no peak; is the eye there, open and centred?"
        )
    for half_range_um, step_um in focus.PASSES:
        points = await _scan(eyepiece, focus.fine_positions(focus.best(points).z_um, half_range_um, step_um))
        progress(f"step {step_um:.0f} um: best {focus.best(points).z_um - centre_um:+.1f} um from nominal")
    await _move_z(eyepiece, focus.refine(points))
    return await _point_here(eyepiece)


async def _scan(eyepiece: Eyepiece, positions_um: list[float]) -> list[focus.FocusPoint]:
    points = []
    for z_um in positions_um:
        await _move_z(eyepiece, z_um)
        points.append(await _point_here(eyepiece))
    return points


async def _move_z(eyepiece: Eyepiece, z_um: float) -> None:
    here = await eyepiece.stage.position()
    await eyepiece.move_to(Position(here.x_um, here.y_um, z_um))


async def _point_here(eyepiece: Eyepiece) -> focus.FocusPoint:
    """A band's edge is sharp too: only what could be taken as a picture counts, in proportion."""
    score = (await eyepiece.look()).score
    return focus.FocusPoint((await eyepiece.stage.position()).z_um, score.sharpness * score.usability)
