"""TLS sessions back to back in memory: who gets through, and what the others are told."""

from __future__ import annotations

import gc
import re
import ssl
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from tls_material import Authority, TlsMaterial

from firmware_app.net.tls import ListenerTls, TlsSession, leaf_of
from firmware_app.net.tls_reasons import TlsFault

pytestmark = pytest.mark.peer("openssl")
DAY = r"\d{4}-\d\d-\d\d"


class OtherEnd:
    """A peer on the bare standard library, which may do what ours refuses to."""

    def __init__(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_name is None, server_hostname=server_name)
        self.error: ssl.SSLError | None = None

    def shake_hands(self) -> bool:
        if self.error is None:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLError as error:
                self.error = error
        return True

    def receive_ciphertext(self, octets: bytes) -> None:
        self.incoming.write(octets)

    def ciphertext_to_send(self) -> bytes:
        return self.outgoing.read()


def old_server(material: TlsMaterial, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_1) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(material.peer.certificate, material.peer.key)
    return limited(context, version)


def old_client(material: TlsMaterial, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_1) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(material.authority.certificate)
    context.load_cert_chain(material.us.certificate, material.us.key)
    return limited(context, version)


def limited(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning) if version < ssl.TLSVersion.TLSv1_2 else nullcontext():
        context.minimum_version = version
        context.maximum_version = version
    return context


def shake_hands(client: TlsSession | OtherEnd, acceptor: TlsSession | OtherEnd) -> tuple[str, str]:
    """Both ends to the end of their handshakes and one exchange; what each was told, empty where all is well."""
    told = ["", ""]
    ends = (client, acceptor)
    done = [False, False]
    for _ in range(6):
        for number, end in enumerate(ends):
            try:
                if not told[number]:
                    done[number] = done[number] or end.shake_hands()
                if done[number] and not told[number] and isinstance(end, TlsSession):
                    end.read()
            except TlsFault as fault:
                told[number] = str(fault)
            octets = end.ciphertext_to_send()
            try:
                if octets:
                    ends[1 - number].receive_ciphertext(octets)
            except TlsFault as fault:
                told[1 - number] = str(fault)
    return told[0], told[1]


def test_both_ends_of_ours_agree_on_tls_1_3(tls_material: TlsMaterial) -> None:
    client = TlsSession.client(tls_material.client(), "127.0.0.1")
    acceptor = TlsSession.acceptor(tls_material.listener())
    assert shake_hands(client, acceptor) == ("", "")
    assert client.version == acceptor.version == "TLSv1.3"
    assert client.peer is not None and client.peer.subject == "CN=archive, O=Clinic"
    assert acceptor.peer is not None and acceptor.peer.subject == "CN=instrument, O=Clinic"


def test_octets_arrive_whole_whatever_their_number(tls_material: TlsMaterial) -> None:
    client = TlsSession.client(tls_material.client(), "127.0.0.1")
    acceptor = TlsSession.acceptor(tls_material.listener())
    shake_hands(client, acceptor)
    sent = bytes(range(256)) * 1000
    client.write(sent)
    ciphertext = client.ciphertext_to_send()
    assert sent[:64] not in ciphertext
    received = b""
    for start in range(0, len(ciphertext), 1013):
        acceptor.receive_ciphertext(ciphertext[start : start + 1013])
        received += acceptor.read()
    assert received == sent and not acceptor.ended


def test_close_notify_ends_the_stream_after_the_last_octet(tls_material: TlsMaterial) -> None:
    client = TlsSession.client(tls_material.client(), "127.0.0.1")
    acceptor = TlsSession.acceptor(tls_material.listener())
    shake_hands(client, acceptor)
    client.write(b"last words")
    client.say_goodbye()
    acceptor.receive_ciphertext(client.ciphertext_to_send())
    assert acceptor.read() == b"last words"
    assert acceptor.read() == b"" and acceptor.ended


