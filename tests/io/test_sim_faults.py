"""Every fault of the simulated instrument, for every kind of stage and the camera: what the driver makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
import trio

from firmware_app.model import Frame, Position
from hw.abc import Stage
from hw.errors import Deadline, DeviceError, DeviceFault, DeviceLost, ProtocolError
from hw.grbl import link as grbl_link
from hw.grbl.stage import GrblSettings, open_grbl
from hw.sangaboard import link as sangaboard_link
from hw.sangaboard.stage import SangaboardSettings, open_sangaboard
from hw.serial_camera import camera as serial_camera
from hw.serial_camera.camera import SerialCamera, open_serial_camera
from hw.sim.instrument import SimSettings, SimulatedInstrument, stage_config
from hw.sim.stage_kinds import KINDS

QUICK = SimSettings(
    camera=False,
    travel_mm=(20.0, 10.0, 10.0),
    max_rate_mm_per_min=(12000.0, 12000.0, 12000.0),
    acceleration_mm_per_s2=(4000.0, 4000.0, 4000.0),
    seek_mm_per_min=12000.0,
    locate_mm_per_min=2400.0,
    debounce_ms=2.0,
    min_step_delay_us=25,
    slow_delay_us=100,
    um_per_step=(5.0, 5.0, 5.0),
    start_mm=(-10.0, -5.0, -5.0),
)
SANGABOARDS = ("sangaboard-1.0", "sangaboard-0.5", "sangaboard-0.4")
STAGES = ("grbl", *SANGABOARDS)
OPENED = {"grbl": (GrblSettings, open_grbl)} | dict.fromkeys(SANGABOARDS, (SangaboardSettings, open_sangaboard))
TOLERANCE_UM = 5.0
FAR_UM = 1000.0


def test_every_kind_of_stage_is_tested() -> None:
    """Of these two families; other drivers test theirs beside their own."""
    assert {kind for kind in KINDS if kind.startswith(("grbl", "sangaboard"))} == set(STAGES)


def settings_of(sim: SimSettings) -> GrblSettings | SangaboardSettings:
    settings, _ = OPENED[sim.stage]
    table = {key: value for key, value in stage_config(sim).items() if key in settings.__dataclass_fields__}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return replace(settings(**values), settle_s=0.0)  # type: ignore[arg-type]


@asynccontextmanager
async def powered(sim: SimSettings) -> AsyncIterator[SimulatedInstrument]:
    instrument = SimulatedInstrument(sim)
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        yield instrument
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def opened(instrument: SimulatedInstrument) -> AsyncIterator[Stage]:
    _, open_stage = OPENED[instrument.settings.stage]
    async with open_stage(instrument.ports.stage, settings_of(instrument.settings), simulated=True) as stage:  # type: ignore[arg-type, operator]
        yield stage


@asynccontextmanager
async def homed_stage(kind: str) -> AsyncIterator[tuple[SimulatedInstrument, Stage]]:
    async with powered(replace(QUICK, stage=kind)) as instrument, opened(instrument) as stage:
        await stage.home()
        yield instrument, stage


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has a second to wait here."""
    for link in (grbl_link, sangaboard_link):
        monkeypatch.setattr(link, "REPLY_S", 0.2)
    monkeypatch.setattr(grbl_link, "BANNER_S", 0.3)


def middle(stage: Stage) -> Position:
    low, high = stage.limits.low, stage.limits.high
    return Position(*((getattr(low, a) + getattr(high, a)) / 2 for a in ("x_um", "y_um", "z_um")))


def off_um(instrument: SimulatedInstrument, at: Position, origin: Position) -> float:
    truth = instrument.position()
    return max(abs(getattr(truth, a) - getattr(origin, a) - getattr(at, a)) for a in ("x_um", "y_um", "z_um"))


def origin_of(instrument: SimulatedInstrument, at: Position) -> Position:
    """By hand the frame begins anywhere; with switches at them."""
    truth = instrument.position()
    if instrument.settings.stage != "sangaboard-0.4":
        return Position(0.0, 0.0, 0.0)
    return Position(truth.x_um - at.x_um, truth.y_um - at.y_um, truth.z_um - at.z_um)


@pytest.mark.parametrize("kind", STAGES)
async def test_silence_is_a_deadline_and_ends_when_it_ends(kind: str, impatient: None) -> None:
    async with homed_stage(kind) as (instrument, stage):
        await instrument.command("silence")
        with pytest.raises(Deadline, match="within"):
            await stage.move_to(middle(stage))
        with pytest.raises(Deadline, match="within"):
            await stage.position()
        await instrument.command("silence off")
        assert stage.identity.simulated
        assert isinstance(await stage.position(), Position)


