"""Calibrating on a target in front of a stage and a camera whose faults are known."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
from rendered_target import RenderedTarget

from firmware_app.config import CameraConfig, Config, GrblConfig, PathsConfig, SerialCameraConfig
from firmware_app.console.commands import CommandContext, CommandTable
from firmware_app.model import Event, Frame, Position
from firmware_app.records.calibrations import read_journal
from firmware_app.services.calibration import Calibrations, CalibrationService, Target, move_lengths
from firmware_app.services.calibration_commands import CalibrationCommands
from firmware_app.services.capture import CaptureService
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.selftest import Bench as SelftestBench
from firmware_app.services.selftest import Surroundings, check_calibration
from hw.abc import Camera, Identity, Stage
from hw.errors import Refused

NOW = datetime.fromisoformat("2026-03-01T10:00:00+01:00")
SHAPE = (240, 320)
ORIGIN = Position(-50_000.0, -20_000.0, -10_000.0)
GRID = Target(10.0, "grid", "no. 7", tolerance_percent=0.1)


@dataclass
class BadStage:
    """Goes `ratio` um for each um that it is told, in steps of its own."""

    ratio: tuple[float, float] = (1.0, 1.0)
    step_um: float = 0.1
    at: Position = ORIGIN
    moves: list[Position] = field(default_factory=list)
    identity: Identity = field(default_factory=lambda: Identity("grbl:/dev/stage", "Grbl 1.1h", False))

    async def position(self) -> Position:
        await trio.lowlevel.checkpoint()
        return self.at

    async def move_to(self, target: Position) -> Position:
        await trio.lowlevel.checkpoint()
        self.moves.append(target)
        self.at = target
        return target

    @property
    def really_um(self) -> tuple[float, float]:
        x, y = (
            (um + off) * r
            for um, off, r in zip((self.at.x_um, self.at.y_um), (50_000, 20_000), self.ratio, strict=True)
        )
        return round(x / self.step_um) * self.step_um, round(y / self.step_um) * self.step_um


@dataclass
class CameraOnTarget:
    """Sees the target where the stage really is."""

    target: RenderedTarget
    stage: BadStage
    identity: Identity = field(default_factory=lambda: Identity("serial:/dev/camera", "CAM 1.0", False))
    taken: int = 0

    async def frames(self) -> AsyncGenerator[Frame, None]:
        while True:
            self.taken += 1
            await trio.lowlevel.checkpoint()
            yield Frame(self.target.picture(self.stage.really_um, seed=self.taken), 8, self.taken, self.taken)


@dataclass
class Bench:
    service: CalibrationService
    capture: CaptureService
    stage: BadStage
    events: list[Event]
    said: list[str] = field(default_factory=list)

    def commands(self) -> CommandTable:
        return CommandTable(CalibrationCommands(self.service, "Op^Otto").table())

    async def run(self, line: str) -> Any:
        table = self.commands()
        invocation = table.parse(line)
        return await invocation.command.handler(CommandContext(table, self.said.append), invocation.arguments)


def configuration(folder: Path, um_per_px: float = 0.85) -> Config:
    camera: CameraConfig = SerialCameraConfig(um_per_px=um_per_px)
    return Config(paths=PathsConfig(state=str(folder)), camera=camera, stage=GrblConfig())


@asynccontextmanager
async def bench(folder: Path, target: RenderedTarget, stage: BadStage | None = None) -> AsyncIterator[Bench]:
    config, events, board = configuration(folder), list[Event](), stage or BadStage()
    stages: DeviceSlot[Stage] = DeviceSlot("stage", lambda: NOW)
    cameras: DeviceSlot[Camera] = DeviceSlot("camera", lambda: NOW)
    stages._set(cast(Stage, board), stages.status.state, "")
    cameras._set(cast(Camera, CameraOnTarget(target, board)), cameras.status.state, "")
    book = Calibrations(config, lambda: NOW)
    sender, receiver = trio.open_memory_channel[Any](1)
    capture = CaptureService(config, stages, cameras, cast(Any, None), sender, events.append, scale_of_frame=book.scale)
    yield Bench(CalibrationService(book, capture, stages, cameras, lambda: NOW, events.append), capture, board, events)
    sender.close()
    receiver.close()


def target(**changes: Any) -> RenderedTarget:
    return RenderedTarget(**{"pitch_um": 10.0, "shape": SHAPE, "turn_deg": 1.5, **changes})


async def test_the_scale_is_measured_kept_and_used_from_then_on(tmp_path: Path) -> None:
    async with bench(tmp_path, target(um_per_px=0.8612)) as made:
        frame = Frame(target().picture(), 8, 1, 1)
        assert made.service.book.scale(frame, simulated=False).um_per_px == 0.85
        reply = await made.run('calibrate camera 10 --target "no. 7" --tolerance 0.1 --by Tina')
        assert reply.data["um_per_px"] == pytest.approx(0.8612, rel=5e-4)
        assert 0.1 < reply.data["uncertainty_percent"] < 0.3, "the target's own tolerance is part of it"
        assert len(made.said) == 5
        assert "WARNING: the calibration is +1.32 % from camera.um_per_px = 0.85" in reply.text
        assert [event.kind for event in made.events] == ["calibration.camera"]
        held = made.service.book.scale(frame, simulated=False)
        assert (held.um_per_px, held.calibration) == (reply.data["um_per_px"], read_journal(tmp_path).cameras[0])
        assert made.service.book.scale(frame, simulated=True).calibration is None, "a simulator's is another's"
    (kept,) = read_journal(tmp_path).cameras
    assert (kept.operator, kept.target, kept.measured_at) == ("Tina", "grid of 10 um, no. 7", NOW.isoformat())
    assert (kept.rows, kept.columns, kept.camera, kept.drift_percent) == (*SHAPE, "serial:/dev/camera (CAM 1.0)", None)
    assert kept.rotation_deg == pytest.approx(1.5, abs=0.05)


async def test_the_next_calibration_knows_its_drift(tmp_path: Path) -> None:
    for um_per_px in (0.85, 0.867):
        async with bench(tmp_path, target(um_per_px=um_per_px)) as made:
            await made.service.calibrate_camera(GRID, "Otto", made.said.append)
            detail = made.service.book.detail
    first, second = read_journal(tmp_path).cameras
    assert first.drift_percent is None
    assert second.drift_percent == pytest.approx(2.0, abs=0.05)
    assert "WARNING: the calibration differs by +2.0" in detail
    async with bench(tmp_path, target()) as made:
        shown = await made.run("calibrate show")
    assert shown.text.count("grid of 10 um") == 3, "the one that holds, and both on record"
    assert len(shown.data["cameras"]) == 2


@pytest.mark.parametrize("turn_deg", [0.0, 1.5, 40.0])
async def test_wrong_steps_per_mm_are_found_whatever_the_cameras_scale_is(tmp_path: Path, turn_deg: float) -> None:
    stage = BadStage(ratio=(1.03, 0.5))
    async with bench(tmp_path, target(turn_deg=turn_deg, um_per_px=0.93), stage) as made:
        reply = await made.run("calibrate stage 10")
    assert reply.data["x_ratio"] == pytest.approx(1.03, abs=0.003)
    assert reply.data["y_ratio"] == pytest.approx(0.5, abs=0.003)
    assert reply.data["uncertainty_percent"] < 1
    assert "WARNING: the stage goes 1.03" in reply.text
    assert "um for each um in y (-50.0" in reply.text or "um for each um in y (-49.9" in reply.text
    assert abs(reply.data["angle_deg"]) == pytest.approx(turn_deg, abs=0.3)
    assert stage.at == ORIGIN, "it comes back"
    farthest = max(abs(each.x_um - ORIGIN.x_um) for each in stage.moves)
    assert farthest <= 0.25 * SHAPE[0] * 0.94
    assert read_journal(tmp_path).stages[0].y_ratio == reply.data["y_ratio"]


async def test_a_good_stage_is_not_warned_of(tmp_path: Path) -> None:
    async with bench(tmp_path, target(), BadStage(step_um=1.25)) as made:
        reply = await made.run("calibrate stage 10 --distance 40")
        assert "WARNING" not in reply.text
        assert "stage x 1.00" in made.service.book.detail


async def test_what_a_simulated_camera_saw_is_no_check_of_a_real_stage(tmp_path: Path) -> None:
    async with bench(tmp_path, target()) as made:
        seen = cast(CameraOnTarget, made.service._camera.require())
        seen.identity = Identity("sim+serial:/dev/camera", "SPECULAR-SIM", True)
        made_check = await made.service.check_stage(GRID, 40.0, "Otto", made.said.append)
        assert made_check.simulated
        assert made.service.book.latest_stage() is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("calibrate stage 10 --pattern lines", "ruled lines show only the way across them"),
        ("calibrate stage 10 --distance 1", "are too short for a target of 10 um"),
        ("calibrate camera 500", "calibration: "),
    ],
)
async def test_what_cannot_be_calibrated_is_refused_and_nothing_is_kept(tmp_path: Path, line: str, told: str) -> None:
    async with bench(tmp_path, target()) as made:
        with pytest.raises(Refused, match=told):
            await made.run(line)
        assert made.capture.busy == ""
        with pytest.raises(Refused, match=r"only lines of one direction|no periodic target"):
            async with bench(tmp_path, target(pattern="lines")) as ruled:
                await ruled.run("calibrate camera 10")
    assert read_journal(tmp_path).cameras == read_journal(tmp_path).stages == ()


async def test_one_thing_at_a_time_and_a_cancelled_one_keeps_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    async with bench(tmp_path, target()) as made:
        nursery.start_soon(made.run, "calibrate stage 10")
        while len(made.stage.moves) < 2:
            await trio.lowlevel.checkpoint()
        with pytest.raises(Refused, match="busy checking the stage"):
            await made.run("calibrate camera 10")
        nursery.cancel_scope.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()
    assert read_journal(tmp_path).stages == ()


def test_each_move_is_at_most_twice_the_one_before() -> None:
    lengths = move_lengths(20.0, 75.0)
    assert lengths == [4.0, 8.0, 16.0, 32.0, 64.0, 75.0]
    assert move_lengths(20.0, 4.0) == [4.0]


@pytest.mark.parametrize(
    ("um_per_px", "calibrated", "verdict", "told"),
    [
        (0.0, False, "fail", "not calibrated"),
        (0.85, False, "pass", "as the configuration states, not measured"),
        (0.85, True, "pass", "measured 2026-03-01 on grid of 10 um"),
        (0.95, True, "fail", "% from camera.um_per_px = 0.95"),
    ],
)
async def test_the_selftest_says_what_the_scale_rests_on(
    tmp_path: Path, um_per_px: float, calibrated: bool, verdict: str, told: str
) -> None:
    if calibrated:
        async with bench(tmp_path, target()) as made:
            await made.service.calibrate_camera(GRID, "Otto", made.said.append)
    config = configuration(tmp_path, um_per_px)
    outcome = await check_calibration(SelftestBench(config, cast(Any, None), Surroundings(now=lambda: NOW)))
    assert (outcome.verdict, told in outcome.reason) == (verdict, True), outcome.reason
