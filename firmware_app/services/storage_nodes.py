"""The archives that instances are sent to: each has its node, its own queue and its own delivery."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from firmware_app.config import Config
from firmware_app.config.schema import CommitmentConfig
from firmware_app.net.node import Node
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.peers import Entities, node_of

FIRST, SECOND = "storage", "second_storage"
# Who is asked to commit to what was stored there: the table of the configuration.
COMMITMENT_OF = {FIRST: "commitment", SECOND: "second_commitment"}


@dataclass(frozen=True, slots=True)
class Destination:
    """One archive: its node, when it is tried again, and the two ends of what wakes its delivery.

    `automatic`: what is finished goes there by itself.
    """

    node: Node
    policy: BackoffPolicy
    automatic: bool
    wake: trio.MemorySendChannel[None]
    woken: trio.MemoryReceiveChannel[None]


def destinations(config: Config, entities: Entities) -> dict[str, Destination]:
    """The configured archives by name, the first one first; none under a profile that declares no storage."""
    made = {}
    for name, table in ((FIRST, config.storage), (SECOND, config.second_storage)):
        if table.host and "storage" in entities:
            policy = BackoffPolicy(first_s=table.retry_first_s, max_s=table.retry_max_s)
            made[name] = Destination(node_of(name, table), policy, table.automatic, *trio.open_memory_channel[None](1))
    return made


def commitment_tables(config: Config) -> dict[str, CommitmentConfig]:
    """By the archive whose instances they are about."""
    return {FIRST: config.commitment, SECOND: config.second_commitment}
