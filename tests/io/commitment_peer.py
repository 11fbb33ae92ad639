"""An archive that stores and commits as it is told, on pynetdicom: same or new association, late, twice, never ..."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from delivery_peer import close_in_any_case
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket
from records_material import SC_CLASS

from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_PUSH_MODEL
from firmware_app.net.node import Node, Timeouts

COMMITMENT, INSTANCE = STORAGE_COMMITMENT_PUSH_MODEL, "1.2.840.10008.1.20.1.1"
SYNTAXES = [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN]
AssociationSocket._shutdown_socket = close_in_any_case


@dataclass
class Asked:
    """One N-ACTION as it came."""

    transaction_uid: str
    references: list[tuple[str, str]]  # SOP class, SOP instance
    association: Association
    action_type: int
    instance: str


def report_on(asked: Asked, failed: dict[str, int] | None = None, transaction_uid: str = "") -> Dataset:
    failed = failed or {}
    committed, not_committed = [], []
    for sop_class_uid, sop_instance_uid in asked.references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        if sop_instance_uid in failed:
            item.FailureReason = failed[sop_instance_uid]
        (not_committed if sop_instance_uid in failed else committed).append(item)
    information = Dataset()
    information.TransactionUID = transaction_uid or asked.transaction_uid
    if committed:
        information.ReferencedSOPSequence = committed
    if not_committed:
        information.FailedSOPSequence = not_committed
    return information


@dataclass
class Archive:
    """`on_action` answers an N-ACTION with a status; by default success, and nobody reports."""

    ae_title: str = "ARCHIVE"
    on_action: Callable[[Asked], int] = lambda asked: 0x0000
    asked: list[Asked] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    associations: int = 0
    statuses: list[int | None] = field(default_factory=list)  # what our reports were answered with
    released: list[bool] = field(default_factory=list)  # how the associations of our reports ended
    pdus: list[str] = field(default_factory=list)  # what came, by pynetdicom's names
    threads: list[threading.Thread] = field(default_factory=list)
    port: int = 0
    node: Node = field(default_factory=lambda: Node("commitment", "127.0.0.1", 0, "ARCHIVE"))

    def _action(self, event: Any) -> tuple[int, None]:
        information = event.action_information
        references = [
            (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in information.ReferencedSOPSequence
        ]
        request = event.request
        asked = Asked(
            str(information.TransactionUID),
            references,
            event.assoc,
            request.ActionTypeID,
            str(request.RequestedSOPInstanceUID),
        )
        self.asked.append(asked)
        return self.on_action(asked), None

    def _store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    def _received(self, event: Any) -> None:
        self.pdus.append(type(event.pdu).__name__)

    def _accepted(self, event: Any) -> None:
        self.associations += 1

    def later(self, work: Callable[..., None], *args: Any) -> None:
        """In a thread of its own, as an archive reports."""
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def report_here(self, asked: Asked, information: Dataset, times: int = 1) -> None:
        """On the association of the request."""
        for _ in range(times):
            self._report(asked.association, information)

    def report_there(
        self, port: int, information: Dataset, times: int = 1, event_type: int | None = None, linger_s: float = 0.0
    ) -> None:
        """On an association of our own, to the instrument's port."""
        entity = AE(self.ae_title)
        entity.add_requested_context(COMMITMENT, SYNTAXES)
        role = build_role(COMMITMENT, scp_role=True)
        association = entity.associate("127.0.0.1", port, ae_title="INSTRUMENT", ext_neg=[role])
        if not association.is_established:
            self.statuses.append(None)
            return
        for _ in range(times):
            self._report(association, information, event_type)
        time.sleep(linger_s)
        association.release()
        self.released.append(association.is_released)

    def _report(self, association: Association, information: Dataset, event_type: int | None = None) -> None:
        kind = event_type or (2 if "FailedSOPSequence" in information else 1)
        status, _ = association.send_n_event_report(information, kind, COMMITMENT, INSTANCE)
        self.statuses.append(status.Status if "Status" in status else None)

    def join(self) -> None:
        while self.threads:
            thread = self.threads.pop()
            thread.join(20)
            assert not thread.is_alive()

    def forget(self) -> None:
        self.join()
        self.on_action = lambda asked: 0x0000
        self.asked.clear()
        self.stored.clear()
        self.statuses.clear()
        self.released.clear()
        self.pdus.clear()
        self.associations = 0


@contextmanager
def archive(**settings: Any) -> Iterator[Archive]:
    peer = Archive(**settings)
    entity = AE(peer.ae_title)
    entity.add_supported_context(COMMITMENT, SYNTAXES, scu_role=True, scp_role=True)
    entity.add_supported_context(SC_CLASS, SYNTAXES)
    handlers = [(evt.EVT_N_ACTION, peer._action), (evt.EVT_C_STORE, peer._store), (evt.EVT_ACCEPTED, peer._accepted)]
    handlers.append((evt.EVT_PDU_RECV, peer._received))
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    peer.port = server.server_address[1]
    peer.node = Node("commitment", "127.0.0.1", peer.port, peer.ae_title, Timeouts.all(10))
    try:
        yield peer
        peer.join()
    finally:
        server.shutdown()
