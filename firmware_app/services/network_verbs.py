"""What the command line asks of a peer by hand: echo, store. One row per answer, as it comes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from firmware_app.config import Config
from firmware_app.net.errors import NetworkError
from firmware_app.net.interface import InterfaceError, ipv4_address
from firmware_app.net.node import ANY_ADDRESS, LocalApplicationEntity, Node
from firmware_app.net.verification import echo
from firmware_app.profiles import Profile, load_profile
from firmware_app.services.decompression import decompress
from firmware_app.services.peers import Service, checked_ae_title, contexts_of, find_node, local_entity

if TYPE_CHECKING:
    from firmware_app.net.instance_file import InstanceFile
    from firmware_app.net.storage import StoreResult

EXPECTED: tuple[type[Exception], ...] = (NetworkError, InterfaceError)
DELIVERED = ("stored", "warning")


class BadQuery(ValueError):
    """A matching key that no worklist understands; the text names the option and what is allowed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of output: `text` for people, `data` for programs (None: not for programs).

    `failure`, where it is not empty, says in one line what the peer refused; the verb has failed then.
    """

    text: str
    data: dict[str, object] | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """The node, and everything that decides how we present ourselves to it."""

    node: Node
    config: Config
    profile: Profile
    source_address: str
    calling: str = ""

    def local(self, service: Service) -> LocalApplicationEntity:
        return local_entity(self.config, self.profile, self.source_address, service, self.calling)


Rows = Callable[[Peer], AsyncGenerator[Row, None]]


def find_peer(word: str, config: Config, bound: bool, calling: str | None, timeout_s: float | None) -> Peer:
    """The peer for NODE and the other options. `bound`: only from network.interface, as the service does.

    Raises `BadPeer` for wrong words, `InterfaceError` where the interface has no address.
    """
    if calling is not None:
        checked_ae_title(calling, "--calling")
    node = find_node(word, config, timeout_s)
    source_address = ipv4_address(config.network.interface) if bound else ANY_ADDRESS
    return Peer(node, config, load_profile(config.profile), source_address, calling or "")


def run(rows: Rows, peer: Peer, show: Callable[[Row], None]) -> None:
    """Ask the peer and show every row. Raises `NetworkError`, alone or in a group."""

    async def ask() -> None:
        async with contextlib.aclosing(rows(peer)) as answers:
            async for row in answers:
                show(row)

    # Ctrl-C in the middle of a write would leave nobody who knows whether an A-ABORT may follow.
    trio.run(ask, restrict_keyboard_interrupt_to_checkpoints=True)


def echo_rows(count: int) -> Rows:
    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        contexts = contexts_of(peer.profile, "verification")
        result = await echo(peer.node, peer.local("verification"), count, contexts=contexts)
        release = str(result.release_failure) if result.release_failure else None
        who = result.peer_implementation_version_name or result.peer_implementation_class_uid
        times = f"{count} echoes" if count > 1 else "echo"
        over = f" over {result.security}" if result.security else ""
        text = f"{peer.node.label}: {times} in {1000 * result.seconds:.1f} ms{over}, {who}"
        yield Row(
            text + (f" (release failed: {release})" if release else ""),
            {
                "node": peer.node.name,
                "ae_title": peer.node.ae_title,
                "host": peer.node.host,
                "port": peer.node.port,
                "count": result.count,
                "seconds": result.seconds,
                "security": result.security or None,
                "peer_implementation_class_uid": result.peer_implementation_class_uid,
                "peer_implementation_version_name": result.peer_implementation_version_name,
                "release_failure": release,
            },
        )

    return rows


def store_rows(files: Sequence[Path]) -> Rows:
    """In the contexts of the profile; by hand a class or a syntax that it does not declare is proposed behind them."""

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        from firmware_app.net.instance_file import InstanceUnreadable, check_whole, read_instance_file
        from firmware_app.net.storage import contexts_by_hand, store

        instances: list[InstanceFile] = []
        for file in files:
            try:
                instance = read_instance_file(file)
                check_whole(instance)
                instances.append(instance)
            except InstanceUnreadable as error:
                yield _unreadable(file, str(error))
        if not instances:
            return
        contexts = contexts_by_hand(instances, contexts_of(peer.profile, "storage"))
        # Exactly one result a file, in their order.
        sent = iter(instances)
        sending = store(peer.node, peer.local("storage"), instances, contexts, decompress)
        async with contextlib.aclosing(sending) as results:
            async for result in results:
                yield _stored(next(sent).path, result)

    return rows


def _unreadable(file: Path, reason: str) -> Row:
    data: dict[str, object] = {
        "file": str(file),
        "sop_instance_uid": None,
        "status": None,
        "category": "unreadable",
        "reason": reason,
    }
    return Row(f"----  unreadable  {reason}", data, reason)


def _stored(file: Path, result: StoreResult) -> Row:
    status = None if result.status is None else f"{result.status:04X}"
    data: dict[str, object] = {
        "file": str(file),
        "sop_instance_uid": result.sop_instance_uid,
        "status": status,
        "category": result.category,
        "reason": result.reason or None,
    }
    reason = f": {result.reason}" if result.reason else ""
    failure = "" if result.category in DELIVERED else f"{file}: not stored{reason}"
    return Row(f"{status or '----'}  {result.category:10}  {file}{reason}", data, failure)
