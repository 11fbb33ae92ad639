"""The controls of a camera by their kernel names: what each takes, and whether a value fits. Without I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hw.v4l2.abi import ControlEntry, ControlFlag, ControlType

EXPOSURE_UNIT_US = 100  # V4L2_CID_EXPOSURE_ABSOLUTE counts in 100 us
SETTABLE = frozenset(
    {
        ControlType.INTEGER,
        ControlType.BOOLEAN,
        ControlType.MENU,
        ControlType.BUTTON,
        ControlType.INTEGER64,
        ControlType.BITMASK,
        ControlType.INTEGER_MENU,
    }
)


@dataclass(frozen=True, slots=True)
class Control:
    """One control: `name` is the kernel's; `menu` has the words of a menu's values, not all of a range need exist."""

    identity: int
    kind: ControlType
    name: str
    minimum: int
    maximum: int
    step: int
    default: int
    flags: ControlFlag
    menu: dict[int, str] = field(default_factory=dict)

    @property
    def range_text(self) -> str:
        """What may be set, for people."""
        if self.kind is ControlType.BUTTON:
            return "a button"
        if self.menu:
            return ", ".join(f"{value} ({words})" for value, words in self.menu.items())
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.minimum} to {self.maximum}{steps}"


def control_of(entry: ControlEntry, menu: dict[int, str]) -> Control | None:
    """A control that people can set or read, or None: classes, compounds, strings and what is switched off."""
    if entry.kind not in SETTABLE or ControlFlag.DISABLED in entry.flags or not entry.name:
        return None
    minimum, maximum = entry.minimum, entry.maximum
    if entry.kind == ControlType.BITMASK:  # the kernel passes the mask of allowed bits in a signed number
        minimum, maximum = 0, maximum & 0xFFFFFFFF
    return Control(
        entry.identity,
        ControlType(entry.kind),
        entry.name,
        minimum,
        maximum,
        max(1, entry.step),
        entry.default,
        entry.flags,
        menu,
    )


def key_of(name: str) -> str:
    """A name as programs write it: `Exposure Time, Absolute` is `exposure_time_absolute`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def find(controls: Sequence[Control], name: str) -> Control:
    """By the kernel's name, or by its key. ValueError lists what there is."""
    for control in controls:
        if control.name == name:
            return control
    for control in controls:
        if key_of(control.name) == key_of(name):
            return control
    there = ", ".join(control.name for control in controls) or "none"
    raise ValueError(f"no control {name!r}; there are: {there}")


def by_identity(controls: Sequence[Control], *identities: int) -> Control | None:
    """The first of these that the camera has."""
    for identity in identities:
        for control in controls:
            if control.identity == identity:
                return control
    return None


def checked_value(control: Control, value: int | str) -> int:
    """The number to send. ValueError names the control and its range."""
    if ControlFlag.READ_ONLY in control.flags:
        raise ValueError(f"{control.name} can only be read")
    if isinstance(value, str):
        return _menu_value(control, value)
    if control.kind is ControlType.BUTTON:
        return value
    fits = control.minimum <= value <= control.maximum
    if control.kind is ControlType.BITMASK:
        fits = value >= 0 and not value & ~control.maximum
    elif control.menu:
        fits = value in control.menu
    elif fits:
        fits = (value - control.minimum) % control.step == 0 or value == control.maximum
    if not fits:
        raise ValueError(f"{control.name} = {value}: {control.range_text} can be set")
    return value


def exposure_value(control: Control, exposure_us: int) -> int:
    """The step of an exposure control in 100 us that is nearest; ValueError outside its range in us."""
    low_us, high_us = control.minimum * EXPOSURE_UNIT_US, control.maximum * EXPOSURE_UNIT_US
    if not low_us <= exposure_us <= high_us:
        raise ValueError(f"{control.name} = {exposure_us} us: {low_us} to {high_us} us can be set")
    steps = round((exposure_us / EXPOSURE_UNIT_US - control.minimum) / control.step)
    value = control.minimum + steps * control.step
    return value if value <= control.maximum else value - control.step


def _menu_value(control: Control, words: str) -> int:
    for value, entry in control.menu.items():
        if entry.lower() == words.strip().lower():
            return value
    raise ValueError(f"{control.name} = {words!r}: {control.range_text} can be set")