@pytest.mark.parametrize("kind", STAGES)
async def test_garbage_between_the_answers_is_survived(kind: str) -> None:
    async with homed_stage(kind) as (instrument, stage):
        for _ in range(3):
            await instrument.command("garbage")
            target = middle(stage)
            end = await stage.move_to(target)
            assert abs(end.x_um - target.x_um) <= TOLERANCE_UM
            await stage.move_to(stage.limits.high)
        assert stage.homed


@pytest.mark.parametrize("kind", STAGES)
async def test_half_an_answer_is_never_a_position(kind: str, impatient: None) -> None:
    async with homed_stage(kind) as (instrument, stage):
        at = await stage.position()
        await instrument.command("half stage")
        with pytest.raises((Deadline, ProtocolError)):
            await stage.position()
        if kind.startswith("sangaboard"):
            assert await stage.position() == at, "it asks something else until it is understood"
        # The rest of the half line spoils the line after it, too.
        with trio.fail_after(5):
            while True:
                try:
                    assert await stage.position() == at
                    break
                except (Deadline, ProtocolError):
                    continue
        assert stage.homed


@pytest.mark.parametrize("kind", STAGES)
async def test_a_slow_line_is_waited_for_and_a_dead_slow_one_is_not(kind: str, impatient: None) -> None:
    async with homed_stage(kind) as (instrument, stage):
        at = await stage.position()
        await instrument.command("slow stage 0.02")
        assert await stage.position() == at
        target = middle(stage)
        end = await stage.move_to(target)
        assert abs(end.z_um - target.z_um) <= TOLERANCE_UM
        await instrument.command("slow stage 0.5")
        with pytest.raises(Deadline):
            await stage.position()
        await instrument.command("slow stage off")


@pytest.mark.parametrize("kind", STAGES)
async def test_an_io_error_is_a_lost_device_and_the_port_is_back_at_once(kind: str) -> None:
    """The board behind the USB bridge has kept its power, and its count."""
    async with powered(replace(QUICK, stage=kind)) as instrument:
        async with opened(instrument) as stage:
            await stage.home()
            end = await stage.move_to(middle(stage))
            origin = origin_of(instrument, end)
            await instrument.command("eio stage")
            assert "gone" in (reason := await stage.wait_lost()) or "hung up" in reason
            with pytest.raises(DeviceLost):
                await stage.position()
            assert not stage.homed
        async with opened(instrument) as stage:
            assert await stage.position() == end
            assert not stage.homed, "what happened meanwhile is not known"
            assert off_um(instrument, end, origin) <= TOLERANCE_UM


@pytest.mark.parametrize("kind", STAGES)
async def test_a_board_that_restarts_by_itself_has_lost_its_place(kind: str, impatient: None) -> None:
    async with homed_stage(kind) as (instrument, stage):
        await stage.move_to(middle(stage))
        await instrument.command("restart")
        with pytest.raises(DeviceError):
            for _ in range(3):  # it may be noticed by its banner, or by an answer that does not come
                await stage.move_by(dx_um=FAR_UM)
        assert not stage.homed


@pytest.mark.parametrize("kind", ["grbl", "sangaboard-1.0", "sangaboard-0.5"])
async def test_a_switch_hit_in_a_move_is_told_and_costs_the_frame(kind: str) -> None:
    async with homed_stage(kind) as (instrument, stage):
        told: list[DeviceError] = []

        async def move() -> None:
            try:
                await stage.move_to(stage.limits.low)
            except DeviceError as error:
                told.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(move)
            while not instrument.moving:
                await trio.lowlevel.checkpoint()
            await instrument.command("alarm 1")
        codes = {"grbl": {"ALARM:1"}, "sangaboard-1.0": {"endstop"}, "sangaboard-0.5": {"position"}}
        assert {error.code for error in told if isinstance(error, DeviceFault)} == codes[kind]
        assert not stage.homed
        end = await stage.home()
        assert off_um(instrument, end, Position(0.0, 0.0, 0.0)) <= TOLERANCE_UM


@pytest.mark.parametrize("kind", STAGES)
async def test_a_stuck_motor_is_not_seen_until_it_is_homed(kind: str) -> None:
    """No board of these has an encoder: it counts what it steps. The driver cannot know, and homing finds out."""
    async with homed_stage(kind) as (instrument, stage):
        at = await stage.position()
        origin = origin_of(instrument, at)
        await instrument.command("stuck x")
        end = await stage.move_to(replace(middle(stage), x_um=stage.limits.low.x_um))
        assert stage.homed
        assert off_um(instrument, end, origin) >= FAR_UM
        if kind != "sangaboard-0.4":
            with pytest.raises(DeviceFault, match=r"ALARM:[89]|no min switch was found along x|stays pressed"):
                await stage.home()
            assert not stage.homed
        await instrument.command("stuck off")


