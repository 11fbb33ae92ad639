"""Finding the reflex and the endothelium's focus by themselves: which look follows from which, and when it is done.

What a frame says is decided by `endothelium.look`; here is only the sequence: until the reflex is centred, move there;
until a band is in the picture, search in depth; then to where both layers are seen at once, which measures the
thickness in single frames, unmoved by the eye's own movement; then to the endothelium. Two to six moves as a rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_app.endothelium.bands import USUAL_APPARENT_UM, DepthReading
from firmware_app.endothelium.look import Look
from firmware_app.endothelium.thickness import thickness_from
from firmware_app.model import CornealThickness
from firmware_app.services.eyepiece import Eyepiece, Progress, directions
from hw.errors import Refused

CENTRED_UM = 90.0  # the reflex has 95 % of its light there
OFF_CENTRE_UM = 220.0  # a saccade's worth more: only then is a centred stage moved again
FOCUSED_UM = 6.0  # an eye at rest moves that much in depth, and blur begins at 10
LOOKS_MAX = 40
TURNS_MAX = 3  # to and fro; then the depth is looked for first, which shows more of the reflex
THICKNESS_LOOKS_MAX = 12  # without both layers in one picture the thickness is given up, not the photograph
READINGS = 4
READINGS_APART_UM = 45.0  # both bands as far inside the picture as this is near the middle between them

# From nominal. A band is in the picture from some 640 um too far to 280 um too near: any two neighbours overlap.
SWEEPS = 2  # a blink in the one place where there was something to see
SEARCH_UM = (0.0, -550.0, 550.0, -1100.0, 1100.0)


class NotFocused(Refused):
    """The reflex is there, and its geometry led to no focus."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """`thickness` is None with the reason in `why_none`; `looks` is how many frames it took."""

    looks: int
    thickness: CornealThickness | None = None
    why_none: str = ""


class Aligner:
    """One run: made for an eye, used once."""

    def __init__(
        self,
        eyepiece: Eyepiece,
        progress: Progress,
        *,
        with_thickness: bool = False,
        focus_z_um: float | None = None,
    ) -> None:
        """`focus_z_um` is where the endothelium was in focus just now; unknown, both layers are looked for first.

        Without cells to be seen, as behind haze, nothing else tells one layer's band from the other's.
        """
        self._eyepiece = eyepiece
        self._progress = progress
        self._focus_z_um = focus_z_um
        self._wanted = READINGS if with_thickness else 1
        self._apparent: list[float] | None = None if focus_z_um is not None and not with_thickness else []
        self._with_thickness = with_thickness
        self._why_none = "" if with_thickness else "not asked for"
        self._looks = 0
        self._thickness_looks = 0
        self._searched = 0
        self._centred = False
        self._last_way_um = (0.0, 0.0)
        self._turns = 0
        self._other_layer = False  # the less likely reading is the true one
        self._readings: tuple[float, ...] = ()

    async def run(self) -> Aligned:
        """`Refused` with the reason where no reflex, or no endothelium, is found."""
        words = ""
        while self._looks < LOOKS_MAX:
            look = await self._eyepiece.look_at_open_eye(self._progress)
            self._looks += 1
            if await self._centre(look):
                continue
            reading = await self._reading(look)
            if reading is None:
                await self._search()
                continue
            words = reading.words
            if self._apparent is not None:
                await self._measure(reading, self._apparent)
            elif await self._focus(reading):
                return self._aligned()
        raise NotFocused(
            f"{self._eyepiece.name}: not in focus after {LOOKS_MAX} looks, the last one saw the {words or 'nothing'}"
        )

    async def focus(self) -> int:
        """Only in depth, near where the stage is in focus already: sideways it stays. Returns the looks it took."""
        self._focus_z_um = (await self._eyepiece.stage.position()).z_um
        for _ in range(LOOKS_MAX):
            look = await self._eyepiece.look_at_open_eye(self._progress)
            self._looks += 1
            reading = await self._reading(look)
            if reading is None:
                break
            if await self._focus(reading):
                return self._looks
        raise Refused(f"{self._eyepiece.name}: the endothelium's reflex is lost: align again")

    # --------------------------------------------------------------------------------------------- sideways

    async def _centre(self, look: Look) -> bool:
        """Whether the stage had to move."""
        offset = look.offset
        if offset is None or self._turns >= TURNS_MAX:
            return False
        if offset.distance_um <= (OFF_CENTRE_UM if self._centred else CENTRED_UM):
            self._centred, self._turns = True, 0
            return False
        self._centred = False
        self._progress(f"the reflex is {directions(offset.x_um, offset.y_um)} {offset.words}")
        last_x_um, last_y_um = self._last_way_um
        if last_x_um * offset.x_um + last_y_um * offset.y_um < 0:
            # Back again: what was believed there or here is not the reflex's place, which is then in between.
            self._turns += 1
        share = 0.5 ** min(self._turns, TURNS_MAX)
        self._last_way_um = share * offset.x_um, share * offset.y_um
        await self._eyepiece.move_by(*self._last_way_um)
        return True

    # --------------------------------------------------------------------------------------------- in depth

    async def _reading(self, look: Look) -> DepthReading | None:
        readings = look.bands.readings
        if not readings:
            return None
        known_um = self._focus_z_um
        if known_um is not None:
            expected_um = (await self._eyepiece.stage.position()).z_um - known_um
            return min(readings, key=lambda reading: abs(reading.defocus_um - expected_um))
        return readings[-1] if self._other_layer else readings[0]

    async def _search(self) -> None:
        """On to the next depth. What a wrong reading led away from is searched with the other one."""
        self._other_layer, self._focus_z_um, self._turns = False, None, 0
        self._centred = False
        self._searched += 1
        if self._searched >= SWEEPS * len(SEARCH_UM):
            low, high = min(SEARCH_UM), max(SEARCH_UM)
            raise Refused(
                f"{self._eyepiece.name}: no reflex of the cornea from {low:+.0f} to {high:+.0f} um of its nominal "
                "depth: is the chin on its rest, the eye open?"
            )
        there_um = SEARCH_UM[self._searched % len(SEARCH_UM)]
        self._progress(f"no reflex of a layer here: looking {there_um:+.0f} um from the nominal depth")
        here = await self._eyepiece.stage.position()
        await self._eyepiece.move_by(dz_um=self._eyepiece.nominal.z_um + there_um - here.z_um)

    async def _measure(self, reading: DepthReading, apparent: list[float]) -> None:
        """One step towards, or one reading of, the distance of both layers in one picture."""
        self._thickness_looks += 1
        usual_um = reading.apparent_um or USUAL_APPARENT_UM
        away_um = reading.defocus_um + usual_um / 2
        if reading.apparent_um is not None and abs(away_um) <= READINGS_APART_UM:
            apparent.append(reading.apparent_um)
            if len(apparent) == self._wanted:
                await self._measured(reading)
                return
        elif self._thickness_looks <= THICKNESS_LOOKS_MAX:
            if reading.apparent_um is None and (abs(away_um) < READINGS_APART_UM or self._thickness_looks > 3):
                # Both layers would be seen here, or would have been by now: it was the other one.
                self._other_layer = not self._other_layer
                if abs(away_um) < READINGS_APART_UM:
                    return
            self._progress(f"{reading.words}: moving {-away_um:+.0f} um to see both layers")
            await self._eyepiece.move_by(dz_um=-away_um)
        if self._thickness_looks > THICKNESS_LOOKS_MAX and len(apparent) < self._wanted:
            self._why_none = self._why_none or "both layers were not seen in one picture"
            self._progress(f"the thickness is not measured: {self._why_none}")
            self._keep(apparent)

    async def _measured(self, reading: DepthReading) -> None:
        apparent = self._apparent or []
        self._keep(apparent)
        thickness = self._thickness
        if thickness is not None:
            self._progress(
                f"central thickness {thickness.thickness_um:.0f} um, +-{thickness.uncertainty_um:.0f}, "
                f"from {thickness.readings} pictures"
            )
        self._progress(f"moving {-reading.defocus_um:+.0f} um to the endothelium")
        self._focus_z_um = (await self._eyepiece.move_by(dz_um=-reading.defocus_um)).z_um

    def _keep(self, apparent: list[float]) -> None:
        self._readings = tuple(apparent)
        self._apparent = None
        self._other_layer = False

    @property
    def _thickness(self) -> CornealThickness | None:
        geometry = self._eyepiece.geometry
        if not self._readings or not self._with_thickness:
            return None
        return thickness_from(self._readings, geometry.half_angle_deg, geometry.shift_per_um)

    async def _focus(self, reading: DepthReading) -> bool:
        """Whether the endothelium is in focus."""
        if abs(reading.defocus_um) <= FOCUSED_UM:
            return True
        self._progress(f"{reading.words}: moving {-reading.defocus_um:+.0f} um")
        await self._eyepiece.move_by(dz_um=-reading.defocus_um)
        return False

    def _aligned(self) -> Aligned:
        thickness = self._thickness
        return Aligned(self._looks, thickness, "" if thickness else self._why_none)
