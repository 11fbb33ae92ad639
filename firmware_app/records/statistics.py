"""What the database holds in numbers; and the words that name its patients, so that others leave them out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firmware_app.records.database import Call, Database

# Beyond this many exams, the newest: the log and the queue that a bundle holds are of the last weeks.
EXAMS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Statistics:
    schema_version: int
    rows: dict[str, int]  # by table


class StatisticsTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> Statistics:
        tables = self._database.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        rows = {}
        for (name,) in tables:
            ((count,),) = self._database.rows(f'SELECT count(*) FROM "{name}"')
            rows[str(name)] = int(count)
        ((version,),) = self._database.rows("PRAGMA user_version")
        return Statistics(int(version), rows)

    def identifying(self) -> frozenset[str]:
        columns = "patient_name, patient_id, issuer_of_patient_id, birth_date, worklist_items, found_patient"
        rows = self._database.rows(f"SELECT {columns} FROM exams ORDER BY rowid DESC LIMIT :most", {"most": EXAMS_MAX})
        found: set[str] = set()
        for name, patient_id, issuer, birth_date, items, found_patient in rows:
            found |= {name, patient_id, issuer, birth_date}
            for text in (items, found_patient):
                if text:
                    found |= set(_texts(json.loads(text)))
        return frozenset(found - {""})


# Of a worklist item and a patient found: what names somebody. The rest are codes, times and UIDs.
_NAMING = frozenset(
    {
        "name",
        "patient_id",
        "issuer_of_patient_id",
        "birth_date",
        "accession_number",
        "requesting_physician",
        "referring_physician",
        "scheduled_performing_physician",
        "current_patient_location",
    }
)
# Pairs of an attribute and what came in it.
_AS_IT_CAME = frozenset({"undecoded", "as_received"})


def _texts(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for each_key, each in value.items():
            yield from _texts(each, str(each_key))
    elif isinstance(value, list):
        for each in value:
            is_pair = key in _AS_IT_CAME and isinstance(each, list)
            yield from _texts(each[-1] if is_pair and each else each, key)
    elif isinstance(value, str) and key in _NAMING | _AS_IT_CAME:
        yield value


class StatisticsRecords:
    """Every method may raise a `records.errors.RecordsError`."""

    def __init__(self, call: Call, table: StatisticsTable) -> None:
        self._call = call
        self._table = table

    async def counts(self) -> Statistics:
        return await self._call(self._table.counts)

    async def identifying(self) -> frozenset[str]:
        """Names, IDs, birth dates and accession numbers of the patients on record, as they stand there."""
        return await self._call(self._table.identifying)
