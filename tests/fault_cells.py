"""Which faults each kind of simulated instrument can have, and in which steps of an exam they are tried.

Every stage whose board is simulated byte by byte is a kind. Of cameras only the serial one is: a V4L2 camera is a
kernel's (`tests/kernel` has its faults) and a folder of images has no line. Its faults are tried with the first kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from firmware_app.config.light import LampConfig, LightConfig

APART: Final = 3  # at least: faults of one exam are not of one kind


@dataclass(frozen=True, slots=True)
class Fault:
    """Lines for the simulator. `loses`: the device is lost by it. `unseen`: no board can know it, homing finds out.

    `remedy` is what somebody has to do at the device before it can be homed, as its driver advises.
    """

    name: str
    device: str
    inflict: str
    end: str = ""
    loses: bool = False
    unseen: bool = False
    remedy: str = ""


STAGE_FAULTS: Final = (
    Fault("stage unplug", "stage", "unplug stage", "replug stage", loses=True),
    Fault("stage silence", "stage", "silence stage on", "silence stage off"),
    Fault("stage garbage", "stage", "garbage stage"),
    Fault("stage half line", "stage", "half stage"),
    Fault("stage slow", "stage", "slow stage 1.5", "slow stage off"),
    Fault("stage EIO", "stage", "eio stage", loses=True),
    Fault("stage alarm", "stage", "alarm 1"),
    Fault("stage restart", "stage", "restart"),
    Fault("stuck motor", "stage", "stuck x", "stuck off", unseen=True),
    Fault("lost steps", "stage", "lost x 3000", unseen=True),
)
CAMERA_FAULTS: Final = (
    Fault("camera unplug", "camera", "unplug camera", "replug camera", loses=True),
    Fault("camera silence", "camera", "silence camera on", "silence camera off"),
    Fault("camera garbage", "camera", "garbage camera"),
    Fault("camera half frame", "camera", "half camera"),
    Fault("camera slow", "camera", "slow camera 3", "slow camera off"),
    Fault("camera EIO", "camera", "eio camera", loses=True),
    Fault("dropped frames", "camera", "drop 3"),
    Fault("corrupt frames", "camera", "corrupt 3"),
)
FAULTS: Final = (*STAGE_FAULTS, *CAMERA_FAULTS)
STEPS: Final = ("start", "home", "drive", "align", "burst", "analysis", "finish", "delivery")

# An ASI controller's limits follow its count, which a stuck motor leaves far from the truth.
ASI_FAULTS: Final = tuple(replace(each, remedy="restart") if "stuck" in each.name else each for each in STAGE_FAULTS)


@dataclass(frozen=True, slots=True)
class Kind:
    """A stage with its lamps; `light` and `flash` are outputs of its board, none where it is not tried with any."""

    stage: str
    faults: tuple[Fault, ...] = STAGE_FAULTS
    light: str = ""
    flash: str = ""

    @property
    def lamps(self) -> LightConfig:
        if not self.light:
            return LightConfig()
        return LightConfig(illumination=LampConfig(self.light), flash=LampConfig(self.flash))


KINDS: Final = {
    kind.stage: kind
    for kind in (
        Kind("grbl", (*STAGE_FAULTS[:5], *CAMERA_FAULTS, *STAGE_FAULTS[5:]), "flood", "spindle"),
        Kind("sangaboard-1.0", light="cc", flash="pwm0"),
        Kind("sangaboard-0.5", light="cc", flash="pwm0"),
        Kind("asi-ms2000", ASI_FAULTS),
        Kind("asi-tiger", ASI_FAULTS),
    )
}
Cells = dict[str, Fault]  # by step: those of one exam


def matrix(kind: str) -> list[Cells]:
    """Every fault of a kind in every step, in as many exams as there are faults: each has another one in each step."""
    faults = KINDS[kind].faults
    stride = next(each for each in count(APART) if math.gcd(each, len(faults)) == 1)  # or some would come never
    return [
        {step: faults[(turn + stride * place) % len(faults)] for place, step in enumerate(STEPS)}
        for turn in range(len(faults))
    ]


DIAGONAL: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    (
        "grbl",
        {
            "start": "stage EIO",
            "home": "stage alarm",
            "drive": "stage unplug",
            "align": "camera unplug",
            "burst": "camera silence",
            "analysis": "stage half line",
            "finish": "camera EIO",
        },
    ),
    (
        "sangaboard-1.0",
        {
            "start": "stage silence",
            "home": "stuck motor",
            "drive": "stage restart",
            "align": "camera half frame",
            "burst": "stage slow",
            "finish": "camera slow",
        },
    ),
    ("sangaboard-0.5", {"drive": "stage garbage", "burst": "dropped frames"}),
    ("asi-ms2000", {"start": "camera garbage", "drive": "lost steps", "delivery": "stage unplug"}),
    ("asi-tiger", {"align": "corrupt frames", "analysis": "stage garbage", "delivery": "stage silence"}),
)


def diagonal() -> list[tuple[str, Cells]]:
    """Exams by kind: every fault, every step and every kind at least once."""
    named = {fault.name: fault for fault in FAULTS}
    return [(kind, {step: named[name] for step, name in exam.items()}) for kind, exam in DIAGONAL]
