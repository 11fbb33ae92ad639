"""What a peer may do to `specular echo`, stage by stage, and what the client then sends and says."""

from __future__ import annotations

import time
from typing import NamedTuple

from hostile_peer import (
    ABORT,
    ANSWER,
    DATA,
    EXPLICIT,
    IMPLEMENTATION,
    IMPLICIT,
    MAX_LENGTH,
    PROVIDER_ABORT,
    RELEASE,
    RELEASE_RP,
    RELEASE_RQ,
    REPLY,
    REQUEST,
    USER_ABORT,
    VERIFICATION,
    Peer,
    Script,
    accept,
    data,
    element,
    item,
    pdu,
    pdv,
    reject,
    response,
    result,
    us,
)

OK, FAILED = 0, 1
SILENCE_S = 1.0  # --timeout where the peer is silent: the wait is the case
WAIT_S = 5.0  # --timeout elsewhere: enough for a machine under load


class Case(NamedTuple):
    script: Script
    status: int
    sent: str  # all that the client sent
    cause: str = ""  # in the line on stderr; of a release that failed, in the line on stdout
    timeout_s: float = WAIT_S


def at_request(octets: bytes, end: str = "stay") -> Script:
    def script(peer: Peer) -> None:
        peer.expect(REQUEST)
        peer.send(octets)
        peer.end(end)

    return script


def at_echo(octets: bytes, end: str = "stay", accepted: bytes | None = None) -> Script:
    def script(peer: Peer) -> None:
        at_request(accepted or accept())(peer)
        peer.expect_message()
        peer.send(octets)
        peer.end(end)

    return script


def at_release(octets: bytes, end: str = "stay", answer: bytes = ANSWER, accepted: bytes | None = None) -> Script:
    def script(peer: Peer) -> None:
        at_echo(answer, accepted=accepted)(peer)
        peer.expect(RELEASE)
        peer.send(octets)
        peer.end(end)

    return script


def unusable(octets: bytes) -> Script:
    """An accept that accepts nothing; the client then releases."""

    def script(peer: Peer) -> None:
        at_request(octets)(peer)
        peer.expect(RELEASE)
        peer.send(RELEASE_RP)

    return script


def dripping(pause_s: float, stages: tuple[int, ...] = (REQUEST, DATA, RELEASE)) -> Script:
    """Octet by octet in these stages, at once in the others."""

    def script(peer: Peer) -> None:
        for stage, octets in ((REQUEST, accept()), (DATA, ANSWER), (RELEASE, RELEASE_RP)):
            peer.expect(stage)
            if stage not in stages:
                peer.send(octets)
                continue
            try:
                for octet in octets:
                    peer.send(bytes([octet]))
                    time.sleep(pause_s)
            except ConnectionError:
                return  # the client has had enough, as it should

    return script


def flooding(octets: bytes) -> Script:
    """`octets`, then releases without end, whatever the client says."""

    def script(peer: Peer) -> None:
        at_request(octets)(peer)
        try:
            while True:
                peer.send(RELEASE_RP * 4096)
        except ConnectionError:
            return

    return script


def collision_in_two_steps(peer: Peer) -> None:
    at_release(RELEASE_RQ)(peer)
    peer.expect(REPLY)
    peer.send(RELEASE_RP)


def own_request_first(peer: Peer) -> None:
    """Both sides may ask; ours is answered behind theirs."""
    at_echo(data(response(field=0x30, message_id=None, status=None, more=us(0x0110, 7))))(peer)
    peer.expect_message()
    peer.send(ANSWER)
    peer.expect(RELEASE)
    peer.send(RELEASE_RP)


def table_after_our_abort(peer: Peer) -> None:
    """Sta13: a second request is answered by another A-ABORT, all else is ignored."""
    at_request(RELEASE_RP)(peer)
    peer.expect(ABORT)
    peer.send(ANSWER + RELEASE_RQ + ASSOCIATE_RQ)
    peer.expect(ABORT)


