"""The thickness by the stage: the lower edge of either layer's reflex is brought to the middle of the picture in turns.

The same edge at the same place of the picture stands for the same depth below its layer, whatever the slit's width,
the picture's scale and the angle between lamp and lens are: what differs between two visits is the stage's own way. No
picture has to show both layers, so a small picture, a narrow slit or a thick cornea do not matter. Between two visits
the eye moves by some um in depth: going to and fro averages that out, and the spread of the ways tells how well.
"""

from __future__ import annotations

from enum import Enum

import trio

from firmware_app.endothelium.bands import LIT, THICKNESS_UM, USUAL_APPARENT_UM, Edge
from firmware_app.endothelium.look import Look
from firmware_app.endothelium.thickness import Visit, apparent_depths, thickness_by_stage
from firmware_app.model import CornealThickness
from firmware_app.services.eyepiece import Eyepiece, Progress
from hw.errors import Refused

SAME_PLACE_UM = 45.0  # in the picture, from its middle: nearer than this the blur is the same
TRIES = 8
STEP_SHARE = 0.8  # of the way in which an edge crosses the picture: it is seen in one place at least


LAYERS_APART_UM = 150.0  # of the thinnest cornea's 240


class SameLayer(Refused):
    """What was taken for the endothelium is the front of the cornea."""


class Layer(Enum):
    BACK = "endothelium"
    FRONT = "epithelium"


class LayerVisits:
    """Of one eye, whose endothelium is in focus at `focus_z_um`; it leaves the stage near there."""

    def __init__(
        self, eyepiece: Eyepiece, progress: Progress, focus_z_um: float, apparent_um: float = USUAL_APPARENT_UM
    ) -> None:
        """`apparent_um` is how far apart the layers are expected."""
        self._eyepiece = eyepiece
        self._progress = progress
        geometry = eyepiece.geometry
        self._reach_um = geometry.slit_width_um / 2 / geometry.shift_per_um
        self._shift_per_um = geometry.shift_per_um
        edge_z_um = focus_z_um - self._reach_um
        self._edge_z_um = {Layer.BACK: edge_z_um, Layer.FRONT: edge_z_um - apparent_um}
        self._visits: dict[Layer, list[Visit]] = {Layer.BACK: [], Layer.FRONT: []}
        self.looks = 0

    @property
    def focus_z_um(self) -> float:
        """Where the endothelium is in focus, by the last visit."""
        return self._edge_z_um[Layer.BACK] + self._reach_um

    async def check(self) -> CornealThickness:
        """Each layer once, the endothelium last: the shortest way from a picture of both to the focus."""
        await self._visit(Layer.FRONT)
        await self._visit(Layer.BACK)
        return self._thickness()

    async def measure(self, ways: int) -> CornealThickness:
        """To the front and back again as often as `ways`.

        `Refused` with the reason where a layer is not found, `SameLayer` where the same is found twice.
        """
        await self._visit(Layer.BACK)
        for number in range(1, ways + 1):
            await self._visit(Layer.FRONT)
            if self._edge_z_um[Layer.BACK] - self._edge_z_um[Layer.FRONT] < LAYERS_APART_UM:
                raise SameLayer(f"{self._eyepiece.name}: the epithelium's reflex was taken for the endothelium's")
            await self._visit(Layer.BACK)
            self._progress(f"way {number} of {ways} between the layers: {self._apparent()[-1]:.1f} um by the stage")
        return self._thickness()

    def _apparent(self) -> list[float]:
        return apparent_depths(self._visits[Layer.BACK], self._visits[Layer.FRONT])

    def _thickness(self) -> CornealThickness:
        geometry = self._eyepiece.geometry
        low, high = THICKNESS_UM
        try:
            made = thickness_by_stage(self._apparent(), geometry.half_angle_deg, geometry.shift_per_um)
        except ValueError as error:
            raise Refused(f"{self._eyepiece.name}: {error}") from error
        if not low <= made.thickness_um <= high:
            raise Refused(f"{self._eyepiece.name}: {made.thickness_um:.0f} um between its two reflexes are no cornea's")
        return made

    async def _visit(self, layer: Layer) -> None:
        """Until the layer's lower edge is in the middle of the picture: once as a rule, where its place is known."""
        for number in range(TRIES):
            here_um = await self._drive_to(self._edge_z_um[layer])
            look = await self._eyepiece.look_at_open_eye(self._progress)
            self.looks += 1
            edge = lower_edge(look)
            if edge is None:
                # Where the endothelium was seen just now it is looked at again first: a lid may have hidden it.
                again = layer is Layer.BACK and number == 0
                self._edge_z_um[layer] = here_um + (0.0 if again else self._way_to_edge(layer, look))
                continue
            self._edge_z_um[layer] = here_um + edge.y_um / self._shift_per_um
            if abs(edge.y_um) <= SAME_PLACE_UM:
                self._visits[layer].append(Visit(trio.current_time(), self._edge_z_um[layer]))
                return
        raise Refused(f"{self._eyepiece.name}: the lower edge of the {layer.value}'s reflex was not found")

    async def _drive_to(self, z_um: float) -> float:
        """Returns where the stage then is."""
        here = await self._eyepiece.stage.position()
        return (await self._eyepiece.move_by(dz_um=z_um - here.z_um)).z_um

    def _way_to_edge(self, layer: Layer, look: Look) -> float:
        """Where no lower edge is in the picture, um.

        The front's upper edge tells where its lower one is. Else the picture lies inside a reflex, then the edge is
        farther down and the stage too near, or below it.
        """
        geometry = self._eyepiece.geometry
        upper = next((edge for edge in look.bands.edges if edge.is_upper), None)
        if upper is not None and layer is Layer.FRONT:
            return (upper.y_um - geometry.slit_width_um) / self._shift_per_um
        step_um = STEP_SHARE * 2 * look.half_height_um / self._shift_per_um
        return -step_um if look.level > LIT and upper is None else step_um


def lower_edge(look: Look) -> Edge | None:
    """The one nearest the middle of the picture: the other layer's is farther away than a thin cornea's depth."""
    lower = (edge for edge in look.bands.edges if not edge.is_upper)
    return min(lower, key=lambda edge: abs(edge.y_um), default=None)
