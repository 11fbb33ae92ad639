"""Every stage driver against the simulated instrument, over a real pty and in real time; or against real hardware.

With `--port PATH` nothing is simulated: `--stage-kind` says which driver, `--stage-settings FILE` which stage (a TOML
file with the driver's settings as keys). The stage then travels through its whole reach.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tomli
import trio
from stage_contract import CHECKS, PATIENCE_S, Check, StageRig

from firmware_app.model import Position
from hw.abc import Stage
from hw.asi.stage import AsiSettings, open_asi
from hw.grbl.stage import GrblSettings, open_grbl
from hw.sangaboard.stage import SangaboardSettings, open_sangaboard
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config

TRAVEL_MM = (20.0, 10.0, 10.0)
QUICK = SimSettings(
    camera=False,
    travel_mm=TRAVEL_MM,
    max_rate_mm_per_min=(12000.0, 12000.0, 12000.0),
    acceleration_mm_per_s2=(4000.0, 4000.0, 4000.0),
    seek_mm_per_min=12000.0,
    locate_mm_per_min=2400.0,
    debounce_ms=2.0,
    min_step_delay_us=25,
    slow_delay_us=100,
    um_per_step=(5.0, 5.0, 5.0),
)
Open = Callable[..., AbstractAsyncContextManager[Stage]]


@dataclass(frozen=True)
class Driver:
    settings: type[Any]
    open: Open


DRIVERS = {
    "grbl": Driver(GrblSettings, open_grbl),
    "sangaboard": Driver(SangaboardSettings, open_sangaboard),
    "asi": Driver(AsiSettings, open_asi),
}


@dataclass(frozen=True)
class Bench:
    """A simulated stage to run the contract on; `driver` is a key of `DRIVERS`."""

    driver: str
    sim: SimSettings
    alarm: str | None = None  # the fault command for what a limit switch does


PLAY = {"play_mm": (0.05, 0.05, 0.05), "backlash_um": (60.0, 60.0, 60.0)}
BENCHES = {
    "grbl": Bench("grbl", QUICK, "alarm 1"),
    "grbl-backlash": Bench("grbl", replace(QUICK, mist=True, **PLAY), "alarm 1"),
    "sangaboard-1.0": Bench("sangaboard", replace(QUICK, stage="sangaboard-1.0"), "alarm 1"),
    "sangaboard-1.0-backlash": Bench("sangaboard", replace(QUICK, stage="sangaboard-1.0", **PLAY), "alarm 1"),
    "sangaboard-0.5": Bench("sangaboard", replace(QUICK, stage="sangaboard-0.5"), "alarm 1"),
    "sangaboard-0.4": Bench("sangaboard", replace(QUICK, stage="sangaboard-0.4")),
    "asi-ms2000": Bench("asi", replace(QUICK, stage="asi-ms2000"), "alarm 1"),
    "asi-tiger": Bench("asi", replace(QUICK, stage="asi-tiger"), "alarm 1"),
    "asi-tiger-backlash": Bench("asi", replace(QUICK, stage="asi-tiger", **PLAY), "alarm 1"),
}


def settings_of(driver: Driver, table: dict[str, object]) -> Any:
    """The driver's settings from the keys of a `[stage]` table; what is not a setting of the driver is left out."""
    names = driver.settings.__dataclass_fields__.keys()
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items() if key in names}
    return driver.settings(**values)


@asynccontextmanager
async def on_a_pty(bench: Bench, folder: Path) -> AsyncIterator[StageRig]:
    sim = replace(bench.sim, link_dir=folder)
    instrument = SimulatedInstrument(sim)
    driver = DRIVERS[bench.driver]
    settings = replace(settings_of(driver, stage_config(sim)), settle_s=0.0)
    by_hand = getattr(settings, "frame", "") == "by_hand"
    origin = [instrument.position() if by_hand else Position(0.0, 0.0, 0.0)]

    def truth() -> Position:
        at = instrument.position()
        return Position(at.x_um - origin[0].x_um, at.y_um - origin[0].y_um, at.z_um - origin[0].z_um)

    async def replug() -> None:
        await instrument.command("replug stage")
        if by_hand:  # somebody says that this is the origin
            origin[0] = instrument.position()

    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        yield StageRig(
            open=partial(driver.open, ports.stage, settings, simulated=True),
            tolerance_um=5.0,
            truth=truth,
            alarm=partial(instrument.command, bench.alarm) if bench.alarm else None,
            unplug=partial(instrument.command, "unplug stage"),
            replug=replug,
            play_um=max(sim.play_mm) * 1000,
            lamps=instrument.lamps,
        )
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_simulated_stage(check: Check, bench: Bench, tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        await check(partial(on_a_pty, bench, tmp_path))


@asynccontextmanager
async def on_a_port(driver: Driver, port: str, settings: Any, simulated: bool) -> AsyncIterator[StageRig]:
    yield StageRig(
        open=partial(driver.open, port, settings, simulated=simulated), tolerance_um=float(settings.tolerance_um)
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.real_stage
@pytest.mark.timeout(3600)
async def test_real_stage(check: Check, pytestconfig: pytest.Config, real_settings: dict[str, object]) -> None:
    """A real stage may take minutes for each of its ways."""
    driver = DRIVERS[pytestconfig.getoption("stage_kind")]
    settings, simulated = settings_of(driver, real_settings), bool(real_settings.get("simulated", False))
    await check(partial(on_a_port, driver, pytestconfig.getoption("port"), settings, simulated))


@pytest.fixture
def real_settings(pytestconfig: pytest.Config) -> dict[str, object]:
    file = pytestconfig.getoption("stage_settings")
    return tomli.loads(Path(file).read_text(encoding="utf-8")) if file else {}
