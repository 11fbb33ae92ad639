"""Messages over P-DATA-TF: cutting into fragments, and joining fragments again (PS3.8 annex E, PS3.7 annex F).

Sent: one fragment a PDU, command and data set in PDUs of their own, every fragment of even length and none longer than
the receiver allows. Received: any mix of fragments in any number of PDUs, as long as messages do not interleave.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from firmware_app.dicom.command import MAX_COMMAND_LENGTH, Command, decode_command
from firmware_app.dicom.errors import RemoteProtocolError
from firmware_app.dicom.pdu import LAST_FRAGMENT, PDV_OVERHEAD, PresentationDataValue, encode_data_header

# The longest P-DATA-TF we send, also to a peer without a limit: two of these fit the usual socket buffer.
MAX_SENT_LENGTH = 128 * 1024
# C-FIND identifiers, N-EVENT-REPORT and print data sets are a few KiB; images are only sent, never received.
MAX_RECEIVED_DATA_SET = 4 * 1024 * 1024


class Message(msgspec.Struct, frozen=True):
    """One whole DIMSE message. `data_set` is None when the command announces none."""

    context_id: int
    command: Command
    data_set: bytes | None


def fragment_length(peer_maximum_length: int) -> int:
    """The longest even fragment for a peer's Maximum Length; 0 is no limit. RemoteProtocolError when none fits."""
    limit = min(peer_maximum_length or MAX_SENT_LENGTH, MAX_SENT_LENGTH)
    length = (limit - PDV_OVERHEAD) // 2 * 2
    if length < 2:
        raise RemoteProtocolError(f"a Maximum Length of {peer_maximum_length} leaves no room for any data")
    return length


def fragments(octets: bytes | memoryview, length: int) -> Iterator[tuple[memoryview, bool]]:
    """Views of at most `length` octets, each with whether it is the last; nothing is copied."""
    view = memoryview(octets)
    end = len(view)
    for start in range(0, end or 1, length):
        yield view[start : start + length], start + length >= end


def data_set_pdus(context_id: int, block: memoryview, length: int, *, is_last: bool) -> list[bytes | memoryview]:
    """Header and fragment of each P-DATA-TF for this part of a data set, in turn; whole fragments share one header."""
    header = encode_data_header(context_id, 0, length)
    pdus: list[bytes | memoryview] = []
    for fragment, _ in fragments(block, length):
        pdus += (header, fragment)
    tail = len(pdus[-1])
    if is_last or tail < length:
        pdus[-2] = encode_data_header(context_id, LAST_FRAGMENT if is_last else 0, tail)
    return pdus


class MessageAssembler:
    """Joins the fragments of one association; bounded by `max_data_set`."""

    def __init__(self, max_data_set: int = MAX_RECEIVED_DATA_SET) -> None:
        self._max_data_set = max_data_set
        self._context_id: int | None = None  # None between messages
        self._command: Command | None = None  # None until its last fragment
        self._octets = bytearray()

    def add(self, value: PresentationDataValue) -> Message | None:
        """The message that this fragment completes, if it does."""
        if self._context_id is None:
            self._context_id = value.context_id
        elif value.context_id != self._context_id:
            raise RemoteProtocolError(f"a fragment of context {value.context_id} inside one of {self._context_id}")
        if value.is_command != (self._command is None):
            wanted = "command" if self._command is None else "data set"
            raise RemoteProtocolError(f"a fragment that is not of the {wanted} where one was due")
        limit = MAX_COMMAND_LENGTH if self._command is None else self._max_data_set
        if len(self._octets) + len(value.fragment) > limit:
            raise RemoteProtocolError(f"a message whose fragments exceed {limit} octets")
        self._octets += value.fragment
        return self._finish_part() if value.is_last else None

    def _finish_part(self) -> Message | None:
        octets, self._octets = bytes(self._octets), bytearray()
        if self._command is None:
            self._command = decode_command(octets)
            if self._command.has_data_set:
                return None
            data_set = None
        else:
            data_set = octets
        assert self._context_id is not None
        message = Message(self._context_id, self._command, data_set)
        self._context_id = self._command = None
        return message
