"""The archive's own word for what it holds: asked over DICOM, by a toolkit that is not ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from firmware_app.demo.folder import DeliveredInstance, same_content
from firmware_app.demo.processes import DemoFailed

STUDY_ROOT = StudyRootQueryRetrieveInformationModelFind
CALLING_AE_TITLE = "SPECULAR_DEMO"
WAIT_S = 5.0
# pynetdicom as requestor loses a response about once in 400 operations; its caller then waits for the time-out.
ATTEMPTS = 3
PENDING = (0xFF00, 0xFF01)


class NoAnswer(Exception):
    """The archive did not answer, or refused, what we asked."""


class LostAnswer(NoAnswer):
    """No response in time, which asking again may cure."""


@dataclass(frozen=True, slots=True)
class Archive:
    ip: str
    port: int
    ae_title: str


def confirm(
    instances: Sequence[DeliveredInstance], study_instance_uid: str, archive: Archive, archive_folder: Path
) -> None:
    """The archive's own word for every instance, then its bytes. Raises `DemoFailed` and `NoAnswer`."""
    held = held_instances(archive, study_instance_uid, CALLING_AE_TITLE)
    wanted = {instance.sop_instance_uid: instance.sop_class_uid for instance in instances}
    missing = [uid for uid, sop_class_uid in wanted.items() if held.get(uid) != sop_class_uid]
    if missing:
        raise DemoFailed(f"the archive does not hold {len(missing)} of {len(wanted)} instances: {missing[0]}")
    if len(held) != len(wanted):
        raise DemoFailed(f"the archive holds {len(held)} instances of the study, {len(wanted)} were sent")
    for instance in instances:
        if not same_content(instance.file, archive_folder / f"{instance.sop_instance_uid}.dcm"):
            raise DemoFailed(f"the archive holds {instance.sop_instance_uid} with another content")


def held_instances(archive: Archive, study_instance_uid: str, calling_ae_title: str) -> dict[str, str]:
    """SOP Instance UID -> SOP Class UID of everything the archive holds of one study. Raises `NoAnswer`."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _ask(archive, study_instance_uid, calling_ae_title)
        except LostAnswer:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _ask(archive: Archive, study_instance_uid: str, calling_ae_title: str) -> dict[str, str]:
    entity = AE(calling_ae_title)
    entity.add_requested_context(STUDY_ROOT)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = WAIT_S
    association = entity.associate(archive.ip, archive.port, ae_title=archive.ae_title)
    if not association.is_established:
        raise NoAnswer(f"{archive.ae_title} at {archive.ip}:{archive.port} accepts no association")
    try:
        held: dict[str, str] = {}
        series_key = _key("SERIES", StudyInstanceUID=study_instance_uid, SeriesInstanceUID="")
        for series in list(_find(association, series_key)):
            image_key = _key(
                "IMAGE",
                StudyInstanceUID=study_instance_uid,
                SeriesInstanceUID=series.SeriesInstanceUID,
                SOPInstanceUID="",
                SOPClassUID="",
            )
            held |= {str(image.SOPInstanceUID): str(image.SOPClassUID) for image in _find(association, image_key)}
        return held
    finally:
        association.release()


def _key(level: str, **keys: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _find(association: Association, identifier: Dataset) -> Iterator[Dataset]:
    level = identifier.QueryRetrieveLevel
    for response, found in association.send_c_find(identifier, STUDY_ROOT):
        status = response.get("Status")
        if status is None:
            raise LostAnswer(f"the archive gave no answer to a C-FIND at {level} level within {WAIT_S:.0f} s")
        if status in PENDING and found is not None:
            yield found
        elif status != 0x0000:
            raise NoAnswer(f"the archive refused a C-FIND at {level} level: status {status:04X}")
