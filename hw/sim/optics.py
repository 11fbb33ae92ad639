"""The optical model of the simulated specular microscope: mosaic -> electrons on the sensor -> grey values.

The mosaic is periodic, so blur and shift are exact products in its Fourier spectrum: one inverse transform a frame.
Every factor of light is a product of a row and a column profile (`hw.sim.reflexes` says where each falls and why):

    light = scene x endothelium's band + epithelium's band + stroma + halo of the alignment lamp

A reflex is bright only where the cornea faces the instrument, around the apex; a decentred stage sees it fade to one
side. A band's height in the picture tells its depth, the halo tells the decentring where no reflex is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hw.sim import reflexes
from hw.sim.cornea import FRONT_RADIUS_UM, apparent_depth
from hw.sim.guttae import covered_by_guttae, with_guttae
from hw.sim.mosaic import MosaicModel, Window
from hw.sim.reflexes import BAND_SHIFT_PER_DEFOCUS as BAND_SHIFT_PER_DEFOCUS
from hw.sim.reflexes import REFLEX_RADIUS_UM as REFLEX_RADIUS_UM
from hw.sim.reflexes import bell

ROWS, COLUMNS, UM_PER_PX = 480, 640, 0.85

Image = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]
Profile = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

LENS_BLUR_UM = 1.1  # sigma of the point spread function in focus, about NA 0.11 at 550 nm
BLUR_PER_DEFOCUS = 0.06  # sigma grows by this share of |dz|: 10 um off is just visible, 100 um off hides the borders
BLACK_LEVEL = 0.02  # of full scale, as the levels of hw.sim.reflexes
NOMINAL_EXPOSURE_US = 8000.0
FULL_WELL_E = 5000.0
READ_NOISE_E = 14.0

BORDER_WIDTH_UM, BORDER_DEPTH = 1.4, 0.38
MEAN_REFLECTANCE = 0.8  # of a mosaic as it is drawn
DOME_UM, DOME_DEPTH = 3.5, 0.24  # cells bulge: their rim sends some light past the lens


@dataclass(frozen=True, slots=True)
class View:
    """What the camera sees in one frame: where it looks, how far from focus, how much moved during the exposure."""

    x_um: float  # of the frame's centre, from the apex, to the right
    y_um: float  # upwards
    defocus_um: float  # positive: the stage is too close
    smear_x_um: float = 0.0
    smear_y_um: float = 0.0
    cornea_x_um: float = 0.0  # which part of the cornea faces the instrument: its apex, or beside it by the gaze
    cornea_y_um: float = 0.0
    openness: float = 1.0  # of the lids
    haze: float = 0.0  # 0..1, the share of the contrast that the tear film takes

    @property
    def window(self) -> Window:
        left, top = self.x_um + self.cornea_x_um, -self.y_um - self.cornea_y_um
        return Window(left - COLUMNS * UM_PER_PX / 2, top - ROWS * UM_PER_PX / 2, ROWS, COLUMNS, UM_PER_PX)


def reflectance_spectrum(mosaic: MosaicModel, rng: np.random.Generator, guttae_percent: float = 0.0) -> Spectrum:
    """The Fourier spectrum of the mosaic's reflectance, mean about 1: dark borders, cells of unequal brightness."""
    columns, rows = (round(side / UM_PER_PX) for side in mosaic.size_um)
    labels, depth = mosaic.rasters(Window(0.0, 0.0, rows, columns, UM_PER_PX))
    cells = rng.normal(1.0, 0.06, mosaic.n).astype(np.float32)[labels - 1]
    dome = 1.0 - DOME_DEPTH * np.exp(-depth / DOME_UM)
    tissue, patches, grain = (_smooth_noise(rng, (rows, columns), length) for length in (40.0, 9.0, 1.1))
    border = BORDER_DEPTH * (1.0 + 0.2 * patches) * np.exp(-((depth / BORDER_WIDTH_UM) ** 2))
    surface = cells * dome * (1.0 - border) + 0.05 * tissue + 0.045 * grain
    if guttae_percent > 0:
        surface = with_guttae(surface, covered_by_guttae(rng, (rows, columns), UM_PER_PX, guttae_percent))
    return np.fft.rfft2(surface.astype(np.float32)).astype(np.complex64)


def scene(spectrum: Spectrum, view: View) -> Image:
    """The endothelium as the lens projects it: shifted, defocused, smeared; at least one frame large."""
    rows, columns = spectrum.shape[0], 2 * (spectrum.shape[1] - 1)
    blur = np.hypot(LENS_BLUR_UM, BLUR_PER_DEFOCUS * view.defocus_um)
    # A uniform smear of length s has the variance s^2 / 12.
    across = _transfer(np.fft.rfftfreq(columns), blur, view.smear_x_um, view.window.left_um)
    down = _transfer(np.fft.fftfreq(rows), blur, view.smear_y_um, view.window.top_um)
    shown = np.fft.irfft2(spectrum * down[:, None] * across[None, :], s=(rows, columns))
    return shown[:ROWS, :COLUMNS].astype(np.float32, copy=False)


