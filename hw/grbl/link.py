"""The conversation with a Grbl board: which answer belongs to whom, and what the board has said meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from hw.errors import Deadline, DeviceError, DeviceFault, ProtocolError
from hw.grbl import codec
from hw.grbl.codec import Alarm, Banner, Error, Event, State, Status, Unrecognised
from hw.grbl.dialogue import Dialogue, Outcome, Phase
from hw.late import late
from hw.port_owner import PortOwner
from hw.tty import Tty

REPLY_S: Final = 1.0  # the board was recorded at 13.8 ms for a status and 20 ms for a setting; a loaded host is slower
BANNER_S: Final = 1.0  # recorded: 0.04 s after a reset, 0.5 s after an alarm
RESET_TRIES: Final = 4  # a board that restarts because its port was opened is deaf to the first ones
ALARM_PAUSE_S: Final = 0.6  # a reset within half a second of alarm 1 or 2 is swallowed
COLLECTED_EVENTS: Final = 100  # `$$` has 35
HOMING_POLL_S: Final = 1.0
HOMING_ENDED: Final = 2  # reports that it no longer homes, and no answer: the first may have overtaken the line


@dataclass(frozen=True, slots=True)
class Incidents:
    """How often the board said that it no longer knows where it is."""

    alarms: int = 0
    restarts: int = 0


class GrblLink:
    """Nothing here is answered unless its `port` is running."""

    def __init__(self, tty: Tty, label: str) -> None:
        self.label = label
        self.incidents = Incidents()
        self.blackouts = 0  # how often the board has put its outputs out by itself
        self.unrecognised = 0
        self.port = PortOwner(tty, label, self._received)
        self._decoder = codec.Decoder()
        self._dialogue = Dialogue()
        self._asking = trio.Lock()
        self._status: Status | None = None
        self._statuses = 0
        self._report_due = False  # asked for, and not there yet
        self._banners = 0
        self._collected: deque[Event] = deque(maxlen=COLLECTED_EVENTS)
        self._fault: DeviceFault | None = None
        self._alarm_s = 0.0
        self._last_unrecognised = b""

    # ------------------------------------------------------------------------------------------ what it says

    def _received(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            self._take(event)

    def _take(self, event: Event) -> None:
        outcome = self._dialogue.received(event)
        self._banners += isinstance(event, Banner)
        self._report_due = self._report_due and not isinstance(event, Status | Banner)
        self.blackouts += isinstance(event, Banner | Alarm)
        match event:
            case Status():
                self._status = event
                self._statuses += 1
            case Unrecognised():
                self._last_unrecognised = event.line
                self.unrecognised += 1
            case Error() if outcome is Outcome.REJECTED:
                self._fault = DeviceFault(f"error:{event.code}", event.text)
            case Alarm():
                self._fault = DeviceFault(f"ALARM:{event.code}", event.text)
                self._alarm_s = trio.current_time()
                self.incidents = Incidents(self.incidents.alarms + 1, self.incidents.restarts)
            case _ if outcome is Outcome.RESTARTED:
                self._fault = DeviceFault("restart", "the board restarted by itself, the position is lost")
                self.incidents = Incidents(self.incidents.alarms, self.incidents.restarts + 1)
            case _:
                self._collected.append(event)

    # ------------------------------------------------------------------------------------------ for callers

    @property
    def phase(self) -> Phase:
        return self._dialogue.phase

    async def write(self, data: bytes) -> None:
        """Real-time bytes and whole lines only."""
        await self.port.hand_over(data)

    async def command(self, line: bytes, timeout_s: float = REPLY_S) -> list[Event]:
        """Send a line, wait for its `ok`; returns what came before that. An error or alarm is a `DeviceFault`."""
        name = await self._send(line)
        await self._until(lambda: self.phase is not Phase.WAITING, timeout_s, f"answer to {name!r}")
        self._require_accepted(name)
        return list(self._collected)

    async def home(self, due_s: float, timeout_s: float) -> None:
        """As `command`, for `$H`. Asked meanwhile, Grbl is silent until it has homed, others say that they still home.

        Whatever says that it no longer homes and owes the answer has lost it: that is told within some seconds, not at
        the deadline. What is still waited for is told after `due_s`, when homing should be over. Who asks for the
        status meanwhile, or had just been about to, is answered afterwards.
        """
        await self._get_in_step()
        async with self._asking:
            await self.answered()
            await self._home(due_s, timeout_s)

    async def _home(self, due_s: float, timeout_s: float) -> None:
        began_s = trio.current_time()
        name = await self._hand_over(codec.HOME)
        heard, ended, due = self.unrecognised, 0, False
        while trio.current_time() < began_s + timeout_s:
            seen = self._statuses
            with trio.move_on_after(HOMING_POLL_S):
                while self.phase is Phase.WAITING:
                    await self.port.change()
                self._require_accepted(name)
                return
            if self._statuses != seen and self._status is not None and self._status.state is not State.HOME:
                ended += 1
            if ended >= HOMING_ENDED and self._status is not None:
                raise DeviceFault(
                    "unanswered",
                    f"{self.label} is no longer homing ({self._status.state}) and has not said how it ended: "
                    f"the answer was lost{self._misheard(heard)}; home it again",
                )
            if not due and trio.current_time() >= began_s + due_s:
                due = True
                late(self._homing_is_late(began_s, timeout_s, heard))
            await self.write(codec.STATUS_QUERY)
        raise self._overdue(f"answer to {name!r}", timeout_s, heard)

    def _homing_is_late(self, began_s: float, timeout_s: float, heard: int) -> str:
        left_s = began_s + timeout_s - trio.current_time()
        return (
            f"{self.label} should have homed by now and has not answered{self._misheard(heard)}: a Grbl board is "
            f"silent until it has homed, so it may be slow or gone; given up in {left_s:.0f} s"
        )

    def _misheard(self, heard: int) -> str:
        """What came since then that was no whole answer."""
        part = self._decoder.unfinished[-80:]
        if part:
            return f", half a line came: {part!r}"
        return f", this came: {self._last_unrecognised[:80]!r}" if self.unrecognised != heard else ""

    async def _send(self, line: bytes) -> str:
        """Returns the line's name for people."""
        await self._get_in_step()
        return await self._hand_over(line)

    async def _hand_over(self, line: bytes) -> str:
        name = line.decode("ascii").strip()
        self._require_ready(name)
        await self.write(line)
        # No checkpoint between the hand-over and this note of it: a cancelled caller has either sent and noted, or not.
        self._require_ready(name)
        self._dialogue.sent()
        self._collected.clear()
        self._fault = None
        return name

    def _require_accepted(self, name: str) -> None:
        if self._fault is not None:
            raise self._told(self._fault, f"in answer to {name!r}")

    async def answered(self) -> None:
        """Wait until no line is out."""
        await self._until(lambda: self.phase is not Phase.WAITING, REPLY_S, "answer to the line before")

    async def status(self) -> Status:
        """Asks, once the report is there that a cancelled caller has asked for: it is not taken for this one's.

        Who is cancelled does not wait for it: there may be a motion to be stopped.
        """
        async with self._asking:
            with trio.move_on_after(REPLY_S):
                while self._report_due and self.phase is not Phase.LOCKED:
                    await self.port.change()
            if self.phase is Phase.LOCKED and self._fault is not None:
                raise self._told(self._fault, "silent until it is homed")
            seen = self._statuses
            while self._statuses == seen:
                await self._ask_status()
        assert self._status is not None
        return self._status

    async def _ask_status(self) -> None:
        """Until the report, or a banner: a board that has just started has forgotten the question."""
        seen, banners, incidents = self._statuses, self._banners, self.incidents
        await self.port.hand_over(codec.STATUS_QUERY, self._expect_report)
        try:
            await self._until(
                lambda: (self._statuses, self._banners, self.incidents) != (seen, banners, incidents),
                REPLY_S,
                "status report",
            )
        except DeviceError:
            self._report_due = False  # it was lost, and is not waited for a second time
            raise
        self.require_none_since(incidents)

    def _expect_report(self) -> None:
        self._report_due = True

    async def pause(self, seconds: float, since: Incidents, ended: Callable[[], bool] = lambda: False) -> None:
        """Sleep, but not through an alarm, a restart or the loss of the port; `ended` is asked when the board spoke."""
        with trio.move_on_after(seconds):
            while self.incidents == since and not ended():
                await self.port.change()
        self.require_none_since(since)

    def require_none_since(self, since: Incidents) -> None:
        if self.incidents != since and self._fault is not None:
            raise self._told(self._fault, "meanwhile")

    async def ready(self) -> None:
        """Whatever happened before, afterwards the board takes lines. Resets it if it has to."""
        if self.phase is Phase.WAITING or self.phase is Phase.ALARMED:
            with trio.move_on_after(BANNER_S):
                while self.phase is Phase.WAITING or self.phase is Phase.ALARMED:
                    await self.port.change()
        if self.phase is not Phase.READY:
            await self.reset()

    async def reset(self) -> None:
        """Soft reset, until the banner is there. Motion ends at once, and in motion the position is lost."""
        if self.phase is Phase.LOCKED:
            await trio.sleep_until(self._alarm_s + ALARM_PAUSE_S)
        heard = self.unrecognised
        for _ in range(RESET_TRIES):
            await self.write(codec.RESET)
            self._dialogue.reset_sent()
            with trio.move_on_after(BANNER_S):
                while self.phase is not Phase.READY:
                    await self.port.change()
                return
        raise self._overdue("Grbl banner after a reset", RESET_TRIES * BANNER_S, heard)

    # ------------------------------------------------------------------------------------------ inside

    async def _get_in_step(self) -> None:
        """No line is out afterwards. An answer that was lost on the way would be waited for for ever.

        At rest a reset keeps the position, and no late answer to the old line survives it as one to the new.
        """
        try:
            await self.answered()
        except (Deadline, ProtocolError):
            if (await self.status()).state is not State.IDLE:
                raise
            await self.reset()

    async def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        heard = self.unrecognised
        with trio.move_on_after(timeout_s):
            while not condition():
                await self.port.change()
            return
        raise self._overdue(what, timeout_s, heard)

    def _overdue(self, what: str, timeout_s: float, heard: int) -> DeviceError:
        if self.unrecognised == heard:
            return Deadline(f"{self.label}: no {what} within {timeout_s:g} s")
        line = self._last_unrecognised[:80]
        return ProtocolError(f"{self.label}: no {what} within {timeout_s:g} s, but what no Grbl sends: {line!r}")

    def _told(self, fault: DeviceFault, when: str) -> DeviceFault:
        return DeviceFault(fault.code, f"{fault.text} ({self.label}, {when})")

    def _require_ready(self, name: str) -> None:
        if self.phase is not Phase.READY:
            raise DeviceFault("locked", f"{self.label} cannot take {name!r}: it waits for a reset or a banner")
