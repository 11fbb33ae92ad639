"""Which of our operations are under way, and which of them a response belongs to (PS3.7 section 7.3 and D.3.3.3).

An operation begins with its request and ends with its response, or with the last of several. How many may be under
way at once is negotiated; without negotiation it is one. What is refused here was not sent, so nothing needs to be
undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.message import Message
from firmware_app.dicom.statuses import PENDING, PENDING_WARNING

LAST_MESSAGE_ID = 65535
# Every other operation has one response (PS3.7 9.1 and 10.1): one that calls itself pending ends it all the same.
MANY_RESPONSES = frozenset({CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ})


@dataclass(frozen=True, slots=True)
class Operation:
    """One request of ours that is not fully answered yet."""

    message_id: int
    context_id: int
    request: CommandField


class Operations:
    """The operations of one association. `window` is how many may be under way; 0 is no limit."""

    def __init__(self, window: int = 1) -> None:
        self.window = window
        self._open: dict[int, Operation] = {}
        self._last_id = 0

    @property
    def under_way(self) -> tuple[Operation, ...]:
        return tuple(self._open.values())

    def next_message_id(self) -> int:
        """1 to 65535 and round again, past those that are still in use."""
        if len(self._open) == LAST_MESSAGE_ID:
            raise LocalProtocolError("every message id is in use")
        self._last_id = self._last_id % LAST_MESSAGE_ID + 1
        while self._last_id in self._open:
            self._last_id = self._last_id % LAST_MESSAGE_ID + 1
        return self._last_id

    def begin(self, context_id: int, command: Command) -> None:
        """A request is about to be sent. C-CANCEL begins nothing: it is part of the operation that it cancels."""
        field, message_id = command.command_field, command.message_id
        if field is CommandField.C_CANCEL_RQ or field.is_response:
            return
        if message_id is None:
            raise LocalProtocolError(f"{field.words} without a message id")
        if message_id in self._open:
            raise LocalProtocolError(f"{field.words}: message id {message_id} is still in use")
        if self.window and len(self._open) >= self.window:
            raise LocalProtocolError(f"{field.words} beyond the {self.window} negotiated outstanding operations")
        self._open[message_id] = Operation(message_id, context_id, field)

    def match(self, message: Message) -> Operation:
        """The operation that a response answers, by message id, context and command; a final one ends it."""
        answer = message.command
        operation = self._open.get(answer.message_id_being_responded_to or 0)
        if (
            operation is None
            or message.context_id != operation.context_id
            or answer.command_field is not operation.request.response
        ):
            raise RemoteProtocolError(self._misfit(message))
        if operation.request not in MANY_RESPONSES or answer.status not in (PENDING, PENDING_WARNING):
            del self._open[operation.message_id]
        return operation

    def _misfit(self, message: Message) -> str:
        answer = message.command
        due = " or ".join(
            f"{one.request.response.words} to message {one.message_id} in context {one.context_id}"
            for one in self._open.values()
        )
        return (
            f"{answer.command_field.words} to message {answer.message_id_being_responded_to} in context"
            f" {message.context_id}" + (f" instead of {due}" if due else ", and nothing was asked")
        )
