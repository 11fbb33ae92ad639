"""Modality Worklist (PS3.4 annex K) as SCU: a query becomes an identifier, each response a `WorklistItem`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from firmware_app.dicom.charset import DEFAULT_FALLBACKS
from firmware_app.dicom.item_reading import is_date
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST_FIND
from firmware_app.dicom.worklist_item import read_worklist_item
from firmware_app.model import WorklistItem
from firmware_app.net.association import ContextPair, associate
from firmware_app.net.find import find
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.profiles.profile import QueryKey

WORKLIST_CONTEXTS: tuple[ContextPair, ...] = (
    (MODALITY_WORKLIST_FIND, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)),
)
DEFAULT_MAX_ITEMS = 5000
UNICODE = "ISO_IR 192"
STEP = "ScheduledProcedureStepSequence"
IGNORED_KEYS = "the server ignored optional keys of the query (FF01H)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistQuery:
    """Matching keys; an empty one matches everything. Names and ids take the wildcards `*` and `?`.

    `date` is YYYYMMDD, or a range with either end open: `20260101-20260131`, `20260101-`, `-20260131`.
    """

    scheduled_station_ae_title: str = ""
    date: str = ""
    modality: str = ""
    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""

    def __post_init__(self) -> None:
        if self.date and not is_date_query(self.date):
            raise ValueError(f"date of a worklist query: YYYYMMDD or a range of two, not {self.date!r}")

    def matching(self) -> dict[str, str]:
        """Path of each key to its value."""
        return {
            f"{STEP}.ScheduledStationAETitle": self.scheduled_station_ae_title,
            f"{STEP}.ScheduledProcedureStepStartDate": self.date,
            f"{STEP}.Modality": self.modality,
            "PatientName": self.patient_name,
            "PatientID": self.patient_id,
            "AccessionNumber": self.accession_number,
        }


def is_date_query(text: str) -> bool:
    """A day, or a range of days with at least one end."""
    match = re.fullmatch(r"(\d{8})?(-)?(\d{8})?", text)
    if match is None:
        return False
    first, dash, last = match.groups()
    days = [day for day in (first, last) if day]
    return bool(days) and (bool(dash) or not last) and all(map(is_date, days))


def build_identifier(query: WorklistQuery, keys: Sequence[QueryKey], *, explicit_vr: bool) -> bytes:
    """The identifier: every return key of the profile, empty, and the matching keys with their values."""
    values = {path: value for path, value in query.matching().items() if value}
    identifier = Dataset()
    # Requested as a return key as well: without it some servers leave it out of their answers.
    identifier.SpecificCharacterSet = "" if all(map(str.isascii, values.values())) else UNICODE
    for path in dict.fromkeys([*(key.path for key in keys), *values]):
        put_key(identifier, path.split("."), values.get(path, ""))
    return encode_identifier(identifier, explicit_vr=explicit_vr)


def put_key(data_set: Dataset, keywords: list[str], value: str) -> None:
    """One key at its place; a sequence on the way gets its one item (PS3.4 C.2.2.2.6)."""
    keyword, *inner = keywords
    if keyword.endswith("Sequence"):
        if keyword not in data_set:
            setattr(data_set, keyword, [])
        if inner:
            sequence = data_set[keyword].value
            if not sequence:
                sequence.append(Dataset())
            put_key(sequence[0], inner, value)
    else:
        setattr(data_set, keyword, value)


def encode_identifier(identifier: Dataset, *, explicit_vr: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = True
    buffer.is_implicit_VR = not explicit_vr
    write_dataset(buffer, identifier)
    return bytes(buffer.getvalue())


async def find_worklist(
    node: Node,
    local: LocalApplicationEntity,
    query: WorklistQuery,
    keys: Sequence[QueryKey],
    *,
    contexts: tuple[ContextPair, ...] = WORKLIST_CONTEXTS,
    max_items: int = DEFAULT_MAX_ITEMS,
    fallback_character_sets: Sequence[str] = DEFAULT_FALLBACKS,
) -> AsyncGenerator[WorklistItem, None]:
    """The items as they arrive; a NetworkError if the query fails. Exactly `max_items` means there may be more.

    Close it with `contextlib.aclosing` where it may not be read to its end: that sends C-CANCEL and releases.
    """
    async with associate(node, local, contexts) as association:
        context = association.context(MODALITY_WORKLIST_FIND)
        explicit_vr = context.transfer_syntax != IMPLICIT_VR_LITTLE_ENDIAN
        identifier = build_identifier(query, keys, explicit_vr=explicit_vr)
        async with aclosing(find(association, context, identifier, max_matches=max_items)) as matches:
            async for match in matches:
                item = read_worklist_item(
                    match.identifier, explicit_vr=explicit_vr, fallback_character_sets=fallback_character_sets
                )
                if match.optional_keys_ignored:
                    item = replace(item, problems=(*item.problems, IGNORED_KEYS))
                yield item
