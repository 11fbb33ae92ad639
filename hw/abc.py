"""What a stage and a camera promise, in um and seconds. Drivers are structural: nothing to inherit from."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from firmware_app.model import Frame, Position


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers on the port. `label` is what every status shows: `grbl:/dev/ttyACM0`, `sim+grbl:/dev/pts/3`."""

    label: str
    firmware: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class StageLimits:
    """The reachable box in the machine frame; checked before anything is sent."""

    low: Position
    high: Position


@dataclass(frozen=True, slots=True)
class StampedPosition:
    """Where the stage was, and CLOCK_MONOTONIC when the board said so."""

    position: Position
    monotonic_ns: int


class Stage(Protocol):
    """One stage. Every call raises a `hw.errors.DeviceError`; leaving a move's scope stops the motion at once."""

    @property
    def identity(self) -> Identity: ...

    @property
    def limits(self) -> StageLimits: ...

    @property
    def homed(self) -> bool: ...

    async def home(self) -> Position:
        """Find the machine frame. Returns where the stage is afterwards."""
        ...

    async def position(self) -> Position:
        """Ask the device where it is now."""
        ...

    def positions(self) -> AsyncGenerator[StampedPosition, None]:
        """Where the stage is, again and again as fast as the board answers, at most ten times a second, moves included.

        Close it with `aclosing`. A board that cannot answer during a move says nothing until its end.
        """
        ...

    async def move_to(self, target: Position) -> Position:
        """Go there and return where the stage is; `Refused` outside the limits or when not homed.

        With a backlash configured every axis arrives from below: a move downwards goes past the target and returns.
        """
        ...

    async def move_by(self, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position: ...

    async def stop(self) -> Position:
        """Stop now, position kept."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the lamp outputs of the board, as its makers call them (`spindle`, `flood`, `cc`); none: empty."""
        ...

    @property
    def outputs_lost(self) -> int:
        """How often the board has put its outputs out by itself, in an alarm, a reset or a restart: they stay dark."""
        ...

    async def set_output(self, name: str, level: float) -> None:
        """Switch or dim an output, `level` 0..1; on or off only where the board can do no more.

        `Refused` for a name that is not one of `outputs` and a level out of range; `DeviceFault` where the board's own
        status says that it did not follow.
        """
        ...

    async def wait_lost(self) -> str:
        """Returns when the device is of no more use, with the reason: whoever supervises it waits here."""
        ...

    async def aclose(self) -> None: ...


class Camera(Protocol):
    """One camera. `frames()` yields the latest frame: older ones are dropped and counted, the camera never waits."""

    @property
    def identity(self) -> Identity: ...

    @property
    def dropped(self) -> int: ...

    @property
    def corrupt(self) -> int: ...

    async def configure(self, *, bits_stored: int, exposure_us: int | None = None) -> None: ...

    def frames(self) -> AsyncGenerator[Frame, None]:
        """The latest frame, again and again; one begun before the call is never yielded. Close it with `aclosing`.

        `Deadline` where none comes for longer than the camera's own interval or exposure and two seconds.
        """
        ...

    async def wait_lost(self) -> str:
        """Returns when the device is of no more use, with the reason: whoever supervises it waits here."""
        ...

    async def aclose(self) -> None: ...
