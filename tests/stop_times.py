"""How long a stop takes, from the request to braking and to rest: the real service in front of simulated boards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from fault_bench import FaultBench, fault_bench

from firmware_app.config.light import LightConfig
from firmware_app.console.protocol import Run, encode_request
from firmware_app.model import Eye
from hw.errors import DeviceError
from hw.sim.settings import SimSettings

REQUIRED_S: Final = 0.1
SAMPLE_S: Final = 0.001
FULL: Final = 0.95  # of the greatest speed seen: above it nothing brakes
WATCHED_S: Final = 1.5
WAYS: Final = ("stop at the console", "caller cancelled", "console closed")


@dataclass(frozen=True, slots=True)
class Stop:
    """All in s from the request; `told_s` is when the operation ended that was stopped."""

    kind: str
    way: str
    braking_s: float
    at_rest_s: float
    told_s: float

    @property
    def line(self) -> str:
        times = f"brakes after {1000 * self.braking_s:5.1f} ms, at rest after {1000 * self.at_rest_s:5.1f} ms"
        return f"{self.kind:15} {self.way:20} {times}, told after {1000 * self.told_s:5.1f} ms"


async def measure_stops(kind: str, folder: Path, ways: tuple[str, ...] = WAYS, rounds: int = 3) -> list[Stop]:
    """Stops from full speed on the way from one eye to the other."""
    settings = SimSettings(seed=3, stage=kind, camera=False, link_dir=folder / "ports")
    async with fault_bench(folder, settings, LightConfig()) as bench:
        await bench.service.capture.home()
        stops = []
        for way in ways:
            for _ in range(rounds):
                await bench.service.capture.go_to_eye(Eye.RIGHT)
                stops.append(await _stop(bench, kind, way))
        return stops


async def _stop(bench: FaultBench, kind: str, way: str) -> Stop:
    """One motion, ended in one way."""
    path = Path(bench.service.config.paths.runtime) / "console.sock"
    mover, asker = [await trio.open_unix_socket(str(path)) for _ in range(2)]
    ended = trio.Event()
    ended_s: list[float] = []
    drive: Callable[[], Awaitable[object]] = lambda: bench.service.capture.go_to_eye(Eye.LEFT)  # noqa: E731

    async def move() -> None:
        try:
            if way == "console closed":
                await mover.send_all(encode_request(Run(1, "eye L")))
                await bench.until("under way", lambda: bool(bench.service.capture.busy))
                await bench.until("ended", lambda: not bench.service.capture.busy)
            else:
                await drive()
        except DeviceError:
            pass  # it was stopped
        finally:
            ended_s.append(trio.current_time())
            ended.set()

    async with mover, asker, trio.open_nursery() as nursery:
        moving = trio.CancelScope()

        async def cancellable() -> None:
            with moving:
                await move()

        nursery.start_soon(cancellable)
        peak = await _full_speed(bench)
        asked_s = trio.current_time()
        if way == "stop at the console":
            await asker.send_all(encode_request(Run(1, "stop")))
        elif way == "caller cancelled":
            moving.cancel()
        else:
            await mover.aclose()
        braking_s, at_rest_s = await _watch(bench, peak)
        await ended.wait()
    return Stop(kind, way, braking_s - asked_s, at_rest_s - asked_s, ended_s[0] - asked_s)


async def _full_speed(bench: FaultBench) -> float:
    """Wait until it gets no faster, and then some; mm/s."""
    await bench.until("moving", lambda: bench.simulator.moving)
    peak, until_s = 0.0, trio.current_time() + 0.25
    while trio.current_time() < until_s:
        peak = max(peak, bench.simulator.speed_mm_per_s)
        await trio.sleep(SAMPLE_S)
    return peak


async def _watch(bench: FaultBench, peak: float) -> tuple[float, float]:
    """The first samples after the last one at full speed, and after the last one in motion."""
    fast_s = moved_s = trio.current_time()
    until_s = fast_s + WATCHED_S
    while (now_s := trio.current_time()) < until_s:
        speed = bench.simulator.speed_mm_per_s
        fast_s = now_s if speed >= FULL * peak else fast_s
        moved_s = now_s if speed > 0 else moved_s
        await trio.sleep(SAMPLE_S)
    return fast_s + SAMPLE_S, moved_s + SAMPLE_S
