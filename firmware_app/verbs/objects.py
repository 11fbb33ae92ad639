"""`specular object`: image files as DICOM instances."""

from __future__ import annotations

import argparse
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_profile_option, add_verb, matching, text, typed, uid, um_per_px
from firmware_app.verbs.outcome import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_USAGE,
    Stop,
    importing,
    read_config,
    show_files,
    stopping,
)
from firmware_app.verbs.worklist_option import add_worklist_option, worklist_items

if TYPE_CHECKING:
    from firmware_app.model import Patient, WorklistItem
    from firmware_app.services.object_files import ObjectOrder
    from firmware_app.verbs.options import Parents, Verbs

KINDS = ("sc", "op", "vl", "cr")
GAZES = ("ahead", "up", "down", "right", "left", "right-up", "left-up", "right-down", "left-down")
# Options of one kind: the attribute of the picture that they give, their VR's limit, and what they are.
RADIOGRAPHY = {
    "plate_id": (r"[^\\\x00-\x1f]{1,64}", "at most 64 characters, no backslash", "default: the device serial number"),
    "view_position": (r"[A-Z0-9 _]{1,16}", "at most 16 capital letters, digits, spaces and underscores", "such as AP"),
    "kvp": (r"[0-9]{1,3}(\.[0-9]{1,3})?", "kilovolts from 0 to 999", "peak kilovoltage"),
    "distance_source_to_detector_mm": (r"[0-9]{1,5}(\.[0-9]{1,3})?", "mm from 0 to 99999", "source to detector"),
    "exposure_uas": (r"[0-9]{1,9}", "a whole number of uAs", "exposure in uAs"),
    "image_area_dose_product": (r"[0-9]{1,9}(\.[0-9]{1,4})?", "a number of dGy*cm2", "area dose product"),
    "relative_x_ray_exposure": (r"[0-9]{1,9}", "a whole number", "relative X-ray exposure"),
}
# What a worklist item says itself.
IN_WORKLIST_ITEM = (
    *("patient_id", "issuer_of_patient_id", "patient_name", "birth_date", "sex"),
    *("study_uid", "accession", "procedure_id", "study_description", "referring_physician"),
)


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "object", "image files as DICOM instances", parents.configured, parents.printed)
    verb.description = (
        "Wrap image files (PNG, TIFF, JPEG, DICOM) as instances of one study: sc Secondary Capture, op Ophthalmic "
        "Photography, vl VL Photographic, cr Computed Radiography. Which attributes they have, the profile says."
    )
    verb.epilog = (
        "Nothing is overwritten. Exit status 1 if any file was refused; every file is answered all the same. "
        "Such as: specular object op eye.png -o eye.dcm --patient-id P1 --laterality R"
    )
    verb.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    verb.add_argument("-o", "--out", required=True, metavar="OUT", help="a file, or a folder (for several always)")
    add_patient_options(verb)
    add_study_options(verb)
    add_picture_options(verb)
    verb.set_defaults(run=make_objects)


def add_patient_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("the patient (what is not given is sent empty)")
    add_worklist_option(group)
    group.add_argument("--patient-id", type=typed("patient_id"), metavar="ID")
    group.add_argument("--issuer-of-patient-id", type=text(64), metavar="ISSUER")
    group.add_argument("--patient-name", type=typed("person_name"), metavar="FAMILY^GIVEN")
    group.add_argument("--birth-date", type=typed("birth_date"), metavar="YYYYMMDD")
    group.add_argument("--sex", choices=("M", "F", "O"), metavar="M|F|O")


def add_study_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("the study")
    group.add_argument("--study-uid", type=uid, metavar="UID", help="Study Instance UID (default: new)")
    group.add_argument("--accession", type=text(16), metavar="NUMBER", help="Accession Number")
    group.add_argument("--procedure-id", type=text(16), metavar="ID", help="Requested Procedure ID")
    group.add_argument("--study-description", type=text(64), metavar="TEXT")
    group.add_argument("--referring-physician", type=typed("person_name"), metavar="FAMILY^GIVEN")
    group.add_argument("--operator", type=typed("person_name"), metavar="FAMILY^GIVEN")
    group.add_argument("--series-description", type=text(64), metavar="TEXT")


def add_picture_options(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("the pictures")
    group.add_argument("--laterality", choices=("R", "L"), metavar="R|L", help="which eye (default: the file's)")
    group.add_argument("--um-per-px", type=um_per_px, metavar="X", help="the scale (default: the file's)")
    group.add_argument(
        "--taken-at", type=moment, metavar="TIME", help="ISO 8601 (default: the file's, or when it changed)"
    )
    group.add_argument("--burned-in", action="store_true", help="patient data is drawn into the pixels")
    group.add_argument("--gaze", choices=GAZES, metavar="WHERE", help=f"op: {', '.join(GAZES)}")
    for name, (pattern, allowed, what) in RADIOGRAPHY.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=matching(pattern, allowed), metavar="X", help=f"cr: {what}")
    group.add_argument("--transfer-syntax", metavar="NAME", help="such as rle-lossless (default: the configuration's)")
    add_profile_option(group, "whose tables (default: the configuration's)")


