"""What the board on the port is: its firmware, its parts, and whether it is set up as the configuration says."""

from __future__ import annotations

from dataclasses import dataclass

from hw.abc import Identity
from hw.errors import Refused
from hw.opening import Step, opening_step
from hw.sangaboard import codec
from hw.sangaboard.codec import BlockingMoves, Module, RampTime, StepDelay, Triple
from hw.sangaboard.lamps import MODULE, lamp_names
from hw.sangaboard.link import SangaboardLink
from hw.sangaboard.settings import FIRMWARES, SangaboardSettings, endstop_problems, require_board, timing_problems
from hw.stage_checks import require_as_configured


@dataclass(frozen=True, slots=True)
class Board:
    """`stoppable`: v1.0, which answers in motion and has `stop`. `silent_start`: there `mr` says nothing at first."""

    identity: Identity
    stoppable: bool
    silent_start: bool
    endstops: frozenset[str]
    lamps: tuple[str, ...]

    @property
    def firmware(self) -> str:
        return self.identity.firmware


async def identify(link: SangaboardLink, port: str, settings: SangaboardSettings, *, simulated: bool) -> Board:
    """`Refused` when it is not the board that the configuration describes. Changes nothing on it."""
    opening_step(Step.IDENTIFYING)
    version = await link.identify()
    if version.number not in FIRMWARES:
        raise Refused(f"{port}: {version.text} is none of the firmwares that this driver knows: v0.4, v0.5 and v1.0")
    require_as_configured(version.text, port, simulated=simulated)
    modules = {module.name: module for module in await link.modules()}
    endstops = frozenset(modules.get("Endstops", Module("Endstops", "")).details.split())
    stoppable = version.number >= (1, 0)
    opening_step(Step.APPLYING)
    await require_setup(link, settings, endstops, stoppable=stoppable)
    return Board(
        Identity(link.label, version.text, simulated),
        stoppable,
        stoppable and (await link.ask(codec.HOW_BLOCKING, BlockingMoves)).blocking,
        endstops,
        await lamp_names(link) if MODULE in modules else (),
    )


async def require_setup(
    link: SangaboardLink, settings: SangaboardSettings, endstops: frozenset[str], *, stoppable: bool
) -> None:
    """`Refused` with every difference between board and configuration at once."""
    delay = await link.ask(codec.STEP_DELAY, StepDelay)
    ramp = await link.ask(codec.RAMP_TIME, RampTime)
    maxima = (await link.ask(codec.LIMIT_POSITIONS, Triple)).values if endstops else None
    problems = timing_problems(settings, delay.us, ramp.us, blocking=not stoppable)
    require_board(problems + endstop_problems(settings, endstops, maxima), link.label)
