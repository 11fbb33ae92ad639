"""Who owes whom an answer: the acknowledgements of Grbl 1.1 as a table.

The documents say that every line is answered by `ok` or `error:N`. The firmware is less simple, and was recorded at it:
a failed `$H` says `ALARM:9` and then `ok`, so an alarm beats any `ok` after it; after alarm 1 or 2 nothing is answered
until a reset, which then prints a stray `ok`; a banner ends every expectation.

         SENT              OK / ERROR           ALARM             CRITICAL_ALARM     BANNER              RESET_SENT
READY    WAITING           READY   stray        ALARMED  alarmed  LOCKED  alarmed    READY  restarted    RESETTING
WAITING  -                 READY   answered     ALARMED  alarmed  LOCKED  alarmed    READY  restarted    RESETTING
ALARMED  -                 ALARMED stray        ALARMED  alarmed  LOCKED  alarmed    READY  ready        RESETTING
LOCKED   -                 LOCKED  stray        LOCKED   alarmed  LOCKED  alarmed    READY  ready        RESETTING
RESETTING -                RESETTING stray      RESETTING alarmed LOCKED  alarmed    READY  ready        RESETTING
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from hw.grbl.codec import Alarm, Banner, Error, Event, Ok


class Phase(Enum):
    READY = auto()  # a line may be sent
    WAITING = auto()  # a line is out, its answer is due
    ALARMED = auto()  # an alarm ended it; the banner follows by itself
    LOCKED = auto()  # alarm 1 or 2: silent until a reset
    RESETTING = auto()  # a reset is out, its banner is due


class Cause(Enum):
    SENT = auto()
    RESET_SENT = auto()
    OK = auto()
    ERROR = auto()
    ALARM = auto()
    CRITICAL_ALARM = auto()
    BANNER = auto()


class Outcome(Enum):
    NOTHING = auto()
    DONE = auto()  # the line that was out succeeded
    REJECTED = auto()  # the line that was out was refused with an error
    ALARMED = auto()  # whatever was going on has failed
    RESTARTED = auto()  # the board started anew although nobody asked: what was out is gone
    READY = auto()  # the banner that was due
    STRAY = auto()  # an answer nobody waits for


Cell = tuple[Phase, Outcome]


def _row(phase: Phase, answered: bool, sendable: bool, banner: Outcome) -> dict[tuple[Phase, Cause], Cell]:
    settled = Phase.READY if answered else phase
    alarmed = phase if phase in (Phase.LOCKED, Phase.RESETTING) else Phase.ALARMED
    row: dict[tuple[Phase, Cause], Cell] = {
        (phase, Cause.RESET_SENT): (Phase.RESETTING, Outcome.NOTHING),
        (phase, Cause.OK): (settled, Outcome.DONE if answered else Outcome.STRAY),
        (phase, Cause.ERROR): (settled, Outcome.REJECTED if answered else Outcome.STRAY),
        (phase, Cause.ALARM): (alarmed, Outcome.ALARMED),
        # A reset sent within half a second of alarm 1 or 2 is swallowed, so this also ends RESETTING.
        (phase, Cause.CRITICAL_ALARM): (Phase.LOCKED, Outcome.ALARMED),
        (phase, Cause.BANNER): (Phase.READY, banner),
    }
    if sendable:
        row[phase, Cause.SENT] = (Phase.WAITING, Outcome.NOTHING)
    return row


TABLE: Final[dict[tuple[Phase, Cause], Cell]] = {
    **_row(Phase.READY, answered=False, sendable=True, banner=Outcome.RESTARTED),
    **_row(Phase.WAITING, answered=True, sendable=False, banner=Outcome.RESTARTED),
    **_row(Phase.ALARMED, answered=False, sendable=False, banner=Outcome.READY),
    **_row(Phase.LOCKED, answered=False, sendable=False, banner=Outcome.READY),
    **_row(Phase.RESETTING, answered=False, sendable=False, banner=Outcome.READY),
}


class Dialogue:
    """Follows one port. A cell that the table lacks is our own mistake and a `RuntimeError`."""

    def __init__(self) -> None:
        self.phase = Phase.RESETTING  # an opened port has said nothing yet: only a banner makes it usable
        self.alarm: Alarm | None = None  # the last alarm since the last banner

    def sent(self) -> None:
        self._step(Cause.SENT)

    def reset_sent(self) -> None:
        self._step(Cause.RESET_SENT)

    def received(self, event: Event) -> Outcome:
        match event:
            case Ok():
                return self._step(Cause.OK)
            case Error():
                return self._step(Cause.ERROR)
            case Alarm():
                self.alarm = event
                return self._step(Cause.CRITICAL_ALARM if event.critical else Cause.ALARM)
            case Banner():
                self.alarm = None
                return self._step(Cause.BANNER)
            case _:
                return Outcome.NOTHING

    def _step(self, cause: Cause) -> Outcome:
        cell = TABLE.get((self.phase, cause))
        if cell is None:
            raise RuntimeError(f"{cause.name} is not possible while {self.phase.name}")
        self.phase, outcome = cell
        return outcome