def make_objects(arguments: argparse.Namespace) -> int:
    with importing():
        from firmware_app.objects.errors import ObjectError
        from firmware_app.services.object_files import BadOrder, OutputExists, object_rows

    order = _order(arguments)
    with stopping(EXIT_USAGE, BadOrder, OutputExists), stopping(EXIT_FAILED, ObjectError, OSError):
        rows = object_rows(arguments.images, Path(arguments.out), order, as_folder=arguments.out.endswith(os.sep))
    show_files(arguments.json, rows, _line)
    return EXIT_DONE


def _line(row: dict[str, object]) -> str:
    if row["status"] != "ok":
        return f"{row['file']}: refused: {row['reason']}"
    problems = row["problems"]
    said = "".join(f"; {problem}" for problem in problems) if isinstance(problems, list) else ""
    size = f"{row['columns']}x{row['rows']}, {row['bits_stored']} bits"
    return f"{row['object']}: {row['sop_class']}, {size}, {row['transfer_syntax']}, {row['sop_instance_uid']}{said}"


def _word(arguments: argparse.Namespace, name: str) -> str:
    """What was given, or empty: a converter never lets through what is empty on purpose or by accident."""
    return getattr(arguments, name) or ""


def _order(arguments: argparse.Namespace) -> ObjectOrder:
    from firmware_app.config.declared_services import TRANSFER_SYNTAXES
    from firmware_app.model import Eye
    from firmware_app.objects.picture import Radiography
    from firmware_app.profiles import load_profile
    from firmware_app.services.equipment import equipment_of
    from firmware_app.services.object_files import ObjectOrder

    _only_with(arguments, "op", ("gaze",))
    _only_with(arguments, "cr", tuple(RADIOGRAPHY))
    _nothing_beside_worklist_items(arguments)
    config = read_config(arguments)
    profile = load_profile(config.profile)
    name = arguments.transfer_syntax or config.storage.transfer_syntax
    if name not in TRANSFER_SYNTAXES:
        raise Stop(EXIT_USAGE, f"--transfer-syntax: {name!r} is none of {', '.join(TRANSFER_SYNTAXES)}")
    items = worklist_items(arguments.worklist_item)
    patient = items[0].patient if items else _typed_patient(arguments)
    return ObjectOrder(
        kind=arguments.kind,
        profile=profile,
        equipment=equipment_of(config, profile),
        transfer_syntax_uid=TRANSFER_SYNTAXES[name],
        now=datetime.now().astimezone(),
        patient=patient,
        requests=items or _typed_request(arguments),
        study_instance_uid=_word(arguments, "study_uid"),
        operator=_word(arguments, "operator"),
        eye=Eye(arguments.laterality) if arguments.laterality else None,
        um_per_px=arguments.um_per_px,
        taken_at=_word(arguments, "taken_at"),
        gaze=_word(arguments, "gaze"),
        burned_in=arguments.burned_in,
        series_description=_word(arguments, "series_description"),
        radiography=Radiography(**{name: _word(arguments, name) for name in RADIOGRAPHY}),
    )


def _typed_patient(arguments: argparse.Namespace) -> Patient:
    from firmware_app.model import Patient

    return Patient(
        name=_word(arguments, "patient_name"),
        patient_id=_word(arguments, "patient_id"),
        issuer_of_patient_id=_word(arguments, "issuer_of_patient_id"),
        birth_date=_word(arguments, "birth_date"),
        sex=_word(arguments, "sex"),
    )


def _typed_request(arguments: argparse.Namespace) -> tuple[WorklistItem, ...]:
    """What was asked for, as far as anything of it was typed."""
    from firmware_app.model import Patient, WorklistItem

    nothing = WorklistItem(Patient())
    given = WorklistItem(
        Patient(),
        accession_number=_word(arguments, "accession"),
        requested_procedure_id=_word(arguments, "procedure_id"),
        requested_procedure_description=_word(arguments, "study_description"),
        referring_physician=_word(arguments, "referring_physician"),
    )
    return () if given == nothing else (given,)


def _nothing_beside_worklist_items(arguments: argparse.Namespace) -> None:
    for name in IN_WORKLIST_ITEM if arguments.worklist_item else ():
        if getattr(arguments, name):
            raise Stop(EXIT_USAGE, f"--worklist-item already says it: --{name.replace('_', '-')} does not go with it")


def _only_with(arguments: argparse.Namespace, kind: str, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(arguments, name) and arguments.kind != kind:
            raise Stop(EXIT_USAGE, f"--{name.replace('_', '-')} is only for {kind}")


def moment(word: str) -> str:
    """A time without an offset is one of this place."""
    try:
        taken_at = datetime.fromisoformat(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a time such as 2026-03-01T14:30:00+01:00") from None
    return (taken_at if taken_at.tzinfo else taken_at.astimezone()).isoformat()
