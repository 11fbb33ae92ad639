"""Modality Worklist (PS3.4 Annex K) over the hospital's schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from firmware_app.demo.matching import answer, matches, with_character_set
from firmware_app.demo.scp import UNCOMPRESSED, Report, Service, association

PENDING = 0xFF00
CANCELLED = 0xFE00


def worklist(schedule: Callable[[], Sequence[Dataset]], report: Report) -> Service:
    """`schedule()` gives all scheduled steps at the moment of the query."""

    def on_find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        identifier = event.identifier
        found = [item for item in schedule() if matches(item, identifier)]
        found.sort(key=_start)
        report("find", model="worklist", matches=len(found), **association(event))
        for item in found:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield PENDING, with_character_set(answer(item, identifier), item)

    return Service({ModalityWorklistInformationFind: UNCOMPRESSED}, {evt.EVT_C_FIND: on_find})


def _start(item: Dataset) -> tuple[str, str]:
    step = item.ScheduledProcedureStepSequence[0]
    return step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime
