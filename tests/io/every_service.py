"""One peer on pynetdicom for every verb of the command line: it answers well, with a warning or with a refusal.

Which of these, the called AE title says. What it never says, a `Mute` in front of it leaves out.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

from delivery_peer import close_in_any_case
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom import sop_class as classes
from pynetdicom.transport import AssociationSocket

SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]
SERVICES = (
    classes.Verification,
    classes.ModalityWorklistInformationFind,
    classes.PatientRootQueryRetrieveInformationModelFind,
    classes.SecondaryCaptureImageStorage,
    classes.ModalityPerformedProcedureStep,
    classes.BasicGrayscalePrintManagementMeta,
)
# Called AE title: the status of each operation, or what else is odd; what is not named goes well.
MOODS: dict[str, dict[str, int]] = {
    "WELL": {},
    "WARNS": {"C-FIND": 0xFF01, "C-STORE": 0xB000, "N-CREATE": 0x0116, "N-SET": 0x0116, "N-ACTION": 0xB604},
    "REFUSES": {
        "C-ECHO": 0x0110,
        "C-FIND": 0xA700,
        "C-STORE": 0xA700,
        "N-CREATE": 0x0110,
        "N-SET": 0x0110,
        "N-GET": 0x0110,
        "N-ACTION": 0x0213,
    },
    "FAILS": {"report": 0x0112, "printer": 1},
    "SILENT": {"report": -1},
}
AssociationSocket._shutdown_socket = close_in_any_case


class EveryService:
    """The handlers; each looks up how this association wants to be answered."""

    def handlers(self) -> list[tuple[Any, Any]]:
        return [
            (evt.EVT_C_ECHO, lambda event: self._status(event, "C-ECHO")),
            (evt.EVT_C_STORE, lambda event: self._status(event, "C-STORE")),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, lambda event: (self._status(event, "N-SET"), None)),
            (evt.EVT_N_GET, self._get),
            (evt.EVT_N_ACTION, self._action),
            (evt.EVT_N_DELETE, lambda event: 0x0000),
        ]

    def _mood(self, event: Any) -> dict[str, int]:
        return MOODS[event.assoc.requestor.primitive.called_ae_title]

    def _status(self, event: Any, operation: str) -> int:
        return self._mood(event).get(operation, 0x0000)

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        status = self._mood(event).get("C-FIND", 0xFF00)
        if status not in (0xFF00, 0xFF01):
            yield status, None
            return
        found = Dataset()
        found.PatientName, found.PatientID, found.PatientBirthDate, found.PatientSex = "Doe^Jane", "P1", "", ""
        if event.request.AffectedSOPClassUID == classes.PatientRootQueryRetrieveInformationModelFind:
            found.QueryRetrieveLevel = "PATIENT"
        yield status, found

    def _create(self, event: Any) -> tuple[int, Dataset]:
        made = Dataset()
        made.update(event.attribute_list)
        made.SOPInstanceUID = event.request.AffectedSOPInstanceUID or generate_uid()
        if event.request.AffectedSOPClassUID == classes.BasicFilmBox:
            box = Dataset()
            box.ReferencedSOPClassUID = classes.BasicGrayscaleImageBox
            box.ReferencedSOPInstanceUID = generate_uid()
            made.ReferencedImageBoxSequence = [box]
        return self._status(event, "N-CREATE"), made

    def _get(self, event: Any) -> tuple[int, Dataset]:
        state = Dataset()
        failed = "printer" in self._mood(event)
        state.PrinterStatus = "FAILURE" if failed else "WARNING" if self._mood(event) else "NORMAL"
        state.PrinterStatusInfo = "FILM JAM" if failed else "NORMAL"
        return self._status(event, "N-GET"), state

    def _action(self, event: Any) -> tuple[int, None]:
        if event.request.RequestedSOPClassUID != classes.StorageCommitmentPushModel:
            return self._status(event, "N-ACTION"), None
        mood, asked = self._mood(event), event.action_information
        status = mood.get("N-ACTION", 0x0000)
        if status != 0x0213 and mood.get("report") != -1:
            report = threading.Thread(target=self._report, args=(event.assoc, asked, mood.get("report")), daemon=True)
            report.start()
        return status if status == 0x0213 else 0x0000, None

    def _report(self, association: Any, asked: Dataset, failure: int | None) -> None:
        said = Dataset()
        said.TransactionUID = asked.TransactionUID
        if failure is None:
            said.ReferencedSOPSequence = asked.ReferencedSOPSequence
        else:
            said.FailedSOPSequence = asked.ReferencedSOPSequence
            for item in said.FailedSOPSequence:
                item.FailureReason = failure
        time.sleep(0.05)  # behind the answer, as an archive reports
        instance = classes.StorageCommitmentPushModelInstance
        with contextlib.suppress(RuntimeError, ValueError):  # whoever asked is gone
            kind = 1 if failure is None else 2
            association.send_n_event_report(said, kind, classes.StorageCommitmentPushModel, instance)


@contextlib.contextmanager
def every_service(*, rejecting: bool = False, services: tuple[str, ...] = SERVICES) -> Iterator[int]:
    """The port of a running peer."""
    entity = AE("PEER")
    entity.maximum_associations = 50
    entity.require_called_aet = rejecting
    for service in services:
        entity.add_supported_context(service, SYNTAXES)
    if services is SERVICES:
        commitment = classes.StorageCommitmentPushModel
        entity.add_supported_context(commitment, SYNTAXES, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=EveryService().handlers())
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


class Mute:
    """A relay in front of `target` that never passes on a PDU of this type."""

    def __init__(self, target: int, pdu_type: int) -> None:
        self._target = target
        self._pdu_type = pdu_type
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._running = [threading.Thread(target=self._accept, daemon=True)]
        self._running[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        while self._running:
            self._running.pop(0).join(20)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for work in (self._up, self._down):
                    self._running.append(threading.Thread(target=work, args=(near, far), daemon=True))
                    self._running[-1].start()

    def _up(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while octets := near.recv(65536):
                far.sendall(octets)
        for end in (near, far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _down(self, near: socket.socket, far: socket.socket) -> None:
        """Also the one that closes both, when `_up` has ended them."""
        with near, far, contextlib.suppress(OSError, struct.error), far.makefile("rb") as stream:
            while header := stream.read(6):
                pdu_type, length = struct.unpack(">BxI", header)
                body = stream.read(length)
                if pdu_type != self._pdu_type:
                    near.sendall(header + body)
