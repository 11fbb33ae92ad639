"""Verification (PS3.4 annex A) as SCU."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.statuses import SUCCESS
from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from firmware_app.net.association import Association, ContextPair, associate
from firmware_app.net.errors import DimseFailure, NetworkError
from firmware_app.net.node import LocalApplicationEntity, Node

VERIFICATION_CONTEXTS: tuple[ContextPair, ...] = (
    (VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)),
)


@dataclass(frozen=True, slots=True)
class EchoResult:
    """`count` echoes were answered with success; the peer's implementation is what it called itself."""

    count: int
    seconds: float  # the echoes alone, without association and release
    peer_implementation_class_uid: str
    peer_implementation_version_name: str
    release_failure: NetworkError | None = None  # of no consequence for the echoes
    security: str = ""  # `TLSv1.3`; empty over plain TCP


async def echo(
    node: Node,
    local: LocalApplicationEntity,
    count: int = 1,
    *,
    contexts: tuple[ContextPair, ...] = VERIFICATION_CONTEXTS,
) -> EchoResult:
    """`count` C-ECHOs on one association; a NetworkError unless every one succeeded."""
    async with associate(node, local, contexts) as association:
        started = trio.current_time()
        for _ in range(count):
            await echo_once(association)
        seconds = trio.current_time() - started
        class_uid, version_name = association.peer_implementation
        security = association.security
    return EchoResult(count, seconds, class_uid, version_name, association.release_failure, security)


async def echo_once(association: Association) -> None:
    context = association.context(VERIFICATION)
    command = Command(
        command_field=CommandField.C_ECHO_RQ,
        message_id=association.next_message_id(),
        affected_sop_class_uid=VERIFICATION,
    )
    answer = (await association.request(context, command)).command
    assert answer.status is not None
    if answer.status != SUCCESS:
        raise DimseFailure(association.node.label, "C-ECHO", answer.status, answer.error_comment)
