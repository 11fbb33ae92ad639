"""The recordings of real Grbl 1.1h, replayed through the simulated firmware, the codec and the dialogue.

What the host sent in the recording is sent to the simulator at the same moments. Its answers must be the recorded ones,
line by line and between the same two commands. What is not compared as text, and why:

* The clock. The recorded board ran at 0.9 of the recorder's clock (2.104 mm of x in 0.262 s at F600 along 10,5,3), so
  the simulator's time is 0.9 of the recording's. Serial latency is none in the simulator: where the host had waited for
  an answer, the simulator gets the time it needs for it, too.
* Numbers that depend on the moment: MPos and FS of a motion under way, and MPos after one was cut short by a byte or
  a switch, until homing. The positions agree within `CUT_SHORT_MM`.
* `STOPPING`: two reports caught the recorded board in the last instant of a stop that the simulator has finished.
* The second recording lacks what the host sent between 2.8 s and 17.6 s and between 18 s and 33.4 s. `PREPARED` puts
  the board into the state that it is in afterwards; where the three reports of `UNKNOWN_MOTION` saw it is not compared.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import pytest
from stage_recordings import RECORDINGS

from hw.grbl.codec import Alarm, Banner, Decoder, Error, Event, Ok, State, Status, Unrecognised
from hw.grbl.dialogue import Dialogue, Outcome, Phase
from hw.sim.firmware_grbl import GrblFirmware
from hw.sim.firmware_settings import Settings
from hw.sim.motion import Slides, Vector

pytestmark = pytest.mark.shared_data
HOMING = "grbl11h_homing_motion_alarms.jsonl"
MODES = "grbl11h_errors_overflow_modes.jsonl"

O = Outcome  # noqa: E741
CLOCK = 0.9
PATIENCE_S = 1.0
CUT_SHORT_MM = 1.0  # at 16.7 mm/s, the fastest motion in the recordings, 0.06 s
STOPPING = {11.957: ("Jog", "Idle"), 46.49: ("Hold:1", "Hold:0")}
SWITCH_HIT_S = 25.57  # the recorder pulled the limit pin in the middle of a motion
UNKNOWN_MOTION = frozenset({34.425, 34.7274, 36.6825})
PREPARED = (
    (14.0, b"\x18"),
    (14.1, b"G0X-2\n"),
    (17.6, b"G1X"),  # the rest of a line whose other half was lost in the overrun
    (30.0, b"\nG0X-0.8\n"),
    (33.3, b"G1X-1F0.001\n" * 2),  # busy, without leaving the place that the recording is in after the reset
)


@dataclass
class Gap:
    """What the host sent, and what was said until it sent the next."""

    sent_s: float
    sent: bytes
    said: list[str] = field(default_factory=list)


def recording(name: str) -> list[Gap]:
    gaps: list[Gap] = []
    said = ""
    for line in (RECORDINGS / name).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["dir"] == "<":
            said += entry["data"]
            continue
        if gaps:
            gaps[-1].said = lines_of(said)
        said = ""
        gaps.append(Gap(entry["t"], entry["data"].encode("latin-1")))
    gaps[-1].said = lines_of(said)
    return gaps


def lines_of(said: str) -> list[str]:
    return [line for line in said.split("\r\n") if line]


def replay(gaps: list[Gap], firmware: GrblFirmware, prepared: tuple[tuple[float, bytes], ...] = ()) -> list[Gap]:
    """What the simulator said between the same commands."""
    answered: list[Gap] = []
    late_s = 0.0
    todo = list(prepared)
    for gap, following in zip(gaps, [*gaps[1:], Gap(gaps[-1].sent_s + PATIENCE_S, b"")], strict=True):
        while todo and todo[0][0] <= gap.sent_s:
            at_s, data = todo.pop(0)
            firmware.receive(data, at_s * CLOCK + late_s)
        said = firmware.receive(gap.sent, gap.sent_s * CLOCK + late_s)
        if gap.sent_s < SWITCH_HIT_S < following.sent_s and b"G1X-10F300" in gap.sent:
            said += firmware.inject_alarm(1, SWITCH_HIT_S * CLOCK + late_s)
        end_s = min(following.sent_s, todo[0][0] if todo else following.sent_s) * CLOCK + late_s
        said += firmware.advance(end_s)
        while said.count(b"\n") < len(gap.said) and (firmware.wake_s - end_s) < PATIENCE_S:
            late_s += firmware.wake_s - end_s
            end_s = firmware.wake_s
            said += firmware.advance(end_s)
        answered.append(Gap(gap.sent_s, gap.sent, lines_of(said.decode("ascii"))))
    return answered


def masked(line: str) -> str:
    """A status report without the numbers that depend on the moment."""
    return re.sub(r"(MPos|FS):[-\d.,]+", r"\1:", line)


def machine_mm(line: str) -> Vector:
    event = next(Decoder().feed(line.encode("ascii") + b"\n"))
    assert isinstance(event, Status) and event.machine_mm is not None
    return event.machine_mm


def compare(recorded: list[Gap], simulated: list[Gap]) -> tuple[int, int]:
    """Asserts; returns how many lines agreed as text and how many up to the masked numbers."""
    exact = approximate = 0
    cut_short = False
    for want, got in zip(recorded, simulated, strict=True):
        where = f"at {want.sent_s} s, after {want.sent!r}"
        assert len(got.said) == len(want.said), f"{where}: {got.said} instead of {want.said}"
        for said, expected in zip(got.said, want.said, strict=True):
            under_way = expected.startswith(("<Run", "<Jog", "<Hold:1"))
            if said == expected:
                exact += 1
                cut_short = cut_short and not expected.startswith("<Home")
                continue
            if want.sent_s in STOPPING:
                expected = expected.replace(*STOPPING[want.sent_s]).replace("Bf:14", "Bf:15")
            assert masked(said) == masked(expected), where
            assert under_way or cut_short, f"{where}: {said} instead of {expected}"
            if want.sent_s in UNKNOWN_MOTION:
                approximate += 1
                continue
            distances = [abs(a - b) for a, b in zip(machine_mm(said), machine_mm(expected), strict=True)]
            assert max(distances) <= CUT_SHORT_MM, f"{where}: {said} instead of {expected}"
            approximate += 1
        cut_short = cut_short or want.sent in (b"!", b"\x18", b"\x85") or b"G1X-10F300" in want.sent
    return exact, approximate


def board(physical_mm: float) -> GrblFirmware:
    firmware = GrblFirmware(Slides((physical_mm,) * 3, (200.0,) * 3, (250.0,) * 3), Settings())
    firmware.advance(0.5)
    return firmware


def modes_recording() -> list[Gap]:
    gaps = recording(MODES)
    flooded = next(gap for gap in gaps if gap.sent == b"$100=-1\n")
    assert flooded.said == ["error:4"] + ["ok"] * 26  # of 60 lines sent at once, which the recording does not show
    flooded.said = flooded.said[:1]
    return gaps


def test_homing_motion_and_alarms_are_answered_as_the_real_firmware_did() -> None:
    gaps = recording(HOMING)
    assert compare(gaps, replay(gaps, board(physical_mm=-4.0))) == (109, 11)


def test_errors_and_modes_are_answered_as_the_real_firmware_did() -> None:
    gaps = modes_recording()
    assert compare(gaps, replay(gaps, board(physical_mm=-100.0), PREPARED)) == (79, 10)


def test_a_wrong_answer_would_be_found() -> None:
    gaps = recording(HOMING)
    answers = replay(gaps, board(physical_mm=-4.0))
    for index, gap in enumerate(answers):
        for line in gap.said:
            gap.said[gap.said.index(line)] = "error:1"
            with pytest.raises(AssertionError, match=f"at {gaps[index].sent_s} s"):
                compare(gaps, answers)
            gap.said[gap.said.index("error:1")] = line


# ------------------------------------------------------------------------------------------ the driver's conclusions


def heard(name: str) -> list[Event]:
    said = "".join(
        json.loads(line)["data"]
        for line in (RECORDINGS / name).read_text(encoding="utf-8").splitlines()
        if json.loads(line)["dir"] == "<"
    )
    return list(Decoder().feed(said.encode("latin-1")))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        (HOMING, {Ok: 40, Error: 8, Alarm: 3, Banner: 5, Status: 22, Unrecognised: 0}),
        (MODES, {Ok: 59, Error: 6, Alarm: 3, Banner: 6, Status: 20, Unrecognised: 0}),
    ],
)
def test_every_recorded_line_is_understood(name: str, counts: dict[type, int]) -> None:
    events = heard(name)
    assert {kind: sum(isinstance(event, kind) for event in events) for kind in counts} == counts


@pytest.mark.parametrize("name", [HOMING, MODES])
def test_every_recorded_report_says_what_its_text_says(name: str) -> None:
    gaps = recording(name)
    for line in (line for gap in gaps for line in gap.said if line.startswith("<")):
        report = next(Decoder().feed(line.encode() + b"\n"))
        assert isinstance(report, Status)
        fields = dict(part.split(":", 1) for part in line.strip("<>").split("|")[1:])
        state, _, substate = line.strip("<>").split("|")[0].partition(":")
        assert report.state is State(state)
        assert report.substate == (int(substate) if substate else None)
        assert report.machine_mm == tuple(map(float, fields["MPos"].split(",")))
        assert (report.work_offset_mm is None) == ("WCO" not in fields)
        assert (report.overrides_percent is None) == ("Ov" not in fields)
        assert (report.planner_free, report.rx_free) == (
            tuple(map(int, fields["Bf"].split(","))) if "Bf" in fields else (None, None)
        )
        assert (report.feed, report.spindle) == tuple(map(float, fields["FS"].split(",")))


@pytest.mark.parametrize("name", [HOMING, MODES])
def test_every_recorded_answer_is_credited_to_its_line(name: str) -> None:
    """The first `ok`, `error` or alarm after a line is its end, and alarm 1 or 2 holds until a banner."""
    dialogue = Dialogue()
    locked = False
    for gap in recording(name) if name == HOMING else modes_recording():
        if gap.sent == b"\x18":
            dialogue.reset_sent()
        elif gap.sent.count(b"\n") == 1 and dialogue.phase is Phase.READY:
            dialogue.sent()
        waiting = dialogue.phase is Phase.WAITING
        outcomes = [outcome for outcome in map(dialogue.received, events_of(gap.said)) if outcome is not O.NOTHING]
        ends = [line for line in gap.said if line == "ok" or line.startswith(("error", "ALARM"))]
        if waiting and ends:
            first = O.DONE if ends[0] == "ok" else O.REJECTED if ends[0].startswith("error") else O.ALARMED
            assert outcomes[0] is first, gap
            assert O.DONE not in outcomes[1:], gap
        locked = (locked or not {"ALARM:1", "ALARM:2"}.isdisjoint(gap.said)) and not any(
            line.startswith("Grbl") for line in gap.said
        )
        assert (dialogue.phase is Phase.LOCKED) == (locked and gap.sent != b"\x18"), gap
    assert dialogue.phase is Phase.READY


def events_of(said: list[str]) -> list[Event]:
    return list(Decoder().feed("".join(line + "\n" for line in said).encode("ascii")))
