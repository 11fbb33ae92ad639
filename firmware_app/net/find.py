"""C-FIND as SCU for any information model (PS3.4 annexes C and K): identifiers in, identifiers out, one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import trio

from firmware_app.dicom.command import DATA_SET_PRESENT, Command, CommandField, Priority
from firmware_app.dicom.negotiation import AcceptedContext
from firmware_app.dicom.statuses import PENDING_WARNING, describe_status, find_category
from firmware_app.net.association import Association
from firmware_app.net.data_source import OctetSource
from firmware_app.net.errors import DimseFailure, NetworkError, RemoteProtocolError, TimedOut
from firmware_app.net.transport import bounded

# One read brings about 90 worklist items of 0.1 ms each: 9 ms, 40 on a small board, in which nothing else would run.
MATCHES_AT_ONCE = 8
OCTETS_AT_ONCE = 8 * 1024
# An identifier has a few kB. What is read of a longer one: 1 MB of escape sequences held up everything for 1.8 s.
MAX_IDENTIFIER_OCTETS = 32 * 1024
MAX_OCTETS = 32 * 1024 * 1024  # of all identifiers of one search: 5000 of 6 kB
# A search may take this many times as long as one response: a peer that dribbles is not listened to for ever.
MAX_RESPONSE_TIMES = 10
IGNORED_KEYS = "the server ignored optional keys of the query (FF01H)"


@dataclass(frozen=True, slots=True)
class Match:
    """One identifier as the SCP sent it, in the transfer syntax of the context."""

    identifier: bytes
    problems: tuple[str, ...] = ()  # FF01H, which is a match all the same, or an identifier that was cut


async def find(
    association: Association, context: AcceptedContext, identifier: bytes, *, max_matches: int
) -> AsyncGenerator[Match, None]:
    """The matches in the order they come. Whoever stops early, or `max_matches`, ends the search with C-CANCEL.

    Close it with `contextlib.aclosing`. DimseFailure for a failure status.
    """
    message_id = association.next_message_id()
    command = Command(
        command_field=CommandField.C_FIND_RQ,
        message_id=message_id,
        affected_sop_class_uid=context.abstract_syntax,
        priority=Priority.MEDIUM,
        data_set_type=DATA_SET_PRESENT,
    )
    await association.send(context, command, OctetSource(identifier))
    matches = octets = at_once = 0
    longest_s = MAX_RESPONSE_TIMES * association.node.timeouts.response_s
    deadline = trio.current_time() + longest_s
    while True:
        match = await receive_match(association, context, message_id)
        if match is None:
            return
        octets += len(match.identifier)
        if octets > MAX_OCTETS:
            why = f"more than {MAX_OCTETS} octets of matches"
            raise RemoteProtocolError(association.node.label, "waiting for C-FIND-RSP", why)
        if trio.current_time() > deadline:
            raise TimedOut(association.node.label, "end of the C-FIND", longest_s)
        if matches == max_matches:
            await cancel(association, context, message_id)
            return
        matches += 1
        at_once += len(match.identifier)
        if matches % MATCHES_AT_ONCE == 0 or at_once > OCTETS_AT_ONCE:
            at_once = 0
            await trio.lowlevel.checkpoint()
        try:
            yield match
        except GeneratorExit:
            await cancel(association, context, message_id)
            raise


async def receive_match(association: Association, context: AcceptedContext, message_id: int) -> Match | None:
    """The next match; None at the end. A final response with an identifier attached is an end all the same.

    FE00H nobody asked for is a failure: PS3.4 C.4.1 has it for a C-CANCEL only, and the list may not be whole.
    """
    answer = await association.receive_response(context, CommandField.C_FIND_RQ, message_id)
    status = answer.command.status
    assert status is not None
    category = find_category(status)
    if category == "pending":
        if answer.data_set is None:
            words = f"pending response ({describe_status(status)}) without an identifier"
            raise RemoteProtocolError(association.node.label, "waiting for C-FIND-RSP", words)
        return Match(answer.data_set[:MAX_IDENTIFIER_OCTETS], match_problems(answer.data_set, status))
    if category == "success":
        return None
    raise DimseFailure(association.node.label, "C-FIND", status, answer.command.error_comment)


def match_problems(identifier: bytes, status: int) -> tuple[str, ...]:
    ignored = (IGNORED_KEYS,) if status == PENDING_WARNING else ()
    if len(identifier) <= MAX_IDENTIFIER_OCTETS:
        return ignored
    return (*ignored, f"the identifier has {len(identifier)} octets, of which {MAX_IDENTIFIER_OCTETS} were read")


async def cancel(association: Association, context: AcceptedContext, message_id: int) -> None:
    """C-CANCEL, then read on to the final response, so that the association can be released (PS3.7 9.3.2.3).

    What was found stands: a peer that fails here only loses the association.
    """
    command = Command(command_field=CommandField.C_CANCEL_RQ, message_id_being_responded_to=message_id)
    node = association.node
    try:
        await association.send(context, command)
        with bounded(node.label, "end of the C-FIND after C-CANCEL", node.timeouts.response_s):
            while await receive_match(association, context, message_id) is not None:
                pass
    except DimseFailure:
        return  # FE00H, or an end as good
    except NetworkError as error:
        association.abandon(error)