def instead_of_accept(octets: bytes, sent: str, cause: str, timeout_s: float = WAIT_S) -> Case:
    return Case(at_request(octets), FAILED, sent, cause, timeout_s)


def instead_of_response(octets: bytes, sent: str, cause: str, timeout_s: float = WAIT_S) -> Case:
    return Case(at_echo(octets), FAILED, sent, cause, timeout_s)


def instead_of_reply(octets: bytes, sent: str, cause: str, timeout_s: float = WAIT_S) -> Case:
    return Case(at_release(octets), OK, sent, cause, timeout_s)


def answered_no(answer: bytes, cause: str) -> Case:
    """A failure in due form: the association is released like any other."""
    return Case(at_release(RELEASE_RP, answer=answer), FAILED, WHOLE, cause)


def good(answer: bytes = ANSWER, accepted: bytes | None = None) -> Case:
    return Case(at_release(RELEASE_RP, answer=answer, accepted=accepted), OK, WHOLE)


WHOLE = "RQ DATA RELEASE"
BROKE = "broke the DICOM protocol"
CLOSED = "connection was closed"
ASSOCIATE_RQ = pdu(
    1,
    b"\0\1\0\0" + b"SPECULAR".ljust(16) + b"PEER".ljust(16) + bytes(32)
    + item(0x10, b"1.2.840.10008.3.1.1.1")
    + item(0x20, b"\1\0\0\0" + item(0x30, VERIFICATION) + item(0x40, IMPLICIT))
    + item(0x50, MAX_LENGTH),
)  # fmt: skip

