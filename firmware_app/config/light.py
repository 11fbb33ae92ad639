"""The table of lamps: which output of the stage's board is the illumination, the flash, the fixation lamps."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from firmware_app.gaze import FIXATION_TARGETS

Output = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z][a-z0-9_-]{0,31}\Z",
        description='the name of an output as its board\'s makers call it, such as "spindle", "flood", "cc", "pwm0"',
    ),
]
Level = Annotated[float, Meta(gt=0, le=1, description="a level above 0, at most 1")]
# One lamp driver with ten steps (LM3914 in dot mode, or ten comparators) behind a low-pass filter: its lamp n lights
# while its input is between n and n + 1 tenths of the full voltage, and none below one tenth.
LADDER = tuple(round((step + 0.5) / 10, 2) for step in range(1, 10))


class LampConfig(Struct, frozen=True, forbid_unknown_fields=True):
    output: Output = ""
    level: Level = 1.0


class FixationConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One dimmable output whose level chooses one of nine lamps; `levels` are in the order of FIXATION_TARGETS."""

    output: Output = ""
    levels: Annotated[
        tuple[Level, ...],
        Meta(
            min_length=len(FIXATION_TARGETS),
            max_length=len(FIXATION_TARGETS),
            description=f"nine levels above 0, at most 1, for {', '.join(FIXATION_TARGETS)}",
        ),
    ] = LADDER


class LightConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Without a table of its own a lamp is not fitted, or nothing that this instrument can switch.

    `eccentricity_deg` is how far the eight outer targets are from the centre, seen from the eye; 5 degrees is the
    paracentral ring of this class of instruments, 27 the peripheral one.
    """

    eccentricity_deg: Annotated[float, Meta(gt=0, le=45, description="degrees above 0, at most 45")] = 5.0
    illumination: LampConfig | None = None
    flash: LampConfig | None = None
    fixation: FixationConfig | None = None

    def outputs(self) -> dict[str, str]:
        """Lamp to output, of those that are fitted."""
        fitted = {"illumination": self.illumination, "flash": self.flash, "fixation": self.fixation}
        return {lamp: table.output for lamp, table in fitted.items() if table is not None}
