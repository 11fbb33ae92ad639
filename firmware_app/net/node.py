"""Who we are on the network, whom we talk to, and how long we wait for each thing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from firmware_app.dicom.items import ImplementationClassUid, ImplementationVersionName, MaximumLength, UserItem
from firmware_app.net.pace import Pace
from firmware_app.net.tls import ClientTls
from firmware_app.progress import idle

DEFAULT_MAX_PDU_LENGTH = 16384
ANY_ADDRESS = "0.0.0.0"  # the kernel chooses: by hand one may ask from any interface
# ARTIM in Sta13 (PS3.8 9.1.4): how long a peer may take to close after our A-ABORT or A-RELEASE-RP, before we do.
ARTIM_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The longest wait for each thing a peer owes us, in seconds. None of them is ever infinite."""

    connect_s: float = 5.0  # to the TCP connection, and once more from there to the end of a TLS handshake
    association_s: float = 10.0
    write_s: float = 30.0  # one PDU into the socket
    response_s: float = 30.0  # one DIMSE response, from its request or from the response before it
    release_s: float = 5.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            seconds = getattr(self, name)
            if not 0 < seconds < float("inf"):
                raise ValueError(f"{name} must be a positive number of seconds, not {seconds}")

    @classmethod
    def all(cls, seconds: float) -> Timeouts:
        """The same bound for every wait."""
        return cls(connect_s=seconds, association_s=seconds, write_s=seconds, response_s=seconds, release_s=seconds)


@dataclass(frozen=True, slots=True)
class Node:
    """One peer. `name` is what the configuration calls it; without `tls` the connection is plain TCP.

    `pace` bounds what is sent there, by all who have this node.
    """

    name: str
    host: str
    port: int
    ae_title: str
    timeouts: Timeouts = Timeouts()
    tls: ClientTls | None = None
    pace: Pace | None = field(default=None, compare=False, repr=False)

    @property
    def label(self) -> str:
        """How every message names it: `archive (ORTHANC at 10.0.0.5:4242)`."""
        return f"{self.name} ({self.ae_title} at {self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class LocalApplicationEntity:
    """We as one application entity. Every socket is bound to `source_address`, the address of our one interface.

    `places` are the associations that it may have at once: who finds none free waits. None: nobody counts.
    """

    ae_title: str
    source_address: str
    implementation_class_uid: str
    implementation_version_name: str
    max_pdu_length: int = DEFAULT_MAX_PDU_LENGTH
    places: trio.CapacityLimiter | None = field(default=None, compare=False, repr=False)

    @property
    def user_items(self) -> tuple[UserItem, ...]:
        """Maximum Length and who implemented us, as each A-ASSOCIATE carries them."""
        items: tuple[UserItem, ...] = (
            MaximumLength(self.max_pdu_length),
            ImplementationClassUid(self.implementation_class_uid),
        )
        if self.implementation_version_name:
            items += (ImplementationVersionName(self.implementation_version_name),)
        return items

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the `places`, as soon as one is free.

        Not held by the task: a generator that associates may be closed by another one than began it.
        """
        if self.places is None:
            yield
            return
        holder = object()
        with idle(f"a free association of {self.ae_title}"):
            await self.places.acquire_on_behalf_of(holder)
        try:
            yield
        finally:
            self.places.release_on_behalf_of(holder)
