"""How far the opening of a device has come, told by the driver to whoever supervises it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from hw.watched import Watched


class Step(StrEnum):
    FINDING = "finding"
    OPENING = "opening"
    IDENTIFYING = "identifying"
    APPLYING = "applying the profile"


_steps: Final = Watched[Step]("steps")

opening_step = _steps.tell  # this step begins
told_of_steps = _steps.told_to
