"""An archive that does as it is told, on pynetdicom: answers, refuses, aborts, goes down, comes back."""

from __future__ import annotations

import contextlib
import io
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pydicom
import trio
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.transport import AssociationSocket
from records_material import SC_CLASS, uid_of

from firmware_app.model import Event
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts

LOCAL = LocalApplicationEntity("INSTRUMENT", "127.0.0.1", "1.2.3.4.5", "TEST")
ABORT = -1


def close_in_any_case(association_socket: AssociationSocket) -> None:
    with contextlib.suppress(OSError):
        association_socket.socket.shutdown(socket.SHUT_RDWR)
    association_socket.socket.close()


# pynetdicom 3.0 leaves a socket open whose peer has gone first: a ResourceWarning, and here an error.
AssociationSocket._shutdown_socket = close_in_any_case


def dicom_instance(number: int, sop_class_uid: str = SC_CLASS) -> bytes:
    data_set = pydicom.Dataset()
    data_set.SOPClassUID = sop_class_uid
    data_set.SOPInstanceUID = uid_of(number)
    data_set.PatientName = f"Test^{number}"
    data_set.InstanceNumber = number
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.MediaStorageSOPClassUID = sop_class_uid
    data_set.file_meta.MediaStorageSOPInstanceUID = uid_of(number)
    data_set.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data_set, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Archive:
    """`answers` are the statuses of the coming C-STOREs, ABORT breaks off; when there are none left it stores."""

    answers: deque[int] = field(default_factory=deque)
    asked: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    data_sets: dict[str, bytes] = field(default_factory=dict)
    associations: int = 0
    port: int = 0
    refuse: bool = False
    sop_class_uid: str = SC_CLASS

    def start(self) -> None:
        entity = AE("ARCHIVE")
        entity.add_supported_context(self.sop_class_uid)
        if self.refuse:
            entity.require_calling_aet = ["SOMEBODY ELSE"]
        handlers = [(evt.EVT_C_STORE, self._on_store), (evt.EVT_ACCEPTED, self._on_accepted)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def stop(self) -> None:
        self._server.shutdown()

    def forget(self) -> None:
        for memory in (self.answers, self.asked, self.stored, self.data_sets):
            memory.clear()
        self.associations = 0

    @property
    def node(self) -> Node:
        return Node("archive", "127.0.0.1", self.port, "ARCHIVE", Timeouts.all(10.0))

    def _on_accepted(self, event: evt.Event) -> None:
        self.associations += 1

    def _on_store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.asked.append(uid)
        status = self.answers.popleft() if self.answers else 0x0000
        if status == ABORT:
            event.assoc.abort()
            return 0xC000
        if status == 0x0000 or status & 0xF000 == 0xB000:
            self.stored.append(uid)
            self.data_sets[uid] = event.request.DataSet.getvalue()
        return status


class Watch:
    """The events of a delivery; `until` waits for one after which something holds."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._arrived = trio.Event()

    def publish(self, event: Event) -> None:
        """That instances are about to be sent is for the audit trail; nothing here asks for it."""
        if event.kind == "delivery.begun":
            return
        self.events.append(event)
        self._arrived.set()
        self._arrived = trio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._arrived.wait()

    def kinds(self) -> list[str]:
        return [event.kind.removeprefix("delivery.") for event in self.outcomes()]

    def levels(self) -> list[object]:
        return [event.level for event in self.outcomes()]

    def outcomes(self) -> list[Event]:
        """What came of it: that something is being sent is told too, and most do not ask."""
        return [event for event in self.events if event.kind != "delivery.sending"]
