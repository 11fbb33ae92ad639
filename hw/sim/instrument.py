"""The simulated instrument: a Grbl board and a camera, each on a pty of its own, in front of one pair of eyes.

Moving the stage moves the picture. Faults come as lines of text, the same from a test and from the command line; see
`COMMANDS`.
"""

from __future__ import annotations

import os
import random
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import trio

from firmware_app.model import Eye, Position
from hw.sim.firmware_grbl import GrblFirmware
from hw.sim.motion import Slides
from hw.sim.plug import Device, Plug
from hw.sim.settings import BUILD_INFO
from hw.sim.settings import SIM_STAGE_CONFIG as SIM_STAGE_CONFIG
from hw.sim.settings import SimSettings as SimSettings
from hw.sim.settings import stage_config as stage_config

if TYPE_CHECKING:
    from hw.sim.eye import SimulatedHead

WRITE_S: Final = 0.2  # how long a host may leave its input full before bytes fall off: a UART has no flow control
GARBAGE_BYTES: Final = 200
COMMANDS: Final = "unplug stage|camera, replug stage|camera, silence [on|off], garbage, alarm N, gaze X_DEG Y_DEG"


@dataclass(frozen=True, slots=True)
class InstrumentPorts:
    """What to open: the links when there are any, otherwise the ptys. `camera` is empty when there is none."""

    stage: str
    camera: str


class SimulatedInstrument:
    """`run` powers it; `command` breaks it; `position` is the truth that no driver gets to see."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        self._slides = Slides(settings.power_up_mm(), settings.travel_mm, settings.steps_per_mm)
        self._grbl = settings.grbl()  # what is stored on the board survives its power
        self._board: GrblFirmware | None = None
        self._unsent = bytearray()
        self._wait = trio.CancelScope()
        self._silent = False
        self._chance = random.Random(settings.seed)
        self._head = _head(settings) if settings.camera else None
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

    @property
    def moving(self) -> bool:
        return self._slides.speed(trio.current_time()) > 0

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
        match line.split():
            case ["unplug", "stage"]:
                await self._stage.unplug()
            case ["replug", "stage"]:
                await self._stage.replug()
            case ["unplug", "camera"] if self._head is not None:
                await self._camera.unplug()
            case ["replug", "camera"] if self._head is not None:
                await self._camera.replug()
            case ["silence"] | ["silence", "on"]:
                self._silent = True
            case ["silence", "off"]:
                self._silent = False
            case ["garbage"]:
                self._say(bytes(self._chance.choices(range(256), k=GARBAGE_BYTES)) + b"\n")
            case ["alarm", number] if number.isdecimal() and 1 <= int(number) <= 10:
                if self._board is None:
                    raise ValueError("the stage is not plugged in")
                self._say(self._board.inject_alarm(int(number), trio.current_time()))
            case ["gaze", x_deg, y_deg] if self._head is not None:
                self._head.look(_degrees(x_deg), _degrees(y_deg))
            case _:
                raise ValueError(f"unknown command {line.strip()!r}; there are: {COMMANDS}")
        await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------ the devices

    async def _serve_camera(self, fd: int) -> None:
        from hw.sim.camera import serve_camera  # with numpy, which an instrument without a camera does not need

        assert self._head is not None
        await serve_camera(fd, self._head, self.position)

    async def _serve_stage(self, fd: int) -> None:
        """From power-up to the moment the plug is pulled, which also takes the motors' power."""
        self._silent = False
        self._unsent.clear()
        board = GrblFirmware(self._slides, self._grbl, build_info=BUILD_INFO, now_s=trio.current_time())
        self._board = board
        self._say(board.advance(trio.current_time()))
        try:
            while True:
                await self._transmit(fd)
                with trio.move_on_at(board.wake_s) as self._wait:
                    if not self._unsent:
                        await trio.lowlevel.wait_readable(fd)
                data = _waiting(fd)
                now_s = trio.current_time()
                self._say(board.advance(now_s) if self._silent else board.receive(data, now_s))
        finally:
            self._board = None
            self._slides.power_off(trio.current_time())

    def _say(self, data: bytes) -> None:
        self._unsent += data
        self._wait.cancel()

    async def _transmit(self, fd: int) -> None:
        with trio.move_on_after(WRITE_S):
            while self._unsent and not self._silent:
                try:
                    del self._unsent[: os.write(fd, self._unsent)]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(fd)
        self._unsent.clear()
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


def _head(settings: SimSettings) -> SimulatedHead:
    from hw.sim.behaviour import CALM, RESTLESS  # with numpy, see above
    from hw.sim.eye import SimulatedHead

    condition = replace(RESTLESS if settings.restless else CALM, guttae_percent=settings.guttae_percent)
    return SimulatedHead(settings.seed, condition)


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"gaze: {text!r} is no number of degrees") from error


def _waiting(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
