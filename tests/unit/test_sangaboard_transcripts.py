"""The recordings of real Sangaboard firmware, replayed through the simulated firmware, the codec and the driver.

What the host sent in the recording is sent to the simulator at the same moments. Its answers must be the recorded ones,
line by line and between the same two commands. What is not compared as text, and why:

* The clock. The recorded boards ran slower than the recorder: v0.4 made `mrx 2000` (2.1 s by its own clock) in 2.9 s,
  v1.0-beta was still moving 1.9 s and had stopped 2.5 s after a `mrx 1000` of 1.1 s. `CLOCK` is what fits each.
* Positions of a motion under way, and all of them after one was cut short by `stop`: within `CUT_SHORT` steps.
* The recordings end with the firmware deaf: v0.4 in a move of 40 s, v1.0-beta crashed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from stage_recordings import RECORDINGS

from hw.sangaboard import codec
from hw.sangaboard.codec import Decoder, Event, Triple, Unrecognised
from hw.sim.firmware_sangaboard import Build, Memory, SangaboardFirmware
from hw.sim.firmware_sangaboard_v0 import OldSangaboard
from hw.sim.firmware_sangaboard_v1 import NewSangaboard
from hw.sim.motion import Slides

pytestmark = pytest.mark.shared_data
V04, V10 = "sangaboard_v04.jsonl", "sangaboard_v10beta.jsonl"
CLOCK = {V04: 0.725, V10: 0.47}
CUT_SHORT = 50  # at 1000 steps a second, 0.05 s
TAIL_S = 1.0


@dataclass
class Gap:
    """What the host sent, and what was said until it sent the next."""

    sent_s: float
    sent: bytes
    said: list[str] = field(default_factory=list)


def recording(name: str) -> list[Gap]:
    gaps: list[Gap] = []
    said: list[str] = []
    for line in (RECORDINGS / name).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["dir"] == "<":
            said.append(entry["data"])
            continue
        if gaps:
            gaps[-1].said = lines_of("".join(said))
        said = []
        gaps.append(Gap(entry["t"], entry["data"].encode("latin-1")))
    gaps[-1].said = lines_of("".join(said))
    return gaps


def lines_of(said: str) -> list[str]:
    return [line for line in said.split("\r\n") if line]


def board(name: str) -> SangaboardFirmware:
    slides = Slides((-50.0,) * 3, (100.0,) * 3, (200.0,) * 3)
    if name == V04:
        return OldSangaboard(slides, Memory(), Build("OpenFlexure Motor Board v0.4"))
    return NewSangaboard(slides, Memory(), Build("Sangaboard Firmware v1.0-beta"))


def replay(name: str) -> list[Gap]:
    """What the simulator said between the same commands."""
    gaps, firmware, clock = recording(name), board(name), CLOCK[name]
    firmware.advance(gaps[0].sent_s * clock)  # it has said its version by then, which the recorder did not hear
    answered = []
    for gap, following in zip(gaps, [*gaps[1:], Gap(gaps[-1].sent_s + TAIL_S, b"")], strict=True):
        said = firmware.receive(gap.sent, gap.sent_s * clock) + firmware.advance(following.sent_s * clock)
        answered.append(Gap(gap.sent_s, gap.sent, lines_of(said.decode("ascii"))))
    return answered


def compare(recorded: list[Gap], simulated: list[Gap]) -> tuple[int, int]:
    """Asserts; returns how many lines agreed as text and how many positions within `CUT_SHORT`."""
    exact = approximate = 0
    for want, got in zip(recorded, simulated, strict=True):
        where = f"at {want.sent_s} s, after {want.sent!r}"
        assert len(got.said) == len(want.said), f"{where}: {got.said} instead of {want.said}"
        for said, expected in zip(got.said, want.said, strict=True):
            if said == expected:
                exact += 1
                continue
            a, b = (next(Decoder().feed(line.encode() + b"\n")) for line in (said, expected))
            assert isinstance(a, Triple) and isinstance(b, Triple), f"{where}: {said!r} instead of {expected!r}"
            assert max(abs(x - y) for x, y in zip(a.values, b.values, strict=True)) <= CUT_SHORT, where
            approximate += 1
    return exact, approximate


@pytest.mark.parametrize(("name", "agreed"), [(V04, (39, 0)), (V10, (31, 4))])
def test_the_recorded_commands_are_answered_as_the_firmware_did(name: str, agreed: tuple[int, int]) -> None:
    assert compare(recording(name), replay(name)) == agreed


@pytest.mark.parametrize("name", [V04, V10])
def test_a_wrong_answer_would_be_found(name: str) -> None:
    recorded, answers = recording(name), replay(name)
    for index, gap in enumerate(answers):
        for place, line in enumerate(gap.said):
            gap.said[place] = "fine"
            with pytest.raises(AssertionError, match=f"at {recorded[index].sent_s} s"):
                compare(recorded, answers)
            gap.said[place] = line


# ------------------------------------------------------------------------------------------ the driver's conclusions

# What each recorded answer must be taken for, by the line that was sent and the text of the answer's beginning.
MEANINGS: dict[str, Event] = {
    "OpenFlexure Motor Board v0.4": codec.Version("OpenFlexure Motor Board v0.4", (0, 4)),
    "Sangaboard Firmware v1.0-beta": codec.Version("Sangaboard Firmware v1.0-beta", (1, 0)),
    "--END--": codec.EndOfList(),
    "Type 'help' for a list of commands.": codec.UnknownCommand(),
    "position reset to 0 0 0": codec.PositionReset(),
    "minimum step delay 1000": codec.StepDelay(1000),
    "ramp time 0": codec.RampTime(0),
    "ramp time 100000": codec.RampTime(100000),
    "ramp_time 0": codec.RampTime(0),
    "ramp_time 100000": codec.RampTime(100000),
    "done": codec.Done(),
    "done.": codec.Done(),
    "motors released": codec.MotorsReleased(),
    "Error: command is mr <int> <int> <int>": codec.BoardError("command is mr <int> <int> <int>"),
    "true": codec.Moving(True),
    "false": codec.Moving(False),
    "Move aborted": codec.MoveAborted(),
    "stopped": codec.Stopped(),
    "blocking_moves false": codec.BlockingMoves(False),
}


@pytest.mark.parametrize("name", [V04, V10])
def test_every_recorded_line_is_understood(name: str) -> None:
    for line in (line for gap in recording(name) for line in gap.said):
        (event,) = Decoder().feed(line.encode() + b"\r\n")
        assert not isinstance(event, Unrecognised)
        if isinstance(event, Triple):
            assert " ".join(map(str, event.values)) == line
        else:
            assert event == MEANINGS[line]
