"""Nine worklist items as hospitals really send them, as files for a worklist server; what each must become."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peers_material import worklist_entry
from pydicom.dataset import Dataset

# What cannot be written with a toolkit is written over afterwards: octets of the same length.
Overwrite = tuple[bytes, bytes]


@dataclass(frozen=True)
class OddItem:
    """`problem` is what the operator is told, "" for nothing; `object_problem` what the object has to tell."""

    change: Callable[[Dataset], None]
    problem: str = ""
    object_problem: str = ""
    overwrite: Overwrite = (b"", b"")


def too_long(entry: Dataset) -> None:
    entry.PatientName = "X" * 70 + "^Y"
    entry.RequestedProcedureDescription = "D" * 80


def no_study(entry: Dataset) -> None:
    del entry.StudyInstanceUID


def empty_steps(entry: Dataset) -> None:
    entry.ScheduledProcedureStepSequence = []


def no_steps(entry: Dataset) -> None:
    del entry.ScheduledProcedureStepSequence


def bad_date(entry: Dataset) -> None:
    entry.PatientBirthDate = "19600230"
    entry.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate = "20261301"


def bad_time(entry: Dataset) -> None:
    entry.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime = "256199"


def padded_uid(entry: Dataset) -> None:
    entry.StudyInstanceUID = "1.2.826.0.1.3680043.9.77.12"  # 27 characters: 28 octets with the padding


def only_what_is_required(entry: Dataset) -> None:
    keep = {"PatientName", "PatientID", "StudyInstanceUID", "ScheduledProcedureStepSequence", "RequestedProcedureID"}
    for element in list(entry):
        if element.keyword not in keep:
            del entry[element.tag]
    step = entry.ScheduledProcedureStepSequence[0]
    for element in list(step):
        if element.keyword not in {"Modality", "ScheduledStationAETitle", "ScheduledProcedureStepStartDate"}:
            del step[element.tag]


def wrong_character_set(entry: Dataset) -> None:
    entry.SpecificCharacterSet = "ISO_IR 192"
    entry.PatientName = "Buc^JxrXme"


ODD_ITEMS: dict[str, OddItem] = {
    "TOO-LONG": OddItem(too_long, "Name (0010,0010) has 72 characters, 64 are allowed", "PatientName: longer"),
    "NO-STUDY": OddItem(no_study, "Study Instance UID (0020,000D) is missing"),
    "EMPTY-STEPS": OddItem(empty_steps, "Scheduled Procedure Step Sequence (0040,0100) is missing or empty"),
    "NO-STEPS": OddItem(no_steps, "Scheduled Procedure Step Sequence (0040,0100) is missing or empty"),
    "BAD-DATE": OddItem(bad_date, "Birth Date (0010,0030) is not a date: '19600230'", "PatientBirthDate: '19600230'"),
    "BAD-TIME": OddItem(bad_time, "Start Time (0040,0003) is not a time: '256199'"),
    "PADDED-UID": OddItem(padded_uid, overwrite=(b".77.12\0", b".77.1 \0")),
    "TYPE-2": OddItem(only_what_is_required),
    "CHARSET": OddItem(
        wrong_character_set,
        "Patient's Name (0010,0010) does not fit its character set (ISO_IR 192), read as iso8859_1",
        "PatientName: a guess, because its octets are not of its character set (ISO_IR 192): 4275635E4AE972F46D65",
        (b"Buc^JxrXme", b"Buc^J\xe9r\xf4me"),
    ),
}


def write_odd_items(folder: Path) -> None:
    (folder / "lockfile").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is wrong on purpose
        for number, (patient_id, odd) in enumerate(ODD_ITEMS.items()):
            entry = worklist_entry(number, f"ODD^{patient_id}", patient_id, "")
            odd.change(entry)
            file = folder / f"{number}.wl"
            entry.save_as(file, enforce_file_format=True)
            before, after = odd.overwrite
            octets = file.read_bytes()
            assert (len(before) == len(after) and octets.count(before) == 1) or not before
            file.write_bytes(octets.replace(before, after) if before else octets)
