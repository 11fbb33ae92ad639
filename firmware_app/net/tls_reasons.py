"""Why there is no TLS, in one line that says which certificate, ours or the peer's, and why. Pure."""

from __future__ import annotations

import ssl
from datetime import datetime

from firmware_app.certificates.x509 import Certificate

# X509_V_ERR_* of OpenSSL.
NOT_YET_VALID, EXPIRED = (9,), (10,)
UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 27)
WRONG_PURPOSE = (26,)
WRONG_NAME = (62, 64)
TOO_WEAK = (66, 67, 68)

# OpenSSL names an alert of the peer like TLSV1_ALERT_UNKNOWN_CA; RFC 8446, 6.2 says what each means.
ALERT = "_ALERT_"
ABOUT_OUR_CERTIFICATE = {
    "BAD_CERTIFICATE": "it found it bad",
    "UNSUPPORTED_CERTIFICATE": "it does not support its kind",
    "CERTIFICATE_REVOKED": "it is revoked",
    "CERTIFICATE_EXPIRED": "it has expired, or is not valid yet by the peer's clock",
    "CERTIFICATE_UNKNOWN": "it finds it unacceptable",
    "UNKNOWN_CA": "it does not know its authority",
    "ACCESS_DENIED": "it is valid, but not let in",
}
ALERTS = {
    "HANDSHAKE_FAILURE": "the peer agrees to none of our cipher suites, or requires a certificate that it did not get",
    "INSUFFICIENT_SECURITY": "the peer finds our cipher suites too weak",
    "PROTOCOL_VERSION": "the peer speaks neither TLS 1.2 nor 1.3, only older versions",
    "CERTIFICATE_REQUIRED": "the peer requires a certificate, and got none from us",
}
OUR_REASONS = {
    "UNSUPPORTED_PROTOCOL": "the peer speaks neither TLS 1.2 nor 1.3, only older versions",
    "WRONG_SSL_VERSION": "the peer speaks neither TLS 1.2 nor 1.3, only older versions",
    "VERSION_TOO_LOW": "the peer speaks neither TLS 1.2 nor 1.3, only older versions",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate, and one is required here",
    "NO_SHARED_CIPHER": "the peer offers no cipher suite that is allowed here (ECDHE with AES-GCM or ChaCha20)",
    "TLSV1_UNRECOGNIZED_NAME": "the peer does not know the server name that we asked for",
    "DH_KEY_TOO_SMALL": "the peer's Diffie-Hellman group has less than 2048 bits",
}


class TlsFault(OSError):
    """No TLS, or no more: one line saying why. An OSError, for to the layers above the connection is gone."""


def explain(
    error: ssl.SSLError, own: Certificate, peer: Certificate | None, server_name: str | None, now: datetime
) -> str:
    """`own` and `peer` are the certificates shown by us and by the peer, as far as they were."""
    if isinstance(error, ssl.SSLCertVerificationError):
        certificate = f"the peer's certificate ({peer.words})" if peer else "the peer's certificate"
        return f"{certificate} {verification_words(error, peer, server_name, now)}"
    reason = getattr(error, "reason", None) or ""
    _, is_alert, alert = reason.partition(ALERT)
    if is_alert and alert in ABOUT_OUR_CERTIFICATE:
        return f"the peer refused our certificate ({own.words}): {ABOUT_OUR_CERTIFICATE[alert]}"
    if is_alert:
        return ALERTS.get(alert, f"the peer ended TLS with alert {alert.lower().replace('_', ' ')}")
    return OUR_REASONS.get(reason, f"TLS is broken: {reason.lower().replace('_', ' ') or error.strerror or error}")


def verification_words(
    error: ssl.SSLCertVerificationError, peer: Certificate | None, server_name: str | None, now: datetime
) -> str:
    code = error.verify_code
    if code in EXPIRED:
        is_leaf = peer is None or peer.not_after < now
        return "has expired" if is_leaf else "is good, but that of an authority above it has expired"
    if code in NOT_YET_VALID:
        if peer is not None and peer.not_before > now:
            return f"is valid only from {peer.not_before:%Y-%m-%d}"
        return "is good, but that of an authority above it is not valid yet"
    if code in UNKNOWN_AUTHORITY:
        return "is not vouched for by any authority that is trusted here"
    if code in WRONG_NAME:
        return f"is not for {server_name}"
    if code in WRONG_PURPOSE:
        return "is not meant for " + ("a client" if server_name is None else "a server")
    if code in TOO_WEAK:
        return "is too weak, or is vouched for too weakly: RSA of 2048 bits and SHA-256 at least"
    return f"is refused: {error.verify_message}"