@pytest.mark.parametrize("kind", STAGES)
async def test_lost_steps_are_not_seen_and_homing_takes_them_back(kind: str) -> None:
    async with homed_stage(kind) as (instrument, stage):
        at = await stage.move_to(middle(stage))
        origin = origin_of(instrument, at)
        await instrument.command("lost y 1500")
        assert await stage.position() == at
        end = await stage.move_by(dy_um=-500.0)
        assert stage.homed
        assert off_um(instrument, end, origin) == pytest.approx(1500.0, abs=TOLERANCE_UM)
        home = await stage.home()
        remaining = 1500.0 if kind == "sangaboard-0.4" else 0.0  # by hand there is no switch to find it by
        assert off_um(instrument, home, origin) == pytest.approx(remaining, abs=TOLERANCE_UM)


@pytest.mark.parametrize("kind", STAGES)
async def test_alarms_that_a_board_does_not_have_are_refused(kind: str) -> None:
    async with powered(replace(QUICK, stage=kind)) as instrument:
        with pytest.raises(ValueError, match=f"{kind} has 1 to {KINDS[kind].alarms}; there are: unplug"):
            await instrument.command("alarm 99")
        await instrument.command("unplug stage")
        for line in ("alarm 1", "restart", "eio stage"):
            with pytest.raises(ValueError, match="the stage is not plugged in"):
                await instrument.command(line)
        with pytest.raises(ValueError, match="there is no camera for 'drop 1'"):
            await instrument.command("drop 1")


# ------------------------------------------------------------------------------------------ the camera


@asynccontextmanager
async def simulated_camera() -> AsyncIterator[tuple[SimulatedInstrument, SerialCamera]]:
    async with (
        powered(replace(QUICK, camera=True)) as instrument,
        open_serial_camera(instrument.ports.camera, simulated=True) as camera,
    ):
        yield instrument, camera


async def take(camera: SerialCamera, count: int) -> list[Frame]:
    frames: list[Frame] = []
    async with aclosing(camera.frames()) as stream:
        async for frame in stream:
            frames.append(frame)
            if len(frames) == count:
                break
    return frames


async def test_dropped_frames_are_counted() -> None:
    async with simulated_camera() as (instrument, camera):
        await take(camera, 1)
        before = camera.dropped
        await instrument.command("drop 3")
        while camera.dropped < before + 3:
            await take(camera, 1)
        assert camera.corrupt == 0


@pytest.mark.parametrize(("command", "count"), [("corrupt 2", 2), ("half camera", 1)])
async def test_a_damaged_frame_is_counted_and_never_shown(command: str, count: int) -> None:
    async with simulated_camera() as (instrument, camera):
        first = (await take(camera, 1))[0]
        await instrument.command(command)
        while camera.corrupt < count:
            await take(camera, 1)
        last = (await take(camera, 1))[0]
        assert last.sequence > first.sequence + count
        assert last.pixels.shape == first.pixels.shape


async def test_garbage_between_frames_costs_no_more_than_the_frame_it_hits() -> None:
    async with simulated_camera() as (instrument, camera):
        for _ in range(3):
            await instrument.command("garbage camera")
            frames = await take(camera, 2)
            assert frames[1].sequence > frames[0].sequence


async def test_a_slow_camera_is_waited_for() -> None:
    async with simulated_camera() as (instrument, camera):
        await instrument.command("slow camera 0.1")
        frames = await take(camera, 3)
        assert frames[-1].monotonic_ns - frames[0].monotonic_ns >= 0.2e9
        await instrument.command("slow camera off")


async def test_a_silent_camera_is_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_camera, "FRAME_S", 0.3)
    async with simulated_camera() as (instrument, camera):
        await take(camera, 1)
        await instrument.command("silence camera")
        with pytest.raises(Deadline, match="no frame for"):
            await take(camera, 20)
        await instrument.command("silence camera off")
        await take(camera, 2)


@pytest.mark.parametrize("fault", ["eio camera", "unplug camera"])
async def test_a_lost_camera_can_be_opened_anew(fault: str) -> None:
    async with powered(replace(QUICK, camera=True)) as instrument:
        with pytest.raises(DeviceLost):
            async with open_serial_camera(instrument.ports.camera, simulated=True) as camera:
                await take(camera, 1)
                await instrument.command(fault)
                await take(camera, 50)
        if fault == "unplug camera":
            with pytest.raises(DeviceLost, match="no such port"):
                async with open_serial_camera(instrument.ports.camera or "/dev/unplugged", simulated=True):
                    pass
            await instrument.command("replug camera")
        async with open_serial_camera(instrument.ports.camera, simulated=True) as camera:
            assert len(await take(camera, 2)) == 2
