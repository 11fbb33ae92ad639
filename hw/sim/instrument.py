"""The simulated instrument: a stage's board and a camera, each on a pty of its own, in front of one pair of eyes.

Moving the stage moves the picture. Faults come as lines of text, the same from a test and from the command line; see
`COMMANDS`.
"""

from __future__ import annotations

import os
import random
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import trio

from firmware_app.model import Eye, Position
from hw.sim.fault_commands import COMMANDS as COMMANDS
from hw.sim.fault_commands import Fault, parse
from hw.sim.line import Line
from hw.sim.motion import Slides
from hw.sim.plug import Device, Plug
from hw.sim.settings import SimSettings as SimSettings
from hw.sim.stage_kinds import KINDS, BoardFirmware
from hw.sim.stage_kinds import SIM_STAGE_CONFIG as SIM_STAGE_CONFIG
from hw.sim.stage_kinds import stage_config as stage_config

if TYPE_CHECKING:
    from hw.sim.camera import CameraFaults, CameraState
    from hw.sim.eye import SimulatedHead

WRITE_S: Final = 0.2  # how long a host may leave its input full before bytes fall off: a UART has no flow control
GARBAGE_BYTES: Final = 200


@dataclass(frozen=True, slots=True)
class InstrumentPorts:
    """What to open: the links when there are any, otherwise the ptys. `camera` is empty when there is none."""

    stage: str
    camera: str


