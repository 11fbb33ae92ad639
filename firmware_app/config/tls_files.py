"""The files that TLS tables name: whether they are there and fit each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from firmware_app.certificates.files import CertificateFileError, expired_files, unusable_files
from firmware_app.config.rules import Finding
from firmware_app.config.schema import Config, ListenerTlsConfig, NodeTlsConfig


def tls_findings(config: Config) -> Iterator[Finding]:
    """Files that cannot be used, whatever the day is."""
    for name, tls in _tables_in_use(config):
        yield from _named(name, unusable_files(tls.certificate, tls.key, _trusted(tls)))


def expiry_findings(config: Config, now: datetime, notice: timedelta = timedelta()) -> Iterator[Finding]:
    """Files that were good once, or will be no longer after `notice`."""
    for name, tls in _tables_in_use(config):
        yield from _named(name, expired_files(tls.certificate, _trusted(tls), now, notice))


def _tables_in_use(config: Config) -> Iterator[tuple[str, NodeTlsConfig | ListenerTlsConfig]]:
    if config.instrument.tls is not None and config.instrument.port:
        yield "instrument.tls", config.instrument.tls
    if config.audit.syslog.host_name:
        yield "audit.syslog.tls", config.audit.syslog.tls
    for name, node in config.nodes().items():
        if node.tls is not None:
            yield f"{name}.tls", node.tls


def _trusted(tls: NodeTlsConfig | ListenerTlsConfig) -> str | None:
    """None where nobody will read it."""
    if isinstance(tls, NodeTlsConfig):
        return tls.trusted if tls.verify == "hostname" else None
    return tls.trusted if tls.require_client_certificate else None


def _named(name: str, errors: Iterable[CertificateFileError]) -> Iterator[Finding]:
    for error in errors:
        yield Finding(f"{name}.{error.key}", str(error))
