"""Modality Worklist (PS3.4 annex K) as SCU: a query becomes an identifier, each response a `WorklistItem`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from firmware_app.dicom.charset import DEFAULT_FALLBACKS
from firmware_app.dicom.item_reading import is_date
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND
from firmware_app.dicom.worklist_item import read_worklist_item
from firmware_app.model import WorklistItem
from firmware_app.net.association import ContextPair, associate
from firmware_app.net.find import find
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.query import UNICODE, build_identifier, checked_character_set, composed
from firmware_app.profiles.profile import CharacterSets, QueryKey

WORKLIST_CONTEXTS: tuple[ContextPair, ...] = (
    (MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)),
)
DEFAULT_MAX_ITEMS = 5000
STEP = "ScheduledProcedureStepSequence"
START_DATE = f"{STEP}.ScheduledProcedureStepStartDate"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistQuery:
    """Matching keys; an empty one matches everything. Which may be used, and which take `*` and `?`, the profile says.

    `date` is YYYYMMDD, or a range with either end open: `20260101-20260131`, `20260101-`, `-20260131`.
    """

    scheduled_station_ae_title: str = ""
    date: str = ""
    modality: str = ""
    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    requested_procedure_id: str = ""

    def __post_init__(self) -> None:
        if self.date and not is_date_query(self.date):
            raise ValueError(f"date of a worklist query: YYYYMMDD or a range of two, not {self.date!r}")

    def values(self) -> dict[str, str]:
        """Path of each key that has one to its value."""
        values = {
            f"{STEP}.ScheduledStationAETitle": self.scheduled_station_ae_title,
            START_DATE: self.date,
            f"{STEP}.Modality": self.modality,
            "PatientName": self.patient_name,
            "PatientID": self.patient_id,
            "AccessionNumber": self.accession_number,
            "RequestedProcedureID": self.requested_procedure_id,
        }
        return composed(values)


def is_date_query(text: str) -> bool:
    """A day, or a range of days with at least one end."""
    match = re.fullmatch(r"(\d{8})?(-)?(\d{8})?", text)
    if match is None:
        return False
    first, dash, last = match.groups()
    days = [day for day in (first, last) if day]
    return bool(days) and (bool(dash) or not last) and all(map(is_date, days))


async def find_worklist(
    node: Node,
    local: LocalApplicationEntity,
    query: WorklistQuery,
    keys: Sequence[QueryKey],
    *,
    contexts: tuple[ContextPair, ...] = WORKLIST_CONTEXTS,
    max_items: int = DEFAULT_MAX_ITEMS,
    fallback_character_sets: Sequence[str] = DEFAULT_FALLBACKS,
    character_sets: CharacterSets = UNICODE,
    preferred_character_set: Sequence[str] = (),
) -> AsyncGenerator[WorklistItem, None]:
    """The items as they arrive; a NetworkError if the query fails. Exactly `max_items` means there may be more.

    `QueryRefused` for keys that the profile does not match on, before anything is sent.

    Close it with `contextlib.aclosing` where it may not be read to its end: that sends C-CANCEL and releases.
    """
    terms = checked_character_set(query.values(), keys, character_sets, preferred_character_set)
    async with associate(node, local, contexts) as association:
        context = association.context(MODALITY_WORKLIST_FIND)
        explicit_vr = context.transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN
        identifier = build_identifier(query.values(), keys, explicit_vr=explicit_vr, character_set=terms)
        async with aclosing(find(association, context, identifier, max_matches=max_items)) as matches:
            async for match in matches:
                item = read_worklist_item(
                    match.identifier, explicit_vr=explicit_vr, fallback_character_sets=fallback_character_sets
                )
                if match.problems:
                    item = replace(item, problems=(*item.problems, *match.problems))
                yield item