class SimulatedInstrument:
    """`run` powers it; `command` breaks it; `position` is the truth that no driver gets to see."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self._kind = KINDS[settings.stage]
        steps_per_mm = self._kind.steps_per_mm(settings)
        self._slides = Slides(self._kind.start_mm(settings), settings.travel_mm, steps_per_mm, settings.play_mm)
        self._stored = self._kind.memory(settings)  # what is stored on the board survives its power
        self._board: BoardFirmware | None = None
        self._line = Line()
        self._wait = trio.CancelScope()
        self._chance = random.Random(settings.seed)
        self._head = _head(settings.seed, settings.restless, settings.guttae_percent) if settings.camera else None
        self._camera_faults = _camera_faults() if settings.camera else None
        self._camera_state: CameraState | None = None
        folder = settings.link_dir
        self._stage = Device("stage", Plug(folder and folder / "stage", always_open=True), self._serve_stage)
        self._camera = Device("camera", Plug(folder and folder / "camera", always_open=False), self._serve_camera)

    @property
    def ports(self) -> InstrumentPorts:
        return InstrumentPorts(self._stage.plug.port, self._camera.plug.port if self._head is not None else "")

    @property
    def truth(self) -> dict[str, dict[str, object]]:
        """What there is to be measured, by laterality."""
        head = self._head
        if head is None:
            return {}
        return {eye.value: {**asdict(head.truth(eye)), "thickness_um": head.thickness_um(eye)} for eye in Eye}

    def position(self) -> Position:
        """Where the stage truly is, in um from the home switches."""
        x, y, z = self._slides.physical_mm(trio.current_time())
        return Position(x * 1000, y * 1000, z * 1000)

    def lamps(self) -> dict[str, float]:
        """How bright each output of the board is, 0..1."""
        return self._board.lamps() if self._board is not None else {}

    def camera_told(self) -> tuple[int, int]:
        """Bits and exposure in us as the camera was last told, or as it wakes up; zeros without a camera."""
        state = self._camera_state
        return (state.bits_stored, state.exposure_us) if state is not None else (0, 0)

    @property
    def speed_mm_per_s(self) -> float:
        """Of the stage, along its path."""
        return self._slides.speed(trio.current_time())

    @property
    def moving(self) -> bool:
        return self.speed_mm_per_s > 0

    async def run(self, *, task_status: trio.TaskStatus[InstrumentPorts] = trio.TASK_STATUS_IGNORED) -> None:
        if self.settings.link_dir is not None:
            self.settings.link_dir.mkdir(parents=True, exist_ok=True)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._stage.run)
            if self._head is not None:
                await nursery.start(self._camera.run)
            task_status.started(self.ports)

    async def command(self, line: str) -> None:
        """One fault; `ValueError` says what is possible."""
        fault = parse(line)
        if fault.device == "camera" and self._camera_faults is None:
            raise ValueError(f"there is no camera for {line.strip()!r}; there are: {COMMANDS}")
        if fault.verb in ("unplug", "replug", "eio"):
            device = self._camera if fault.device == "camera" else self._stage
            await {"unplug": device.unplug, "replug": device.replug, "eio": device.glitch}[fault.verb]()
        elif fault.device == "camera":
            self._disturb_camera(fault)
        elif fault.verb in ("alarm", "restart"):
            self._disturb_board(fault)
        elif fault.verb in ("stuck", "free", "lost"):
            self._disturb_slides(fault)
        else:
            self._disturb_line(fault)
        self._wait.cancel()
        await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------ the faults

    def _disturb_line(self, fault: Fault) -> None:
        match fault.verb:
            case "silence":
                self._line.silent = bool(fault.value)
            case "slow":
                self._line.delay_s = fault.value
            case "half":
                self._line.halve_next()
            case _:
                self._line.carry(self._garbage(), trio.current_time())

    def _disturb_slides(self, fault: Fault) -> None:
        match fault.verb:
            case "stuck":
                self._slides.stick(fault.axis, trio.current_time())
            case "free":
                self._slides.free(trio.current_time())
            case _:
                self._slides.slip(fault.axis, fault.value / 1000)

    def _disturb_board(self, fault: Fault) -> None:
        if self._board is None:
            raise ValueError("the stage is not plugged in")
        now_s = trio.current_time()
        if fault.verb == "restart":
            self._slides.power_off(now_s)
            self._board = self._kind.power_up(self.settings, self._slides, self._stored, now_s)
            self._line.carry(self._board.advance(now_s), now_s)
        elif 1 <= fault.value <= self._kind.alarms:
            self._line.carry(self._board.inject_alarm(int(fault.value), now_s), now_s)
        else:
            kind = self.settings.stage
            raise ValueError(f"alarm {fault.value:g}: {kind} has 1 to {self._kind.alarms}; there are: {COMMANDS}")

    def _disturb_camera(self, fault: Fault) -> None:
        faults = self._camera_faults
        assert faults is not None
        match fault.verb:
            case "gaze":
                assert self._head is not None
                self._head.look(fault.value, fault.vertical_deg)
            case "silence":
                faults.silent = bool(fault.value)
            case "slow":
                faults.delay_s = fault.value
            case "half":
                faults.half_frames += 1
            case "drop":
                faults.lost_frames += int(fault.value)
            case "corrupt":
                faults.corrupt_frames += int(fault.value)
            case _:
                faults.garbage += self._garbage()

    def _garbage(self) -> bytes:
        return bytes(self._chance.choices(range(256), k=GARBAGE_BYTES)) + b"\n"

    # ------------------------------------------------------------------------------------------ the devices

    async def _serve_camera(self, fd: int) -> None:
        from hw.sim.camera import CameraState, serve_camera  # with numpy: not for an instrument without a camera

        assert self._head is not None and self._camera_faults is not None
        self._camera_faults.clear()
        self._camera_state = CameraState()
        await serve_camera(fd, self._head, self.position, faults=self._camera_faults, state=self._camera_state)

    async def _serve_stage(self, fd: int) -> None:
        """From power-up to the moment the plug is pulled, which also takes the motors' power."""
        self._line.clear()
        if self._board is None:
            self._board = self._kind.power_up(self.settings, self._slides, self._stored, trio.current_time())
        self._line.carry(self._board.advance(trio.current_time()), trio.current_time())
        try:
            while True:
                await self._transmit(fd)
                with trio.move_on_at(min(self._board.wake_s, self._line.due_s)) as self._wait:
                    await trio.lowlevel.wait_readable(fd)
                data = _waiting(fd)
                now_s = trio.current_time()
                board = self._board
                self._line.carry(board.advance(now_s) if self._line.silent else board.receive(data, now_s), now_s)
        finally:
            if not self._stage.glitching:
                self._board = None
                self._slides.power_off(trio.current_time())

    async def _transmit(self, fd: int) -> None:
        unsent = self._line.arrived(trio.current_time())
        with trio.move_on_after(WRITE_S):
            while unsent:
                try:
                    unsent = unsent[os.write(fd, unsent) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(fd)
        await trio.lowlevel.checkpoint()


async def run_instrument(
    settings: SimSettings,
    *,
    commands: trio.MemoryReceiveChannel[str] | None = None,
    task_status: trio.TaskStatus[InstrumentPorts] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Be the instrument until cancelled. A wrong line among `commands` is a `ValueError`."""
    instrument = SimulatedInstrument(settings)
    async with trio.open_nursery() as nursery:
        ports = await nursery.start(instrument.run)
        task_status.started(ports)
        if commands is not None:
            async for line in commands:
                await instrument.command(line)


@lru_cache(maxsize=1)  # a head is a function of its seed and condition, and takes seconds to grow
def _head(seed: int, restless: bool, guttae_percent: float) -> SimulatedHead:
    from hw.sim.behaviour import CALM, RESTLESS  # with numpy, see above
    from hw.sim.eye import SimulatedHead

    condition = replace(RESTLESS if restless else CALM, guttae_percent=guttae_percent)
    return SimulatedHead(seed, condition)


def _camera_faults() -> CameraFaults:
    from hw.sim.camera import CameraFaults  # with numpy, see above

    return CameraFaults()


def _waiting(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
