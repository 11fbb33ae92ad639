"""What a service of the embedded hospital is, and the application entity that offers several of them on one port.

A further service is one more module with a function that returns a `Service`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from socketserver import BaseServer
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

LOOPBACK = "127.0.0.1"  # a simulated hospital has no business on a real network
# An acceptor takes its own first choice: whoever sends Explicit VR keeps its value representations.
UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
WITH_COMPRESSED = (*UNCOMPRESSED, JPEGBaseline8Bit, JPEG2000Lossless, RLELossless)
MAX_PDU_LENGTH = 131072  # the "Maximum length received" that we announce
SHUTDOWN_POLL_S = 0.02

Report = Callable[..., None]  # report("find", matches=3): one event of the hospital, keys are JSON values
Handler = Callable[[evt.Event], Any]


@dataclass(frozen=True, slots=True)
class Service:
    """Abstract syntaxes with their transfer syntaxes, and what to do on each DIMSE request for them."""

    contexts: Mapping[str, Sequence[str]]
    handlers: Mapping[evt.InterventionEvent, Handler]


class Entity:
    """One application entity title on one loopback port, which can go down and come back on the same port."""

    def __init__(self, ae_title: str, port: int, services: Sequence[Service], report: Report) -> None:
        self.ae_title = ae_title
        self.port = port
        self._report = report
        self._server: ThreadedAssociationServer | None = None
        self._ae = AE(ae_title)
        self._ae.require_called_aet = True
        self._ae.maximum_pdu_size = MAX_PDU_LENGTH
        routes: dict[evt.InterventionEvent, dict[str, Handler]] = {}
        for service in services:
            for abstract_syntax, transfer_syntaxes in service.contexts.items():
                self._ae.add_supported_context(abstract_syntax, list(transfer_syntaxes))
                for event, handler in service.handlers.items():
                    routes.setdefault(event, {})[abstract_syntax] = handler
        self._handlers: list[Any] = [(event, _dispatch, [by_syntax]) for event, by_syntax in routes.items()]
        self._handlers += [(evt.EVT_REJECTED, self._on_rejected), (evt.EVT_ABORTED, self._on_aborted)]

    def up(self) -> None:
        """Listen; OSError when the port is taken. The kernel's choice of a port is kept for the next time."""
        if self._server is not None:
            return
        try:
            server = self._ae.make_server(
                (LOOPBACK, self.port),
                ae_title=self.ae_title,
                evt_handlers=self._handlers,
                server_class=ThreadedAssociationServer,
            )
        except OSError as error:
            raise OSError(f"{self.ae_title} cannot listen on {LOOPBACK}:{self.port}: {error.strerror}") from error
        assert server.socket is not None, "bound by its constructor"
        self.port = server.socket.getsockname()[1]
        # Accepted sockets inherit it. Without, Nagle and our peer's delayed ACK cost 40 ms on every small response.
        server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=server.serve_forever, args=[SHUTDOWN_POLL_S], daemon=True).start()
        self._server = server

    def down(self) -> None:
        """Close the port and abort every association."""
        server, self._server = self._server, None
        if server is None:
            return
        # The server's own shutdown() belongs to servers that AE.start_server() made.
        BaseServer.shutdown(server)
        server.server_close()
        for made in server.active_associations:
            made.abort()

    def reject(self, on: bool) -> None:
        """Refuse every association from now on: rejected-permanent, calling AE title not recognised (PS3.8 9.3.4)."""
        self._ae.require_calling_aet = ["NOBODY"] if on else []

    def address(self) -> dict[str, object]:
        return {"ip": LOOPBACK, "port": self.port, "ae_title": self.ae_title}

    def _on_rejected(self, event: evt.Event) -> None:
        self._report("reject", ae=self.ae_title, **association(event))

    def _on_aborted(self, event: evt.Event) -> None:
        self._report("abort", ae=self.ae_title, **association(event))


def association(event: evt.Event) -> dict[str, object]:
    """Who asked whom, for an event line."""
    requestor = event.assoc.requestor
    primitive = requestor.primitive
    return {"calling": requestor.ae_title, "called": primitive.called_ae_title if primitive is not None else ""}


def refusal(status: int, comment: str, error_id: int | None = None) -> Dataset:
    """The status elements of a response that says why."""
    response = Dataset()
    response.Status = status
    response.ErrorComment = comment[:64]  # LO
    if error_id is not None:
        response.ErrorID = error_id
    return response


def _dispatch(event: evt.Event, by_syntax: Mapping[str, Handler]) -> Any:
    return by_syntax[event.context.abstract_syntax](event)
