"""DICOM TLS by the BCP 195 profile (PS3.15 B.12): TLS 1.3 or 1.2, both sides show a certificate.

`TlsSession` is one end of one connection without a socket: ciphertext in, ciphertext out. `transport.TlsTransport` puts
it on the wire. It is not trio.SSLStream, because that one sends what it likes when it likes: here a PDU leaves in one
write, each receive is acknowledged at once, a farewell goes out without waiting, and the waits are those of the node.
"""

from __future__ import annotations

import ssl
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime

from firmware_app.certificates.files import CertificateFileError, load_own, load_trusted
from firmware_app.certificates.x509 import BadCertificate, Certificate, read_certificate
from firmware_app.net.tls_reasons import TlsFault, explain

# Of TLS 1.2 only suites with forward secrecy and AEAD (RFC 9325, 4.2; PS3.15 B.13 wants the same): every profile of
# DCMTK's, the non-downgrading one too, agrees on one of them, so that no CBC suite is needed for anybody.
# Level 2 refuses RSA and DHE below 2048 bits, elliptic curves below 224 and signatures with SHA-1.
TLS_1_2_SUITES = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!aDSS:!PSK:@SECLEVEL=2"
READ_SIZE = 64 * 1024
HANDSHAKE_RECORD, ALERT_RECORD = 0x16, 0x15  # ContentType, RFC 8446 5.1: what a TLS peer can begin with
CERTIFICATE_MESSAGE = 11  # HandshakeType, RFC 8446 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How we connect to one node. Files are read at each connection, so that renewed ones need no restart."""

    certificate: str
    key: str
    trusted: str  # authorities that may vouch for the peer; not read where the peer's certificate is pinned
    server_name: str = ""  # whom the peer's certificate must name; empty: the node's host
    pinned_sha256: frozenset[str] = frozenset()  # the peer's certificate is one of these, whoever issued it


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    """How peers connect to our port."""

    certificate: str
    key: str
    trusted: str  # authorities that may vouch for a peer
    require_client_certificate: bool = True
    pinned_sha256: frozenset[str] = frozenset()  # where given: of the peers that are vouched for only these