def test_a_changed_octet_is_a_fault_after_what_came_before_it(tls_material: TlsMaterial) -> None:
    client = TlsSession.client(tls_material.client(), "127.0.0.1")
    acceptor = TlsSession.acceptor(tls_material.listener())
    shake_hands(client, acceptor)
    client.write(b"good")
    good = client.ciphertext_to_send()
    client.write(b"evil")
    evil = bytearray(client.ciphertext_to_send())
    evil[-1] ^= 1
    acceptor.receive_ciphertext(good + bytes(evil))
    assert acceptor.read() == b"good"
    with pytest.raises(TlsFault, match="TLS is broken: decryption failed or bad record mac"):
        acceptor.read()


def test_a_peer_with_tls_1_2_only_gets_an_aead_suite(tls_material: TlsMaterial) -> None:
    for one in ("client", "acceptor"):
        if one == "client":
            ours = TlsSession.client(tls_material.client(), "127.0.0.1")
            other = OtherEnd(old_server(tls_material, ssl.TLSVersion.TLSv1_2))
            assert shake_hands(ours, other) == ("", "")
        else:
            ours = TlsSession.acceptor(tls_material.listener())
            other = OtherEnd(old_client(tls_material, ssl.TLSVersion.TLSv1_2), "127.0.0.1")
            assert shake_hands(other, ours) == ("", "")
        assert ours.version == "TLSv1.2"
        suite = other.tls.cipher()
        assert suite is not None
        assert re.match("ECDHE-.*(GCM|CHACHA20)", suite[0])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_older_server_is_refused(tls_material: TlsMaterial, version: ssl.TLSVersion) -> None:
    ours = TlsSession.client(tls_material.client(), "127.0.0.1")
    told, _ = shake_hands(ours, OtherEnd(old_server(tls_material, version)))
    assert told == "the peer speaks neither TLS 1.2 nor 1.3, only older versions"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_an_older_client_is_refused(tls_material: TlsMaterial, version: ssl.TLSVersion) -> None:
    ours = TlsSession.acceptor(tls_material.listener())
    other = OtherEnd(old_client(tls_material, version), "127.0.0.1")
    _, told = shake_hands(other, ours)
    assert told == "the peer speaks neither TLS 1.2 nor 1.3, only older versions"
    assert other.error is not None and other.error.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_a_cbc_suite_is_not_enough(tls_material: TlsMaterial) -> None:
    ours = TlsSession.acceptor(tls_material.listener())
    context = old_client(tls_material, ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA384")
    _, told = shake_hands(OtherEnd(context, "127.0.0.1"), ours)
    assert told == "the peer offers no cipher suite that is allowed here (ECDHE with AES-GCM or ChaCha20)"


# ------------------------------------------------------------------ certificates

Ends = tuple[TlsSession, TlsSession]
Make = Callable[[TlsMaterial], Ends]


def ends(
    material: TlsMaterial, host: str = "127.0.0.1", client: dict[str, object] | None = None, **listener: object
) -> Ends:
    ours = TlsSession.client(material.client(**(client or {})), host)
    return ours, TlsSession.acceptor(material.listener(**listener))


def expired_peer(material: TlsMaterial) -> Ends:
    return ends(material, own=material.authority.issue("old archive", days=-1))


def expired_client(material: TlsMaterial) -> Ends:
    return ends(material, client={"own": material.authority.issue("old instrument", days=-1)})


def unknown_peer(material: TlsMaterial) -> Ends:
    return ends(material, client={"trusted": material.stranger.certificate})


def unknown_client(material: TlsMaterial) -> Ends:
    return ends(material, client={"own": material.stranger.issue("instrument")})


def other_name(material: TlsMaterial) -> Ends:
    return ends(material, client={"server_name": "pacs.example"})


def other_address(material: TlsMaterial) -> Ends:
    return ends(material, host="127.0.0.2")


def common_name_only(material: TlsMaterial) -> Ends:
    own = material.authority.issue("pacs.example", "DNS:other.example")
    return ends(material, own=own, client={"server_name": "pacs.example"})


def client_certificate_as_server(material: TlsMaterial) -> Ends:
    return ends(material, own=material.authority.issue("client only", usage="clientAuth"))


def pin_mismatch(material: TlsMaterial) -> Ends:
    return ends(material, client={"pinned_sha256": frozenset(["0" * 64])})


def expired_pin(material: TlsMaterial) -> Ends:
    own = material.authority.issue("old archive", days=-1)
    return ends(material, own=own, client={"pinned_sha256": frozenset([own.sha256])})


def client_not_pinned(material: TlsMaterial) -> Ends:
    return ends(material, pinned_sha256=frozenset(["0" * 64]))


# Who is refused, what the client is told, what the acceptor is told.
CASES: list[tuple[Make, str, str]] = [
    (
        expired_peer,
        rf"the peer's certificate \(CN=old archive, O=Clinic, issued by CN=Clinic CA, valid until {DAY}\) has expired",
        r"the peer refused our certificate \(CN=old archive, .*\): it has expired, or is not valid yet by .*clock",
    ),
    (
        expired_client,
        r"the peer refused our certificate \(CN=old instrument, .*\): it has expired, or is not valid yet by .*clock",
        rf"the peer's certificate \(CN=old instrument, .*issued by CN=Clinic CA, valid until {DAY}\) has expired",
    ),
    (
        unknown_peer,
        r"the peer's certificate \(CN=archive, .*\) is not vouched for by any authority that is trusted here",
        r"the peer refused our certificate \(CN=archive, .*\): it does not know its authority",
    ),
    (
        unknown_client,
        r"the peer refused our certificate \(CN=instrument, .*by CN=Stranger.*\): it does not know its authority",
        r"the peer's certificate \(CN=instrument, .*\) is not vouched for by any authority that is trusted here",
    ),
    (other_name, r"the peer's certificate \(CN=archive.*\) is not for pacs\.example", "the peer refused .*bad"),
    (other_address, r"the peer's certificate \(CN=archive.*\) is not for 127\.0\.0\.2", "the peer refused .*bad"),
    (common_name_only, r"the peer's certificate \(CN=pacs\.example.*\) is not for pacs\.example", "the peer refused"),
    (client_certificate_as_server, r"\(CN=client only.*\) is not meant for a server", "the peer refused .*its kind"),
    (pin_mismatch, r"the peer's certificate \(CN=archive.*\) is not the pinned one: its SHA-256 is [0-9a-f]{64}", ""),
    (expired_pin, r"the peer's certificate \(CN=old archive.*\) has expired", ""),
    (client_not_pinned, "", r"the peer's certificate \(CN=instrument.*\) is not the pinned one"),
]


@pytest.mark.parametrize(("make", "client_told", "acceptor_told"), CASES, ids=[case[0].__name__ for case in CASES])
def test_each_side_is_told_which_certificate_and_why(
    tls_material: TlsMaterial, make: Make, client_told: str, acceptor_told: str
) -> None:
    told = shake_hands(*make(tls_material))
    for said, expected in zip(told, (client_told, acceptor_told), strict=True):
        assert re.search(expected or r"\A\Z", said), told
        assert "\n" not in said


def test_an_authority_that_expired_is_told_from_its_certificate(tls_material: TlsMaterial, tmp_path: Path) -> None:
    retired = Authority(tmp_path / "retired", "Retired CA", days=-1)
    acceptor = TlsSession.acceptor(tls_material.listener(retired.issue("archive")))
    told, _ = shake_hands(TlsSession.client(tls_material.client(trusted=retired.certificate), "127.0.0.1"), acceptor)
    assert told.endswith("is good, but that of an authority above it has expired")


def test_a_pinned_peer_needs_no_authority(tls_material: TlsMaterial) -> None:
    alone = tls_material.stranger.issue("archive", "DNS:elsewhere")
    pinned = tls_material.client(pinned_sha256=frozenset(["0" * 64, alone.sha256]), trusted="/nowhere")
    client = TlsSession.client(pinned, "127.0.0.1")
    assert shake_hands(client, TlsSession.acceptor(tls_material.listener(alone))) == ("", "")


def test_of_known_peers_only_the_pinned_one(tls_material: TlsMaterial) -> None:
    ours = TlsSession.acceptor(tls_material.listener(pinned_sha256=frozenset([tls_material.us.sha256])))
    assert shake_hands(TlsSession.client(tls_material.client(), "127.0.0.1"), ours) == ("", "")


def test_the_trusted_file_may_hold_the_peers_certificate_itself(tls_material: TlsMaterial) -> None:
    client = TlsSession.client(tls_material.client(trusted=tls_material.peer.certificate), "127.0.0.1")
    assert shake_hands(client, TlsSession.acceptor(tls_material.listener())) == ("", "")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_without_a_certificate(tls_material: TlsMaterial, version: ssl.TLSVersion) -> None:
    def other() -> OtherEnd:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(tls_material.authority.certificate)
        return OtherEnd(limited(context, version), "127.0.0.1")

    _, told = shake_hands(other(), TlsSession.acceptor(tls_material.listener()))
    assert told == "the peer showed no certificate, and one is required here"
    welcoming: ListenerTls = tls_material.listener(require_client_certificate=False)
    assert shake_hands(other(), TlsSession.acceptor(welcoming)) == ("", "")


def test_there_is_nothing_to_come_back_with(tls_material: TlsMaterial) -> None:
    """A ticket would let a peer return without its certificate."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        other = OtherEnd(old_client(tls_material, version), "127.0.0.1")
        assert shake_hands(other, TlsSession.acceptor(tls_material.listener())) == ("", "")
        assert other.tls.session is None or not other.tls.session.has_ticket


@pytest.mark.parametrize("finished", [False, True])
def test_a_session_that_is_let_go_is_gone(tls_material: TlsMaterial, finished: bool) -> None:
    """With its context, and the authorities in that: not when the garbage is collected, at once."""
    client = TlsSession.client(tls_material.client(), "127.0.0.1")
    acceptor = TlsSession.acceptor(tls_material.listener())
    if finished:
        assert shake_hands(client, acceptor) == ("", "")
    else:
        client.shake_hands()
    gc.disable()
    try:
        gone = [weakref.ref(client), weakref.ref(acceptor)]
        del client, acceptor
        assert [one() for one in gone] == [None, None]
    finally:
        gc.enable()


# ------------------------------------------------------------------ no TLS


@pytest.mark.parametrize("octets", [b"\x01\x00\x00\x00\x00\xcd", b"GET / HTTP/1.1\r\n", b"\x00"])
def test_who_does_not_speak_tls_is_told_from_the_first_octet(tls_material: TlsMaterial, octets: bytes) -> None:
    for session in (
        TlsSession.client(tls_material.client(), "127.0.0.1"),
        TlsSession.acceptor(tls_material.listener()),
    ):
        with pytest.raises(TlsFault, match=f"does not speak TLS: its first octet is {octets[0]:02X}H"):
            session.receive_ciphertext(octets)


@pytest.mark.parametrize(
    "octets", [b"\x16" + b"\xff" * 64, b"\x16\x03\x01\x00\x04abcd", b"\x15\x03\x03\x00\x02\x02\x50"]
)
def test_what_only_begins_like_tls_is_a_fault(tls_material: TlsMaterial, octets: bytes) -> None:
    session = TlsSession.acceptor(tls_material.listener())
    with pytest.raises(TlsFault):
        session.receive_ciphertext(octets)
        assert not session.shake_hands()


def test_a_certificate_message_that_is_cut_anywhere_names_nobody() -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for length in range(12):
            assert leaf_of(b"\x0b\x00\x00\x08\x00\x00\x05\x00\x00\x02ab"[:length], version) is None
