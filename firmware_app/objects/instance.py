"""Instances of the objects that a storage modality setting stands for. Which attributes they have, the profile says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from firmware_app.model import Equipment, Exam
from firmware_app.objects import charset, facts, origin, requests
from firmware_app.objects.compose import Fact, compose, texts
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.identifiers import new_uid
from firmware_app.objects.picture import Picture
from firmware_app.objects.pixels import EncodedPixels, bits_at_most, encode_pixels, to_depth
from firmware_app.objects.remarks import image_comments
from firmware_app.objects.times import parse_time
from firmware_app.profiles.profile import ObjectDefinition, Profile, StorageModality, StorageSetting

EVERY_CHARACTER = ("ISO_IR 192",)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One instance ready to be written. `problems` says what of the worklist item could not be sent as it was."""

    dataset: Dataset
    problems: tuple[str, ...]
    as_received: Mapping[str, bytes] = field(default_factory=dict)  # for `encode_part10`

    @property
    def sop_class_uid(self) -> str:
        return str(self.dataset.file_meta.MediaStorageSOPClassUID)

    @property
    def sop_instance_uid(self) -> str:
        return str(self.dataset.file_meta.MediaStorageSOPInstanceUID)


def build_instance(
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
    """The picture as the object that the setting means for it, with the profile's modules.

    Raises ObjectError where a required value is unusable or the object cannot hold the picture.
    """
    if created_at.tzinfo is None:
        raise ObjectError(f"the creation time {created_at.isoformat()} has no UTC offset")
    started_at = parse_time(exam.started_at, "the start of the exam")
    created_at = created_at.astimezone(started_at.tzinfo)  # one instance has one Timezone Offset From UTC
    target = _target(profile, storage_setting)
    is_report = picture.kind == "report"
    definition = definition_for(profile, storage_setting, picture, transfer_syntax_uid)
    modality = (target.report_modality if is_report else "") or target.modality
    encoded, derivation = _encode(definition, picture, transfer_syntax_uid)
    known: dict[str, Fact] = {
        **facts.patient_facts(exam, picture.simulated),
        **requests.study_facts(exam, started_at),
        **requests.step_facts(exam, started_at),
        **facts.series_facts(exam, picture, modality, started_at),
        **facts.equipment_facts(equipment),
        **facts.image_facts(picture, created_at),
        **facts.pixel_facts(encoded, picture),
        **facts.radiography_facts(picture, equipment),
        "image.derivation_description": derivation,
        "image.sop_class_uid": definition.sop_class_uid,
        "image.sop_instance_uid": make_uid(),
    }
    dataset, problems = _compose(definition, profile, storage_setting, known, picture, exam)
    return Instance(_with_file_meta(dataset, transfer_syntax_uid, profile), tuple(problems), origin.as_received(exam))


def definition_for(
    profile: Profile, storage_setting: StorageSetting, picture: Picture, transfer_syntax_uid: str
) -> ObjectDefinition:
    """The object that this picture becomes under the setting."""
    target = _target(profile, storage_setting)
    if picture.kind == "report":
        return profile.iod[target.report_iod or target.iod]
    bits_stored = min(picture.bits_stored, bits_at_most(transfer_syntax_uid))
    return profile.iod[(target.iod_above_8_bits if bits_stored > 8 else "") or target.iod]


def _target(profile: Profile, storage_setting: StorageSetting) -> StorageModality:
    if storage_setting not in profile.storage_modality:
        raise ObjectError(f"profile {profile.name} has no objects for the storage modality {storage_setting}")
    return profile.storage_modality[storage_setting]


def _encode(definition: ObjectDefinition, picture: Picture, transfer_syntax_uid: str) -> tuple[EncodedPixels, str]:
    """The pixels as the object wants them, and what was done to them. Only an object of any depth gives way to JPEG."""
    if definition.grey_only and picture.pixels.ndim == 3:
        raise ObjectError(f"{definition.name}: colour pictures are not for this object, only grey ones")
    limit = bits_at_most(transfer_syntax_uid)
    if definition.bits_stored > limit:
        syntax = UID(transfer_syntax_uid).name
        raise ObjectError(f"{definition.name}: has {definition.bits_stored} stored bits, and {syntax} has {limit}")
    wanted = definition.bits_stored or min(picture.bits_stored, limit)
    pixels, derivation = to_depth(picture.pixels, picture.bits_stored, wanted)
    return encode_pixels(pixels, wanted, transfer_syntax_uid), derivation


def _compose(
    definition: ObjectDefinition,
    profile: Profile,
    storage_setting: StorageSetting,
    known: dict[str, Fact],
    picture: Picture,
    exam: Exam,
) -> tuple[Dataset, list[str]]:
    # First with every character allowed, to see which sets the values need; then with the chosen ones.
    draft, _ = compose(definition, profile, storage_setting, known, EVERY_CHARACTER)
    rule = profile.character_sets
    terms = charset.choose(texts(draft), origin.character_set(exam), rule.accepted, rule.fallback)
    _, problems = compose(definition, profile, storage_setting, known, terms)
    guessed = list(origin.undecoded(exam))
    known["image.comments"] = image_comments(picture, [*guessed, *problems])
    known["image.character_set"] = None if charset.is_default(terms) else list(terms)
    dataset, problems = compose(definition, profile, storage_setting, known, terms)
    return dataset, [*guessed, *problems]


def _with_file_meta(dataset: Dataset, transfer_syntax_uid: str, profile: Profile) -> Dataset:
    ours = profile.application_entity["storage"]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(ours.implementation_class_uid)
    if ours.implementation_version_name:
        meta.ImplementationVersionName = ours.implementation_version_name
    dataset.file_meta = meta
    return dataset
