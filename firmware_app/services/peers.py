"""From configuration and profile to the two ends of an association: the peer's node and ourselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import trio

from firmware_app.config import Config, ListenerTlsConfig, NodeConfig, NodeTlsConfig, StoringConfig
from firmware_app.config.fields import AE_TITLE_WORDS, AeTitle
from firmware_app.config.schema import SyslogConfig
from firmware_app.net.association import ContextPair
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.pace import Pace
from firmware_app.net.tls import ClientTls, ListenerTls
from firmware_app.profiles import Profile
from firmware_app.profiles.profile import ApplicationEntity, EntityName

if TYPE_CHECKING:
    from firmware_app.net.listener import ListenerRules

Service = EntityName

# A host name as RFC 1123 2.1 has it; IPv4 addresses are among them. The AE title may itself hold an @.
HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z")


class BadPeer(ValueError):
    """Not a node: the text says what was given and what is allowed."""


class NotDeclared(Exception):
    """The profile's conformance statement does not have this service; the text names both."""


def declared(profile: Profile, service: Service) -> ApplicationEntity:
    """The application entity of a service. Raises `NotDeclared`."""
    entity = profile.application_entity.get(service)
    if entity is None:
        missing = (
            "accepts no association" if service == "listener" else f"declares no service {service.replace('_', ' ')}"
        )
        raise NotDeclared(f"the profile {profile.name} {missing}")
    return entity


def node_of(name: str, table: NodeConfig) -> Node:
    """The peer that a table of the configuration names."""
    waits = table.timeouts
    timeouts = Timeouts(
        connect_s=waits.connect_s,
        association_s=waits.association_s,
        write_s=waits.write_s,
        response_s=waits.response_s,
        release_s=waits.release_s,
    )
    rate = table.max_bytes_per_s if isinstance(table, StoringConfig) else 0
    pace = Pace(rate) if rate else None
    return Node(name, table.host, table.port, table.ae_title, timeouts, client_tls(table.tls), pace)


def syslog_node(table: SyslogConfig) -> Node:
    """The receiver of the audit trail. It has no AE title; `SYSLOG` stands there in messages."""
    waits = table.timeouts
    timeouts = Timeouts(connect_s=waits.connect_s, write_s=waits.write_s)
    return Node("audit", table.host_name, table.port, "SYSLOG", timeouts, client_tls(table.tls))


def client_tls(table: NodeTlsConfig | None) -> ClientTls | None:
    if table is None:
        return None
    return ClientTls(
        certificate=table.certificate,
        key=table.key,
        trusted=table.trusted,
        server_name=table.server_name,
        pinned_sha256=fingerprints(table.pinned_sha256),
    )


def listener_tls(table: ListenerTlsConfig | None) -> ListenerTls | None:
    if table is None:
        return None
    return ListenerTls(
        certificate=table.certificate,
        key=table.key,
        trusted=table.trusted,
        require_client_certificate=table.require_client_certificate,
        pinned_sha256=fingerprints(table.pinned_sha256),
    )


def fingerprints(words: Iterable[str]) -> frozenset[str]:
    """As `openssl x509 -fingerprint` prints them, or bare."""
    return frozenset(word.replace(":", "").lower() for word in words)


def find_node(word: str, config: Config, timeout_s: float | None = None) -> Node:
    """A node by its name in the configuration, or from `AET@HOST:PORT`. Raises `BadPeer`."""
    table = config.nodes().get(word)
    node = _parse_node(word, sorted(config.nodes())) if table is None else node_of(word, table)
    if timeout_s is None:
        return node
    return replace(node, timeouts=Timeouts.all(timeout_s))


def _parse_node(word: str, configured: list[str]) -> Node:
    ae_title, at, address = word.rpartition("@")
    host, colon, port = address.rpartition(":")
    if not at or not colon:
        known = (
            f"one of the configured nodes ({', '.join(configured)})" if configured else "a configured node (none is)"
        )
        raise BadPeer(f"NODE {word!r} is neither {known} nor AET@HOST:PORT")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise BadPeer(f"NODE {word!r}: the port {port!r} is not a number from 1 to 65535")
    if not HOST.match(host):
        raise BadPeer(f"NODE {word!r}: {host!r} is neither a host name nor an IPv4 address")
    return Node("node", host, int(port), checked_ae_title(ae_title, f"NODE {word!r}"))


def checked_ae_title(word: str, where: str) -> str:
    """`word`, if it is an AE title. Raises `BadPeer`."""
    try:
        return msgspec.convert(word, AeTitle)
    except msgspec.ValidationError as error:
        raise BadPeer(f"{where}: the AE title {word!r} is not {AE_TITLE_WORDS}") from error


def local_entity(
    config: Config, profile: Profile, source_address: str, service: Service, calling: str = ""
) -> LocalApplicationEntity:
    """We as the application entity that uses `service`; `calling` overrules the configured AE title.

    For a single user of the service; what shares it with others takes it from `Entities`. Raises `NotDeclared` where
    the profile has no such service.
    """
    entity = declared(profile, service)
    return LocalApplicationEntity(
        ae_title=calling or config.instrument.ae_title,
        source_address=source_address,
        implementation_class_uid=entity.implementation_class_uid,
        implementation_version_name=entity.implementation_version_name,
        max_pdu_length=entity.max_pdu_length,
    )


class Entities:
    """Our application entities for as long as one program runs.

    Whoever uses the same one shares its associations: no more than the profile's `max_associations` at once.
    """

    def __init__(self, config: Config, profile: Profile, source_address: str) -> None:
        self.profile = profile
        self._local = {
            service: replace(
                local_entity(config, profile, source_address, service),
                places=trio.CapacityLimiter(entity.max_associations),
            )
            for service, entity in profile.application_entity.items()
        }

    def __contains__(self, service: Service) -> bool:
        """Whether the profile declares it."""
        return service in self._local

    def __getitem__(self, service: Service) -> LocalApplicationEntity:
        """Raises `NotDeclared`."""
        declared(self.profile, service)
        return self._local[service]

    def contexts(self, service: Service) -> tuple[ContextPair, ...]:
        """Raises `NotDeclared`."""
        return contexts_of(self.profile, service)


def listener_rules(config: Config) -> ListenerRules:
    """Who may associate with our own port. Spaces around an AE title are not significant (PS3.5 6.2)."""
    from firmware_app.net.listener import ListenerRules  # the service only: a verb of the command line starts sooner

    titles = frozenset(title.strip(" ") for title in config.instrument.accepted_ae_titles)
    return ListenerRules(accepted_ae_titles=titles, accepted_addresses=frozenset(config.instrument.accepted_addresses))


def contexts_of(profile: Profile, service: Service) -> tuple[ContextPair, ...]:
    """What the profile proposes for `service`. Raises `NotDeclared`."""
    contexts = declared(profile, service).contexts
    return tuple((context.abstract_syntax, context.transfer_syntaxes) for context in contexts)
