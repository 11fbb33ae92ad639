"""Our own DICOM port: held open for as long as the service lives, or the reason shown why it is not."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import trio

from firmware_app.dicom.negotiation import Roles
from firmware_app.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from firmware_app.model import Event
from firmware_app.net.listener import (
    DEFAULT_OFFERS,
    InboundAssociation,
    ListenerLimits,
    ListenerRules,
    Offer,
    serve,
)
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.performer import EventHandler, expect_no_report
from firmware_app.net.tls import ListenerTls
from firmware_app.profiles import Profile
from firmware_app.progress import finished, idle
from firmware_app.services.causes import in_one_line
from firmware_app.services.peers import declared

# A port is taken by another program or, for a minute after a crash, by the kernel; asking more often gains nothing.
RETRY_S = 5.0
DOING = (
    (VERIFICATION, "answers C-ECHO"),
    (STORAGE_COMMITMENT_PUSH_MODEL, "takes storage commitment reports"),
)


def offers_of(profile: Profile) -> tuple[Offer, ...]:
    """What the profile accepts on our own port. A role in a profile is ours; the peer has the other one."""
    return tuple(
        Offer(
            context.abstract_syntax,
            context.transfer_syntaxes,
            Roles(scu=context.role == "SCP", scp=context.role == "SCU"),
        )
        for context in declared(profile, "listener").contexts
    )


def limits_of(local: LocalApplicationEntity) -> ListenerLimits:
    """As many associations at once as the entity has places for."""
    if local.places is None:
        return ListenerLimits()
    return ListenerLimits(max_associations=int(local.places.total_tokens))


class ListenerService:
    """`local` None, or `port` 0: this instrument does not listen. `on_event` answers the reports of commitment.

    `handed_over` gives the socket that systemd has opened for this port, or None where there is none.
    `as_configured`: it listens, or is not to.
    """

    def __init__(
        self,
        local: LocalApplicationEntity | None,
        port: int,
        rules: ListenerRules,
        publish: Callable[[Event], None],
        on_event: EventHandler = expect_no_report,
        tls: ListenerTls | None = None,
        *,
        offers: Sequence[Offer] = DEFAULT_OFFERS,
        why_not: str = "the profile accepts no association",
        handed_over: Callable[[int], socket.socket | None] = lambda port: None,
    ) -> None:
        self._local = local
        self._port = port
        self._rules = rules
        self._publish = publish
        self._on_event = on_event
        self._tls = tls
        self._offers = offers
        self._handed_over = handed_over
        self.as_configured = local is None or not port
        if local is None:
            self.detail = f"not listening: {why_not}"
        else:
            self.detail = "not opened yet" if port else "not listening: instrument.port is 0"

    async def run(self) -> None:
        local = self._local
        if local is None or not self._port:
            finished(self.detail)
            return
        told = ""
        while True:
            try:
                async with trio.open_nursery() as nursery:
                    port = await nursery.start(self._listen, local)
                    over = " over TLS" if self._tls else ""
                    self.detail = f"{local.ae_title} on {local.source_address}:{port} {self._doing()}{over}"
                    self.as_configured = True
                    self._publish(Event("listener.ready", self.detail, {"port": port}))
                    told = ""
            except* OSError as group:
                self.as_configured = False
                self.detail = f"{local.source_address}:{self._port} cannot be listened on: {in_one_line(group)}"
                if self.detail != told:
                    self._publish(Event("listener.lost", self.detail, {"port": self._port}, "warning"))
                told = self.detail
            with idle("the port to become free"):
                await trio.sleep(RETRY_S)

    def _doing(self) -> str:
        offered = {offer.abstract_syntax for offer in self._offers}
        return " and ".join(words for uid, words in DOING if uid in offered) or "accepts nothing"

    async def _listen(self, local: LocalApplicationEntity, *, task_status: trio.TaskStatus[int]) -> None:
        with idle("associations"):
            await serve(
                local,
                self._port,
                limits=limits_of(local),
                rules=self._rules,
                offers=self._offers,
                on_event=self._on_event,
                tls=self._tls,
                observe=self._tell,
                handed_over=self._handed_over(self._port),
                task_status=task_status,
            )

    def _tell(self, ended: InboundAssociation) -> None:
        who = f"{ended.calling_ae_title or 'somebody'} from {ended.peer_address}"
        data: dict[str, object] = {"peer_address": ended.peer_address, "calling_ae_title": ended.calling_ae_title}
        done = f"{ended.echoes} C-ECHO" + (f", {ended.reports} N-EVENT-REPORT" if ended.reports else "")
        self._publish(Event("listener.association", f"{who}: {done}, {ended.outcome}", data))
        if ended.is_refused:
            self._publish(Event("listener.refused", f"{who} was refused: {ended.outcome}", data, "warning"))
