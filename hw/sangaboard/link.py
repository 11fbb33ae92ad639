"""The conversation with a Sangaboard: sends a line, waits for its answer, tells pushes from answers.

The board answers in the order in which it was asked, and nothing in an answer says what it answers. So one question is
out at a time. The answer to one whose asker was cancelled is waited for by the next. After one that was not answered in
time the next begins with a question whose answer cannot be mistaken (`dt?`): what comes before that answer is old.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import trio

from hw.errors import Deadline, DeviceError, DeviceFault, ProtocolError
from hw.port_owner import PortOwner
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
BOOT_TRIES: Final = 5  # a board that restarts because its port was opened is deaf for up to two seconds
STEP_TRIES: Final = 3
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
    """Nothing here is answered unless its `port` is running."""

    def __init__(self, tty: Tty, label: str) -> None:
        self.label = label
        self.incidents = Incidents()
        self.unrecognised = 0
        self.stops = 0  # how often the board said that a move had ended
        self.port = PortOwner(tty, label, self._received)
        self._decoder = codec.Decoder()
        self._asking = trio.Lock()
        self._answers: deque[Event] = deque(maxlen=WAITING_EVENTS)
        self._heard = 0
        self._in_step = True
        self._due: type[Any] | None = None  # the kind of answer that a cancelled asker has left behind
        self._last_unrecognised = b""

    # ------------------------------------------------------------------------------------------ what it says

    def _received(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            self._take(event)

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

    # ------------------------------------------------------------------------------------------ for callers

    async def identify(self) -> Version:
        """Ask who is there until it answers and has nothing more to say."""
        heard = self.unrecognised
        async with self._asking:
            self._answers.clear()
            for _ in range(BOOT_TRIES):
                await self.port.hand_over(codec.VERSION)
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
            await self._in_step_again()
            await self.port.hand_over(line)

    async def interrupt(self, line: bytes) -> None:
        """At once, whoever waits for an answer now; the answer to this is no answer to anything that is asked."""
        await self.port.hand_over(line)

    async def count(self) -> codec.Steps:
        """The position in steps, as the board counts it."""
        return (await self.ask(codec.POSITION, Triple)).values

    async def pause(self, seconds: float, ended: Callable[[], bool]) -> None:
        """Sleep, but no longer than until `ended`, and not through the loss of the port."""
        with trio.move_on_after(seconds):
            while not ended():
                await self.port.change()

    # ------------------------------------------------------------------------------------------ inside

    async def _asked(self, line: bytes, kind: type[object], timeout_s: float) -> list[Event]:
        name = line.decode("ascii").strip()
        async with self._asking:
            await self._in_step_again()
            self._answers.clear()
            heard = self.unrecognised
            await self.port.hand_over(line)
            try:
                with trio.move_on_after(timeout_s):
                    return await self._collected(kind, name)
            except trio.Cancelled:
                self._due = kind  # not waited for: there may be a motion to be stopped
                raise
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
            await self.port.change()

    async def _answered_by(self, kind: type[Answer]) -> Answer:
        while True:
            while self._answers:
                event = self._answers.popleft()
                if isinstance(event, kind):
                    return event
            await self.port.change()

    async def _in_step_again(self) -> None:
        """An answer that was cut short spoils the one after it, which is the answer to this question: asked again."""
        if self._due is not None:
            with trio.move_on_after(REPLY_S) as waiting:
                await self._answered_by(self._due)
            self._due, self._in_step = None, self._in_step and not waiting.cancelled_caught
        if self._in_step:
            return
        heard = self.unrecognised
        with trio.move_on_after(REPLY_S):
            for _ in range(STEP_TRIES):
                spoiled = self.unrecognised
                await self.port.hand_over(codec.STEP_DELAY)
                self._in_step = await self._is_answered(spoiled)
                if self._in_step:
                    break
        if self._in_step:
            await self._quiet()
            return
        raise self._overdue("answer to 'dt?' after one that did not come", REPLY_S, heard)

    async def _is_answered(self, unrecognised: int) -> bool:
        """Whether the step delay was told, or else something that no board says."""
        while True:
            while self._answers:
                if isinstance(self._answers.popleft(), StepDelay):
                    return True
            if self.unrecognised != unrecognised:
                return False
            await self.port.change()

    async def _quiet(self) -> None:
        """Until nothing has come for a moment: an earlier host's answers, or our own late ones, are not for us."""
        for _ in range(QUIET_TRIES):
            heard = self._heard
            with trio.CancelScope(deadline=trio.current_time() + QUIET_S) as silence:
                while self._heard == heard:
                    await self.port.change()
            if silence.cancelled_caught:
                return
        raise ProtocolError(f"{self.label}: talks without being asked, last {self._last_unrecognised[:80]!r}")

    def _overdue(self, what: str, timeout_s: float, heard: int) -> DeviceError:
        if self.unrecognised == heard:
            return Deadline(f"{self.label}: no {what} within {timeout_s:g} s")
        line = self._last_unrecognised[:80]
        return ProtocolError(f"{self.label}: no {what} within {timeout_s:g} s, but what no Sangaboard sends: {line!r}")
