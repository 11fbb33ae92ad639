"""The simulated patient: a head with two eyes in front of the stage, each with a mosaic of known truth.

Machine frame after homing, um: x towards the patient's left eye, y up, z towards the eye. The image is sharp when the
stage's z equals that of the endothelium. Everything is a function of the seed, the stage position and the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from firmware_app.model import Eye, Position
from hw.sim import optics
from hw.sim.behaviour import CALM, Condition, Lids
from hw.sim.behaviour import Motion as Motion
from hw.sim.cornea import BACK_RADIUS_UM, FRONT_RADIUS_UM, gaze_offset, gaze_shift
from hw.sim.mosaic import EndotheliumTruth, MosaicModel, build_mosaic

NOMINAL_APEX = {Eye.RIGHT: Position(-82000.0, -20000.0, -20000.0), Eye.LEFT: Position(-18000.0, -20000.0, -20000.0)}
DECENTRING_UM, DEPTH_UM = 150.0, 450.0  # how far from nominal the apex of an eye may be
EYE_RADIUS_UM = 10_000.0  # farther off than this the instrument looks at a cheek
AHEAD = (0.0, 0.0)
GAZE_MAX_DEG = 40.0
THICKNESS_UM = (450.0, 650.0)
NEVER_BLINKS = Lids(0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedEye:
    """One eye: where its endothelium is in focus at the apex, its cells, and how it moves."""

    apex: Position
    thickness_um: float
    mosaic: MosaicModel
    motion: Motion
    spectrum: optics.Spectrum
    tilt: float
    lids: Lids = NEVER_BLINKS
    haze: float = 0.0  # the share of the contrast that the tear film takes at its worst
    front_radius_um: float = FRONT_RADIUS_UM
    brightness: float = 1.0  # of its reflexes, against the usual

    def view(
        self, position: Position, time_s: float, exposure_us: float = 0.0, gaze_deg: tuple[float, float] = AHEAD
    ) -> optics.View:
        """What the camera sees from this stage position at the end of an exposure, for a gaze right and up in it."""
        x, y, z = self.motion.at(time_s)
        x_before, y_before, _ = self.motion.at(time_s - exposure_us / 1e6)
        gaze_x, gaze_y, gaze_z = gaze_shift(*gaze_deg)
        right, up = position.x_um - self.apex.x_um - x - gaze_x, position.y_um - self.apex.y_um - y - gaze_y
        sag = (right * right + up * up) / (2 * BACK_RADIUS_UM)
        defocus = position.z_um - self.apex.z_um - z - gaze_z - sag
        middle_s = time_s - exposure_us / 2e6
        return optics.View(
            right,
            up,
            defocus,
            abs(x - x_before),
            abs(y - y_before),
            *gaze_offset(*gaze_deg),
            openness=self.lids.openness(middle_s),
            haze=self.haze * self.lids.film(middle_s),
        )


class SimulatedHead:
    """Both eyes of one patient, by seed."""

    def __init__(self, seed: int, condition: Condition = CALM, eyes: Iterable[Eye] = Eye) -> None:
        """`eyes` are those that the patient has: cells take half a second an eye to grow."""
        self.seed = seed
        self.eyes = {eye: build_eye(seed, eye, condition) for eye in eyes}
        self.gaze_deg = AHEAD

    def look(self, x_deg: float, y_deg: float) -> None:
        """Both eyes turn so far to the right and up in the picture, at once. ValueError for more than an eye can."""
        if not max(abs(x_deg), abs(y_deg)) <= GAZE_MAX_DEG:
            raise ValueError(f"a gaze of {x_deg:g}, {y_deg:g} degrees: at most {GAZE_MAX_DEG:g} each way")
        self.gaze_deg = (x_deg, y_deg)

    def thickness_um(self, eye: Eye) -> float:
        """Central corneal thickness."""
        return self.eyes[eye].thickness_um

    def truth(self, eye: Eye) -> EndotheliumTruth:
        """Over all cells of this eye's mosaic."""
        return self.eyes[eye].mosaic.truth

    def focus(self, eye: Eye) -> Position:
        """Where the stage has the apex of this eye's endothelium centred and sharp, eye movement aside."""
        return self.eyes[eye].apex

    def eye_in_front(self, position: Position) -> Eye | None:
        for eye, simulated in self.eyes.items():
            apex = simulated.apex
            offset = (position.x_um - apex.x_um, position.y_um - apex.y_um, position.z_um - apex.z_um)
            if max(abs(component) for component in offset) < EYE_RADIUS_UM:
                return eye
        return None

    def visible_truth(self, position: Position, time_s: float = 0.0) -> EndotheliumTruth:
        """Over the cells that lie completely inside the frame. ValueError when no eye is in front of the stage."""
        eye = self.eye_in_front(position)
        if eye is None:
            raise ValueError(f"no eye is in front of the stage at {position}")
        simulated = self.eyes[eye]
        return simulated.mosaic.truth_in(simulated.view(position, time_s, gaze_deg=self.gaze_deg).window)

    def render(
        self,
        position: Position,
        time_s: float,
        bits_stored: int,
        *,
        exposure_us: float = optics.NOMINAL_EXPOSURE_US,
        gain: float = 1.0,
    ) -> optics.Pixels:
        """One frame of (480, 640), uint8 for 8 bits and uint16 above."""
        rng = np.random.default_rng([self.seed, 4, max(round(time_s * 1e6), 0)])
        eye = self.eye_in_front(position)
        if eye is None:
            return optics.expose(None, bits_stored, exposure_us, gain, rng)
        simulated = self.eyes[eye]
        view = simulated.view(position, time_s, exposure_us, self.gaze_deg)
        shown = optics.scene(simulated.spectrum, view)
        light = optics.signal(
            shown,
            view,
            simulated.thickness_um,
            simulated.tilt,
            front_radius_um=simulated.front_radius_um,
            brightness=simulated.brightness,
        )
        return optics.expose(light, bits_stored, exposure_us, gain, rng)


def build_eye(seed: int, eye: Eye, condition: Condition = CALM) -> SimulatedEye:
    """The right and the left eye of one seed have cells, place and movement of their own."""
    own_seed = 2 * seed + (eye is Eye.LEFT)
    rng = np.random.default_rng([own_seed, 5])
    x, y = rng.uniform(-DECENTRING_UM, DECENTRING_UM, 2)
    z = rng.uniform(-DEPTH_UM, DEPTH_UM)
    nominal = NOMINAL_APEX[eye]
    mosaic = build_mosaic(own_seed)
    return SimulatedEye(
        apex=Position(nominal.x_um + float(x), nominal.y_um + float(y), nominal.z_um + float(z)),
        thickness_um=float(np.clip(rng.normal(540.0, 25.0), *THICKNESS_UM)),
        mosaic=mosaic,
        motion=Motion(own_seed, condition.restlessness),
        spectrum=optics.reflectance_spectrum(mosaic, rng, condition.guttae_percent),
        tilt=float(rng.uniform(-0.25, 0.25)),
        lids=Lids(own_seed, condition.blinks_per_min),
        haze=condition.haze,
        front_radius_um=float(np.clip(rng.normal(FRONT_RADIUS_UM, 250.0), 7000.0, 8700.0)),
        brightness=float(rng.uniform(0.85, 1.1)),
    )