class TlsSession:
    """One end of one TLS connection. Every method raises `TlsFault`, after which the connection is only to be closed.

    Files that cannot be used are a fault too, of the constructors.
    """

    def __init__(
        self, context: ssl.SSLContext, own: Certificate, pins: frozenset[str], server_name: str | None
    ) -> None:
        self.ended = False  # the peer will send no more
        self.has_heard = False  # anything at all from the peer
        self._own = own
        self._pins = pins
        self._server_name = server_name
        self._peer: Certificate | None = None
        self._held_back: TlsFault | None = None
        # Private, but the only way to the certificate that was refused, and stable since Python 3.8. Without it
        # messages would lack the peer's name. A context for each connection makes it tell whose certificate it is;
        # and were it to hold us, each connection would leave a cycle with all the authorities in it.
        look_at = weakref.WeakMethod(self._look_at)
        context._msg_callback = lambda *message: (look := look_at()) and look(*message)  # type: ignore[attr-defined]
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        is_server = server_name is None
        self._tls = context.wrap_bio(self._incoming, self._outgoing, is_server, server_hostname=server_name)

    @classmethod
    def client(cls, settings: ClientTls, host: str) -> TlsSession:
        context = new_context(ssl.PROTOCOL_TLS_CLIENT)
        try:
            own = load_own(context, settings.certificate, settings.key)
            if settings.pinned_sha256:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE  # an unknown authority is no matter: see `_check_peer`
            else:
                load_trusted(context, settings.trusted)
        except CertificateFileError as error:
            raise TlsFault(f"our {error.key}: {error}") from error
        return cls(context, own, settings.pinned_sha256, settings.server_name or host)

    @classmethod
    def acceptor(cls, settings: ListenerTls) -> TlsSession:
        context = new_context(ssl.PROTOCOL_TLS_SERVER)
        try:
            own = load_own(context, settings.certificate, settings.key)
            if settings.require_client_certificate:
                context.verify_mode = ssl.CERT_REQUIRED
                load_trusted(context, settings.trusted)
        except CertificateFileError as error:
            raise TlsFault(f"our {error.key}: {error}") from error
        return cls(context, own, settings.pinned_sha256, None)

    # ------------------------------------------------------------------ ciphertext

    def receive_ciphertext(self, octets: bytes) -> None:
        if not self.has_heard and octets:
            self.has_heard = True
            if octets[0] not in (HANDSHAKE_RECORD, ALERT_RECORD):
                raise TlsFault(f"the peer does not speak TLS: its first octet is {octets[0]:02X}H")
        self._incoming.write(octets)

    def ciphertext_to_send(self) -> bytes:
        return self._outgoing.read()

    # ------------------------------------------------------------------ plaintext

    def shake_hands(self) -> bool:
        """Go as far as the ciphertext here allows; True when the peer is known to be the right one."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise self._fault(error) from error
        self._tls.context._msg_callback = None  # type: ignore[attr-defined]  # it would be asked about each record
        if self._pins:
            self._check_peer(self._pins)
        return True

    def write(self, octets: bytes | bytearray | memoryview) -> None:
        try:
            self._tls.write(octets)
        except ssl.SSLError as error:
            raise self._fault(error) from error

    def read(self) -> bytes:
        """Everything that has arrived; empty when that is nothing, or when `ended`. A fault comes after it, once."""
        parts: list[bytes] = []
        while not self.ended:
            try:
                part = self._tls.read(READ_SIZE)
                parts.append(part)
                self.ended = not part  # close_notify
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self.ended = True
                self._held_back = self._fault(error)
        if not parts and self._held_back is not None:
            fault, self._held_back = self._held_back, None
            raise fault
        return b"".join(parts)

    def say_goodbye(self) -> None:
        """close_notify into the ciphertext; the peer's is not waited for (RFC 8446, 6.1)."""
        try:
            self._tls.unwrap()
        except (ssl.SSLError, ValueError):  # it is not here yet, or there never was a handshake
            return

    @property
    def version(self) -> str:
        """`TLSv1.3`; empty before the handshake."""
        return self._tls.version() or ""

    @property
    def peer(self) -> Certificate | None:
        """The certificate that the peer showed, good or not."""
        return self._peer

    # ------------------------------------------------------------------ the peer's certificate

    def _look_at(self, _tls: object, direction: str, version: int, kind: int, message: int, octets: bytes) -> None:
        if direction == "read" and (kind, message) == (HANDSHAKE_RECORD, CERTIFICATE_MESSAGE):
            self._peer = leaf_of(octets, version)

    def _check_peer(self, pins: frozenset[str]) -> None:
        der = self._tls.getpeercert(binary_form=True)
        try:
            peer = read_certificate(der or b"")
        except BadCertificate as error:
            raise TlsFault(f"the peer's certificate cannot be read: {error}") from error
        if peer.sha256 not in pins:
            raise TlsFault(f"the peer's certificate ({peer.words}) is not the pinned one: its SHA-256 is {peer.sha256}")
        now = datetime.now(UTC)
        if peer.not_after < now:
            raise TlsFault(f"the peer's certificate ({peer.words}) has expired")
        if peer.not_before > now:
            raise TlsFault(f"the peer's certificate ({peer.words}) is valid only from {peer.not_before:%Y-%m-%d}")

    def _fault(self, error: ssl.SSLError) -> TlsFault:
        return TlsFault(explain(error, self._own, self._peer, self._server_name, datetime.now(UTC)))


def new_context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    """What both roles share. The client's verifies host names; the acceptor's asks for no certificate yet."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: nothing older, whatever the system's policy says
    context.set_ciphers(TLS_1_2_SUITES)
    # A ticket would let a peer come back without showing its certificate again.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    if protocol is ssl.PROTOCOL_TLS_SERVER:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 0
    else:
        context.hostname_checks_common_name = False  # RFC 9525, 2: names stand in subjectAltName
    # So that the trusted file may also hold the certificate of a peer itself, or of an authority in between.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def leaf_of(message: bytes, version: int) -> Certificate | None:
    """The first certificate of a Certificate message (RFC 8446 4.4.2, RFC 5246 7.4.2); None where there is none."""
    body = message[4:]  # type and length
    if version == ssl.TLSVersion.TLSv1_3:
        body = body[1 + body[0] :] if body else b""  # certificate_request_context
    entry = body[3:]
    length = int.from_bytes(entry[:3], "big")
    try:
        return read_certificate(entry[3 : 3 + length]) if length else None
    except BadCertificate:
        return None  # OpenSSL says the same in its own words
