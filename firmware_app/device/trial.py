"""A release that was just installed is on trial: kept when it has done its work for a minute, else left again.

RAUC and the boot loader know whether a slot starts, not whether its release does the work of an instrument, nor whether
a slot that starts is new. So it is written down here, at the installation, which slot is on trial. Nothing written
means no trial: a release that once was kept is never left because something is wrong with it later (a full disk must
not become a loop of restarts), and a data partition that was lost or replaced does not make one either.

    installing -> installed -> started (each time it starts) -> kept, or left

Pure: what is to be done about the slots, and what is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import msgspec

WORDS_MAX = 400  # of a reason: it is shown on the console


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`slot` and `version` are on trial; `from_slot` is where `from_version`, which installed them, still is."""

    slot: str
    version: str
    from_slot: str
    from_version: str
    stage: Literal["installing", "installed", "started"] = "installing"
    starts: int = 0
    reason: str = ""  # why it was left, where it could still say so


class Mark(Enum):
    """What the boot loader is to be told, by RAUC."""

    GOOD = "mark-good booted"
    OTHER_BAD = "mark-bad other"
    BAD = "mark-bad booted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`trial` None: there is none any more. `news` is told now and kept for whoever looks later; "" leaves the last."""

    trial: Trial | None
    marks: tuple[Mark, ...] = ()
    news: str = ""
    leave: bool = False


class StillOnTrial(Exception):
    """An update of a release that nobody knows to work, over the one that did."""


def installed_over(trial: Trial | None, booted: str, slot: str, version: str, own_version: str) -> Trial:
    """The trial of what is installed into `slot`. Raises `StillOnTrial`: that slot is where to go back to."""
    if trial is not None and trial.slot == booted:
        raise StillOnTrial(f"{own_version} in slot {booted} is on trial itself: install when it is kept")
    return Trial(slot, version, booted, own_version)


def at_start(trial: Trial | None, booted: str, version: str, data_lost: bool) -> Verdict:
    """Once, early in each start.

    A slot that is not on trial is marked good at once, long before the service could be: three short spells of power
    must not count as three failed starts. Not where the data partition could not be mounted: that may be the fault of
    this slot's kernel, and the next starts try the other one.
    """
    if data_lost:
        return Verdict(trial)
    if trial is None:
        return Verdict(None, (Mark.GOOD,))
    if trial.slot == booted:
        starts = trial.starts + 1
        news = (
            f"{version} in slot {booted} is on trial (start {starts}): "
            f"kept when it has been in working order for a minute, else back to {trial.from_version}"
        )
        return Verdict(msgspec.structs.replace(trial, stage="started", starts=starts), news=news)
    return Verdict(None, (Mark.GOOD, Mark.OTHER_BAD), came_back(trial, booted, version))


def came_back(trial: Trial, booted: str, version: str) -> str:
    """Why the slot on trial is not the one that runs."""
    kept = f"{version} in slot {booted} goes on"
    if trial.stage == "installing":
        return f"the installation of {trial.version} in slot {trial.slot} was not finished; {kept}"
    if trial.reason:
        why = trial.reason
    elif trial.stage == "installed":
        why = "it did not start"
    else:
        why = f"it started {_times(trial.starts)} and did not come into working order"
    return f"fell back from {trial.version} in slot {trial.slot}: {why}; {kept}"


def in_working_order(trial: Trial | None, booted: str, version: str, data_lost: bool) -> Verdict:
    """The service has said that it does its work."""
    if trial is None or trial.slot != booted or data_lost:
        return Verdict(trial)
    news = f"{version} in slot {booted} is kept: it is in working order; before it: {trial.from_version}"
    return Verdict(None, (Mark.GOOD,), news)


def time_is_up(trial: Trial | None, booted: str, other_good: bool, state: str) -> Verdict:
    """The service has not said so in time: the slot is left at once. What cannot even get here, the boot loader leaves
    after three attempts. A slot without another to go to is not left."""
    if trial is None or trial.slot != booted:
        return Verdict(trial)
    reason = f"it did not come into working order in time: {state}"[:WORDS_MAX]
    ended = msgspec.structs.replace(trial, reason=reason)
    if not other_good:
        news = f"{trial.version} in slot {booted} is not in working order, and there is no other to go back to: {state}"
        return Verdict(ended, news=news[:WORDS_MAX])
    return Verdict(ended, (Mark.BAD,), f"leaving {trial.version} in slot {booted}: {reason}", leave=True)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
