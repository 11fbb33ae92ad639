"""The optical model of the simulated specular microscope: mosaic -> electrons on the sensor -> grey values.

The mosaic is periodic, so blur and shift are exact products in its Fourier spectrum: one inverse transform a frame.
Every factor of light is a product of a row and a column profile:

    signal = scene x reflex(distance from the apex) x band(slit image) x 1 / (1 + (dz / 220)^2) + haze

A specular image shows the slit's mirror image in the endothelium. It is bright only where the cornea faces the
instrument (the apex), it wanders sideways and dims with defocus because the lamp and the lens look at the cornea from
two sides, and the epithelium, some 540 um nearer, adds a featureless reflex of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hw.sim.mosaic import MosaicModel, Window

ROWS, COLUMNS, UM_PER_PX = 480, 640, 0.85

Image = npt.NDArray[np.float32]
Spectrum = npt.NDArray[np.complex64]
Profile = npt.NDArray[np.floating]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

LENS_BLUR_UM = 1.1  # sigma of the point spread function in focus, about NA 0.11 at 550 nm
BLUR_PER_DEFOCUS = 0.06  # sigma grows by this share of |dz|: 10 um off is just visible, 100 um off hides the borders
REFLEX_RADIUS_UM = 420.0  # where the reflex has fallen to 1/e: 0.3 % are left 1 mm beside the apex
BAND_HALF_WIDTH_UM = 310.0
BAND_SHIFT_PER_DEFOCUS = 0.35
DIMMING_DEFOCUS_UM = 220.0
EPITHELIUM_DEPTH_UM = 60.0  # over which its reflex comes and goes

REFLEX_LEVEL, EPITHELIUM_LEVEL, HAZE_LEVEL, BLACK_LEVEL = 0.72, 0.10, 0.035, 0.02  # of full scale at 8 ms
NOMINAL_EXPOSURE_US = 8000.0
FULL_WELL_E = 5000.0
READ_NOISE_E = 14.0

BORDER_WIDTH_UM, BORDER_DEPTH = 1.4, 0.38
DOME_UM, DOME_DEPTH = 3.5, 0.24  # cells bulge: their rim sends some light past the lens


@dataclass(frozen=True, slots=True)
class View:
    """What the camera sees in one frame: where it looks, how far from focus, how much moved during the exposure."""

    x_um: float  # of the frame's centre, from the apex, to the right
    y_um: float  # upwards
    defocus_um: float  # positive: the stage is too close
    smear_x_um: float = 0.0
    smear_y_um: float = 0.0

    @property
    def window(self) -> Window:
        return Window(self.x_um - COLUMNS * UM_PER_PX / 2, -self.y_um - ROWS * UM_PER_PX / 2, ROWS, COLUMNS, UM_PER_PX)


def reflectance_spectrum(mosaic: MosaicModel, rng: np.random.Generator) -> Spectrum:
    """The Fourier spectrum of the mosaic's reflectance, mean about 1: dark borders, cells of unequal brightness."""
    columns, rows = (round(side / UM_PER_PX) for side in mosaic.size_um)
    labels, depth = mosaic.rasters(Window(0.0, 0.0, rows, columns, UM_PER_PX))
    cells = rng.normal(1.0, 0.06, mosaic.n).astype(np.float32)[labels - 1]
    dome = 1.0 - DOME_DEPTH * np.exp(-depth / DOME_UM)
    tissue, patches, grain = (_smooth_noise(rng, (rows, columns), length) for length in (40.0, 9.0, 1.1))
    border = BORDER_DEPTH * (1.0 + 0.2 * patches) * np.exp(-((depth / BORDER_WIDTH_UM) ** 2))
    surface = cells * dome * (1.0 - border) + 0.05 * tissue + 0.045 * grain
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


def signal(shown: Image, view: View, thickness_um: float, tilt: float) -> Image:
    """Light on the sensor as a share of full scale at the nominal exposure; `tilt` is the band's gradient."""
    x = (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) * UM_PER_PX
    y = (ROWS / 2 - 0.5 - np.arange(ROWS)) * UM_PER_PX
    slit = (x - BAND_SHIFT_PER_DEFOCUS * view.defocus_um) / BAND_HALF_WIDTH_UM
    band = np.exp(-(slit**4)) * (1.0 + tilt * x / x[-1])
    vignetting = 1.0 - 0.15 * (y / y[0]) ** 2
    dimming = 1.0 / (1.0 + (view.defocus_um / DIMMING_DEFOCUS_UM) ** 2)
    across = REFLEX_LEVEL * dimming * band * _reflex(x + view.x_um, REFLEX_RADIUS_UM)
    down = vignetting * _reflex(y + view.y_um, REFLEX_RADIUS_UM)
    nearer = float(_reflex(np.array([view.defocus_um + thickness_um]), EPITHELIUM_DEPTH_UM)[0])
    glow = HAZE_LEVEL + EPITHELIUM_LEVEL * nearer
    light: Image = shown * across.astype(np.float32)
    light += glow * _reflex(x + view.x_um, 2 * REFLEX_RADIUS_UM).astype(np.float32)
    light *= down.astype(np.float32)[:, None]
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


def _reflex(distance_um: Profile, radius_um: float) -> Profile:
    profile: Profile = np.exp(-((distance_um / radius_um) ** 2))
    return profile


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
