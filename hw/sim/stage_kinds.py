"""The kinds of stage that the simulated instrument can have. A new one is one line of `KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from hw.sim import asi_kind, sangaboard_kind
from hw.sim.firmware_grbl import GrblFirmware
from hw.sim.motion import Slides, Vector
from hw.sim.settings import BUILD_INFO, SimSettings, grbl_config


class BoardFirmware(Protocol):
    """A board as a pure state machine: every byte goes through `receive`, and `advance` is due at `wake_s`."""

    @property
    def wake_s(self) -> float: ...

    def receive(self, data: bytes, now_s: float) -> bytes: ...

    def advance(self, now_s: float) -> bytes: ...

    def inject_alarm(self, code: int, now_s: float) -> bytes: ...

    def lamps(self) -> dict[str, float]:
        """How bright each output is, 0..1, by the name that its driver gives it."""
        ...


@dataclass(frozen=True, slots=True)
class StageKind:
    """`memory` makes what survives the board's power; `alarms` is the highest number that `inject_alarm` knows."""

    memory: Callable[[SimSettings], Any]
    power_up: Callable[[SimSettings, Slides, Any, float], BoardFirmware]
    config: Callable[[SimSettings], dict[str, object]]
    steps_per_mm: Callable[[SimSettings], Vector]
    start_mm: Callable[[SimSettings], Vector]
    alarms: int


def _grbl(settings: SimSettings, slides: Slides, stored: Any, now_s: float) -> BoardFirmware:
    return GrblFirmware(slides, stored, build_info=BUILD_INFO, now_s=now_s, mist=settings.mist)


def _sangaboard(version: str) -> StageKind:
    return StageKind(
        memory=sangaboard_kind.memory,
        power_up=partial(sangaboard_kind.power_up, version),
        config=partial(sangaboard_kind.config, version),
        steps_per_mm=sangaboard_kind.steps_per_mm,
        start_mm=sangaboard_kind.start_mm if version == "0.4" else SimSettings.power_up_mm,
        alarms=3,
    )


def _asi(dialect: str) -> StageKind:
    return StageKind(
        memory=asi_kind.memory,
        power_up=partial(asi_kind.power_up, dialect),
        config=asi_kind.config,
        steps_per_mm=lambda settings: settings.steps_per_mm,
        start_mm=SimSettings.power_up_mm,
        alarms=asi_kind.ALARMS,
    )


KINDS: Final[dict[str, StageKind]] = {
    "grbl": StageKind(
        SimSettings.grbl, _grbl, grbl_config, lambda settings: settings.steps_per_mm, SimSettings.power_up_mm, 10
    ),
    "sangaboard-1.0": _sangaboard("1.0"),
    "sangaboard-0.5": _sangaboard("0.5"),
    "sangaboard-0.4": _sangaboard("0.4"),
    "asi-ms2000": _asi("ms2000"),
    "asi-tiger": _asi("tiger"),
}


def stage_config(settings: SimSettings) -> dict[str, object]:
    """The `[stage]` table for the simulated stage, without its port."""
    return KINDS[settings.stage].config(settings)


SIM_STAGE_CONFIG: Final = stage_config(SimSettings())
