"""An information system that does as it is told, on pynetdicom: keeps steps, refuses, aborts, hangs, loses answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep
from pynetdicom.transport import AssociationSocket

from firmware_app.demo.performed_steps import PerformedSteps, StepRefused
from firmware_app.net.node import Node, Timeouts

SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
# Answers beside a status: the connection ends before or after the message has been taken in, or nothing comes at all.
ABORT = -1
LOSE_ANSWER = -2
HANG = -3


def close_in_any_case(association_socket: AssociationSocket) -> None:
    with contextlib.suppress(OSError):
        association_socket.socket.shutdown(socket.SHUT_RDWR)
    association_socket.socket.close()


# pynetdicom 3.0 leaves a socket open whose peer has gone first: a ResourceWarning, and here an error.
AssociationSocket._shutdown_socket = close_in_any_case


@dataclass
class InformationSystem:
    """`answers` are for the coming messages: a status, or what goes wrong; when there are none left it takes all."""

    answers: deque[int] = field(default_factory=deque)
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # operation, UID, status of the step
    octets: list[bytes] = field(default_factory=list)  # the data sets as they came
    steps: PerformedSteps = field(default_factory=PerformedSteps)
    performed: dict[str, Dataset] = field(default_factory=dict)
    associations: int = 0
    port: int = 0
    refuse: bool = False
    sop_class_uid: str = ModalityPerformedProcedureStep
    syntaxes: tuple[str, ...] = SYNTAXES
    abort_release: bool = False
    response_s: float = 10.0
    released: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        entity = AE("RIS")
        entity.add_supported_context(self.sop_class_uid, list(self.syntaxes))
        if self.refuse:
            entity.require_calling_aet = ["SOMEBODY ELSE"]
        handlers = [
            (evt.EVT_N_CREATE, self._on_create),
            (evt.EVT_N_SET, self._on_set),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_RELEASED, self._on_released),
        ]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()

    @property
    def node(self) -> Node:
        waits = Timeouts(response_s=self.response_s)
        return Node("mpps", "127.0.0.1", self.port, "RIS", waits)

    def _on_accepted(self, event: evt.Event) -> None:
        self.associations += 1

    def _on_released(self, event: evt.Event) -> None:
        if self.abort_release:
            event.assoc.abort()

    def _on_create(self, event: Any) -> tuple[int | Dataset, Dataset | None]:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.octets.append(event.request.AttributeList.getvalue())
        return self._answer(event, "N-CREATE", uid, event.attribute_list, self.steps.create)

    def _on_set(self, event: Any) -> tuple[int | Dataset, Dataset | None]:
        uid = str(event.request.RequestedSOPInstanceUID)
        self.octets.append(event.request.ModificationList.getvalue())
        return self._answer(event, "N-SET", uid, event.modification_list, self.steps.change)

    def _answer(
        self, event: Any, operation: str, uid: str, attributes: Dataset, perform: Callable[[str, Dataset], Dataset]
    ) -> tuple[int | Dataset, Dataset | None]:
        self.asked.append((operation, uid, str(attributes.get("PerformedProcedureStepStatus", ""))))
        told = self.answers.popleft() if self.answers else 0x0000
        if told == HANG:
            self.released.wait(30)
        if told in (ABORT, HANG):
            event.assoc.abort()
            return 0x0110, None
        if told > 0 and told & 0xF000 != 0xB000 and told not in (0x0001, 0x0107, 0x0116):
            return refusal(told, "told to refuse", None), None
        try:
            self.performed[uid] = perform(uid, attributes)
        except StepRefused as refused:
            return refusal(refused.status, str(refused), refused.error_id), None
        if told == LOSE_ANSWER:
            event.assoc.abort()
            return 0x0000, None
        return max(told, 0), None


def refusal(status: int, comment: str, error_id: int | None) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    if error_id is not None:
        answer.ErrorID = error_id
    return answer
