"""What the command line asks a worklist or an archive by hand: one row per answer, as it comes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TypeVar

from firmware_app.model import FoundPatient, WorklistItem
from firmware_app.net.patient_query import PatientQuery, find_patients
from firmware_app.net.query import QueryRefused
from firmware_app.net.worklist import WorklistQuery, find_worklist, is_date_query
from firmware_app.profiles.profile import QueryKey
from firmware_app.services.network_verbs import BadQuery, Peer, Row, Rows
from firmware_app.services.patients import query_model
from firmware_app.services.peers import contexts_of
from firmware_app.services.query_columns import (
    NAME,
    PATIENTS,
    WORKLIST,
    Column,
    fixed_width,
    patient_columns,
    worklist_columns,
)

T = TypeVar("T", WorklistItem, FoundPatient)


@dataclass(frozen=True, slots=True)
class WorklistKeys:
    """What was asked for by hand; None takes the configuration's station or modality."""

    date: str = ""
    modality: str | None = None
    station: str | None = None
    name: str = ""
    patient_id: str = ""
    accession: str = ""
    procedure: str = ""


def worklist_rows(keys: WorklistKeys) -> Rows:
    """Raises `BadQuery`: at once for a date that is none, when asked for what the profile does not match on."""
    day = date_key(keys.date, date.today())

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        table = peer.config.worklist
        query = WorklistQuery(
            scheduled_station_ae_title=table.scheduled_station_ae_title if keys.station is None else keys.station,
            date=day,
            modality=table.modality if keys.modality is None else keys.modality,
            patient_name=keys.name,
            patient_id=keys.patient_id,
            accession_number=keys.accession,
            requested_procedure_id=keys.procedure,
        )
        found = find_worklist(
            peer.node,
            peer.local("worklist"),
            query,
            peer.profile.worklist_keys,
            contexts=contexts_of(peer.profile, "worklist"),
            character_sets=peer.profile.character_sets,
        )
        columns = name_last(worklist_columns(peer.profile.worklist_keys), WORKLIST[NAME])
        async with contextlib.aclosing(_found(peer, found, columns, "no scheduled procedure step matches")) as lines:
            async for line in lines:
                yield line

    return rows


def patient_rows(name: str, patient_id: str) -> Rows:
    """Raises `BadQuery` and `NotDeclared` when asked: what is allowed is in the profile."""

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        model = query_model(peer.profile, peer.config.patient_query.model)
        keys: tuple[QueryKey, ...] = peer.profile.patient_keys
        found = find_patients(
            peer.node,
            peer.local("patient_query"),
            PatientQuery(patient_name=name, patient_id=patient_id),
            keys,
            model,
            contexts=contexts_of(peer.profile, "patient_query"),
            character_sets=peer.profile.character_sets,
        )
        columns = name_last(patient_columns(keys), PATIENTS[NAME])
        async with contextlib.aclosing(_found(peer, found, columns, "no patient matches")) as lines:
            async for line in lines:
                yield line

    return rows


async def _found(
    peer: Peer, answers: AsyncGenerator[T, None], columns: Sequence[Column[T]], nothing: str
) -> AsyncGenerator[Row, None]:
    """Headings, then a row per answer as it comes; `nothing` where there is none. Raises `BadQuery`."""
    headings = Row(fixed_width([column.heading for column in columns], columns).rstrip())
    count = 0
    with refusing(peer):
        async with contextlib.aclosing(answers):
            async for answer in answers:
                if not count:
                    yield headings
                count += 1
                cells = fixed_width([column.value(answer) for column in columns], columns).rstrip()
                yield Row(cells + "".join(f"  ! {problem}" for problem in answer.problems), asdict(answer))
    if not count:
        yield Row(nothing)


@contextlib.contextmanager
def refusing(peer: Peer) -> Iterator[None]:
    try:
        yield
    except QueryRefused as error:
        raise BadQuery(f"{error} (profile {peer.profile.name})") from error


def name_last(columns: Sequence[Column[T]], name: Column[T]) -> list[Column[T]]:
    """Names have any length, and nothing behind them has to stay in its column."""
    ordered = [column for column in columns if column is not name]
    ordered.append(name)
    return ordered


def date_key(word: str, today: date) -> str:
    """The matching key for a day, a range of days, `today` or nothing. Raises `BadQuery`."""
    if word == "today":
        return today.strftime("%Y%m%d")
    if word and not (word.isascii() and is_date_query(word)):
        raise BadQuery(f"--date {word!r} is not YYYYMMDD, YYYYMMDD-YYYYMMDD, YYYYMMDD-, -YYYYMMDD or today")
    first, _, last = word.partition("-")
    if last and first > last:
        raise BadQuery(f"--date {word!r}: the range ends before it begins")
    return word
