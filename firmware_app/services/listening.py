"""Our own DICOM port: held open for as long as the service lives, or the reason shown why it is not."""

from __future__ import annotations

from collections.abc import Callable

import trio

from firmware_app.model import Event
from firmware_app.net.listener import InboundAssociation, ListenerRules, serve
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.performer import EventHandler, expect_no_report
from firmware_app.net.tls import ListenerTls
from firmware_app.services.causes import in_one_line

# A port is taken by another program or, for a minute after a crash, by the kernel; asking more often gains nothing.
RETRY_S = 5.0


class ListenerService:
    """`port` 0 means that this instrument does not listen. `on_event` answers the reports of storage commitment."""

    def __init__(
        self,
        local: LocalApplicationEntity,
        port: int,
        rules: ListenerRules,
        publish: Callable[[Event], None],
        on_event: EventHandler = expect_no_report,
        tls: ListenerTls | None = None,
    ) -> None:
        self._local = local
        self._port = port
        self._rules = rules
        self._publish = publish
        self._on_event = on_event
        self._tls = tls
        self.detail = "not opened yet" if port else "not listening: instrument.port is 0"

    async def run(self) -> None:
        if not self._port:
            return
        told = ""
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    port = await nursery.start(self._listen)
                    over = " over TLS" if self._tls else ""
                    self.detail = f"{self._local.ae_title} on {self._local.source_address}:{port} answers C-ECHO{over}"
                    self._publish(Event("listener.ready", self.detail, {"port": port}))
                    told = ""
            except* OSError as group:
                self.detail = f"{self._local.source_address}:{self._port} cannot be listened on: {in_one_line(group)}"
                if self.detail != told:
                    self._publish(Event("listener.lost", self.detail, {"port": self._port}, "warning"))
                told = self.detail
            await trio.sleep(RETRY_S)

    async def _listen(self, *, task_status: trio.TaskStatus[int]) -> None:
        await serve(
            self._local,
            self._port,
            rules=self._rules,
            on_event=self._on_event,
            tls=self._tls,
            observe=self._tell,
            task_status=task_status,
        )

    def _tell(self, ended: InboundAssociation) -> None:
        who = f"{ended.calling_ae_title or 'somebody'} from {ended.peer_address}"
        data: dict[str, object] = {"peer_address": ended.peer_address, "calling_ae_title": ended.calling_ae_title}
        done = f"{ended.echoes} C-ECHO" + (f", {ended.reports} N-EVENT-REPORT" if ended.reports else "")
        self._publish(Event("listener.association", f"{who}: {done}, {ended.outcome}", data))
