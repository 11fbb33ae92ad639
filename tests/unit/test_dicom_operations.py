"""Operations under way: message ids, the window, and which response belongs to which request."""

from __future__ import annotations

import pytest

from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.errors import LocalProtocolError, RemoteProtocolError
from firmware_app.dicom.message import Message
from firmware_app.dicom.operations import LAST_MESSAGE_ID, Operation, Operations
from firmware_app.dicom.statuses import PENDING, PENDING_WARNING


def request(message_id: int | None, field: CommandField = CommandField.C_FIND_RQ) -> Command:
    return Command(command_field=field, message_id=message_id)


def response(
    message_id: int, field: CommandField = CommandField.C_FIND_RSP, context: int = 1, status: int = 0
) -> Message:
    command = Command(command_field=field, message_id_being_responded_to=message_id, status=status)
    return Message(context, command, None)


def test_message_ids_wrap_past_those_in_use() -> None:
    operations = Operations(window=0)
    operations.begin(1, request(operations.next_message_id()))
    numbers = [operations.next_message_id() for _ in range(LAST_MESSAGE_ID)]
    assert numbers[:2] == [2, 3]
    assert numbers[LAST_MESSAGE_ID - 2 :] == [LAST_MESSAGE_ID, 2]


def test_when_every_id_is_in_use_there_is_none() -> None:
    operations = Operations(window=0)
    for _ in range(LAST_MESSAGE_ID):
        operations.begin(1, request(operations.next_message_id()))
    with pytest.raises(LocalProtocolError, match="every message id"):
        operations.next_message_id()


@pytest.mark.parametrize("window", [1, 2, 5])
def test_the_window_is_never_exceeded(window: int) -> None:
    operations = Operations(window)
    for number in range(window):
        operations.begin(1, request(number + 1))
    with pytest.raises(LocalProtocolError, match=f"beyond the {window} negotiated"):
        operations.begin(1, request(99))
    operations.match(response(1))
    operations.begin(1, request(99))
    assert len(operations.under_way) == window


def test_a_pending_response_does_not_end_the_operation_and_a_final_one_does() -> None:
    operations = Operations()
    operations.begin(3, request(7))
    for status in (PENDING, PENDING_WARNING):
        assert operations.match(response(7, context=3, status=status)) == Operation(7, 3, CommandField.C_FIND_RQ)
    operations.begin(3, Command(command_field=CommandField.C_CANCEL_RQ, message_id_being_responded_to=7))
    assert len(operations.under_way) == 1
    operations.match(response(7, context=3, status=0xFE00))
    assert operations.under_way == ()
    with pytest.raises(RemoteProtocolError, match="C-FIND-RSP to message 7 in context 3, and nothing was asked"):
        operations.match(response(7, context=3))


@pytest.mark.parametrize("status", [PENDING, PENDING_WARNING])
def test_an_operation_with_one_response_ends_with_it_also_when_it_says_pending(status: int) -> None:
    operations = Operations()
    operations.begin(1, request(7, CommandField.C_STORE_RQ))
    operations.match(response(7, CommandField.C_STORE_RSP, status=status))
    assert operations.under_way == ()


@pytest.mark.parametrize(
    "answer",
    [
        response(8),
        response(7, context=3),
        response(7, CommandField.C_STORE_RSP),
        Message(1, Command(command_field=CommandField.C_FIND_RSP, status=0), None),
    ],
)
def test_a_response_must_fit_by_id_context_and_command(answer: Message) -> None:
    operations = Operations()
    operations.begin(1, request(7))
    with pytest.raises(RemoteProtocolError, match=r"instead of C-FIND-RSP to message 7 in context 1$"):
        operations.match(answer)
    operations.match(response(7))


def test_responses_may_come_in_another_order() -> None:
    operations = Operations(window=2)
    operations.begin(1, request(1))
    operations.begin(3, request(2, CommandField.N_GET_RQ))
    assert operations.match(response(2, CommandField.N_GET_RSP, context=3)).message_id == 2
    assert operations.match(response(1)).message_id == 1


def test_an_id_is_not_used_twice_and_not_forgotten() -> None:
    operations = Operations(window=0)
    operations.begin(1, request(7))
    with pytest.raises(LocalProtocolError, match="7 is still in use"):
        operations.begin(1, request(7))
    with pytest.raises(LocalProtocolError, match="without a message id"):
        operations.begin(1, request(None))


def test_our_responses_are_no_operations() -> None:
    operations = Operations()
    operations.begin(1, Command(command_field=CommandField.N_EVENT_REPORT_RSP, message_id_being_responded_to=1))
    assert operations.under_way == ()
