"""One photograph of one simulated eye without a hand, in simulated time, and what many of them come to.

Each eye has its own cells, thickness, place (up to 2 mm off centre, 1 mm off in depth), movement, blinks and tear film;
one in seven has guttae. The stage's motions and the camera's frames take their time; what the host computes takes none.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import trio
import trio.testing
from direct_instrument import at_once, direct_instrument

from firmware_app.model import Eye, Position
from firmware_app.services.photographer import Photographer
from hw.errors import DeviceError
from hw.sim.behaviour import RESTLESS, Condition
from hw.sim.eye import NOMINAL_APEX, SimulatedHead

CAPTURED_LEAST, MEDIAN_S, THICKNESS_UM = 0.98, 6.0, 5.0
DECENTRING_UM, DEPTH_UM = 2000.0, 1000.0


@dataclass(frozen=True)
class Kind:
    """Thinnest and thickest cornea, and how high the camera's picture is: 480 rows are 408 um."""

    corneas_um: tuple[float, float] = (450.0, 650.0)
    rows: int = 480


# Beside the usual: corneas of which no picture shows both layers, and pictures too low for those of most.
EYES = {"usual": Kind(), "thick": Kind((740.0, 780.0)), "low": Kind(rows=200)}


@dataclass(frozen=True)
class Outcome:
    """`reason` is empty for a capture that was accepted."""

    number: int
    seconds: float
    reason: str
    thickness_error_um: float | None = None
    uncertainty_um: float | None = None
    way: str = ""  # how the thickness was measured
    doubt: str = ""  # how the two ways to measure it disagree
    off_um: float = 0.0
    defocus_um: float = 0.0
    sharpness: float = 0.0
    rejected: tuple[tuple[str, int], ...] = ()
    lines: tuple[str, ...] = ()


def patient(number: int, condition: Condition, kind: Kind) -> tuple[SimulatedHead, Eye]:
    """Two eyes a head; where they are and how thick their corneas by the eye's number alone."""
    eye = Eye.LEFT if number % 2 else Eye.RIGHT
    rng = np.random.default_rng([number, 99])
    guttae = float(rng.uniform(2, 12)) if rng.random() < 0.15 else 0.0
    head = SimulatedHead(1000 + number // 2, replace(condition, guttae_percent=guttae), eyes=(eye,))
    angle, radius = rng.uniform(0, 2 * np.pi), DECENTRING_UM * np.sqrt(rng.random())
    nominal = NOMINAL_APEX[eye]
    apex = Position(
        nominal.x_um + float(radius * np.cos(angle)),
        nominal.y_um + float(radius * np.sin(angle)),
        nominal.z_um + float(rng.uniform(-DEPTH_UM, DEPTH_UM)),
    )
    head.eyes[eye] = replace(
        head.eyes[eye],
        apex=apex,
        thickness_um=float(rng.uniform(*kind.corneas_um)),
        brightness=float(rng.uniform(0.7, 1.15)),
    )
    return head, eye


def photograph(number: int, condition: Condition = RESTLESS, kind: str = "usual") -> Outcome:
    head, eye = patient(number, condition, EYES[kind])
    return trio.run(_photograph, head, eye, number, EYES[kind].rows, clock=trio.testing.MockClock(autojump_threshold=0))


async def _photograph(head: SimulatedHead, eye: Eye, number: int, rows: int) -> Outcome:
    instrument = direct_instrument(head, rows=rows)
    photographer = Photographer(instrument.config, *instrument.slots, run_sync=at_once)
    await trio.sleep(number % 97 * 0.173)  # patients do not blink when we begin
    began = trio.current_time()
    lines: list[str] = []

    def tell(text: str) -> None:
        lines.append(f"{trio.current_time() - began:6.2f} s  {text}")

    try:
        taken = await photographer.photograph(eye, tell)
    except DeviceError as error:
        return Outcome(number, trio.current_time() - began, str(error), lines=tuple(lines))
    seconds = trio.current_time() - began
    seen = head.eyes[eye].view(instrument.stage.at(0), trio.current_time())
    thickness = taken.aligned.thickness
    reason = "" if taken.kept.score.is_usable else f"doubtful: {taken.kept.score.reason}"
    return Outcome(
        number,
        seconds,
        reason,
        None if thickness is None else thickness.thickness_um - head.thickness_um(eye),
        None if thickness is None else thickness.uncertainty_um,
        "" if thickness is None else str(thickness.way),
        taken.aligned.doubt,
        float(np.hypot(seen.x_um, seen.y_um)),
        seen.defocus_um,
        taken.kept.score.sharpness,
        tuple(taken.rejected.items()),
        tuple(lines),
    )


def words_of_ways(captured: list[Outcome]) -> str:
    ways = Counter(each.way for each in captured if each.way)
    doubts = sum(bool(each.doubt) for each in captured)
    return ", ".join([*(f"{count} by {way}" for way, count in ways.most_common()), f"{doubts} ways disagree"])


def summary(outcomes: list[Outcome]) -> tuple[list[str], bool]:
    """What was reached, line by line, and whether it is what is required."""
    captured = [each for each in outcomes if not each.reason]
    if not captured:
        return [f"no eye of {len(outcomes)} was captured: {Counter(each.reason for each in outcomes)}"], False
    seconds = sorted(each.seconds for each in captured)
    errors = [each.thickness_error_um for each in captured if each.thickness_error_um is not None]
    worst = max(map(abs, errors), default=float("inf"))
    within = [
        abs(each.thickness_error_um) <= each.uncertainty_um
        for each in captured
        if each.thickness_error_um is not None and each.uncertainty_um is not None
    ]
    rejected: Counter[str] = Counter()
    for each in outcomes:
        rejected.update(dict(each.rejected))
    share, median = len(captured) / len(outcomes), statistics.median(seconds)
    lines = [
        f"captured without a hand: {len(captured)} of {len(outcomes)}, {100 * share:.1f} % "
        f"(required {100 * CAPTURED_LEAST:.0f})",
        f"start to accepted capture: median {median:.2f} s (required < {MEDIAN_S:.0f}), "
        f"95 % {seconds[int(0.95 * (len(seconds) - 1))]:.2f} s, worst {seconds[-1]:.2f} s",
        f"thickness: {len(errors)} measured ({words_of_ways(captured)})",
        f"thickness: mean error {statistics.fmean(errors or [0.0]):+.2f} um, worst "
        f"{worst:.2f} um (required {THICKNESS_UM:.0f}), {sum(within)} of {len(within)} within the stated uncertainty",
        f"off centre at the end: median {statistics.median(each.off_um for each in captured):.0f} um; "
        f"defocus: median {statistics.median(abs(each.defocus_um) for each in captured):.1f} um",
        *(f"frames rejected: {count} {reason}" for reason, count in rejected.most_common()),
        *(f"eye {each.number} failed after {each.seconds:.1f} s: {each.reason}" for each in outcomes if each.reason),
    ]
    named = all(each.reason for each in outcomes if each not in captured)
    complete = len(errors) == len(captured)
    return lines, share >= CAPTURED_LEAST and median < MEDIAN_S and worst <= THICKNESS_UM and named and complete
