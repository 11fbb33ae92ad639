"""What the sidecars of an exam's folder say, read with distrust: a file that is no sidecar is named and passed over."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from firmware_app.model import Exam
from firmware_app.records import files
from firmware_app.records.documents import (
    FORMAT,
    CaptureSidecar,
    EndSidecar,
    ExamSidecar,
    MeasurementSidecar,
    ObjectRecord,
    ObjectSidecar,
    RemovalSidecar,
    StoredFile,
)
from firmware_app.records.errors import FileDamaged
from firmware_app.records.folders import END_FILE, EXAM_FILE, EXAMS_FOLDER, REMOVED_FILE
from firmware_app.records.seal import SealBroken, check_seal

# A group exam of ten requests has 30 kB, an N-SET of 100 instances 20 kB.
SIDECAR_MAX_BYTES = 4 << 20

Sidecar = ExamSidecar | EndSidecar | RemovalSidecar | CaptureSidecar | MeasurementSidecar | ObjectSidecar
T = TypeVar("T", bound=Sidecar)

_MEASUREMENT = re.compile(r".+-m[0-9]+\.json")
_OBJECT = re.compile(r"[0-9.]+\.json")


class NotASidecar(ValueError):
    """The text says what is wrong with it, not which file it is."""


@dataclass(slots=True)
class ExamFolder:
    """The new sidecars of one exam, in the order in which they were written. `problems` name files, not patients."""

    exam_id: str
    exam: Exam | None = None
    beginning: ExamSidecar | None = None
    end: EndSidecar | None = None
    removal: RemovalSidecar | None = None
    captures: list[CaptureSidecar] = field(default_factory=list)
    measurements: list[MeasurementSidecar] = field(default_factory=list)
    objects: list[ObjectSidecar] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def names(folder: Path) -> list[str]:
    """The names that a sidecar may have."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.name.endswith(".json")]
    except NotADirectoryError:
        return []


def name_of_measurement(capture_id: str, revision: int) -> str:
    return f"{capture_id}-m{revision}.json"


def read_exam(state_dir: Path, exam_id: str) -> ExamSidecar | None:
    """What `exam.json` says; None where it cannot be read."""
    try:
        return _read(state_dir / EXAMS_FOLDER / exam_id / EXAM_FILE, ExamSidecar)
    except NotASidecar:
        return None


def read_object(state_dir: Path, record: ObjectRecord) -> ObjectSidecar | None:
    """The sidecar of an instance; None where it cannot be read."""
    try:
        path = state_dir / EXAMS_FOLDER / record.exam_id / f"{record.sop_instance_uid}.json"
        return _read(path, ObjectSidecar)
    except NotASidecar:
        return None


def read_folder(state_dir: Path, exam_id: str, known: Collection[str], *, checksums: bool) -> ExamFolder:
    """Every sidecar whose name is not `known`, and whether its file is there, with `checksums` also byte for byte.

    An exam whose own file is damaged is taken from what repeats it. A sidecar stays if only its file is missing.
    """
    found = ExamFolder(exam_id)
    for name in sorted(set(names(state_dir / EXAMS_FOLDER / exam_id)) - set(known)):
        try:
            sidecar = _read(state_dir / EXAMS_FOLDER / exam_id / name, _type_of(name))
            _check(sidecar, exam_id, name)
        except NotASidecar as error:
            found.problems.append(f"{EXAMS_FOLDER}/{exam_id}/{name}: {error}")
            continue
        _sort_in(found, sidecar)
        for file in _files(sidecar):
            found.problems += _troubles(state_dir, file, checksums)
    if found.removal is not None:
        found.problems.clear()  # files that were on their way out
    found.captures.sort(key=lambda each: each.capture.captured_at)
    found.measurements.sort(key=lambda each: (each.capture_id, each.revision))
    found.objects.sort(key=lambda each: each.object.saved_at)
    return found


