"""When each node was last spoken with, in success and in vain: kept across restarts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial

from firmware_app.records.database import Call, Database


@dataclass(frozen=True, slots=True)
class Contact:
    """Times are local with their offset, ISO 8601; empty: never. The texts carry no patient data."""

    node: str
    succeeded_at: str = ""
    success: str = ""
    failed_at: str = ""
    failure: str = ""


class ContactTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, contacts: tuple[Contact, ...]) -> None:
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO node_contacts (node, succeeded_at, success, failed_at, failure) "
                "VALUES (:node, :succeeded_at, :success, :failed_at, :failure)",
                [asdict(contact) for contact in contacts],
            )

    def all(self) -> tuple[Contact, ...]:
        return tuple(Contact(**row) for row in self._database.rows("SELECT * FROM node_contacts ORDER BY node"))


class ContactRecords:
    """Every method may raise a `records.errors.RecordsError`."""

    def __init__(self, call: Call, table: ContactTable) -> None:
        self._call = call
        self._table = table

    async def keep(self, contacts: tuple[Contact, ...]) -> None:
        """Each replaces what was kept of its node."""
        await self._call(partial(self._table.keep, contacts))

    async def all(self) -> tuple[Contact, ...]:
        return await self._call(self._table.all)
