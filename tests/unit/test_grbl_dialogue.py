"""Every cell of the acknowledgement table, and the recorded conversations that made it necessary."""

from __future__ import annotations

import pytest

from hw.grbl.codec import Alarm, Decoder
from hw.grbl.dialogue import TABLE, Cause, Dialogue, Outcome, Phase

P, C, O = Phase, Cause, Outcome  # noqa: E741 - the table below reads better with one letter
EXPECTED = {
    P.READY: {
        C.SENT: (P.WAITING, O.NOTHING),
        C.OK: (P.READY, O.STRAY),
        C.ERROR: (P.READY, O.STRAY),
        C.ALARM: (P.ALARMED, O.ALARMED),
        C.CRITICAL_ALARM: (P.LOCKED, O.ALARMED),
        C.BANNER: (P.READY, O.RESTARTED),
        C.RESET_SENT: (P.RESETTING, O.NOTHING),
    },
    P.WAITING: {
        C.OK: (P.READY, O.DONE),
        C.ERROR: (P.READY, O.REJECTED),
        C.ALARM: (P.ALARMED, O.ALARMED),
        C.CRITICAL_ALARM: (P.LOCKED, O.ALARMED),
        C.BANNER: (P.READY, O.RESTARTED),
        C.RESET_SENT: (P.RESETTING, O.NOTHING),
    },
    P.ALARMED: {
        C.OK: (P.ALARMED, O.STRAY),
        C.ERROR: (P.ALARMED, O.STRAY),
        C.ALARM: (P.ALARMED, O.ALARMED),
        C.CRITICAL_ALARM: (P.LOCKED, O.ALARMED),
        C.BANNER: (P.READY, O.READY),
        C.RESET_SENT: (P.RESETTING, O.NOTHING),
    },
    P.LOCKED: {
        C.OK: (P.LOCKED, O.STRAY),
        C.ERROR: (P.LOCKED, O.STRAY),
        C.ALARM: (P.LOCKED, O.ALARMED),
        C.CRITICAL_ALARM: (P.LOCKED, O.ALARMED),
        C.BANNER: (P.READY, O.READY),
        C.RESET_SENT: (P.RESETTING, O.NOTHING),
    },
    P.RESETTING: {
        C.OK: (P.RESETTING, O.STRAY),
        C.ERROR: (P.RESETTING, O.STRAY),
        C.ALARM: (P.RESETTING, O.ALARMED),
        C.CRITICAL_ALARM: (P.LOCKED, O.ALARMED),
        C.BANNER: (P.READY, O.READY),
        C.RESET_SENT: (P.RESETTING, O.NOTHING),
    },
}
REACHED_BY = {
    P.READY: b"Grbl 1.1h ['$' for help]\n",
    P.WAITING: b"Grbl 1.1h ['$' for help]\nSENT",
    P.ALARMED: b"Grbl 1.1h ['$' for help]\nALARM:9\n",
    P.LOCKED: b"Grbl 1.1h ['$' for help]\nALARM:1\n",
    P.RESETTING: b"",
}
SAID = {
    C.OK: b"ok\n",
    C.ERROR: b"error:9\n",
    C.ALARM: b"ALARM:3\n",
    C.CRITICAL_ALARM: b"ALARM:2\n",
    C.BANNER: b"Grbl 1.1h ['$' for help]\n",
}


def hear(dialogue: Dialogue, wire: bytes) -> list[Outcome]:
    return [dialogue.received(event) for event in Decoder().feed(wire)]


def dialogue_in(phase: Phase) -> Dialogue:
    dialogue = Dialogue()
    wire = REACHED_BY[phase]
    hear(dialogue, wire.removesuffix(b"SENT"))
    if wire.endswith(b"SENT"):
        dialogue.sent()
    assert dialogue.phase is phase
    return dialogue


def test_the_table_has_these_cells_and_no_others() -> None:
    assert {(phase, cause): cell for phase, row in EXPECTED.items() for cause, cell in row.items()} == TABLE


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("cause", Cause)
def test_every_cell(phase: Phase, cause: Cause) -> None:
    dialogue = dialogue_in(phase)
    cell = EXPECTED[phase].get(cause)
    if cause is Cause.SENT and cell is None:
        with pytest.raises(RuntimeError, match=f"SENT is not possible while {phase.name}"):
            dialogue.sent()
        return
    assert cell is not None
    if cause is Cause.SENT:
        dialogue.sent()
    elif cause is Cause.RESET_SENT:
        dialogue.reset_sent()
    else:
        assert hear(dialogue, SAID[cause]) == [cell[1]]
    assert dialogue.phase is cell[0]


def test_reports_and_messages_settle_nothing() -> None:
    dialogue = dialogue_in(Phase.WAITING)
    assert hear(dialogue, b"<Idle|MPos:0,0,0|FS:0,0>\n[MSG:Check Door]\n$0=10\nnoise\n") == [Outcome.NOTHING] * 4
    assert dialogue.phase is Phase.WAITING


# (what the host sent, what the recorded firmware said, what to make of it, and where that leaves us)
RECORDED = [
    ("$H", b"error:5\r\n", [O.REJECTED], P.READY),
    ("$22=1", b"ok\r\n", [O.DONE], P.READY),
    ("$H", b"ALARM:9\r\nok\r\n", [O.ALARMED, O.STRAY], P.ALARMED),
    ("$H", b"ALARM:9\r\nok\r\n\r\nGrbl 1.1h ['$' for help]\r\n", [O.ALARMED, O.STRAY, O.READY], P.READY),
    ("G1X5F500", b"ALARM:2\r\n[MSG:Reset to continue]\r\n", [O.ALARMED, O.NOTHING], P.LOCKED),
    ("$X", b"[MSG:Caution: Unlocked]\r\nok\r\n", [O.NOTHING, O.DONE], P.READY),
    ("G1X-10F300", b"ok\r\nALARM:1\r\n", [O.DONE, O.ALARMED], P.LOCKED),
    ("G1X-1F200 \r", b"ok\r\nok\r\n", [O.DONE, O.STRAY], P.READY),
]


@pytest.mark.parametrize(("line", "wire", "outcomes", "phase"), RECORDED)
def test_recorded_answers_are_understood(line: str, wire: bytes, outcomes: list[Outcome], phase: Phase) -> None:
    dialogue = dialogue_in(Phase.WAITING)
    assert hear(dialogue, wire) == outcomes
    assert dialogue.phase is phase


def test_a_reset_out_of_alarm_2_prints_a_stray_ok_before_its_banner() -> None:
    dialogue = dialogue_in(Phase.LOCKED)
    dialogue.reset_sent()
    recorded = b"ok\r\n\r\nGrbl 1.1h ['$' for help]\r\n[MSG:'$H'|'$X' to unlock]\r\n"
    assert hear(dialogue, recorded) == [Outcome.STRAY, Outcome.READY, Outcome.NOTHING]
    assert dialogue.phase is Phase.READY


def test_the_alarm_is_remembered_until_the_banner() -> None:
    dialogue = dialogue_in(Phase.ALARMED)
    assert dialogue.alarm == Alarm(9)
    hear(dialogue, b"Grbl 1.1h ['$' for help]\r\n")
    assert dialogue.alarm is None
