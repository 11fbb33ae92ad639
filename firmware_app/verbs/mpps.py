"""`specular mpps`: a performed procedure step by hand, begun, completed or discontinued."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb
from firmware_app.verbs.outcome import EXIT_USAGE, Stop, importing, read_config, stopping
from firmware_app.verbs.peers import ask_peer

if TYPE_CHECKING:
    from firmware_app.model import Code, WorklistItem
    from firmware_app.services.mpps_rows import StepGiven
    from firmware_app.verbs.options import Parents, Verbs

ACTIONS = ("start", "complete", "discontinue")
REASON_HELP = "of discontinue: such as wrong-patient, equipment-failure, or a code of CID 9301 (default unspecified)"
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5 9.1

# Option, metavar, what it is. Each is an attribute of `model.WorklistItem`.
ORDER_OPTIONS = (
    ("--accession-number", "A", "accession number of the order"),
    ("--requested-procedure-id", "ID", "requested procedure"),
    ("--requested-procedure-description", "TEXT", "requested procedure in words"),
    ("--scheduled-procedure-step-id", "ID", "scheduled procedure step"),
    ("--scheduled-procedure-step-description", "TEXT", "scheduled procedure step in words"),
)


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "mpps", "a performed procedure step by hand (N-CREATE, N-SET)", *parents.peer)
    verb.description = (
        "Begin a performed procedure step (start prints its UID), or end it (complete, discontinue) with --uid. "
        "Without a worklist item and an order the step is unscheduled."
    )
    verb.add_argument("action", choices=ACTIONS)
    verb.add_argument("--uid", type=uid, metavar="UID", help="the step (default for start: a new one)")
    step = verb.add_argument_group("what the step is about")
    step.add_argument(
        "--worklist-item",
        metavar="FILE",
        help="lines of `specular worklist --json`, or - for stdin; several are a group of one patient",
    )
    step.add_argument("--patient-id", default="", metavar="ID", help="the hospital's ID")
    step.add_argument("--name", default="", help="patient's name, Family^Given")
    step.add_argument("--birth-date", default="", metavar="YYYYMMDD")
    step.add_argument("--sex", choices=("M", "F", "O"), default="")
    step.add_argument("--issuer", default="", metavar="TEXT", help="issuer of the patient ID")
    step.add_argument("--study", type=uid, metavar="UID", help="Study Instance UID (default: a new one)")
    for option, metavar, text in ORDER_OPTIONS:
        step.add_argument(option, default="", metavar=metavar, help=text)
    step.add_argument("--step-id", type=step_id, metavar="ID", help="Performed Procedure Step ID of ours")
    end = verb.add_argument_group("how the step ended")
    end.add_argument("--files", nargs="+", type=Path, default=[], metavar="FILE", help="DICOM instances that were made")
    end.add_argument("--series", type=uid, metavar="UID", help="the series, where nothing was made")
    end.add_argument("--operator", default="", metavar="NAME", help="who did it (default: the configuration's)")
    end.add_argument("--reason", type=reason, metavar="WORD", help=REASON_HELP)
    verb.set_defaults(run=mpps)


def uid(word: str) -> str:
    if len(word) <= 64 and _UID.fullmatch(word):
        return word
    raise argparse.ArgumentTypeError(f"{word!r} is not a UID")


def step_id(word: str) -> str:
    if word.strip() and len(word) <= 16 and word.isprintable() and "\\" not in word:
        return word
    raise argparse.ArgumentTypeError(f"{word!r} is not 1 to 16 characters, without a backslash")


def reason(word: str) -> Code:
    from firmware_app.objects.discontinuation import discontinuation_reason  # the model, and with it numpy

    try:
        return discontinuation_reason(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{word!r} is not {error}") from error


def mpps(arguments: argparse.Namespace) -> int:
    check_options(arguments)
    with importing():
        from firmware_app.objects.discontinuation import UNSPECIFIED
        from firmware_app.profiles import load_profile
        from firmware_app.services import mpps_rows
        from firmware_app.services.peers import NotDeclared, declared

    with stopping(EXIT_USAGE, NotDeclared):
        declared(load_profile(read_config(arguments).profile), "mpps")
    with stopping(EXIT_USAGE, mpps_rows.BadStep):
        given = step_given(arguments)
        if arguments.action == "start":
            rows = mpps_rows.start_rows(given)
        elif arguments.action == "complete":
            rows = mpps_rows.end_rows(given, "COMPLETED", arguments.files, None)
        else:
            rows = mpps_rows.end_rows(given, "DISCONTINUED", arguments.files, arguments.reason or UNSPECIFIED)
    return ask_peer(arguments, rows)


def check_options(arguments: argparse.Namespace) -> None:
    action = arguments.action
    if action != "start" and not arguments.uid:
        raise Stop(EXIT_USAGE, f"{action} needs --uid, the step that `start` has begun")
    if action == "start" and (arguments.files or arguments.series):
        raise Stop(EXIT_USAGE, "start: --files and --series are for the end of a step")
    if action != "discontinue" and arguments.reason:
        raise Stop(EXIT_USAGE, f"{action}: --reason is for discontinue")


def step_given(arguments: argparse.Namespace) -> StepGiven:
    from firmware_app.services.mpps_rows import StepGiven, patient_of

    typed = (arguments.patient_id, arguments.name, arguments.birth_date, arguments.sex, arguments.issuer)
    if arguments.worklist_item and any(typed):
        raise Stop(EXIT_USAGE, "--worklist-item already says who the patient is")
    names = [option.removeprefix("--").replace("-", "_") for option, _, _ in ORDER_OPTIONS]
    return StepGiven(
        items=worklist_items(arguments.worklist_item) if arguments.worklist_item else (),
        patient=patient_of(*typed),
        order={name: getattr(arguments, name) for name in names if getattr(arguments, name)},
        study_instance_uid=arguments.study or "",
        performed_procedure_step_id=arguments.step_id or "",
        uid=arguments.uid or "",
        series_instance_uid=arguments.series or "",
        operator=arguments.operator,
    )


def worklist_items(source: str) -> tuple[WorklistItem, ...]:
    from firmware_app.services.mpps_rows import BadStep, read_items

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadStep(f"--worklist-item {source}: {error}") from error
    return read_items(text.splitlines(), f"--worklist-item {source}")
