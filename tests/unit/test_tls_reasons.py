"""OpenSSL's reasons in our words."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from firmware_app.certificates.x509 import Certificate
from firmware_app.net.tls_reasons import explain

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OWN = Certificate("CN=us", "CN=CA", NOW - timedelta(days=9), NOW + timedelta(days=9), "00")
PEER = Certificate("CN=pacs", "CN=pacs", NOW - timedelta(days=9), NOW + timedelta(days=9), "11")
YOUNG = Certificate("CN=pacs", "CN=CA", NOW + timedelta(days=1), NOW + timedelta(days=9), "22")
OLD = Certificate("CN=pacs", "CN=CA", NOW - timedelta(days=9), NOW - timedelta(days=1), "33")
SHOWN = "the peer's certificate (CN=pacs, issued by itself, valid until 2026-06-10)"


def refusal(code: int, message: str = "") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


VERIFICATIONS = [
    (10, OLD, "pacs", "(CN=pacs, issued by CN=CA, valid until 2026-05-31) has expired"),
    (10, PEER, "pacs", f"{SHOWN} is good, but that of an authority above it has expired"),
    (10, None, "pacs", "the peer's certificate has expired"),
    (9, YOUNG, "pacs", "is valid only from 2026-06-02"),
    (9, PEER, "pacs", f"{SHOWN} is good, but that of an authority above it is not valid yet"),
    (18, PEER, "pacs", f"{SHOWN} is not vouched for by any authority that is trusted here"),
    (62, PEER, "pacs.clinic", f"{SHOWN} is not for pacs.clinic"),
    (64, PEER, "10.0.0.5", f"{SHOWN} is not for 10.0.0.5"),
    (26, PEER, None, f"{SHOWN} is not meant for a client"),
    (26, PEER, "pacs", f"{SHOWN} is not meant for a server"),
    (66, PEER, "pacs", f"{SHOWN} is too weak, or is vouched for too weakly: RSA of 2048 bits and SHA-256 at least"),
    (23, PEER, "pacs", f"{SHOWN} is refused: certificate revoked"),
]


@pytest.mark.parametrize(("code", "peer", "server_name", "words"), VERIFICATIONS)
def test_what_we_found_wrong(code: int, peer: Certificate | None, server_name: str | None, words: str) -> None:
    assert explain(refusal(code, "certificate revoked"), OWN, peer, server_name, NOW).endswith(words)


ALERTS = [
    ("TLSV1_ALERT_UNKNOWN_CA", "the peer refused our certificate (CN=us, issued by CN=CA, valid until 2026-06-10): it"),
    ("SSLV3_ALERT_CERTIFICATE_REVOKED", "the peer refused our certificate (CN=us, issued by CN=CA, valid until"),
    ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the peer requires a certificate, and got none from us"),
    ("TLSV1_ALERT_PROTOCOL_VERSION", "the peer speaks neither TLS 1.2 nor 1.3, only older versions"),
    ("TLSV1_ALERT_NO_RENEGOTIATION", "the peer ended TLS with alert no renegotiation"),
    ("TLSV1_UNRECOGNIZED_NAME", "the peer does not know the server name that we asked for"),
    ("BAD_RECORD_TYPE", "TLS is broken: bad record type"),
]


@pytest.mark.parametrize(("reason", "words"), ALERTS)
def test_what_the_peer_found_wrong(reason: str, words: str) -> None:
    error = ssl.SSLError(1, "text")
    error.reason = reason
    assert explain(error, OWN, PEER, "pacs", NOW).startswith(words)


def test_a_reason_that_openssl_does_not_give_is_its_text() -> None:
    error = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    assert explain(error, OWN, None, None, NOW) == "TLS is broken: EOF occurred in violation of protocol"