REJECTED = {
    f"{code}/{source}/{reason}": instead_of_accept(reject(code, source, reason), "RQ", words)
    for code, source, reason, words in (
        (1, 1, 1, "rejected permanently by the application: no reason given"),
        (1, 1, 2, "application context name not supported"),
        (1, 1, 3, "calling AE title not recognized"),
        (1, 1, 7, "called AE title not recognized"),
        (1, 2, 1, "its association layer (ACSE): no reason given"),
        (1, 2, 2, "protocol version not supported"),
        (2, 3, 1, "rejected for now by its presentation layer: temporary congestion"),
        (2, 3, 2, "local limit exceeded"),
        (0, 0, 0, "rejected with the unknown result 0"),
        (255, 255, 255, "unknown source 255: unknown reason 255"),
    )
}
ASSOCIATING = {
    "silence": instead_of_accept(b"", "RQ ABORT 0/0", "no answer to our association request within 1 s", SILENCE_S),
    "fin": Case(at_request(b"", "fin"), FAILED, "RQ", CLOSED),
    "rst": Case(at_request(b"", "rst"), FAILED, "RQ", "reset"),
    "half close": Case(at_request(b"", "half"), FAILED, "RQ", CLOSED),
    "abort by the user": instead_of_accept(USER_ABORT, "RQ", "aborted by its application"),
    "abort by the provider": instead_of_accept(PROVIDER_ABORT, "RQ", "its DICOM layer: unrecognized PDU"),
    "abort with unknown numbers": instead_of_accept(pdu(ABORT, b"\0\0\x09\x63"), "RQ", "unknown source 9"),
    "abort too short": instead_of_accept(pdu(ABORT, b"\0\0"), "RQ ABORT 2/6", BROKE),
    "abort too long": instead_of_accept(pdu(ABORT, bytes(60)), "RQ ABORT 2/6", BROKE),
    "reject too short": instead_of_accept(pdu(3, b"\0\1"), "RQ ABORT 2/6", BROKE),
    "reject too long": instead_of_accept(pdu(3, bytes(8)), "RQ ABORT 2/6", BROKE),
    "reject cut, then fin": Case(at_request(reject(1, 1, 1)[:7], "fin"), FAILED, "RQ", CLOSED),
    "request": instead_of_accept(ASSOCIATE_RQ, "RQ ABORT 2/2", "unexpected A-ASSOCIATE-RQ"),
    "data": instead_of_accept(ANSWER, "RQ ABORT 2/2", "unexpected P-DATA-TF"),
    "release request": instead_of_accept(RELEASE_RQ, "RQ ABORT 2/2", "unexpected A-RELEASE-RQ"),
    "release reply": instead_of_accept(RELEASE_RP, "RQ ABORT 2/2", "unexpected A-RELEASE-RP"),
    "unknown PDU 00": instead_of_accept(bytes(10), "RQ ABORT 2/1", "unknown type 00H"),
    "unknown PDU 08": instead_of_accept(pdu(8, bytes(4)), "RQ ABORT 2/1", "unknown type 08H"),
    "unknown PDU FF": instead_of_accept(b"\xff" * 200, "RQ ABORT 2/1", "unknown type FFH"),
    "HTTP": instead_of_accept(b"HTTP/1.1 400 Bad Request\r\n\r\n", "RQ ABORT 2/1", "unknown type 48H"),
    "TLS alert": instead_of_accept(b"\x15\x03\x01\x00\x02\x02\x28", "RQ ABORT 2/1", "unknown type 15H"),
    "accept of 4 GiB": instead_of_accept(b"\2\0\xff\xff\xff\xff" + bytes(64), "RQ ABORT 2/6", "announces 4294967295"),
    "accept of 2 GiB": instead_of_accept(b"\2\0\x80\0\0\0", "RQ ABORT 2/6", "announces 2147483648"),
    "accept of no octets": instead_of_accept(pdu(2, b""), "RQ ABORT 2/6", BROKE),
    "accept of zeros": instead_of_accept(pdu(2, bytes(201)), "RQ ABORT 2/6", BROKE),
    "accept cut, then silence": instead_of_accept(accept()[:40], "RQ ABORT 0/0", "within 1 s", SILENCE_S),
    "accept cut, then fin": Case(at_request(accept()[:40], "fin"), FAILED, "RQ", CLOSED),
    "accept cut, then half close": Case(at_request(accept()[:40], "half"), FAILED, "RQ", CLOSED),
    "header cut, then silence": instead_of_accept(accept()[:3], "RQ ABORT 0/0", "within 1 s", SILENCE_S),
    "accept announces too little": instead_of_accept(pdu(2, accept()[6:86]), "RQ ABORT 2/6", BROKE),
    "accept announces one too much": instead_of_accept(
        pdu(2, accept()[6:] + b"\0")[:-1], "RQ ABORT 0/0", "within 1 s", SILENCE_S
    ),
    "accept with an item too long": instead_of_accept(accept(tail=b"\x50\0\xff\xff"), "RQ ABORT 2/6", BROKE),
    "accept with a user item too long": instead_of_accept(accept(user=b"\x51\0\0\x09\0\0"), "RQ ABORT 2/6", BROKE),
    "accept with half an item": instead_of_accept(accept(tail=b"\x21\0"), "RQ ABORT 2/6", BROKE),
    "accept with half a Max Length": instead_of_accept(accept(user=item(0x51, b"\x40\0")), "RQ ABORT 2/6", BROKE),
    "accept with a Max Length of 3": instead_of_accept(accept(user=item(0x51, b"\0\0\0\3")), "RQ ABORT 2/6", "no room"),
    "accept of version 2": instead_of_accept(accept(version=2), "RQ ABORT 2/6", "protocol version 0002H"),
    "accept then abort": instead_of_accept(accept() + USER_ABORT, "RQ DATA", "aborted by its application"),
    "accept then release": instead_of_accept(accept() + RELEASE_RQ, "RQ DATA REPLY", "released the association"),
    "accept twice": instead_of_accept(accept() * 2, "RQ DATA ABORT 2/2", "unexpected A-ASSOCIATE-AC"),
    "accept then garbage": instead_of_accept(accept() + b"\xaa" * 50, "RQ DATA ABORT 2/1", "unknown type AAH"),
    "accept then fin": Case(at_request(accept(), "fin"), FAILED, "RQ", "node (PEER"),
    "accept then rst": Case(at_request(accept(), "rst"), FAILED, "RQ", "node (PEER"),
    "a flood after our abort": Case(flooding(RELEASE_RQ), FAILED, "", "unexpected A-RELEASE-RQ"),
    "a request after our abort": Case(table_after_our_abort, FAILED, "RQ ABORT 2/2 ABORT 2/2", BROKE),
    "a drip": Case(dripping(0.15), FAILED, "RQ ABORT 0/0", "within 1 s", SILENCE_S),
}
UNUSABLE = {
    **{f"rejected with {code}": accept(result(code=code)) for code in (1, 2, 3, 4, 77)},
    "rejected, transfer syntax absent": accept(result(code=4, syntaxes=b"")),
    "rejected, transfer syntax empty": accept(result(code=3, syntaxes=item(0x40, b""))),
    "rejected, transfer syntax of junk": accept(result(code=1, syntaxes=item(0x40, b"\xff\0junk"))),
    "rejected, transfer syntax over-long": accept(result(code=4, syntaxes=b"\x40\0\xff\xff1.2")),
    "rejected, half a transfer syntax": accept(result(code=3, syntaxes=b"\x40")),
    "accepted without a transfer syntax": accept(result(syntaxes=b"")),
    "accepted with another transfer syntax": accept(result(syntaxes=item(0x40, b"1.2.840.10008.1.2.2"))),
    "accepted under ids never proposed": accept(result(3) + result(2) + result(0) + result(255)),
    "answered twice, first rejected": accept(result(code=2) + result()),
    "not answered": accept(b""),
}
NEGOTIATING = {
    **{
        f"context {name}": Case(unusable(octets), FAILED, "RQ RELEASE", "accepts nothing that is needed here")
        for name, octets in UNUSABLE.items()
    },
    "no context, release never answered": Case(
        at_request(accept(b"")), FAILED, "RQ RELEASE ABORT 0/0", "accepts nothing", SILENCE_S
    ),
    "context answered twice, alike": good(accepted=accept(result() * 2)),
    "context answered twice, first accepted": good(accepted=accept(result() + result(code=3))),
    "unknown contexts beside ours": good(accepted=accept(result(99) + result() + result(201))),
    "transfer syntax padded with NUL": good(accepted=accept(result(syntaxes=item(0x40, IMPLICIT + b"\0")))),
    "transfer syntax explicit": good(accepted=accept(result(syntaxes=item(0x40, EXPLICIT)))),
    "transfer syntax and junk behind it": good(accepted=accept(result(syntaxes=item(0x40, IMPLICIT) + b"\x99"))),
    "no Max Length": good(accepted=accept(user=IMPLEMENTATION)),
    "no user items": good(accepted=accept(user=b"")),
    "no implementation": good(accepted=accept(user=MAX_LENGTH)),
    **{
        f"Max Length {length}": good(accepted=accept(user=item(0x51, length.to_bytes(4, "big"))))
        for length in (0, 8, 9, 13, 128, 0x7FFFFFFF, 0xFFFFFFFF)
    },
    "unknown user items": good(accepted=accept(user=item(0x5A, b"x") + MAX_LENGTH + item(0xFF, b"") + item(0, b"y"))),
    "every user item": good(
        accepted=accept(
            user=MAX_LENGTH
            + IMPLEMENTATION
            + item(0x53, b"\0\1\0\1")
            + item(0x54, b"\0\x11" + VERIFICATION + b"\1\0")
            + item(0x56, b"\0\x11" + VERIFICATION + b"\1\2\3")
            + item(0x59, b"\0\4ok!!")
        )
    ),
    "version name of 40 letters": good(accepted=accept(user=MAX_LENGTH + item(0x55, b"X" * 40))),
    "version name of control characters": good(accepted=accept(user=MAX_LENGTH + item(0x55, b"\x1b[2J\n\r\xff"))),
    "another application context": good(accepted=accept(application=b"1.2.3")),
    "empty application context": good(accepted=accept(application=b"")),
    "unknown items in the accept": good(accepted=accept(tail=item(0x99, bytes(30)))),
    "protocol versions 1 and 2": good(accepted=accept(version=3)),
}

