"""The LED outputs of a Sangaboard: `cc`, its constant-current channel, and `pwm0`, `pwm1` ..."""

from __future__ import annotations

from typing import Final

from hw.errors import DeviceFault
from hw.sangaboard import codec
from hw.sangaboard.codec import CcLed, LedChannels, PwmLeds
from hw.sangaboard.link import SangaboardLink

MODULE: Final = "Illumination"
# The constant current has 32 steps, and levels are printed with two decimals.
CC_TOLERANCE: Final = 1 / 31
PWM_TOLERANCE: Final = 0.011
MAX_PWM: Final = 16


async def lamp_names(link: SangaboardLink) -> tuple[str, ...]:
    """Of a board that has the module `Illumination`."""
    channels = await link.ask(codec.LED_CHANNELS, LedChannels)
    return (("cc",) if channels.cc else ()) + tuple(f"pwm{n}" for n in range(min(channels.pwm, MAX_PWM)))


async def set_lamp(link: SangaboardLink, name: str, level: float) -> None:
    """Set it and read it back: `DeviceFault` where the board tells another level."""
    if name == "cc":
        await link.ask(codec.encode_cc(level), CcLed)
        shown, tolerance = (await link.ask(codec.CC_LEVEL, CcLed)).level, CC_TOLERANCE
    else:
        channel = int(name.removeprefix("pwm"))
        await link.ask(codec.encode_pwm(channel, level), PwmLeds)
        levels = (await link.ask(codec.PWM_LEVELS, PwmLeds)).levels
        if channel >= len(levels):
            raise DeviceFault("output", f"{link.label} shows {len(levels)} PWM channels, {name} is not among them")
        shown, tolerance = levels[channel], PWM_TOLERANCE
    if abs(shown - level) > tolerance:
        raise DeviceFault("output", f"{link.label} shows {name} at {shown:g} instead of {level:g}")
