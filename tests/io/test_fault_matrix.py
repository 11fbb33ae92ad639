"""Faults in the middle of the steps of an exam: every fault and every step, not every pair (`bench_faults.py` has all).

And what a stop takes of a board: it brakes at once, and whoever is stopped is told at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from fault_bench import Hospital, fault_bench, hospital
from fault_cells import FAULTS, KINDS, STEPS, diagonal, matrix
from fault_matrix import run_exam

from firmware_app.config.light import LightConfig
from firmware_app.model import Eye
from hw.errors import DeviceFault
from hw.sim.fault_commands import COMMANDS
from hw.sim.settings import SimSettings

pytestmark = pytest.mark.timeout(180)
SLOW_MM_PER_MIN = 600.0  # 10 mm/s


def test_every_fault_of_the_simulator_is_in_the_matrix() -> None:
    verbs = {command.split()[0] for command in COMMANDS.split(", ")} - {"replug", "gaze"}
    assert {fault.inflict.split()[0] for fault in FAULTS} == verbs
    for name, kind in KINDS.items():
        cells = {(fault.name, step) for exam in matrix(name) for step, fault in exam.items()}
        assert cells == {(fault.name, step) for fault in kind.faults for step in STEPS}
    short = [(kind, step, fault.name) for kind, exam in diagonal() for step, fault in exam.items()]
    assert {kind for kind, _, _ in short} == set(KINDS)
    assert {step for _, step, _ in short} == set(STEPS)
    assert {name for _, _, name in short} == {fault.name for fault in FAULTS}


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with hospital(tmp_path_factory.mktemp("h")) as built:
        yield built


@pytest.mark.parametrize("number", range(len(diagonal())), ids=[kind for kind, _ in diagonal()])
async def test_every_fault_every_step_and_every_kind(number: int, tmp_path: Path, peer: Hospital) -> None:
    kind, faults = diagonal()[number]
    settings = SimSettings(seed=3, stage=kind, link_dir=tmp_path / "ports")
    async with fault_bench(tmp_path, settings, KINDS[kind].lamps, peer) as bench:
        outcomes = await run_exam(bench, faults, number)
        assert [each.step for each in outcomes] == [step for step in STEPS if step in faults]
        assert not [each.line for each in outcomes if each.problem]


@pytest.mark.parametrize("kind", ["grbl", "asi-tiger"])
async def test_who_is_stopped_on_a_long_way_is_told_at_once(kind: str, tmp_path: Path) -> None:
    slow = (SLOW_MM_PER_MIN,) * 3
    near = (-3.0, -3.0, -3.0)
    settings = SimSettings(
        stage=kind, camera=False, link_dir=tmp_path / "ports", max_rate_mm_per_min=slow, start_mm=near
    )
    async with fault_bench(tmp_path, settings, LightConfig()) as bench:
        await bench.service.capture.home()
        told_s: list[float] = []

        async def drive() -> None:
            with pytest.raises(DeviceFault, match="was stopped"):
                await bench.service.capture.go_to_eye(Eye.RIGHT)
            told_s.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drive)
            await bench.until("moving", lambda: bench.simulator.moving)
            await bench.service.capture.stop()
            stopped_s = trio.current_time()
        assert told_s[0] < stopped_s + 3, "not when the way of 8 s would have ended"
        assert bench.is_homed
