"""Finding the min switches, one axis at a time: z first, away from the eye, then y and x.

One at a time because v1.0-beta reports only the last of several switches, and drives an axis whose report was hidden
on into its end. A v1.0 board does it by itself (`home_min`) and can be stopped meanwhile. An older one would be deaf
until the end of `home_min`, for minutes or, without a switch, for ever: there the host does the same in slices.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from hw.errors import DeviceFault
from hw.sangaboard import codec
from hw.sangaboard.codec import Moving, StepDelay, Steps, Triple
from hw.sangaboard.link import SangaboardLink
from hw.sangaboard.settings import AXES, SangaboardSettings, reach_steps, slices

ORDER: Final = (2, 1, 0)
POLL_S: Final = 0.05
# The firmware's own figures: how far it looks for a switch, how far it pulls off, how slowly it comes back.
SEARCH_STEPS: Final = 100_000
RETREAT_STEPS: Final = 5_000
SLOW_DELAY_US: Final = 4_000
LATE_S: Final = 10.0
SEARCH_SCALE: Final = 1.5  # of the reach, in slices: a switch farther off is none
RELEASE_TRIES: Final = 20  # of the distance at which the reach begins: a switch still pressed there is broken
FINE_SHARE: Final = 8  # a slice of the second approach is that much smaller, so that the slide comes in slowly

Move = Callable[[Steps], Awaitable[None]]


async def home_by_board(link: SangaboardLink, settings: SangaboardSettings, go_on: Callable[[], None]) -> None:
    """v1.0. `DeviceFault` when no switch was met or the board is left slow. `go_on` raises when it has been stopped."""
    for axis in ORDER:
        before = link.incidents
        go_on()
        await link.tell(codec.encode_home(-1, 1 << axis))
        deadline_s = trio.current_time() + homing_seconds(settings)
        while (await link.ask(codec.IS_MOVING, Moving)).moving:
            _require_same_board(link, before.restarts)
            if trio.current_time() > deadline_s:
                raise DeviceFault("homing", f"{link.label}: {AXES[axis]} was still homing when it should have ended")
            await trio.sleep(POLL_S)
        go_on()
        _require_same_board(link, before.restarts)
        if link.incidents.endstops[axis] == before.endstops[axis]:
            raise DeviceFault("homing", f"{link.label}: no min switch was found along {AXES[axis]}")
        await _require_released(link, axis)
    delay_us = (await link.ask(codec.STEP_DELAY, StepDelay)).us
    if delay_us != settings.min_step_delay_us:
        raise DeviceFault("homing", f"{link.label}: homing has left min_step_delay at {delay_us} us; restart the board")


def homing_seconds(settings: SangaboardSettings) -> float:
    """For one axis, from the far end: search, pull off, come back slowly over twice the way, pull off."""
    fast = SEARCH_STEPS + 2 * RETREAT_STEPS
    return (fast * settings.min_step_delay_us + 2 * RETREAT_STEPS * SLOW_DELAY_US) / 1e6 + LATE_S


async def home_in_slices(link: SangaboardLink, settings: SangaboardSettings, move: Move) -> None:
    """v0.4 and v0.5: `move` makes one slice and can be left between two. The board zeroes its count at the switch."""
    for axis in ORDER:
        fast = max(map(abs, slices(settings, _along(axis, _search_steps(settings, axis)))[0]))
        await _approach(link, settings, axis, fast, move)
        await _release(link, settings, axis, move)
        await _approach(link, settings, axis, max(1, fast // FINE_SHARE), move)
        await _release(link, settings, axis, move)


async def _approach(link: SangaboardLink, settings: SangaboardSettings, axis: int, each: int, move: Move) -> None:
    for _ in range(0, _search_steps(settings, axis) + each, each):
        if await _pressed(link, axis):
            return
        await move(_along(axis, -each))
    raise DeviceFault("homing", f"{link.label}: no min switch was found along {AXES[axis]}")


async def _release(link: SangaboardLink, settings: SangaboardSettings, axis: int, move: Move) -> None:
    """To the beginning of the reach, where the switch must be free."""
    distance = reach_steps(settings)[0][axis]
    for _ in range(RELEASE_TRIES):
        for part in slices(settings, _along(axis, distance)):
            await move(part)
        if not await _pressed(link, axis):
            return
    raise DeviceFault("homing", f"{link.label}: the min switch of {AXES[axis]} stays pressed")


async def _require_released(link: SangaboardLink, axis: int) -> None:
    if await _pressed(link, axis):
        raise DeviceFault("homing", f"{link.label}: the min switch of {AXES[axis]} stays pressed")


async def _pressed(link: SangaboardLink, axis: int) -> bool:
    return (await link.ask(codec.ENDSTOPS, Triple)).values[axis] == -1


def _require_same_board(link: SangaboardLink, restarts: int) -> None:
    if link.incidents.restarts != restarts:
        raise DeviceFault("restart", f"{link.label} restarted by itself while homing")


def _search_steps(settings: SangaboardSettings, axis: int) -> int:
    low, high = reach_steps(settings)
    return round(SEARCH_SCALE * (high[axis] - low[axis])) + low[axis]


def _along(axis: int, steps: int) -> Steps:
    x, y, z = (steps if index == axis else 0 for index in range(3))
    return (x, y, z)
