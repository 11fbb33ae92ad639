"""The verb of the device image that keeps an update or goes back (systemd/image/specular-*trial*, RAUC's handlers)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app import __version__
from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, stopping

if TYPE_CHECKING:
    from firmware_app.device.trial import Verdict
    from firmware_app.device.trial_files import TrialFiles
    from firmware_app.verbs.options import Parents, Verbs

DATA_LOST = Path("/run/specular/data-lost")


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "slot-trial", "keep the release that was installed, or go back to the one before")
    verb.description = (
        "For the device image: installing and installed are called by RAUC, the others by systemd at the start, when "
        "the service is in working order, and when the time for that is up."
    )
    verb.add_argument("stage", choices=sorted(STAGES))
    text = "where it is kept what is on trial"
    verb.add_argument("--folder", type=Path, default=Path("/data/update"), metavar="DIR", help=text)
    verb.set_defaults(run=slot_trial)


def slot_trial(arguments: argparse.Namespace) -> int:
    from firmware_app.device.boot_slots import SlotError
    from firmware_app.device.trial import StillOnTrial
    from firmware_app.device.trial_files import TrialFiles

    with stopping(EXIT_FAILED, SlotError, StillOnTrial, OSError):
        STAGES[arguments.stage](TrialFiles(arguments.folder))
    return EXIT_DONE


def installing(files: TrialFiles) -> None:
    """RAUC is about to write: where this cannot be written down, nothing is installed."""
    from firmware_app.device.boot_slots import installation
    from firmware_app.device.trial import installed_over
    from firmware_app.device.trial_files import bundle_version

    target = installation(os.environ)
    trial = installed_over(files.read(), target.booted, target.slot, bundle_version(target.bundle), __version__)
    files.write(trial)
    print(f"specular: {trial.version} into slot {trial.slot}; {__version__} in slot {trial.from_slot} stays")


def installed(files: TrialFiles) -> None:
    import msgspec

    trial = files.read()
    if trial is not None:
        files.write(msgspec.structs.replace(trial, stage="installed"))
        files.tell(f"{trial.version} is installed in slot {trial.slot}: on trial from the next start on")


def start(files: TrialFiles) -> None:
    from firmware_app.device import boot_slots, trial

    slots = boot_slots.slots()
    _act(files, trial.at_start(files.read(), slots.booted, __version__, DATA_LOST.exists()))


def keep(files: TrialFiles) -> None:
    from firmware_app.device import boot_slots, trial

    slots = boot_slots.slots()
    _act(files, trial.in_working_order(files.read(), slots.booted, __version__, DATA_LOST.exists()))


def time_is_up(files: TrialFiles) -> None:
    from firmware_app.device import boot_slots, trial

    slots = boot_slots.slots()
    _act(files, trial.time_is_up(files.read(), slots.booted, slots.other_good, boot_slots.service_state()))


STAGES: dict[str, Callable[[TrialFiles], None]] = {
    "installing": installing,
    "installed": installed,
    "start": start,
    "keep": keep,
    "time-is-up": time_is_up,
}


def _act(files: TrialFiles, verdict: Verdict) -> None:
    """The boot loader first: a full disk keeps nobody from telling it, and what is written down is only told."""
    from firmware_app.device import boot_slots
    from firmware_app.services import last_update

    for what in verdict.marks:
        boot_slots.mark(what)
    try:
        if verdict.trial != files.read():
            files.write(verdict.trial)
        if verdict.news:
            files.tell(verdict.news)
        last_update.FILE.write_text(f"{files.told()}\n")
    except OSError as error:
        print(f"specular slot-trial: cannot be written down: {error}", file=sys.stderr)
    if verdict.news:
        print(f"specular: {verdict.news}")
    if verdict.leave:
        sys.stdout.flush()
        boot_slots.reboot()
