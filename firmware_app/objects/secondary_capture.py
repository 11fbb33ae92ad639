"""Instances of the object that a storage modality setting stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from firmware_app.model import Equipment, Exam
from firmware_app.objects import charset, facts
from firmware_app.objects.compose import Fact, compose, texts
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import new_uid
from firmware_app.objects.picture import Picture
from firmware_app.objects.pixels import encode_pixels
from firmware_app.objects.remarks import image_comments
from firmware_app.profiles.profile import Profile, StorageSetting

EVERY_CHARACTER = ("ISO_IR 192",)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One instance ready to be written. `problems` says what of the worklist item could not be sent as it was."""

    dataset: Dataset
    problems: tuple[str, ...]

    @property
    def sop_class_uid(self) -> str:
        return str(self.dataset.file_meta.MediaStorageSOPClassUID)

    @property
    def sop_instance_uid(self) -> str:
        return str(self.dataset.file_meta.MediaStorageSOPInstanceUID)


def build_secondary_capture(
    picture: Picture,
    *,
    exam: Exam,
    equipment: Equipment,
    profile: Profile,
    created_at: datetime,
    storage_setting: StorageSetting = "SC",
    transfer_syntax_uid: str = ImplicitVRLittleEndian,
    make_uid: Callable[[], str] = new_uid,
) -> Instance:
    """The picture as an instance with the profile's modules. Raises ObjectError where a required value is unusable."""
    if created_at.tzinfo is None:
        raise ObjectError(f"the creation time {created_at.isoformat()} has no UTC offset")
    started_at = facts.parse_time(exam.started_at, "the start of the exam")
    created_at = created_at.astimezone(started_at.tzinfo)  # one instance has one Timezone Offset From UTC
    target = profile.storage_modality[storage_setting]
    definition = profile.iod[target.iod]
    encoded = encode_pixels(picture.pixels, picture.bits_stored, transfer_syntax_uid)
    known: dict[str, Fact] = {
        **facts.patient_facts(exam, picture.simulated),
        **facts.study_facts(exam, started_at),
        **facts.series_facts(exam, picture, target.modality, started_at),
        **facts.equipment_facts(equipment),
        **facts.image_facts(picture, created_at),
        **facts.pixel_facts(encoded),
        "image.sop_class_uid": definition.sop_class_uid,
        "image.sop_instance_uid": make_uid(),
    }
    # First with every character allowed, to see which sets the values need; then with the chosen ones.
    draft, _ = compose(definition, profile, storage_setting, known, EVERY_CHARACTER)
    preferred = exam.worklist_item.specific_character_set if exam.worklist_item else ()
    rule = profile.character_sets
    terms = charset.choose(texts(draft), preferred, rule.accepted, rule.fallback)
    _, problems = compose(definition, profile, storage_setting, known, terms)
    known["image.comments"] = image_comments(picture, problems)
    known["image.character_set"] = None if charset.is_default(terms) else list(terms)
    dataset, problems = compose(definition, profile, storage_setting, known, terms)
    dataset.file_meta = _file_meta(dataset, transfer_syntax_uid, profile)
    return Instance(dataset, tuple(problems))


def _file_meta(dataset: Dataset, transfer_syntax_uid: str, profile: Profile) -> FileMetaDataset:
    ours = profile.application_entity["storage"]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(ours.implementation_class_uid)
    meta.ImplementationVersionName = ours.implementation_version_name
    return meta
