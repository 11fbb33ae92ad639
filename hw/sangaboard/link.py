"""The one owner of a Sangaboard's port: sends a line, waits for its answer, tells pushes from answers.

The board answers in the order in which it was asked, and nothing in an answer says what it answers. So one question is
out at a time, it is heard to its end even when its asker is cancelled, and after one that was not answered in time the
next begins with a question whose answer cannot be mistaken (`dt?`): what comes before that answer is old.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import trio

from hw.errors import Deadline, DeviceError, DeviceFault, DeviceLost, ProtocolError
from hw.sangaboard import codec
from hw.sangaboard.codec import (
    BoardError,
    EndOfList,
    EndstopHit,
    Event,
    Module,
    NotMoving,
    StepDelay,
    Stopped,
    Triple,
    UnknownCommand,
    Unrecognised,
    Version,
)
from hw.tty import Tty

REPLY_S: Final = 1.0  # recorded: a few ms; a v0.x board first writes its position to EEPROM, 3.3 ms a byte
WRITE_S: Final = 1.0
BOOT_TRIES: Final = 5  # a board that restarts because its port was opened is deaf for up to two seconds
QUIET_S: Final = 0.1
QUIET_TRIES: Final = 20
WAITING_EVENTS: Final = 64

Answer = TypeVar("Answer", bound=Event)


@dataclass(frozen=True, slots=True)
class Incidents:
    """How often the board said that its count is no longer what it was."""

    restarts: int = 0
    endstops: tuple[int, int, int] = (0, 0, 0)


class SangaboardLink:
    """Nothing here is answered unless `run` is running."""

    def __init__(self, tty: Tty, label: str) -> None:
        self.label = label
        self.incidents = Incidents()
        self.unrecognised = 0
        self.stops = 0  # how often the board said that a move had ended
        self.failure: DeviceError | None = None
        self._tty = tty
        self._scope = trio.CancelScope(shield=True)
        self._ended = trio.Event()
        self._outgoing, self._to_write = trio.open_memory_channel[bytes](0)
        self._changed = trio.Event()
        self._asking = trio.Lock()
        self._answers: deque[Event] = deque(maxlen=WAITING_EVENTS)
        self._heard = 0
        self._in_step = True
        self._last_unrecognised = b""

    # ------------------------------------------------------------------------------------------ the owner

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until the port is lost or `aclose`. Shielded: a caller being cancelled still needs it to stop the stage."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    task_status.started()
                    await self._read()
        except* DeviceError as group:
            self.failure = DeviceLost(str(group.exceptions[0]))
        finally:
            self._tty.close()
            self.failure = self.failure or DeviceLost(f"{self.label}: closed")
            self._to_write.close()
            self._ended.set()
            self._wake()

    async def aclose(self) -> None:
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    async def _read(self) -> None:
        decoder = codec.Decoder()
        while True:
            for event in decoder.feed(await self._tty.receive_some()):
                self._take(event)
            self._wake()

    async def _write(self) -> None:
        async for data in self._to_write:
            await self._tty.send_all(data, timeout_s=WRITE_S)

    def _take(self, event: Event) -> None:
        self._heard += 1
        restarts, endstops = self.incidents.restarts, self.incidents.endstops
        match event:
            case Unrecognised():
                self._last_unrecognised = event.line
                self.unrecognised += 1
            case EndstopHit():
                x, y, z = (hits + (axis == event.axis) for axis, hits in enumerate(endstops))
                self.incidents = Incidents(restarts, (x, y, z))
            case Stopped() | NotMoving():
                self.stops += 1
            case Version():
                self.incidents = Incidents(restarts + 1, endstops)
                self._answers.append(event)
            case _:
                self._answers.append(event)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # ------------------------------------------------------------------------------------------ for callers

    async def wait_lost(self) -> str:
        """Returns when the port is of no more use, with the reason."""
        await self._ended.wait()
        return str(self.failure)

    def require_open(self) -> None:
        """`DeviceLost` when the port is gone."""
        if self.failure is not None:
            raise DeviceLost(str(self.failure)) from self.failure

    async def identify(self) -> Version:
        """Ask who is there until it answers and has nothing more to say."""
        heard = self.unrecognised
        async with self._asking:
            self._answers.clear()
            for _ in range(BOOT_TRIES):
                await self._send(codec.VERSION)
                version: Version | None = None
                with trio.move_on_after(REPLY_S):
                    version = await self._answered_by(Version)
                if version is not None:
                    await self._quiet()
                    return version
        raise self._overdue("answer to 'version'", BOOT_TRIES * REPLY_S, heard)

    async def ask(self, line: bytes, kind: type[Answer], longer_s: float = 0.0) -> Answer:
        """Send a line, return its answer, which may take `longer_s` longer than it takes to say it.

        What the board refuses or does not know is a `DeviceFault`.
        """
        answers = await self._asked(line, kind, longer_s + REPLY_S)
        answer = answers[-1]
        assert isinstance(answer, kind)
        return answer

    async def modules(self) -> list[Module]:
        """The optional parts of the board."""
        answers = await self._asked(codec.LIST_MODULES, EndOfList, REPLY_S)
        return [event for event in answers if isinstance(event, Module)][: codec.MAX_MODULES]

    async def tell(self, line: bytes) -> None:
        """A line that gets no answer."""
        async with self._asking:
            with trio.CancelScope(shield=True):
                await self._in_step_again()
                await self._send(line)

    async def count(self) -> codec.Steps:
        """The position in steps, as the board counts it."""
        return (await self.ask(codec.POSITION, Triple)).values

    async def pause(self, seconds: float, ended: Callable[[], bool]) -> None:
        """Sleep, but no longer than until `ended`, and not through the loss of the port."""
        with trio.move_on_after(seconds):
            while not ended():
                await self._change()

    # ------------------------------------------------------------------------------------------ inside

    async def _asked(self, line: bytes, kind: type[object], timeout_s: float) -> list[Event]:
        name = line.decode("ascii").strip()
        async with self._asking:
            with trio.CancelScope(shield=True):
                await self._in_step_again()
                self._answers.clear()
                heard = self.unrecognised
                await self._send(line)
                with trio.move_on_after(timeout_s):
                    return await self._collected(kind, name)
                self._in_step = False
        raise self._overdue(f"answer to {name!r}", timeout_s, heard)

    async def _collected(self, kind: type[object], name: str) -> list[Event]:
        """Everything up to the first event of `kind`."""
        before: list[Event] = []
        while True:
            while self._answers:
                event = self._answers.popleft()
                before.append(event)
                if isinstance(event, kind):
                    return before
                if isinstance(event, UnknownCommand):
                    raise DeviceFault("unknown command", f"{self.label} knows no {name!r}")
                if isinstance(event, Version):
                    self._in_step = False
                    raise DeviceFault("restart", f"{self.label} restarted by itself, its count is not to be trusted")
                if isinstance(event, BoardError):
                    # v0.4 says so, and then `done.` all the same; that one must not be taken for the next answer.
                    self._in_step = False
                    raise DeviceFault("error", f"{event.text} ({self.label}, in answer to {name!r})")
            await self._change()

    async def _answered_by(self, kind: type[Answer]) -> Answer:
        while True:
            while self._answers:
                event = self._answers.popleft()
                if isinstance(event, kind):
                    return event
            await self._change()

    async def _in_step_again(self) -> None:
        if self._in_step:
            return
        heard = self.unrecognised
        await self._send(codec.STEP_DELAY)
        with trio.move_on_after(REPLY_S):
            await self._answered_by(StepDelay)
            self._in_step = True
        if self._in_step:
            await self._quiet()
            return
        raise self._overdue("answer to 'dt?' after one that did not come", REPLY_S, heard)

    async def _quiet(self) -> None:
        """Until nothing has come for a moment: an earlier host's answers, or our own late ones, are not for us."""
        for _ in range(QUIET_TRIES):
            heard = self._heard
            with trio.CancelScope(deadline=trio.current_time() + QUIET_S) as silence:
                while self._heard == heard:
                    await self._change()
            if silence.cancelled_caught:
                return
        raise ProtocolError(f"{self.label}: talks without being asked, last {self._last_unrecognised[:80]!r}")

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(WRITE_S + REPLY_S) as scope:
            self.require_open()
            try:
                await self._outgoing.send(data)
            except trio.BrokenResourceError:  # the port was lost while this waited for its turn
                self.require_open()
                raise
        if scope.cancelled_caught:
            raise Deadline(f"{self.label}: the port took nothing for {WRITE_S + REPLY_S:g} s")

    async def _change(self) -> None:
        """Wait for the next thing that happens."""
        self.require_open()
        await self._changed.wait()
        self.require_open()

    def _overdue(self, what: str, timeout_s: float, heard: int) -> DeviceError:
        if self.unrecognised == heard:
            return Deadline(f"{self.label}: no {what} within {timeout_s:g} s")
        line = self._last_unrecognised[:80]
        return ProtocolError(f"{self.label}: no {what} within {timeout_s:g} s, but what no Sangaboard sends: {line!r}")
