"""The PEM files of a TLS table: loaded into a context, or the reason why not, saying which file."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from firmware_app.certificates.x509 import BadCertificate, Certificate, read_pem

FILE_MAX_BYTES = 1 << 20  # the whole web's root authorities have 230 kB
FileKey = Literal["certificate", "key", "trusted"]


class CertificateFileError(Exception):
    """A file that cannot be used; `key` is what the configuration calls it, `text` says which file and why."""

    def __init__(self, key: FileKey, path: str, why: str) -> None:
        super().__init__(f"{path} {why}")
        self.key = key


class EncryptedKey(Exception):
    """OpenSSL asks for a passphrase: nobody is there who could type one."""


def load_own(context: ssl.SSLContext, certificate: str, key: str) -> Certificate:
    """Our certificate with the chain that follows it in its file, and its key. Raises `CertificateFileError`."""
    own = read_certificates("certificate", certificate)[0]
    read_file("key", key)

    def no_passphrase() -> str:
        raise EncryptedKey

    try:
        context.load_cert_chain(certificate, key, no_passphrase)
    except EncryptedKey as error:
        raise CertificateFileError("key", key, "is encrypted, and nobody is there to type its passphrase") from error
    except ssl.SSLError as error:
        raise CertificateFileError("key", key, key_trouble(error, certificate)) from error
    except OSError as error:
        raise CertificateFileError("key", key, f"cannot be read: {error.strerror or error}") from error
    return own


def key_trouble(error: ssl.SSLError, certificate: str) -> str:
    # The last one: OpenSSL looks for a certificate of the key's kind, and there is none.
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"is not the key of {certificate}"
    if error.reason in ("EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"):
        return f"and {certificate} are too weak: RSA of 2048 bits, or an elliptic curve of 256, and SHA-256 at least"
    return "holds no PEM private key"


def load_trusted(context: ssl.SSLContext, trusted: str) -> None:
    """The authorities that may vouch for a peer. Raises `CertificateFileError`."""
    read_certificates("trusted", trusted)
    try:
        context.load_verify_locations(trusted)
    except OSError as error:  # ssl.SSLError too
        raise CertificateFileError("trusted", trusted, f"cannot be used: {error.strerror or error}") from error


def read_certificates(key: FileKey, path: str) -> list[Certificate]:
    """At least one. Raises `CertificateFileError`."""
    try:
        found = read_pem(read_file(key, path))
    except BadCertificate as error:
        raise CertificateFileError(key, path, f"holds a certificate that cannot be read: {error}") from error
    if not found:
        raise CertificateFileError(key, path, "holds no PEM certificate")
    return found


def read_file(key: FileKey, path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            octets = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise CertificateFileError(key, path, f"cannot be read: {error.strerror or error}") from error
    if len(octets) > FILE_MAX_BYTES:
        raise CertificateFileError(key, path, f"is longer than {FILE_MAX_BYTES} bytes: not a PEM file")
    return octets


def unusable_files(certificate: str, key: str, trusted: str | None) -> list[CertificateFileError]:
    """What is wrong with the files whatever the day is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    problems = []
    try:
        load_own(context, certificate, key)
    except CertificateFileError as error:
        problems.append(error)
    try:
        if trusted is not None:
            load_trusted(context, trusted)
    except CertificateFileError as error:
        problems.append(error)
    return problems


def expired_files(
    certificate: str, trusted: str | None, now: datetime, notice: timedelta = timedelta()
) -> list[CertificateFileError]:
    """Our certificate, and the trusted file when nothing in it is valid any more, or not after `notice`.

    Files that cannot be read are passed over.
    """
    problems = []
    files: list[tuple[FileKey, str]] = [("certificate", certificate)]
    if trusted is not None:
        files.append(("trusted", trusted))
    for key, path in files:
        try:
            found = read_certificates(key, path)
        except CertificateFileError:
            continue
        judged = found[0] if key == "certificate" else max(found, key=lambda one: one.not_after)
        if judged.not_after < now + notice:
            when = "has expired" if judged.not_after < now else "expires soon"
            problems.append(CertificateFileError(key, path, f"{when}: {judged.words}"))
    return problems
