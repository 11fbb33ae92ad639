"""Wrap image files as DICOM instances: what `specular object` does, one instance per file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from firmware_app.dicom.uids import uid_name
from firmware_app.model import Equipment, Exam, Eye, Patient, WorklistItem
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import new_uid
from firmware_app.objects.instance import Instance, build_instance, definition_for
from firmware_app.objects.picture import Exposure, Picture, Radiography
from firmware_app.profiles.profile import ObjectDefinition, Profile, StorageSetting
from firmware_app.services.exam_requests import study_of
from firmware_app.services.image_files import ImageFileError
from firmware_app.services.picture_files import PictureFile, read_picture_file

KINDS: dict[str, StorageSetting] = {"sc": "SC", "op": "OP", "vl": "XC", "cr": "CR"}
FILE_SUFFIX = ".dcm"
# All of them in every row, null where there is nothing.
ROW_KEYS = (
    "file",
    "status",
    "reason",
    "object",
    "sop_class",
    "sop_class_uid",
    "sop_instance_uid",
    "series_instance_uid",
    "study_instance_uid",
    "transfer_syntax",
    "columns",
    "rows",
    "bits_stored",
    "bytes",
    "problems",
)


class BadOrder(ValueError):
    """What was asked for cannot be made of any file; the text says why."""


class OutputExists(ValueError):
    """An output is already there, or two files would become the same one."""


@dataclass(frozen=True, slots=True)
class ObjectOrder:
    """What the instances are to be, and whose. Empty is unknown; what a DICOM file says itself then holds."""

    kind: str
    profile: Profile
    equipment: Equipment
    transfer_syntax_uid: str
    now: datetime
    patient: Patient = field(default_factory=Patient)
    requests: tuple[WorklistItem, ...] = ()
    study_instance_uid: str = ""
    operator: str = ""
    eye: Eye | None = None
    um_per_px: float | None = None
    taken_at: str = ""
    gaze: str = ""
    burned_in: bool = False
    series_description: str = ""
    radiography: Radiography = field(default_factory=Radiography)
    make_uid: Callable[[], str] = new_uid

    @property
    def setting(self) -> StorageSetting:
        return KINDS[self.kind]


def object_rows(
    files: Sequence[Path], out: Path, order: ObjectOrder, *, as_folder: bool = False
) -> Iterator[dict[str, object]]:
    """One row per file, in order; `status` is `ok` or `refused` with its `reason`.

    Raises BadOrder and OutputExists before the first file is read, OSError when an output cannot be written.
    """
    check_order(order)
    targets = output_files(files, out, as_folder or out.is_dir() or len(files) > 1)
    return _rows(files, targets, order)


def check_order(order: ObjectOrder) -> None:
    """Raises BadOrder where the profile has no such object."""
    there = [kind for kind, setting in KINDS.items() if setting in order.profile.storage_modality]
    if order.kind not in there:
        raise BadOrder(f"the profile {order.profile.name} has no object {order.kind}, only {', '.join(there)}")


def output_files(files: Sequence[Path], out: Path, is_folder: bool) -> list[Path]:
    """Where the instances go: files in the folder, named like the images; or `out` itself."""
    if is_folder and out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is a file, where a folder is needed")
    targets = [out / f"{file.stem}{FILE_SUFFIX}" for file in files] if is_folder else [out]
    writers: dict[Path, Path] = {}
    for file, target in zip(files, targets, strict=True):
        if target.exists() or target.is_symlink():
            raise OutputExists(f"{target} exists and is not overwritten")
        if target in writers:
            raise OutputExists(f"{writers[target]} and {file} would both become {target}")
        writers[target] = file
    return targets


def _rows(files: Sequence[Path], targets: Sequence[Path], order: ObjectOrder) -> Iterator[dict[str, object]]:
    exam: Exam | None = None
    for number, (file, target) in enumerate(zip(files, targets, strict=True), start=1):
        try:
            read = read_picture_file(file)
            picture = _picture(order, file, read, number)
            exam = exam or _exam(order, picture.exposures[0].taken_at)
            instance = _instance(order, picture, exam)
        except (ImageFileError, ObjectError) as error:
            yield {**dict.fromkeys(ROW_KEYS), "file": str(file), "status": "refused", "reason": str(error)}
            continue
        size = write_new(target, encode_part10(instance.dataset, instance.as_received))
        yield {**dict.fromkeys(ROW_KEYS), "file": str(file), "status": "ok", **_row(target, instance, size)}


def _picture(order: ObjectOrder, file: Path, read: PictureFile, number: int) -> Picture:
    if order.eye and read.eye and order.eye != read.eye:
        said = read.eye.name.lower()
        raise ImageFileError(f"the file says that it shows the {said} eye, the laterality asked for is {order.eye}")
    taken_at = order.taken_at or read.taken_at or _modified_at(file)
    um_per_px = order.um_per_px if order.um_per_px is not None else read.um_per_px
    return Picture(
        kind="image",
        pixels=read.pixels,
        bits_stored=read.bits_stored,
        exposures=(Exposure(order.eye or read.eye, taken_at, um_per_px),),
        instance_number=number,
        burned_in=order.burned_in or read.burned_in,
        series_description=order.series_description,
        gaze=order.gaze,
        loss=read.loss,
        radiography=order.radiography,
    )


def _modified_at(file: Path) -> str:
    return datetime.fromtimestamp(file.stat().st_mtime).astimezone().isoformat(timespec="seconds")


def _exam(order: ObjectOrder, started_at: str) -> Exam:
    """All files of one call are one series for each eye, in a study that began with the first picture."""
    study_instance_uid = order.study_instance_uid or study_of(order.requests) or order.make_uid()
    return Exam(
        exam_id="",
        patient=order.patient,
        study_instance_uid=study_instance_uid,
        series_instance_uid=order.make_uid(),
        started_at=started_at,
        worklist_items=tuple(
            replace(each, patient=order.patient, study_instance_uid=each.study_instance_uid or study_instance_uid)
            for each in order.requests
        ),
        operator=order.operator,
    )


def _instance(order: ObjectOrder, picture: Picture, exam: Exam) -> Instance:
    definition = definition_for(order.profile, order.setting, picture, order.transfer_syntax_uid)
    if not picture.eyes and needs_eye(definition, order.profile):
        raise ObjectError(f"{definition.name}: nobody says which eye it shows: --laterality R or L")
    if order.transfer_syntax_uid not in declared_syntaxes(order.profile, definition.sop_class_uid):
        syntax = uid_name(order.transfer_syntax_uid)
        raise ObjectError(f"{definition.name}: the profile {order.profile.name} declares no {syntax} for it")
    return build_instance(
        picture,
        exam=exam,
        equipment=order.equipment,
        profile=order.profile,
        created_at=order.now,
        storage_setting=order.setting,
        transfer_syntax_uid=order.transfer_syntax_uid,
        make_uid=order.make_uid,
    )


def declared_syntaxes(profile: Profile, sop_class_uid: str) -> set[str]:
    contexts = profile.application_entity["storage"].contexts
    return {uid for each in contexts if each.abstract_syntax == sop_class_uid for uid in each.transfer_syntaxes}


def needs_eye(definition: ObjectDefinition, profile: Profile) -> bool:
    """Whether the object is not complete without an eye."""
    rows = (row for use in definition.modules for row in profile.module[use.module].attributes)
    return any(row.type == "1" and row.source == "image.eye" for row in rows)


def write_new(target: Path, data: bytes) -> int:
    """Write a whole file or none, and never over another. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as stream:
        try:
            stream.write(data)
            stream.flush()
        except BaseException:
            with contextlib.suppress(OSError):
                target.unlink()
            raise
    return len(data)


def _row(target: Path, instance: Instance, size: int) -> dict[str, object]:
    dataset = instance.dataset
    return {
        "object": str(target),
        "sop_class": uid_name(instance.sop_class_uid),
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "series_instance_uid": str(dataset.SeriesInstanceUID),
        "study_instance_uid": str(dataset.StudyInstanceUID),
        "transfer_syntax": uid_name(str(dataset.file_meta.TransferSyntaxUID)),
        "columns": int(dataset.Columns),
        "rows": int(dataset.Rows),
        "bits_stored": int(dataset.BitsStored),
        "bytes": size,
        "problems": list(instance.problems),
    }