def signal(
    shown: Image,
    view: View,
    thickness_um: float,
    tilt: float,
    *,
    front_radius_um: float = FRONT_RADIUS_UM,
    brightness: float = 1.0,
) -> Image:
    """Light on the sensor as a share of full scale at the nominal exposure.

    `tilt` is the slit's gradient along it, `brightness` the eye's reflectance against the usual one.
    """
    x = (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) * UM_PER_PX
    y = (ROWS / 2 - 0.5 - np.arange(ROWS)) * UM_PER_PX
    apparent_um = apparent_depth(thickness_um, front_radius_um)
    along = 1.0 + tilt * x / x[-1]
    vignetting = 1.0 - 0.15 * (y / y[0]) ** 2
    facing_x, facing_y = (bell(way, REFLEX_RADIUS_UM) for way in (x + view.x_um, y + view.y_um))
    endothelium = reflexes.REFLEX_LEVEL * vignetting * facing_y * reflexes.band(y, view.defocus_um)
    endothelium *= brightness * view.openness
    light: Image = shown * (along * facing_x).astype(np.float32)
    if view.haze > 0:  # a rough film scatters what the cells send: the light stays, the contrast does not
        light *= np.float32(1.0 - view.haze)
        light += (view.haze * MEAN_REFLECTANCE * along * facing_x).astype(np.float32)
    light *= endothelium.astype(np.float32)[:, None]
    light += brightness * view.openness * _featureless(x, y, view, apparent_um, along * facing_x, vignetting)
    return light


def _featureless(
    x: Profile, y: Profile, view: View, apparent_um: float, facing_x: Profile, vignetting: Profile
) -> Image:
    """Epithelium, stroma and halo: each a column profile times a row profile, all in one matrix product."""
    at_x, at_y = x + view.x_um, y + view.y_um
    down = (
        reflexes.EPITHELIUM_LEVEL * bell(at_y, REFLEX_RADIUS_UM) * reflexes.band(y, view.defocus_um + apparent_um),
        reflexes.STROMA_LEVEL
        * bell(at_y, reflexes.STROMA_RADIUS_UM)
        * reflexes.stroma(y, view.defocus_um, apparent_um),
        reflexes.HALO_LEVEL * bell(at_y, reflexes.HALO_RADIUS_UM),
    )
    across = (facing_x, bell(at_x, reflexes.STROMA_RADIUS_UM), bell(at_x, reflexes.HALO_RADIUS_UM))
    columns = (np.stack(down, axis=1) * vignetting[:, None]).astype(np.float32)
    light: Image = columns @ np.stack(across).astype(np.float32)
    return light


def expose(light: Image | None, bits_stored: int, exposure_us: float, gain: float, rng: np.random.Generator) -> Pixels:
    """Grey values with shot and read noise; None is a dark room."""
    noise = rng.standard_normal((ROWS, COLUMNS), np.float32)
    if light is None:
        electrons = READ_NOISE_E * noise
    else:
        collected = light * np.float32(FULL_WELL_E * exposure_us / NOMINAL_EXPOSURE_US)
        np.clip(collected, 0.0, FULL_WELL_E, out=collected)
        electrons = collected + np.sqrt(collected + np.float32(READ_NOISE_E**2)) * noise
    top = (1 << bits_stored) - 1
    electrons *= np.float32(gain * top / FULL_WELL_E)
    electrons += np.float32(BLACK_LEVEL * top + 0.5)
    np.clip(electrons, 0, top, out=electrons)
    return electrons.astype(np.uint8) if bits_stored == 8 else electrons.astype(np.uint16)


def _transfer(frequency: Profile, blur_um: float, smear_um: float, shift_um: float) -> Spectrum:
    """Blur and shift along one axis, frequency in cycles per pixel."""
    variance_px = (blur_um**2 + smear_um**2 / 12) / UM_PER_PX**2
    exponent = -2 * np.pi**2 * variance_px * frequency**2 + 2j * np.pi * frequency * (shift_um / UM_PER_PX)
    return np.exp(exponent).astype(np.complex64)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], length_um: float) -> Image:
    """Periodic noise of mean 0 and standard deviation 1, correlated over about `length_um`."""
    rows, columns = shape
    across, down = (
        _transfer(np.fft.rfftfreq(columns), length_um, 0, 0),
        _transfer(np.fft.fftfreq(rows), length_um, 0, 0),
    )
    white = np.fft.rfft2(rng.standard_normal(shape, np.float32))
    white[0, 0] = 0
    smooth = np.fft.irfft2(white * down[:, None] * across[None, :], s=shape).astype(np.float32)
    smooth /= smooth.std()
    return smooth
