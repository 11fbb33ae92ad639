"""A pynetdicom peer for every service that remembers what came over the wire, as its own decoder read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.presentation import PresentationContext

FILM_SESSION, FILM_BOX, IMAGE_BOX = "1.2.840.10008.5.1.1.1", "1.2.840.10008.5.1.1.2", "1.2.840.10008.5.1.1.4"
PRINTER = "1.2.840.10008.5.1.1.16"


@dataclass(frozen=True)
class Message:
    """One request with a data set: `about` is the SOP class that it names."""

    operation: str
    about: str
    data_set: Dataset


@dataclass
class Request:
    """One A-ASSOCIATE-RQ and what was asked on its association."""

    calling: str
    application_context: str
    max_pdu_length: int
    implementation_class_uid: str
    implementation_version_name: str | None
    contexts: list[tuple[str, tuple[str, ...]]]
    other_items: list[str]  # kinds of user information beyond length and implementation
    messages: list[Message] = field(default_factory=list)


class WirePeer:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.port = 0
        self.matches: list[Dataset] = []  # the answer to every C-FIND

    @property
    def node(self) -> str:
        return f"PEER@127.0.0.1:{self.port}"

    def take(self) -> list[Request]:
        """What came since the last time."""
        taken, self.requests = self.requests, []
        return taken

    def requested(self, event: evt.Event) -> None:
        primitive = event.assoc.requestor.primitive
        items = {type(item).__name__: item for item in primitive.user_information}
        version = items.pop("ImplementationVersionNameNotification", None)
        self.requests.append(
            Request(
                calling=str(primitive.calling_ae_title).strip(),
                application_context=str(primitive.application_context_name),
                max_pdu_length=items.pop("MaximumLengthNotification").maximum_length_received,
                implementation_class_uid=str(items.pop("ImplementationClassUIDNotification").implementation_class_uid),
                implementation_version_name=None if version is None else version.implementation_version_name or "",
                contexts=[
                    (str(context.abstract_syntax), tuple(map(str, context.transfer_syntax)))
                    for context in primitive.presentation_context_definition_list
                ],
                other_items=sorted(items),
            )
        )

    def remember(self, operation: str, about: str, data_set: Dataset) -> None:
        self.requests[-1].messages.append(Message(operation, about, data_set))

    # ------------------------------------------------------------------------------------------ services

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        self.remember("C-FIND", str(event.request.AffectedSOPClassUID), event.identifier)
        yield from ((0xFF00, match) for match in self.matches)
        yield 0x0000, None

    def store(self, event: evt.Event) -> int:
        self.remember("C-STORE", str(event.request.AffectedSOPClassUID), event.dataset)
        return 0x0000

    def create(self, event: evt.Event) -> tuple[int, Dataset]:
        about = str(event.request.AffectedSOPClassUID)
        self.remember("N-CREATE", about, event.attribute_list)
        created = Dataset()
        created.AffectedSOPInstanceUID = event.request.AffectedSOPInstanceUID or f"2.25.{next(self.uids)}"
        if about == FILM_BOX:
            columns, rows = map(int, event.attribute_list.ImageDisplayFormat.partition("\\")[2].split(","))
            created.ReferencedImageBoxSequence = [self.reference() for _ in range(columns * rows)]
        return 0x0000, created

    uids = count(10_000)

    def reference(self) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(IMAGE_BOX), UID(f"2.25.{next(self.uids)}")
        return item

    def set(self, event: evt.Event) -> tuple[int, Dataset]:
        self.remember("N-SET", str(event.request.RequestedSOPClassUID), event.modification_list)
        return 0x0000, Dataset()

    def act(self, event: evt.Event) -> tuple[int, Dataset | None]:
        information = event.action_information if event.request.ActionInformation else Dataset()
        self.remember("N-ACTION", str(event.request.RequestedSOPClassUID), information)
        return 0x0000, None

    def get(self, event: evt.Event) -> tuple[int, Dataset]:
        status = Dataset()
        status.PrinterStatus, status.PrinterStatusInfo = "NORMAL", "NORMAL"
        return 0x0000, status

    def delete(self, event: evt.Event) -> int:
        return 0x0000


@contextmanager
def wire_peer(contexts: set[tuple[str, str]]) -> Iterator[WirePeer]:
    """Accepts these abstract syntaxes in these transfer syntaxes, until the scope ends."""
    peer = WirePeer()
    syntaxes: dict[str, list[str]] = {}
    for abstract_syntax, transfer_syntax in sorted(contexts):
        syntaxes.setdefault(abstract_syntax, []).append(transfer_syntax)
    ae = AE("PEER")
    ae.supported_contexts = [context_of(uid, each) for uid, each in syntaxes.items()]
    handlers: list[Any] = [
        (evt.EVT_REQUESTED, peer.requested),
        (evt.EVT_C_FIND, peer.find),
        (evt.EVT_C_STORE, peer.store),
        (evt.EVT_N_CREATE, peer.create),
        (evt.EVT_N_SET, peer.set),
        (evt.EVT_N_ACTION, peer.act),
        (evt.EVT_N_GET, peer.get),
        (evt.EVT_N_DELETE, peer.delete),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        peer.port = server.server_address[1]
        yield peer
    finally:
        server.shutdown()


def context_of(abstract_syntax: str, transfer_syntaxes: list[str]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(abstract_syntax)
    context.transfer_syntax = [UID(each) for each in transfer_syntaxes]
    return context
