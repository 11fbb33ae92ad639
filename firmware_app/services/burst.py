"""Which frame of a burst is kept, and what is told of the others. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_app.endothelium.look import score_reflex
from firmware_app.endothelium.reflex_geometry import ReflexGeometry
from firmware_app.endothelium.usability import FrameScore
from firmware_app.model import Frame, Reject
from hw.errors import Refused


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The frame of a burst that is kept, and the others that are not usable, each with its reason."""

    frame: Frame
    score: FrameScore
    rejects: tuple[Reject, ...] = ()

    @property
    def rejected(self) -> tuple[str, ...]:
        """The reasons."""
        return tuple(each.reason for each in self.rejects)

    def lines(self, frames: int) -> list[str]:
        """What the operator is told of a burst of so many frames."""
        told = [f"{count} of {frames} frames rejected: {reason}" for reason, count in Counter(self.rejected).items()]
        if self.score.is_usable:
            good = frames - len(self.rejected)
            return [*told, f"the sharpest of {good} frames kept, sharpness {self.score.sharpness:.3g}"]
        return [*told, f"no frame is good, the best one is kept: {self.score.reason}; capture again if you can"]


def sharpest(frames: Sequence[Frame], geometry: ReflexGeometry | None = None) -> Kept:
    """The sharpest usable frame of a burst of at least one; with a geometry, judged by its lit band alone.

    When none is usable the best of them is kept all the same: a swollen cornea is nothing but haze, a restless patient
    may not be photographed better today, and the analysis refuses what it cannot measure. Raises `Refused` only where
    no frame holds anything that could be looked at later: black all over, or white.
    """
    scored = [(score_reflex(frame.pixels, frame.bits_stored, geometry), frame) for frame in frames]
    if all(score.is_empty for score, _ in scored):
        reasons = "; ".join(dict.fromkeys(score.reason for score, _ in scored))
        raise Refused(f"capture: nothing to keep in {len(scored)} frames: {reasons}")
    usable = [(score, frame) for score, frame in scored if score.is_usable]
    if not usable:
        score, frame = max(scored, key=lambda pair: (not pair[0].is_empty, pair[0].usability * pair[0].sharpness))
        others = tuple(Reject(other, why.reason) for why, other in scored if other is not frame)
        return Kept(frame, score, others)
    score, frame = max(usable, key=lambda pair: pair[0].sharpness)
    return Kept(frame, score, tuple(Reject(other, why.reason) for why, other in scored if not why.is_usable))
