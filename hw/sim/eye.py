"""The simulated patient: a head with two eyes in front of the stage, each with a mosaic of known truth.

Machine frame after homing, um: x towards the patient's left eye, y up, z towards the eye. The image is sharp when the
stage's z equals that of the endothelium. Everything is a function of the seed, the stage position and the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from firmware_app.model import Eye, Position
from hw.sim import optics
from hw.sim.mosaic import EndotheliumTruth, MosaicModel, build_mosaic

NOMINAL_APEX = {Eye.RIGHT: Position(-82000.0, -20000.0, -20000.0), Eye.LEFT: Position(-18000.0, -20000.0, -20000.0)}
DECENTRING_UM, DEPTH_UM = 150.0, 450.0  # how far from nominal the apex of an eye may be
CORNEA_RADIUS_UM = 6500.0  # posterior surface: 1 mm beside the apex the endothelium lies 77 um deeper
EYE_RADIUS_UM = 10_000.0  # farther off than this the instrument looks at a cheek

FIXATION_S, SACCADE_S = 1.6, 0.025
FIXATION_SCATTER_UM = 12.0


class Motion:
    """Where an eye is, relative to its mean: slow drift, pulse and breathing, tremor, and a saccade now and then."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = np.random.default_rng([seed, 1])
        # rows: x, y, z; columns: three slow drifts (breathing and pulse in z), two of tremor
        low, high = np.array([0.06, 0.2, 0.9, 60, 75]), np.array([0.15, 0.4, 1.3, 75, 90])
        self._hz = rng.uniform(low, high, (3, 5))
        self._phase = rng.uniform(0, 2 * np.pi, (3, 5))
        self._um = np.array([[7.0, 4.0, 1.5, 0.25, 0.15], [7.0, 4.0, 1.5, 0.25, 0.15], [2.5, 2.0, 1.5, 0.1, 0.1]])

    def at(self, time_s: float) -> tuple[float, float, float]:
        x, y, z = (self._um * np.sin(2 * np.pi * self._hz * time_s + self._phase)).sum(axis=1)
        slot = int(time_s // FIXATION_S)
        before, after, onset_s = fixations(self._seed, slot)
        share = min(max((time_s - onset_s) / SACCADE_S, 0.0), 1.0)
        share = share * share * (3 - 2 * share)
        (x0, y0), (x1, y1) = before, after
        return float(x + x0 + share * (x1 - x0)), float(y + y0 + share * (y1 - y0)), float(z)


@lru_cache(maxsize=64)
def fixations(seed: int, slot: int) -> tuple[tuple[float, float], tuple[float, float], float]:
    """The gaze before and after the one saccade in a time slot, and when that saccade starts."""
    gazes = []
    for each in (slot, slot + 1):
        x, y = np.random.default_rng([seed, 2, max(each, 0)]).normal(0, FIXATION_SCATTER_UM, 2)
        gazes.append((float(x), float(y)))
    onset = np.random.default_rng([seed, 3, max(slot, 0)]).uniform(0, FIXATION_S - SACCADE_S)
    return gazes[0], gazes[1], slot * FIXATION_S + float(onset)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedEye:
    """One eye: where its endothelium is in focus at the apex, its cells, and how it moves."""

    apex: Position
    thickness_um: float
    mosaic: MosaicModel
    motion: Motion
    spectrum: optics.Spectrum
    tilt: float

    def view(self, position: Position, time_s: float, exposure_us: float = 0.0) -> optics.View:
        """What the camera sees from this stage position at the end of an exposure."""
        x, y, z = self.motion.at(time_s)
        x_before, y_before, _ = self.motion.at(time_s - exposure_us / 1e6)
        right, up = position.x_um - self.apex.x_um - x, position.y_um - self.apex.y_um - y
        sag = (right * right + up * up) / (2 * CORNEA_RADIUS_UM)
        return optics.View(right, up, position.z_um - self.apex.z_um - z - sag, abs(x - x_before), abs(y - y_before))


class SimulatedHead:
    """Both eyes of one patient, by seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.eyes = {eye: build_eye(seed, eye) for eye in Eye}

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
        return simulated.mosaic.truth_in(simulated.view(position, time_s).window)

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
        view = simulated.view(position, time_s, exposure_us)
        shown = optics.scene(simulated.spectrum, view)
        light = optics.signal(shown, view, simulated.thickness_um, simulated.tilt)
        return optics.expose(light, bits_stored, exposure_us, gain, rng)


def build_eye(seed: int, eye: Eye) -> SimulatedEye:
    """The right and the left eye of one seed have cells, place and movement of their own."""
    own_seed = 2 * seed + (eye is Eye.LEFT)
    rng = np.random.default_rng([own_seed, 5])
    x, y = rng.uniform(-DECENTRING_UM, DECENTRING_UM, 2)
    z = rng.uniform(-DEPTH_UM, DEPTH_UM)
    nominal = NOMINAL_APEX[eye]
    mosaic = build_mosaic(own_seed)
    return SimulatedEye(
        apex=Position(nominal.x_um + float(x), nominal.y_um + float(y), nominal.z_um + float(z)),
        thickness_um=float(rng.normal(540.0, 25.0)),
        mosaic=mosaic,
        motion=Motion(own_seed),
        spectrum=optics.reflectance_spectrum(mosaic, rng),
        tilt=float(rng.uniform(-0.25, 0.25)),
    )
