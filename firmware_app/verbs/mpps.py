"""`specular mpps`: a performed procedure step by hand, begun, completed or discontinued."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, text, typed, uid
from firmware_app.verbs.outcome import EXIT_FAILED, EXIT_USAGE, Stop, importing, read_config, stopping
from firmware_app.verbs.peers import ask_peer
from firmware_app.verbs.worklist_option import add_worklist_option, worklist_items

if TYPE_CHECKING:
    from firmware_app.model import Code
    from firmware_app.services.mpps_rows import StepGiven
    from firmware_app.verbs.options import Parents, Verbs

ACTIONS = ("start", "complete", "discontinue")
REASON_HELP = "of discontinue: such as wrong-patient, equipment-failure, or a code of CID 9301 (default unspecified)"

# Option, attribute of `model.WorklistItem`, its longest value, metavar, what it is.
ORDER_OPTIONS = (
    ("--accession", "accession_number", 16, "NUMBER", "Accession Number"),
    ("--procedure-id", "requested_procedure_id", 16, "ID", "Requested Procedure ID"),
    ("--procedure-description", "requested_procedure_description", 64, "TEXT", "requested procedure in words"),
    ("--scheduled-step-id", "scheduled_procedure_step_id", 16, "ID", "Scheduled Procedure Step ID"),
    ("--scheduled-step-description", "scheduled_procedure_step_description", 64, "TEXT", "that step in words"),
)
_PATIENT = ("patient_id", "issuer_of_patient_id", "patient_name", "birth_date", "sex")
# What a step was begun with cannot be changed at its end (PS3.4 table F.7.2-1).
ONLY_START = (*_PATIENT, "study_uid", "step_id", "accession", "procedure_id", "scheduled_step_id")
ONLY_END = ("files", "series_uid")


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "mpps", "a performed procedure step by hand (N-CREATE, N-SET)", *parents.peer)
    verb.description = (
        "Begin a performed procedure step (start prints its UID), or end it (complete, discontinue) with --uid. "
        "Without a worklist item and an order the step is unscheduled."
    )
    verb.epilog = (
        "Such as: specular mpps RIS@10.0.0.5:104 start --patient-id P1; then, with the UID that it printed: "
        "specular mpps RIS@10.0.0.5:104 complete --uid UID --files *.dcm"
    )
    verb.add_argument("action", choices=ACTIONS, metavar="ACTION", help=", ".join(ACTIONS))
    verb.add_argument("--uid", type=uid, metavar="UID", help="the step (default for start: a new one)")
    step = verb.add_argument_group("what the step is about")
    add_worklist_option(step)
    step.add_argument("--patient-id", type=typed("patient_id"), metavar="ID")
    step.add_argument("--issuer-of-patient-id", type=text(64), metavar="ISSUER")
    step.add_argument("--patient-name", type=typed("person_name"), metavar="FAMILY^GIVEN")
    step.add_argument("--birth-date", type=typed("birth_date"), metavar="YYYYMMDD")
    step.add_argument("--sex", choices=("M", "F", "O"), metavar="M|F|O")
    step.add_argument("--study-uid", type=uid, metavar="UID", help="Study Instance UID (default: new)")
    for option, _, limit, metavar, what in ORDER_OPTIONS:
        step.add_argument(option, type=text(limit), metavar=metavar, help=what)
    step.add_argument("--step-id", type=text(16), metavar="ID", help="Performed Procedure Step ID (default: new)")
    end = verb.add_argument_group("how the step ended")
    end.add_argument("--files", nargs="+", type=Path, default=[], metavar="FILE", help="DICOM instances that were made")
    end.add_argument("--series-uid", type=uid, metavar="UID", help="the series, where nothing was made")
    who = "who did it (default: the configuration's)"
    end.add_argument("--operator", type=typed("person_name"), metavar="FAMILY^GIVEN", help=who)
    end.add_argument("--reason", type=reason, metavar="WORD", help=REASON_HELP)
    verb.set_defaults(run=mpps)


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
    with stopping(EXIT_USAGE, mpps_rows.BadStep), stopping(EXIT_FAILED, mpps_rows.NoInstance):
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
    if action != "discontinue" and arguments.reason:
        raise Stop(EXIT_USAGE, f"{action}: --reason is for discontinue")
    only, when = (ONLY_END, "the end of a step") if action == "start" else (ONLY_START, "start")
    for name in only:
        if getattr(arguments, name):
            raise Stop(EXIT_USAGE, f"{action}: --{name.replace('_', '-')} is for {when}")


def step_given(arguments: argparse.Namespace) -> StepGiven:
    from firmware_app.model import Patient
    from firmware_app.services.mpps_rows import StepGiven

    patient = Patient(
        name=arguments.patient_name or "",
        patient_id=arguments.patient_id or "",
        issuer_of_patient_id=arguments.issuer_of_patient_id or "",
        birth_date=arguments.birth_date or "",
        sex=arguments.sex or "",
    )
    if arguments.worklist_item and patient != Patient():
        raise Stop(EXIT_USAGE, "--worklist-item already says who the patient is")
    order = {name: getattr(arguments, option[2:].replace("-", "_")) for option, name, _, _, _ in ORDER_OPTIONS}
    return StepGiven(
        items=worklist_items(arguments.worklist_item),
        patient=patient,
        order={name: value for name, value in order.items() if value},
        study_instance_uid=arguments.study_uid or "",
        performed_procedure_step_id=arguments.step_id or "",
        uid=arguments.uid or "",
        series_instance_uid=arguments.series_uid or "",
        operator=arguments.operator or "",
    )
