"""Patients whom the archive knows: asked for by an operator; the application entity has one association at a time.

What was found stays numbered as it was shown, so that an exam can be opened for one of them; the next answer, not a
failure, takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from firmware_app.config import Config
from firmware_app.model import Event, FoundPatient
from firmware_app.net.association import ContextPair
from firmware_app.net.errors import NetworkError, log_text
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.profiles import Profile, QueryKey
from firmware_app.profiles.profile import PatientQueryModel
from firmware_app.services.peers import Entities, NotDeclared, declared, node_of
from hw.errors import Refused

if TYPE_CHECKING:
    from firmware_app.net.patient_query import PatientQuery

# Nobody reads a longer list; the search is then cancelled, and the operator told to ask for less.
MAX_PATIENTS = 500


@dataclass(frozen=True, slots=True)
class PatientList:
    patients: tuple[FoundPatient, ...] = ()
    asked_at: str = ""  # ISO 8601; empty: never
    has_more: bool = False  # than MAX_PATIENTS


@dataclass(frozen=True, slots=True)
class PatientQuerySettings:
    """Whom to ask, and as whom."""

    node: Node
    local: LocalApplicationEntity
    contexts: Sequence[ContextPair]
    model: PatientQueryModel


def query_model(profile: Profile, word: str) -> PatientQueryModel:
    """The model that `patient_query.model` names. Raises `NotDeclared`."""
    declared(profile, "patient_query")
    model = next((each for name, each in profile.patient_query_models.items() if name == word), None)
    if model is None:
        has = ", ".join(profile.patient_query_models)
        raise NotDeclared(f"the profile {profile.name} declares no patient query model {word!r}; it has {has}")
    return model


class PatientQueryService:
    """`settings` is None where nobody can be asked; `refusal` then says why."""

    def __init__(
        self,
        settings: PatientQuerySettings | None,
        profile: Profile,
        now: Callable[[], datetime],
        publish: Callable[[Event], None],
        refusal: str = "",
    ) -> None:
        self._settings = settings
        self._profile = profile
        self._now = now
        self._publish = publish
        self._refusal = refusal
        self._character_set: tuple[str, ...] = ()  # of the archive's own answers
        self.shown = PatientList()

    @classmethod
    def configured(
        cls, config: Config, entities: Entities, now: Callable[[], datetime], publish: Callable[[Event], None]
    ) -> PatientQueryService:
        profile, table = entities.profile, config.patient_query
        try:
            model = query_model(profile, table.model)
            if table.host:
                node = node_of("patient_query", table)
                local, contexts = entities["patient_query"], entities.contexts("patient_query")
                return cls(PatientQuerySettings(node, local, contexts, model), profile, now, publish)
        except NotDeclared as error:
            return cls(None, profile, now, publish, str(error))
        keys = "patient_query.ip_address, patient_query.port and patient_query.ae_title"
        return cls(None, profile, now, publish, f"no patient query node is configured: {keys}")

    @property
    def keys(self) -> tuple[QueryKey, ...]:
        return self._profile.patient_keys

    @property
    def detail(self) -> str:
        """For the status screen."""
        if self._settings is None:
            return self._refusal
        if not self.shown.asked_at:
            return f"{self._settings.node.name}: nobody has asked yet"
        return f"{self._settings.node.name}: {len(self.shown.patients)} patients at {self.shown.asked_at}"

    async def ask(self, *, patient_name: str = "", patient_id: str = "") -> PatientList:
        """Raises `Refused` where nobody can be asked, ValueError for what the profile cannot ask, `NetworkError`."""
        if self._settings is None:
            raise Refused(self._refusal)
        from firmware_app.net.patient_query import PatientQuery

        query = PatientQuery(patient_name=patient_name, patient_id=patient_id)
        asked: dict[str, object] = {"keys": query.values()}
        try:
            found = await self._find(self._settings, query)
        except NetworkError as error:
            node = self._settings.node.name
            self._publish(
                Event("patients.failed", f"patient query: {log_text(error)}", {"node": node}, "warning", asked)
            )
            raise
        has_more = len(found) > MAX_PATIENTS
        patients = tuple(found[:MAX_PATIENTS])
        answer = self.shown = PatientList(patients, self._now().isoformat(timespec="seconds"), has_more)
        self._character_set = next(
            (each.specific_character_set for each in patients if any(each.specific_character_set)), ()
        )
        more = " and more" if has_more else ""
        data: dict[str, object] = {
            "patients": len(patients),
            "has_more": has_more,
            "node": self._settings.node.name,
        }
        self._publish(Event("patients.found", f"patient query: {len(patients)} patients{more}", data, patient=asked))
        return answer

    async def _find(self, settings: PatientQuerySettings, query: PatientQuery) -> list[FoundPatient]:
        """One more than is shown, if there are so many."""
        from firmware_app.net.patient_query import find_patients

        found: list[FoundPatient] = []
        patients = find_patients(
            settings.node,
            settings.local,
            query,
            self.keys,
            settings.model,
            contexts=settings.contexts,
            character_sets=self._profile.character_sets,
            preferred_character_set=self._character_set,
        )
        async with aclosing(patients) as arriving:
            async for patient in arriving:
                found.append(patient)
                if len(found) > MAX_PATIENTS:
                    break
        return found
