"""Basic Grayscale Print Management (PS3.4 annex H) as SCU: one association, one film session, film by film.

Nothing is printed before every image of a film has been taken by the printer: a film of which one image is refused is
deleted instead. Instances are addressed by the UIDs of the responses, because a printer may change ours; image boxes
are filled in the order in which the printer names them. What the printer reports in between (N-EVENT-REPORT) is
answered and kept, and ends a session before its film is printed if it is a FAILURE.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from firmware_app.dicom.negotiation import AcceptedContext
from firmware_app.dicom.print_statuses import NOT_BEGUN, TRANSIENT, describe_print_status
from firmware_app.dicom.statuses import SUCCESS
from firmware_app.dicom.uids import (
    BASIC_FILM_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_IMAGE_BOX,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    PRINTER,
    PRINTER_INSTANCE,
    is_uid,
)
from firmware_app.net.association import Association, ContextPair, associate
from firmware_app.net.attributes import items_of, uid_of
from firmware_app.net.errors import DimseFailure, NetworkError, RemoteProtocolError, is_worth_retrying
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.normalized import NormalizedResponse, n_action, n_create, n_delete, n_get, n_set
from firmware_app.net.performer import EventHandler, EventReport
from firmware_app.net.printer_news import (
    FAILURE,
    WARNING,
    HeardNews,
    PrinterNews,
    PrinterStatus,
    read_news,
    read_status,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# (2100,0500) and (2120,0070): editions of the standard and printers differ in which of the two tags names the job.
PRINT_JOB_SEQUENCES = ("ReferencedPrintJobSequencePullStoredPrint", "ReferencedPrintJobSequence")
PRINT_FILM = 1  # the only action type of a film box (PS3.4 table H.4-8)
# Status, its reason, and who it is: the Printer SOP class, PS3.4 table H.4-24.
MANDATORY_PRINTER_ATTRIBUTES = (0x21100010, 0x21100020)
PRINTER_ATTRIBUTES = (0x00080070, 0x00081090, 0x00181000, 0x00181020, *MANDATORY_PRINTER_ATTRIBUTES, 0x21100030)


class FilmRefused(DimseFailure):
    """The printer said no in due form; nothing of this film has been printed. `at_print`: it was told to print."""

    def __init__(self, label: str, error: DimseFailure, doing: str, *, at_print: bool = False) -> None:
        words = describe_print_status(error.status)
        super().__init__(label, doing, error.status, error.comment, error.offending_elements, words)
        self.at_print = at_print


class NothingPrinted(NetworkError):
    """The printer follows the protocol, and yet this film cannot be printed."""

    def __init__(self, label: str, why: str) -> None:
        super().__init__(f"{label}: {why}; nothing has been printed")


class PrinterFailed(NothingPrinted):
    """The printer says that it cannot print."""

    def __init__(self, label: str, state: PrinterStatus | PrinterNews) -> None:
        super().__init__(label, f"the printer reports {state.words}")


class UnusableInstance(NothingPrinted):
    """The printer has given what it made a name that is no UID."""

    worth_retrying = False


class WrongImageBoxes(NothingPrinted):
    """The printer has not made the image boxes of the display format."""

    worth_retrying = False


class PrintUncertain(NetworkError):
    """The printer was told to print and has not answered: a person has to look. Never tried again by itself."""

    worth_retrying = False

    def __init__(self, label: str, error: NetworkError) -> None:
        super().__init__(f"{label}: the film may have been printed: {error}")


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """One film: the attributes of its film box, and of its image boxes in their order."""

    box: Dataset
    images: Sequence[Dataset]
    places: int  # the image boxes of its display format


@dataclass(frozen=True, slots=True)
class PrintedFilm:
    """The printer has taken the film. `print_job_uid` is empty where it does not name the job."""

    status: int
    film_box_uid: str
    warnings: tuple[str, ...] = ()
    print_job_uid: str = ""


async def nothing_before() -> None:
    """There is nothing to do before a film is printed."""


async def nothing_after(printed: PrintedFilm) -> None:
    """There is nothing to do when a film has been taken."""


class FilmSession:
    """An open film session. Obtained from `film_session`."""

    def __init__(
        self, association: Association, context: AcceptedContext, make_uid: Callable[[], str], heard: HeardNews
    ) -> None:
        self.printer = PrinterStatus()
        self._heard = heard
        self.warnings: list[str] = []
        self._association = association
        self._context = context
        self._make_uid = make_uid
        self._uid = ""

    @property
    def usable(self) -> bool:
        """Whether another film may be printed."""
        return self._association.usable

    async def print_film(
        self,
        film: Film,
        before: Callable[[], Awaitable[None]] = nothing_before,
        after: Callable[[PrintedFilm], Awaitable[None]] = nothing_after,
    ) -> PrintedFilm:
        """Have one film printed.

        `before` is awaited when all is there, right before the printer is told to print, `after` as soon as it has
        answered: nothing that comes behind, the film box's deletion or our own end, can take that answer away.

        Raises `FilmRefused`, `NothingPrinted`, another `NetworkError`, all of them with nothing printed, or
        `PrintUncertain`.
        """
        self._stop_on_failure()
        created = await self._create(BASIC_FILM_BOX, self._film_box(film), "N-CREATE of the film box")
        uid = created.sop_instance_uid
        async with self._deleted_afterwards(BASIC_FILM_BOX, uid, "the film box"):
            boxes = self._image_boxes(created, film)
            for place, (box, image) in enumerate(zip(boxes, film.images, strict=False), start=1):
                setting = n_set(self._association, BASIC_GRAYSCALE_IMAGE_BOX, box, image, context=self._context)
                await self._ask(f"N-SET of image box {place}", setting)
            self._stop_on_failure()
            await before()
            response = await self._print(uid)
            job = self._print_job(response)
            printed = PrintedFilm(response.status, uid, self._take_warnings(), job)
            await after(printed)
        return replace(printed, warnings=(*printed.warnings, *self._take_warnings()))

    # ------------------------------------------------------------------ from here on: the machinery

    async def open(self, attributes: Dataset) -> None:
        """Ask the printer how it is and create the film session."""
        self.printer = await read_printer(self._association, self._context)
        if self.printer.state == FAILURE:
            raise PrinterFailed(self._label, self.printer)
        if self.printer.state == WARNING:
            self.warnings.append(f"the printer reports {self.printer.words}")
        created = await self._create(BASIC_FILM_SESSION, attributes, "N-CREATE of the film session")
        self._uid = created.sop_instance_uid

    def closed_afterwards(self) -> contextlib.AbstractAsyncContextManager[None]:
        return self._deleted_afterwards(BASIC_FILM_SESSION, self._uid, "the film session")

    @property
    def _label(self) -> str:
        return self._association.node.label

    async def _ask(
        self, doing: str, operation: Awaitable[NormalizedResponse], *, at_print: bool = False
    ) -> NormalizedResponse:
        try:
            response = await operation
        except DimseFailure as error:
            raise FilmRefused(self._label, error, doing, at_print=at_print) from error
        if response.is_warning:
            tags = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in response.attribute_identifiers)
            about = f", about {tags}" if tags else ""
            remark = f" ({response.error_comment!r})" if response.error_comment else ""
            self.warnings.append(f"{doing}: {describe_print_status(response.status)}{remark}{about}")
        return response

    async def _create(self, sop_class_uid: str, attributes: Dataset, doing: str) -> NormalizedResponse:
        creating = n_create(self._association, sop_class_uid, self._make_uid(), attributes, context=self._context)
        response = await self._ask(doing, creating)
        if not is_uid(response.sop_instance_uid):
            raise UnusableInstance(self._label, f"the answer to {doing} names an instance that has no UID")
        return response

    def _film_box(self, film: Film) -> Dataset:
        from pydicom.dataset import Dataset

        session, box = Dataset(), Dataset()
        session.ReferencedSOPClassUID = BASIC_FILM_SESSION
        session.ReferencedSOPInstanceUID = self._uid
        box.update(film.box)
        box.ReferencedFilmSessionSequence = [session]
        return box

    def _image_boxes(self, created: NormalizedResponse, film: Film) -> list[str]:
        """The UIDs of the image boxes, in their order. The class may be missing, the instance may not."""
        items = items_of(created.decode(), "ReferencedImageBoxSequence")
        boxes = [uid_of(item, "ReferencedSOPInstanceUID") for item in items]
        if not all(boxes):
            raise WrongImageBoxes(self._label, "it made an image box without Referenced SOP Instance UID")
        if len(boxes) < film.places:
            why = f"it made {len(boxes)} image boxes where the display format has {film.places}"
            raise WrongImageBoxes(self._label, why)
        if len(set(boxes)) < len(boxes):
            raise WrongImageBoxes(self._label, "it gave two image boxes the same Referenced SOP Instance UID")
        return boxes

    async def _print(self, film_box_uid: str) -> NormalizedResponse:
        printing = n_action(self._association, BASIC_FILM_BOX, film_box_uid, PRINT_FILM, context=self._context)
        try:
            return await self._ask("N-ACTION (print)", printing, at_print=True)
        except FilmRefused:
            raise
        except NetworkError as error:
            raise PrintUncertain(self._label, error) from error

    def _print_job(self, printed: NormalizedResponse) -> str:
        """The print job, where the printer names one (PS3.4 H.4.2.2.4.1): the film is printed with or without."""
        try:
            reply = printed.decode()
            jobs = next((jobs for keyword in PRINT_JOB_SEQUENCES if (jobs := items_of(reply, keyword))), ())
        except RemoteProtocolError as error:
            self.warnings.append(str(error))
            return ""
        return uid_of(jobs[0], "ReferencedSOPInstanceUID") if jobs else ""

    def _stop_on_failure(self) -> None:
        last = self._heard.of_printer
        if last is not None and last.state == FAILURE:
            raise PrinterFailed(self._label, last)

    def _take_warnings(self) -> tuple[str, ...]:
        """What the printer found worth saying since the film before, its reports among them."""
        reported = [f"the {news.about} reports {news.words}" for news in self._heard.take() if news.is_trouble]
        taken = (*self.warnings, *reported)
        self.warnings.clear()
        return taken

    @contextlib.asynccontextmanager
    async def _deleted_afterwards(self, sop_class_uid: str, uid: str, what: str) -> AsyncIterator[None]:
        """Also after a refusal. Where the association itself is in doubt, its end deletes all (PS3.4 H.4.1.2.3)."""
        try:
            yield
        except (DimseFailure, NothingPrinted):
            await self._delete(sop_class_uid, uid, what)
            raise
        await self._delete(sop_class_uid, uid, what)

    async def _delete(self, sop_class_uid: str, uid: str, what: str) -> None:
        """What was answered before stands, whatever comes of this."""
        if not self.usable:
            return
        try:
            await n_delete(self._association, sop_class_uid, uid, context=self._context)
        except DimseFailure as error:
            self.warnings.append(f"N-DELETE of {what}: {describe_print_status(error.status)}")
        except NetworkError as error:
            self._association.abandon(error)


@contextlib.asynccontextmanager
async def film_session(
    node: Node,
    local: LocalApplicationEntity,
    contexts: Sequence[ContextPair],
    attributes: Dataset,
    make_uid: Callable[[], str],
    on_news: Callable[[PrinterNews], None] = lambda news: None,
) -> AsyncIterator[FilmSession]:
    """A film session for the body of the scope, deleted when it is left. `NothingPrinted`, or another NetworkError."""
    heard = HeardNews()
    failed: NothingPrinted | None = None
    async with associate(node, local, contexts, on_event=_listener(heard, on_news)) as association:
        context = association.context(BASIC_GRAYSCALE_PRINT_MANAGEMENT_META)
        session = FilmSession(association, context, make_uid, heard)
        try:
            await session.open(attributes)
            async with session.closed_afterwards():
                yield session
        except NothingPrinted as error:
            failed = error  # nothing is wrong with the association: it is released
    if failed is not None:
        raise failed


async def ask_printer(
    node: Node, local: LocalApplicationEntity, contexts: Sequence[ContextPair]
) -> tuple[PrinterStatus, tuple[PrinterNews, ...]]:
    """How the printer is, on an association of its own, and what it reported meanwhile. Raises NetworkError."""
    heard = HeardNews()
    async with associate(node, local, contexts, on_event=_listener(heard, lambda _: None)) as association:
        context = association.context(BASIC_GRAYSCALE_PRINT_MANAGEMENT_META)
        status = await read_printer(association, context)
    return status, heard.take()


async def read_printer(association: Association, context: AcceptedContext) -> PrinterStatus:
    """N-GET of the printer. One that refuses it prints all the same: the state is then empty, the reason is there.

    DCMTK's dcmprscp answers 0105H to a list with an attribute that it does not have: then the two mandatory ones alone.
    """
    problem = ""
    for tags in (PRINTER_ATTRIBUTES, MANDATORY_PRINTER_ATTRIBUTES):
        try:
            response = await n_get(association, PRINTER, PRINTER_INSTANCE, tags, context=context)
        except DimseFailure as error:
            problem = str(FilmRefused(association.node.label, error, "N-GET of the printer"))
        else:
            return read_status(response.decode())
    return PrinterStatus(problem=problem)


def is_worth_another_film(error: NetworkError) -> bool:
    """Whether the same film may be printed later without anybody changing anything.

    A printer that was told to print and then failed inside may have begun: only a full queue says that it has not.
    """
    if isinstance(error, FilmRefused):
        return error.status in (NOT_BEGUN if error.at_print else TRANSIENT)
    return is_worth_retrying(error)


def _listener(heard: HeardNews, on_news: Callable[[PrinterNews], None]) -> EventHandler:
    async def take(report: EventReport) -> int:
        news = read_news(report)
        if heard.add(news):
            on_news(news)
        return SUCCESS

    return take