USER = "RQ DATA ABORT 0/0"
INVALID = "RQ DATA ABORT 2/6"
ECHO_STATUSES = (0xFF00, 0xFF01, 0x0001, 0xB000, 0x0110, 0x0122, 0x0210, 0x0211, 0xA700, 0xC001, 0xFE00, 0x7777)
ECHOING = {
    "silence": instead_of_response(b"", USER, "no C-ECHO-RSP within 1 s", SILENCE_S),
    "fin": Case(at_echo(b"", "fin"), FAILED, "RQ DATA", CLOSED),
    "half close": Case(at_echo(b"", "half"), FAILED, "RQ DATA", CLOSED),
    "rst": Case(at_echo(b"", "rst"), FAILED, "RQ DATA", "reset"),
    "abort by the user": instead_of_response(USER_ABORT, "RQ DATA", "aborted by its application"),
    "abort by the provider": instead_of_response(PROVIDER_ABORT, "RQ DATA", "aborted by its DICOM layer"),
    "abort, then fin": Case(at_echo(USER_ABORT, "fin"), FAILED, "RQ DATA", "aborted by its application"),
    "abort, then rst": Case(at_echo(USER_ABORT, "rst"), FAILED, "RQ DATA", "node (PEER"),
    "release request": instead_of_response(RELEASE_RQ, "RQ DATA REPLY", "released the association"),
    "release reply": instead_of_response(RELEASE_RP, "RQ DATA ABORT 2/2", "unexpected A-RELEASE-RP"),
    "second accept": instead_of_response(accept(), "RQ DATA ABORT 2/2", "unexpected A-ASSOCIATE-AC"),
    "reject": instead_of_response(reject(1, 1, 1), "RQ DATA ABORT 2/2", "unexpected A-ASSOCIATE-RJ"),
    "association request": instead_of_response(ASSOCIATE_RQ, "RQ DATA ABORT 2/2", "unexpected A-ASSOCIATE-RQ"),
    "unknown PDU": instead_of_response(pdu(0x7F, b""), "RQ DATA ABORT 2/1", "unknown type 7FH"),
    "unknown PDU of 4 GiB": instead_of_response(b"\x7f\0\xff\xff\xff\xff", "RQ DATA ABORT 2/1", "unknown type"),
    "data of 4 GiB": instead_of_response(b"\4\0\xff\xff\xff\xff", INVALID, "announces 4294967295"),
    "data beyond our limit": instead_of_response(data(bytes(16380)), INVALID, "at most 16384"),
    "data without a value": instead_of_response(pdu(DATA, b""), INVALID, BROKE),
    "half a value": instead_of_response(pdu(DATA, b"\0\0\0"), INVALID, BROKE),
    "value of 4 GiB": instead_of_response(pdu(DATA, b"\xff\xff\xff\xff\1\3"), INVALID, BROKE),
    "value of length 0": instead_of_response(pdu(DATA, bytes(4) + b"\1\3"), INVALID, BROKE),
    "value of length 1": instead_of_response(pdu(DATA, b"\0\0\0\1\1\3"), INVALID, BROKE),
    "value longer than its PDU": instead_of_response(pdu(DATA, b"\0\0\0\x20\1\3abcd"), INVALID, BROKE),
    "half a response": instead_of_response(ANSWER[:30], USER, "within 1 s", SILENCE_S),
    "half a response, then fin": Case(at_echo(ANSWER[:30], "fin"), FAILED, "RQ DATA", CLOSED),
    "never the last fragment": instead_of_response(data(response(), control=1), USER, "within 1 s", SILENCE_S),
    "in a context never proposed": instead_of_response(data(response(), 3), INVALID, "context 3"),
    "in context 0": instead_of_response(data(response(), 0), INVALID, "context 0"),
    "data set without a command": instead_of_response(data(response(), control=2), USER, "where one was due"),
    "command of garbage": instead_of_response(data(b"\xde\xad\xbe\xef" * 8), USER, BROKE),
    "empty command": instead_of_response(data(b""), USER, "without a Command Field"),
    "element of 4 GiB": instead_of_response(data(b"\0\0\2\0\xff\xff\xff\xff"), USER, "does not fit"),
    "command cut inside an element": instead_of_response(data(response()[:-1]), USER, "does not fit"),
    "command of 100 KB": instead_of_response(data(bytes(16000), control=1) * 7, USER, "exceed 65536"),
    "response to message 2": instead_of_response(data(response(message_id=2)), USER, "to message 2"),
    "response to message 0": instead_of_response(data(response(message_id=0)), USER, "to message 0"),
    "store response": instead_of_response(data(response(field=0x8001)), USER, "C-STORE-RSP"),
    "command unknown": instead_of_response(data(response(field=0x8031)), USER, "unknown Command Field 8031H"),
    "response without a field": instead_of_response(data(response(field=None)), USER, "without a Command Field"),
    "response without message id": instead_of_response(data(response(message_id=None)), USER, "without message id"),
    "response without status": instead_of_response(data(response(status=None)), USER, "without status"),
    "response without data set type": instead_of_response(data(response(data_set_type=None)), USER, "Data Set Type"),
    "data set announced, never sent": instead_of_response(
        data(response(data_set_type=0)), USER, "no C-ECHO-RSP within 1 s", SILENCE_S
    ),
    **{
        f"status {status:04X}": answered_no(data(response(status=status)), f"status {status:04X}H")
        for status in ECHO_STATUSES
    },
    "failure with a comment": answered_no(
        data(response(status=0x0110, more=element(0x0902, b"line 1\nline 2 \x1b[2J"))), "processing failure"
    ),
    "failure, release never answered": instead_of_response(
        data(response(status=0x0122)), WHOLE + " ABORT 0/0", "status 0122H", SILENCE_S
    ),
    "a drip": Case(dripping(0.15, (DATA,)), FAILED, USER, "within 1 s", SILENCE_S),
    "a flood of empty fragments": Case(
        at_echo(data(b"", control=1) * 20000), FAILED, USER, "no C-ECHO-RSP within 1 s", SILENCE_S
    ),
}
COMMAND = response()
ANSWERED = {
    "at once": good(),
    "octet by octet": Case(dripping(0.0005), OK, WHOLE),
    "command in two fragments": good(data(COMMAND[:9], control=1) + data(COMMAND[9:])),
    "command in two fragments of one PDU": good(pdu(DATA, pdv(COMMAND[:31], control=1) + pdv(COMMAND[31:]))),
    "command in fragments of one octet": good(
        b"".join(data(COMMAND[i : i + 1], control=1) for i in range(len(COMMAND))) + data(b"")
    ),
    "empty fragments in between": good(data(b"", control=1) + data(COMMAND, control=1) + data(b"")),
    "reserved bits of the control header": good(data(COMMAND, control=0xFF)),
    "without a SOP class": good(data(response(sop_class=None))),
    "with another SOP class": good(data(response(sop_class=b"1.2.3\0"))),
    "SOP class padded with spaces": good(data(response(sop_class=VERIFICATION + b" "))),
    "without a group length": good(data(COMMAND[12:])),
    "with a wrong group length": good(data(element(0, b"\xff\xff\xff\xff") + COMMAND[12:])),
    "with unknown elements": good(data(response(more=element(0x5010, b"") + element(0x9999, b"??")))),
    "data set type 0 and its data set": good(data(response(data_set_type=0)) + data(b"12345678", control=2)),
    "answered before it was asked": Case(at_release(RELEASE_RP, answer=b"", accepted=accept() + ANSWER), OK, WHOLE),
    "a request of their own first": Case(own_request_first, OK, WHOLE),
}
RELEASING = {
    "silence": instead_of_reply(b"", WHOLE + " ABORT 0/0", "no A-RELEASE-RP within 1 s", SILENCE_S),
    "fin": Case(at_release(b"", "fin"), OK, WHOLE, CLOSED),
    "half close": Case(at_release(b"", "half"), OK, WHOLE, CLOSED),
    "rst": Case(at_release(b"", "rst"), OK, WHOLE, "while waiting for A-RELEASE-RP"),
    "fin after the response": Case(at_echo(ANSWER, "fin"), OK, "RQ DATA", "node (PEER"),
    "rst after the response": Case(at_echo(ANSWER, "rst"), OK, "RQ DATA", "node (PEER"),
    "half close after the response": Case(at_echo(ANSWER, "half"), OK, WHOLE, CLOSED),
    "abort after the response": Case(at_echo(ANSWER + USER_ABORT), OK, WHOLE, "aborted by its application"),
    "release request after the response": Case(
        at_release(RELEASE_RP, answer=ANSWER + RELEASE_RQ), OK, WHOLE + " REPLY"
    ),
    "abort": instead_of_reply(USER_ABORT, WHOLE, "aborted by its application"),
    "abort by the provider": instead_of_reply(PROVIDER_ABORT, WHOLE, "aborted by its DICOM layer"),
    "reject": instead_of_reply(reject(1, 1, 1), WHOLE + " ABORT 2/2", "unexpected A-ASSOCIATE-RJ"),
    "accept": instead_of_reply(accept(), WHOLE + " ABORT 2/2", "unexpected A-ASSOCIATE-AC"),
    "association request": instead_of_reply(ASSOCIATE_RQ, WHOLE + " ABORT 2/2", "unexpected A-ASSOCIATE-RQ"),
    "unknown PDU": instead_of_reply(pdu(0x99, b""), WHOLE + " ABORT 2/1", "unknown type 99H"),
    "reply of 4 GiB": instead_of_reply(b"\6\0\xff\xff\xff\xff", WHOLE + " ABORT 2/6", "announces"),
    "reply too short": instead_of_reply(pdu(REPLY, b""), WHOLE + " ABORT 2/6", BROKE),
    "half a reply": instead_of_reply(RELEASE_RP[:5], WHOLE + " ABORT 0/0", "within 1 s", SILENCE_S),
    "data, then the reply": instead_of_reply(ANSWER + RELEASE_RP, WHOLE, ""),
    "garbage in a value, then the reply": instead_of_reply(
        data(b"garbage!") + RELEASE_RP, WHOLE + " ABORT 0/0", "node (PEER"
    ),
    "collision": instead_of_reply(RELEASE_RQ + RELEASE_RP, WHOLE + " REPLY", ""),
    "collision in two steps": Case(collision_in_two_steps, OK, WHOLE + " REPLY"),
    "collision without the reply": instead_of_reply(
        RELEASE_RQ, WHOLE + " REPLY ABORT 0/0", "no A-RELEASE-RP within 1 s", SILENCE_S
    ),
    "collision, then fin": Case(at_release(RELEASE_RQ, "half"), OK, WHOLE + " REPLY", CLOSED),
    "octets behind the reply": instead_of_reply(RELEASE_RP + b"\x99junk" * 100, WHOLE, ""),
    "a drip": Case(dripping(0.15, (RELEASE,)), OK, WHOLE + " ABORT 0/0", "within 1 s", SILENCE_S),
    "garbage in the PDU of the response": Case(
        at_echo(pdu(DATA, pdv(COMMAND) + pdv(b"garbage!"))), OK, WHOLE + " ABORT 0/0", "node (PEER"
    ),
    "a request cut off in the PDU of the response": Case(
        at_echo(pdu(DATA, pdv(COMMAND) + pdv(b"\0\0\0\1", control=1))), OK, WHOLE + " ABORT 0/0", "within", SILENCE_S
    ),
}
CASES = {
    f"{stage}: {name}": case
    for stage, cases in (
        ("rejected", REJECTED),
        ("associating", ASSOCIATING),
        ("negotiating", NEGOTIATING),
        ("echoing", ECHOING),
        ("answered", ANSWERED),
        ("releasing", RELEASING),
    )
    for name, case in cases.items()
}
