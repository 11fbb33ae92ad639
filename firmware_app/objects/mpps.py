"""The two messages of a performed procedure step (PS3.4 table F.7.2-1) as data sets; what is in them, profiles say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Literal

from pydicom import dcmread
from pydicom.dataset import Dataset

from firmware_app.model import Code, Exam, ReferencedInstance
from firmware_app.objects import charset, facts, origin, requests
from firmware_app.objects.compose import Fact, compose_module, texts
from firmware_app.objects.mpps_facts import PerformedSeries, begin_facts, end_facts
from firmware_app.objects.times import parse_time
from firmware_app.profiles.profile import Module, MppsTables, Profile, StorageSetting

EVERY_CHARACTER = ("ISO_IR 192",)
SIMULATED = "SIMULATED INSTRUMENT: no patient was examined"
_OF_SERIES = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "ProtocolName", "Rows")


@dataclass(frozen=True, slots=True)
class StepStation:
    """Which station performs steps, and where its instances can be retrieved from."""

    ae_title: str
    name: str = ""
    archive_ae_title: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class StepAttributes:
    """One message's data set. `problems` says what of the worklist item could not be sent as it was."""

    dataset: Dataset
    problems: tuple[str, ...]
    as_received: Mapping[str, bytes] = field(default_factory=dict)  # for `net.attributes.encode_attributes`


class MppsComposer:
    """Raises ObjectError where a required value is unusable."""

    def __init__(self, profile: Profile, tables: MppsTables, setting: StorageSetting, station: StepStation) -> None:
        self._profile = profile
        self._tables = tables
        self._setting = setting
        self._station = station

    def begin(self, exam: Exam) -> StepAttributes:
        """The N-CREATE: IN PROGRESS."""
        station = self._station
        known = {
            **facts.patient_facts(exam, station.simulated),
            **begin_facts(exam, station_ae_title=station.ae_title, station_name=station.name),
            "series.modality": self._profile.storage_modality[self._setting].modality,
            "step.comments": SIMULATED if station.simulated else None,
        }
        return self._compose(self._tables.n_create, exam, known)

    def end(
        self,
        exam: Exam,
        status: Literal["COMPLETED", "DISCONTINUED"],
        ended_at: datetime,
        instances: Iterable[bytes],
        reason: Code | None = None,
    ) -> StepAttributes:
        """The final N-SET with everything that was made; `instances` are DICOM files, of which the headers suffice."""
        ended_at = ended_at.astimezone(parse_time(exam.started_at, "the start of the exam").tzinfo)
        series = performed_series(instances)
        known = end_facts(exam, status, ended_at, reason, series, self._station.archive_ae_title)
        return self._compose(self._tables.n_set, exam, known)

    def _compose(self, table: Module, exam: Exam, facts_of_message: dict[str, Fact]) -> StepAttributes:
        started_at = parse_time(exam.started_at, "the start of the exam")
        known = {
            **requests.study_facts(exam, started_at),
            **requests.step_facts(exam, started_at),
            **facts_of_message,
        }
        # First with every character allowed, to see which sets the values need; then with the chosen ones.
        draft, _ = compose_module(table, self._setting, known, EVERY_CHARACTER)
        rule = self._profile.character_sets
        terms = charset.choose(texts(draft), origin.character_set(exam), rule.accepted, rule.fallback)
        known["step.character_set"] = None if charset.is_default(terms) else list(terms)
        dataset, problems = compose_module(table, self._setting, known, terms)
        return StepAttributes(dataset, tuple(problems), origin.as_received(exam))


def performed_series(instances: Iterable[bytes]) -> tuple[PerformedSeries, ...]:
    """The series of these DICOM files in their order, as the files themselves say: nothing else is in the archive."""
    headers = [dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(_OF_SERIES)) for data in instances]
    by_uid: dict[str, list[Dataset]] = {}
    for header in headers:
        by_uid.setdefault(str(header.SeriesInstanceUID), []).append(header)
    return tuple(_series(uid, of_series) for uid, of_series in by_uid.items())


def _series(uid: str, headers: Sequence[Dataset]) -> PerformedSeries:
    return PerformedSeries(
        uid,
        description=str(headers[0].get("SeriesDescription") or ""),
        protocol_name=str(headers[0].get("ProtocolName") or ""),
        images=tuple(_reference(header) for header in headers if "Rows" in header),
        others=tuple(_reference(header) for header in headers if "Rows" not in header),
    )


def _reference(header: Dataset) -> ReferencedInstance:
    return ReferencedInstance(str(header.SOPClassUID), str(header.SOPInstanceUID))