def _read(path: Path, kind: type[T]) -> T:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(SIDECAR_MAX_BYTES + 1)
    except OSError as error:
        raise NotASidecar(f"cannot be read: {error.strerror}") from error
    if len(data) > SIDECAR_MAX_BYTES:
        raise NotASidecar(f"is longer than {SIDECAR_MAX_BYTES} bytes")
    try:
        check_seal(data)
        sidecar = msgspec.json.decode(data, type=kind)
    except SealBroken as error:
        raise NotASidecar(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotASidecar(f"is no sidecar: {_without_values(error)}") from error
    if sidecar.format != FORMAT:
        raise NotASidecar(f"is of another format than {FORMAT}")
    return sidecar


def _without_values(error: Exception) -> str:
    """What a validation says of a value may quote the patient."""
    return "its JSON is broken" if not isinstance(error, msgspec.ValidationError) else "it lacks what it should have"


def _type_of(name: str) -> type[Sidecar]:
    if name == EXAM_FILE:
        return ExamSidecar
    if name == END_FILE:
        return EndSidecar
    if name == REMOVED_FILE:
        return RemovalSidecar
    if _MEASUREMENT.fullmatch(name):
        return MeasurementSidecar
    return ObjectSidecar if _OBJECT.fullmatch(name) else CaptureSidecar


def _check(sidecar: Sidecar, exam_id: str, name: str) -> None:
    """It is of this exam, under its own name, and its file is beside it."""
    match sidecar:
        case ExamSidecar():
            said, own_name = sidecar.exam.exam_id, EXAM_FILE
        case EndSidecar():
            said, own_name = sidecar.exam_id, END_FILE
        case RemovalSidecar():
            said, own_name = sidecar.exam_id, REMOVED_FILE
        case CaptureSidecar():
            said, own_name = sidecar.capture.exam_id, f"{sidecar.capture.capture_id}.json"
        case MeasurementSidecar():
            said, own_name = sidecar.exam_id, name_of_measurement(sidecar.capture_id, sidecar.revision)
        case ObjectSidecar():
            said, own_name = sidecar.object.exam_id, f"{sidecar.object.sop_instance_uid}.json"
    if isinstance(sidecar, CaptureSidecar | ObjectSidecar) and sidecar.exam.exam_id != said:
        raise NotASidecar("contradicts itself on its exam")
    if (said, own_name) != (exam_id, name):
        raise NotASidecar(f"is the sidecar of something else ({own_name} of exam {said})")
    for file in _files(sidecar):
        if Path(file.file).parent != Path(EXAMS_FOLDER) / exam_id:
            raise NotASidecar("names a file elsewhere")


def _files(sidecar: Sidecar) -> Iterator[StoredFile]:
    if isinstance(sidecar, CaptureSidecar):
        yield sidecar.image
    elif isinstance(sidecar, MeasurementSidecar) and sidecar.mosaic is not None:
        yield sidecar.mosaic
    elif isinstance(sidecar, ObjectSidecar):
        yield StoredFile(sidecar.object.file, sidecar.object.size, sidecar.object.sha256)


def _troubles(state_dir: Path, file: StoredFile, checksums: bool) -> Iterator[str]:
    path = state_dir / file.file
    try:
        size = path.stat().st_size
        if size != file.size:
            yield f"{file.file}: has {size} bytes instead of {file.size}"
        elif checksums:
            files.verify(path, file.sha256)
    except OSError as error:
        yield f"{file.file}: {error.strerror}"
    except FileDamaged as error:
        yield f"{file.file}: {error.reason}"


def _sort_in(found: ExamFolder, sidecar: Sidecar) -> None:
    match sidecar:
        case ExamSidecar():
            found.beginning = sidecar
            found.exam = sidecar.exam
        case EndSidecar():
            found.end = sidecar
        case RemovalSidecar():
            found.removal = sidecar
        case CaptureSidecar():
            found.captures.append(sidecar)
            found.exam = found.exam or sidecar.exam
        case MeasurementSidecar():
            found.measurements.append(sidecar)
        case ObjectSidecar():
            found.objects.append(sidecar)
            found.exam = found.exam or sidecar.exam
