"""The conversation with an ASI controller: which reply belongs to whom, and how to get back in step.

Replies come in the order of the commands and carry no name, so whoever sends stands in a queue. A caller who gives up
leaves his place there for the reply that is still due. A reply that never comes puts everything after it out of step:
then the line is left until it is quiet, and `/`, whose reply is like no other, begins anew. HALT waits for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from hw.asi import codec
from hw.asi.codec import (
    Assignments,
    AxisStatus,
    Banner,
    Done,
    Empty,
    Event,
    Failed,
    Motors,
    Reply,
    Text,
    Unrecognised,
    Values,
)
from hw.errors import Deadline, DeviceError, DeviceFault, ProtocolError
from hw.port_owner import PortOwner
from hw.tty import Tty

REPLY_S: Final = 1.0  # 50 characters take 52 ms at 9600 baud; how long the controller thinks is not documented
LISTING_S: Final = 6.0  # the longest reply there may be takes 4.3 s at 9600 baud
QUIET_S: Final = 0.1  # longer than any pause within a reply
NOISY_S: Final = 1.0
TRIES: Final = 3


@dataclass(slots=True, eq=False)
class Due:
    """The reply to one command."""

    reply: Reply | None = None
    given_up: bool = False  # it may still come, but nobody could tell


class AsiLink:
    """Nothing here is answered unless its `port` is running."""

    def __init__(self, tty: Tty, label: str) -> None:
        self.label = label
        self.restarts = 0  # how often the controller said unasked who it is: it has lost its coordinates then
        self.bare_replies = False  # a Tiger may be set to the reply syntax in which an empty line is a success
        self.unrecognised = 0
        self.port = PortOwner(tty, label, self._received)
        self._decoder = codec.Decoder()
        self._turn = trio.Lock()
        self._queue: deque[Due] = deque()
        self._out_of_step = True  # what was sent before the port was opened may still be answered
        self._heard_s = trio.current_time()
        self._last_unrecognised = b""

    # ------------------------------------------------------------------------------------------ what it says

    def _received(self, data: bytes) -> None:
        self._heard_s = trio.current_time()
        for event in self._decoder.feed(data):
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case Unrecognised():
                self._last_unrecognised = event.line
                self.unrecognised += 1
            case Empty() if not self.bare_replies:
                pass
            case Banner():
                self._restarted()
            case Text() if not self._queue and not self._out_of_step:
                self._restarted()
            case _ if self._queue:
                self._queue.popleft().reply = event

    def _restarted(self) -> None:
        """A question that came to the board after its restart is still answered: no reply to the next one."""
        self.restarts += 1
        self._out_of_step = self._out_of_step or bool(self._queue)
        self._forget_dues()

    def _forget_dues(self) -> None:
        for due in self._queue:
            due.given_up = True
        self._queue.clear()

    # ------------------------------------------------------------------------------------------ for callers

    async def do(self, line: bytes) -> None:
        """A command that says no more than that it was accepted. Its refusal is a `DeviceFault`."""
        reply = await self._ask(line)
        if not isinstance(reply, Done | Empty):
            raise self._misfit(reply, line)

    async def moving(self) -> bool:
        """Whether any axis still carries out a command."""
        reply = await self._ask(codec.STATUS)
        if not isinstance(reply, Motors):
            raise self._misfit(reply, codec.STATUS)
        return reply.busy

    async def positions_um(self, letters: str) -> dict[str, float]:
        """`letters` in the controller's order of axes."""
        line = codec.encode_where(letters)
        reply = await self._ask(line)
        found: dict[str, float] = {}
        if isinstance(reply, Assignments):
            found = {letter: units for letter, units in reply.values if letter in letters}
        elif isinstance(reply, Values) and len(reply.numbers) == len(letters):
            found = dict(zip(letters, reply.numbers, strict=True))
        if len(found) != len(letters):
            raise self._misfit(reply, line)
        return {letter: units / codec.UNITS_PER_UM for letter, units in found.items()}

    async def axis_status(self, letter: str) -> AxisStatus:
        number = await self._number(codec.encode_status_query(letter), letter)
        if not number.is_integer() or not 0 <= number <= 255:
            raise ProtocolError(f"{self.label}: not the status byte of {letter}: {number:g}")
        return AxisStatus.from_byte(int(number))

    async def setting(self, command: str, letter: str, *, card: int = 0) -> float:
        return await self._number(codec.encode_query(command, letter, card=card), letter)

    async def text(self, line: bytes, timeout_s: float = REPLY_S) -> tuple[str, ...]:
        reply = await self._ask(line, timeout_s)
        if not isinstance(reply, Text):
            raise self._misfit(reply, line)
        return reply.lines

    async def halt(self) -> None:
        """Stops every axis at once, whatever else is going on; returns when the controller has said so.

        `:N-21` is what it says when there was something to stop. What was lost on the way is said a second time.
        """
        first = await self._send(codec.HALT)
        try:
            await self._reply(first, REPLY_S, "HALT")
        except (Deadline, ProtocolError):
            async with self._turn:
                await self._get_in_step()
            await self._reply(await self._send(codec.HALT), REPLY_S, "HALT")

    async def pause(self, seconds: float, restarts: int, ended: Callable[[], bool] = lambda: False) -> None:
        """Sleep, but not through a restart or the loss of the port; `ended` is asked when the board spoke."""
        with trio.move_on_after(seconds):
            while self.restarts == restarts and not ended():
                await self.port.change()
        self.require_not_restarted(restarts)

    def require_not_restarted(self, restarts: int) -> None:
        if self.restarts != restarts:
            raise DeviceFault("restart", f"{self.label} restarted by itself, the position is lost")

    # ------------------------------------------------------------------------------------------ inside

    async def _number(self, line: bytes, letter: str) -> float:
        """`:A 138` and `:A X=138` are told by different commands and versions for the same question."""
        reply = await self._ask(line)
        value: float | None = None
        if isinstance(reply, Assignments):
            value = reply.get(letter)
        elif isinstance(reply, Values):
            value = reply.numbers[0]
        if value is None:
            raise self._misfit(reply, line)
        return value

    async def _ask(self, line: bytes, timeout_s: float = REPLY_S) -> Reply:
        async with self._turn:
            if self._queue and not self._out_of_step:
                await self._let_earlier_replies_come()
            if self._out_of_step:
                await self._get_in_step()
            reply = await self._reply(await self._send(line), timeout_s, _name(line))
        if isinstance(reply, Failed):
            raise DeviceFault(f":N{reply.code}", f"{reply.text} ({self.label}, in reply to {_name(line)})")
        return reply

    def _misfit(self, reply: Reply, line: bytes) -> ProtocolError:
        self._out_of_step = True
        return ProtocolError(f"{self.label}: {reply} is no reply to {_name(line)}")

    async def _send(self, line: bytes) -> Due:
        due = Due()
        await self.port.hand_over(line, lambda: self._queue.append(due))
        return due

    async def _reply(self, due: Due, timeout_s: float, name: str) -> Reply:
        heard, restarts = self.unrecognised, self.restarts
        with trio.move_on_after(timeout_s):
            while due.reply is None and not due.given_up:
                await self.port.change()
        if due.reply is not None:
            return due.reply
        self.require_not_restarted(restarts)
        self._out_of_step = True
        raise self._overdue(f"reply to {name}", timeout_s, heard)

    async def _let_earlier_replies_come(self) -> None:
        """Those whose callers were cancelled."""
        with trio.move_on_after(REPLY_S):
            while self._queue:
                await self.port.change()
        self._out_of_step = bool(self._queue)

    async def _get_in_step(self) -> None:
        self._out_of_step = True
        heard = self.unrecognised
        for _ in range(TRIES):
            await self._quiet()
            due = await self._send(codec.STATUS)
            with trio.move_on_after(REPLY_S):
                while due.reply is None and not due.given_up:
                    await self.port.change()
            if isinstance(due.reply, Motors):
                self._out_of_step = False
                return
        raise self._overdue("sensible reply to '/'", TRIES * (REPLY_S + QUIET_S), heard)

    async def _quiet(self) -> None:
        """Until nothing more comes: whatever it was, it is no reply to what is sent next."""
        with trio.move_on_after(NOISY_S):
            while (since_s := trio.current_time() - self._heard_s) < QUIET_S:
                self.port.require_open()
                await trio.sleep(QUIET_S - since_s)
        self.port.require_open()
        self._forget_dues()
        self._decoder.clear()

    def _overdue(self, what: str, timeout_s: float, heard: int) -> DeviceError:
        missing = f"{self.label}: no {what} within {timeout_s:g} s"
        unfinished = self._decoder.unfinished[-80:]
        if unfinished.endswith(b"\r"):
            return ProtocolError(f"{missing}, but {unfinished!r}: replies end in CR alone (VB X has bit 3 set)")
        if unfinished:
            return ProtocolError(f"{missing}, but half of one: {unfinished!r}")
        if self.unrecognised != heard:
            return ProtocolError(f"{missing}, but what no ASI controller sends: {self._last_unrecognised[:80]!r}")
        return Deadline(missing)


def _name(line: bytes) -> str:
    return repr(line.decode("latin-1").rstrip("\r"))
