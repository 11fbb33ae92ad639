"""Finding the reflex and the endothelium's focus by themselves: which look follows from which, and when it is done.

What a frame says is decided by `endothelium.look`; here is only the sequence: until the reflex is centred, move there;
until a band is in the picture, search in depth; then to where both layers are seen at once, which measures the
thickness in single frames, unmoved by the eye's own movement; then to the endothelium, past the edge of either layer,
which measures it once more by the stage. Four to eight moves as a rule. Where both layers are in no picture, the stage
measures alone, from the focus to the front and back several times (`layer_visits`).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from firmware_app.endothelium.bands import USUAL_APPARENT_UM, DepthReading
from firmware_app.endothelium.look import Look
from firmware_app.endothelium.thickness import cross_checked, thickness_from
from firmware_app.model import CornealThickness
from firmware_app.services.eyepiece import Eyepiece, Progress, directions
from firmware_app.services.layer_visits import STEP_SHARE, LayerVisits, SameLayer
from hw.errors import Refused

CENTRED_UM = 90.0  # the reflex has 95 % of its light there
OFF_CENTRE_UM = 220.0  # a saccade's worth more: only then is a centred stage moved again
FOCUSED_UM = 6.0  # an eye at rest moves that much in depth, and blur begins at 10
LOOKS_MAX = 40
TURNS_MAX = 3  # to and fro; then the depth is looked for first, which shows more of the reflex
THICKNESS_LOOKS_MAX = 12  # without both layers in one picture the thickness is given up, not the photograph
READINGS = 4
WAYS = 4  # of the stage to the front and back, where it measures alone: an eye's movement is then a thickness of 3 um
MIDDLES_MAX = 3  # looks where both layers must be seen, with either reading of the one that is: then they never are
RIM_UM = 25.0  # of a picture: an edge has to have light on either side of it
STAGE_TRIES = 3  # it may have looked at the front, and lost the eye in a saccade
READINGS_APART_UM = 45.0  # both bands as far inside the picture as this is near the middle between them

# From nominal. A band is in the picture from some 640 um too far to 280 um too near: any two neighbours overlap.
SWEEPS = 2  # a blink in the one place where there was something to see
SEARCH_UM = (0.0, -550.0, 550.0, -1100.0, 1100.0)


class NotFocused(Refused):
    """The reflex is there, and its geometry led to no focus."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """`thickness` is None with the reason in `why_none`; `looks` is how many frames it took.

    `doubt` says how the two ways to measure it disagree; empty where they agree, or there is only one.
    """

    looks: int
    thickness: CornealThickness | None = None
    why_none: str = ""
    doubt: str = ""


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
        self._why_none = "" if with_thickness else "not asked for"
        self._thickness: CornealThickness | None = None
        self._doubt = ""
        self._by_stage = False  # both layers are in no picture
        self._stage_tries = 0
        self._looks = 0
        self._thickness_looks = 0
        self._middles = 0
        self._searched = 0
        self._centred = False
        self._last_way_um = (0.0, 0.0)
        self._turns = 0
        self._other_layer = False  # the less likely reading is the true one
        self._aimed_z_um: float | None = None  # the endothelium's focus, by the last edge that was seen

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
                await self._lost()
                continue
            words = reading.words
            if not reading.is_exact and not await self._is_where_aimed():
                await self._to_edge(look, reading)
            elif self._apparent is not None and self._is_too_low(look):
                self._no_picture_of_both(self._apparent)
            elif self._apparent is not None:
                await self._measure(reading, self._apparent)
            elif await self._focus(reading):
                if not self._by_stage:
                    return self._aligned()
                await self._measure_by_stage()
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
            if not reading.is_exact and not await self._is_where_aimed():
                await self._to_edge(look, reading)
            elif await self._focus(reading):
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

    async def _lost(self) -> None:
        """Nothing is seen. On the way to both layers of a picture that is too small for them: back to the one."""
        back_um = self._aimed_z_um
        if self._apparent is None or back_um is None:
            await self._search()
            return
        self._no_picture_of_both(self._apparent)
        self._aimed_z_um = None
        here = await self._eyepiece.stage.position()
        await self._eyepiece.move_by(dz_um=back_um - here.z_um)

    async def _is_where_aimed(self) -> bool:
        """Inside a reflex nothing is seen of depth: the last edge was, and not long ago."""
        if self._aimed_z_um is None:
            return False
        return abs((await self._eyepiece.stage.position()).z_um - self._aimed_z_um) <= FOCUSED_UM

    async def _to_edge(self, look: Look, reading: DepthReading) -> None:
        """Away from the patient until the lower edge of this reflex is in the picture."""
        step_um = STEP_SHARE * 2 * look.half_height_um / self._eyepiece.geometry.shift_per_um
        self._progress(f"{reading.words}: moving {-step_um:+.0f} um to its edge")
        await self._eyepiece.move_by(dz_um=-step_um)

    async def _aim(self, reading: DepthReading) -> float:
        """Where the endothelium is in focus, by this reading: kept, and returned."""
        z_um = (await self._eyepiece.stage.position()).z_um - reading.defocus_um
        self._aimed_z_um = z_um
        return z_um

    async def _go_to_focus(self, z_um: float) -> None:
        self._focus_z_um = self._aimed_z_um = z_um
        here = await self._eyepiece.stage.position()
        self._progress(f"moving {z_um - here.z_um:+.0f} um to the endothelium")
        await self._eyepiece.move_by(dz_um=z_um - here.z_um)

    # --------------------------------------------------------------------------------------------- thickness

    async def _measure(self, reading: DepthReading, apparent: list[float]) -> None:
        """One step towards, or one reading of, the distance of both layers in one picture."""
        self._thickness_looks += 1
        usual_um = reading.apparent_um or USUAL_APPARENT_UM
        away_um = reading.defocus_um + usual_um / 2
        if reading.apparent_um is not None and abs(away_um) <= READINGS_APART_UM:
            apparent.append(reading.apparent_um)
            if len(apparent) == self._wanted:
                await self._measured(reading, apparent)
                return
        elif self._thickness_looks <= THICKNESS_LOOKS_MAX and self._middles < MIDDLES_MAX:
            if reading.apparent_um is None and (abs(away_um) < READINGS_APART_UM or self._thickness_looks > 3):
                # Both layers would be seen here, or would have been by now: it was the other one.
                self._other_layer = not self._other_layer
                if abs(away_um) < READINGS_APART_UM:
                    self._middles += 1
                    return
            await self._aim(reading)
            self._progress(f"{reading.words}: moving {-away_um:+.0f} um to see both layers")
            await self._eyepiece.move_by(dz_um=-away_um)
        if self._thickness_looks > THICKNESS_LOOKS_MAX or self._middles >= MIDDLES_MAX:
            self._no_picture_of_both(apparent)

    def _is_too_low(self, look: Look) -> bool:
        """A picture in whose middle even a usual cornea would not show the inner edges of both its reflexes."""
        geometry = self._eyepiece.geometry
        inner_um = (USUAL_APPARENT_UM * geometry.shift_per_um - geometry.slit_width_um) / 2
        return look.half_height_um < inner_um + RIM_UM

    def _no_picture_of_both(self, apparent: list[float]) -> None:
        """The stage measures once the endothelium is in focus; what was read so far is not used."""
        self._by_stage = self._wanted > 1
        if self._by_stage:
            self._progress(f"both layers are in no picture ({len(apparent)} readings): the stage will measure")
        self._apparent, self._other_layer = None, False

    async def _measured(self, reading: DepthReading, apparent: list[float]) -> None:
        self._apparent, self._other_layer = None, False
        focus_z_um = await self._aim(reading)
        if self._wanted > 1:
            geometry = self._eyepiece.geometry
            thickness = thickness_from(apparent, geometry.half_angle_deg, geometry.shift_per_um)
            self._progress(f"{words_of(thickness)}, from {thickness.readings} pictures")
            visits = LayerVisits(self._eyepiece, self._progress, focus_z_um, fmean(apparent))
            self._thickness = await self._checked(thickness, visits)
            focus_z_um = visits.focus_z_um
        await self._go_to_focus(focus_z_um)

    async def _checked(self, thickness: CornealThickness, visits: LayerVisits) -> CornealThickness:
        """By the stage. What cannot be checked is told, and stays as it was measured."""
        try:
            other = await visits.check()
        except Refused as error:
            self._progress(f"the thickness is not checked by the stage: {error}")
            return thickness
        finally:
            self._looks += visits.looks
        thickness, self._doubt = cross_checked(thickness, other)
        told = f"by the stage {other.thickness_um:.0f} um, +-{other.uncertainty_um:.0f}: they agree"
        self._progress(self._doubt or told)
        return thickness

    async def _measure_by_stage(self) -> None:
        """From the focus, and back to it; once more from behind it where the focus was the front's."""
        self._by_stage = False
        here = await self._eyepiece.stage.position()
        visits = LayerVisits(self._eyepiece, self._progress, here.z_um)
        deeper_um = 0.0
        try:
            self._thickness = await visits.measure(WAYS)
            self._progress(f"{words_of(self._thickness)}, from {WAYS} ways of the stage")
        except Refused as error:
            self._why_none = f"both layers are in no picture, and by the stage: {error}"
            self._progress(str(error))
            self._stage_tries += 1
            self._by_stage = self._stage_tries < STAGE_TRIES  # centred and in focus again
            deeper_um = USUAL_APPARENT_UM if isinstance(error, SameLayer) else 0.0
        self._looks += visits.looks
        await self._go_to_focus(visits.focus_z_um + deeper_um)

    async def _focus(self, reading: DepthReading) -> bool:
        """Whether the endothelium is in focus."""
        if not reading.is_exact or abs(reading.defocus_um) <= FOCUSED_UM:
            return True
        self._progress(f"{reading.words}: moving {-reading.defocus_um:+.0f} um")
        await self._aim(reading)
        await self._eyepiece.move_by(dz_um=-reading.defocus_um)
        return False

    def _aligned(self) -> Aligned:
        thickness = self._thickness
        return Aligned(self._looks, thickness, "" if thickness else self._why_none, self._doubt)


def words_of(thickness: CornealThickness) -> str:
    return f"central thickness {thickness.thickness_um:.0f} um, +-{thickness.uncertainty_um:.0f}"
