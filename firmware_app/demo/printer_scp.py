"""A grayscale printer (PS3.4 Annex H, Basic Grayscale Print Management Meta): its pages are PNG files in its folder."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_CREATE, N_DELETE, N_GET, N_SET
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmBox,
    BasicGrayscalePrintManagementMeta,
    Printer,
    PrinterInstance,
)

from firmware_app.demo.film import EMPTY_PAGE, NO_SUCH_SOP_INSTANCE, FilmSession, Page, PrintRefused
from firmware_app.demo.scp import UNCOMPRESSED, Report, Service, association, refusal

SUCCESS = 0x0000
# PS3.4 table H.4-8, H.4.2.2.1.1.1, H.4.2.2.4
IMAGE_DEMAGNIFIED = 0xB604
UNPRINTED_FILM_BOX = 0xC616
PRINT_QUEUE_FULL = 0xC602
PROCESSING_FAILURE = 0x0110

PrinterMode = Literal["normal", "warning", "failure"]
# PS3.3 table C.13-9: Printer Status and Printer Status Info
STATUS_INFO: dict[PrinterMode, str] = {"normal": "NORMAL", "warning": "SUPPLY LOW", "failure": "FILM JAM"}

Answer = tuple[int | Dataset, Dataset | None]


@dataclass(slots=True)
class PrinterFault:
    """`warning`: the printer says so and warns of each image; `failure`: it says so and prints nothing."""

    mode: PrinterMode = "normal"
    refuses_films: bool = False


class PrinterScp:
    """The printer behind all associations; each has a film session of its own."""

    def __init__(self, folder: Path, fault: PrinterFault, report: Report) -> None:
        """Pages go into `folder`, which is made with the first."""
        self._folder = folder
        self._fault = fault
        self._report = report
        self._lock = threading.Lock()
        self._sessions: WeakKeyDictionary[Association, FilmSession] = WeakKeyDictionary()
        taken = [int(path.stem[5:]) for path in folder.glob("page-*.png") if path.stem[5:].isdigit()]
        self._numbers = itertools.count(max(taken, default=0) + 1)

    def service(self) -> Service:
        return Service(
            {BasicGrayscalePrintManagementMeta: UNCOMPRESSED},
            {
                evt.EVT_N_GET: self._on_get,
                evt.EVT_N_CREATE: self._on_create,
                evt.EVT_N_SET: self._on_set,
                evt.EVT_N_ACTION: self._on_action,
                evt.EVT_N_DELETE: self._on_delete,
            },
        )

    def _session(self, event: evt.Event) -> FilmSession:
        with self._lock:
            return self._sessions.setdefault(event.assoc, FilmSession())

    def _perform(
        self, event: evt.Event, operation: str, sop_class_uid: object, work: Callable[[FilmSession], Answer]
    ) -> Answer:
        """Do the work and report it; a refusal becomes the answer that says why."""
        known: dict[str, Any] = {"operation": operation, "sop_class_uid": str(sop_class_uid), **association(event)}
        try:
            answer = work(self._session(event))
        except PrintRefused as refused:
            self._report("printer", status=f"{refused.status:04X}", reason=str(refused), **known)
            return refusal(refused.status, str(refused)), None
        status = answer[0].Status if isinstance(answer[0], Dataset) else answer[0]
        self._report("printer", status=f"{status:04X}", **known)
        return answer

    def _on_get(self, event: evt.Event) -> Answer:
        request = cast(N_GET, event.request)

        def work(_: FilmSession) -> Answer:
            if request.RequestedSOPClassUID != Printer or request.RequestedSOPInstanceUID != PrinterInstance:
                raise PrintRefused(NO_SUCH_SOP_INSTANCE, "only the printer can be asked")
            return SUCCESS, self._printer_attributes(event.attribute_identifiers)

        return self._perform(event, "N-GET", request.RequestedSOPClassUID, work)

    def _on_create(self, event: evt.Event) -> Answer:
        request = cast(N_CREATE, event.request)
        attributes = event.attribute_list if request.AttributeList else Dataset()

        def work(session: FilmSession) -> Answer:
            sop_class_uid = str(request.AffectedSOPClassUID)
            if self._fault.refuses_films and sop_class_uid == BasicFilmBox:
                raise PrintRefused(UNPRINTED_FILM_BOX, "refused on request of the operator")
            answer = session.create(sop_class_uid, str(request.AffectedSOPInstanceUID or ""), attributes)
            if request.AffectedSOPInstanceUID is not None:
                del answer.AffectedSOPInstanceUID  # pynetdicom answers with that of the request
            return SUCCESS, answer

        return self._perform(event, "N-CREATE", request.AffectedSOPClassUID, work)

    def _on_set(self, event: evt.Event) -> Answer:
        request = cast(N_SET, event.request)
        attributes = event.modification_list if request.ModificationList else Dataset()

        def work(session: FilmSession) -> Answer:
            session.change(str(request.RequestedSOPClassUID), str(request.RequestedSOPInstanceUID), attributes)
            is_image = "BasicGrayscaleImageSequence" in attributes
            return (IMAGE_DEMAGNIFIED if is_image and self._fault.mode == "warning" else SUCCESS), None

        return self._perform(event, "N-SET", request.RequestedSOPClassUID, work)

    def _on_action(self, event: evt.Event) -> Answer:
        request = cast(N_ACTION, event.request)

        def work(session: FilmSession) -> Answer:
            pages = session.act(
                str(request.RequestedSOPClassUID), str(request.RequestedSOPInstanceUID), int(request.ActionTypeID or 0)
            )
            if self._fault.mode == "failure":
                raise PrintRefused(PRINT_QUEUE_FULL, STATUS_INFO["failure"])
            printed = [page for page in pages if not page.is_empty]
            for page in printed:
                self._print(page, event)
            return (SUCCESS if len(printed) == len(pages) else EMPTY_PAGE), None

        return self._perform(event, "N-ACTION", request.RequestedSOPClassUID, work)

    def _on_delete(self, event: evt.Event) -> int | Dataset:
        request = cast(N_DELETE, event.request)

        def work(session: FilmSession) -> Answer:
            session.delete(str(request.RequestedSOPClassUID), str(request.RequestedSOPInstanceUID))
            return SUCCESS, None

        return self._perform(event, "N-DELETE", request.RequestedSOPClassUID, work)[0]

    def _print(self, page: Page, event: evt.Event) -> None:
        with self._lock:
            path = self._folder / f"page-{next(self._numbers):04d}.png"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            page.picture.save(path)
        except OSError as error:
            raise PrintRefused(PROCESSING_FAILURE, str(error)) from error
        self._report(
            "print",
            file=str(path),
            copies=page.copies,
            film_size=page.film_size,
            images=list(page.images),
            **association(event),
        )

    def _printer_attributes(self, wanted: list[Any]) -> Dataset:
        """Those that were asked for, or all (PS3.7 10.1.2.1.5)."""
        mode = self._fault.mode
        everything = Dataset()
        everything.PrinterStatus = mode.upper()
        everything.PrinterStatusInfo = STATUS_INFO[mode]
        everything.PrinterName = "SIMULATED"
        everything.Manufacturer = "Specular"
        everything.ManufacturerModelName = "Simulated printer"
        if not wanted:
            return everything
        answer = Dataset()
        for element in everything:
            if element.tag in wanted:
                answer.add(element)
        return answer
