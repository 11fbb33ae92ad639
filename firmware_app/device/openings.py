"""Every port that the device opens, in or out, with who may use it, which peers, and why. All else is closed.

Packet filter, the unit's own limits and the list for people are made of these values: they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

from firmware_app.config import Config
from firmware_app.config.schema import NodeConfig, service_of
from firmware_app.device.system_settings import SystemSettings
from firmware_app.profiles.profile import Profile

SERVICE_USER = "specular"
SSH_PORT, DNS_PORT, NTP_PORT, DHCP_SERVER_PORT, DHCP_CLIENT_PORT = 22, 53, 123, 67, 68


@dataclass(frozen=True, slots=True)
class Opening:
    """`peers` empty: any address on the interface. `user`: whose socket it is; empty for anybody's."""

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp"]
    port: int
    peers: tuple[str, ...]
    user: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the configuration does not say: the machine's settings, where they are ours, and who resolves its names."""

    settings: SystemSettings | None = None
    resolvers: tuple[str, ...] = ()

    @property
    def name_servers(self) -> tuple[str, ...] | None:
        """Beyond this machine; empty for those that DHCP will name, None where there are none."""
        if self.settings is not None:
            network = self.settings.network
            return network.dns if network.dns or network.dhcp else None
        return (
            tuple(server for server in self.resolvers if is_address(server) and not server.startswith("127.")) or None
        )


def listening_port(config: Config, profile: Profile) -> int:
    """Of our own DICOM port; 0 where nothing listens."""
    return config.instrument.port if "listener" in profile.application_entity else 0


def service_openings(config: Config, profile: Profile, around: Surroundings) -> tuple[Opening, ...]:
    """What the service itself needs."""
    return (
        *_own_port(config, profile),
        *_nodes(config, profile),
        *_syslog(config),
        *_names(config, profile, around),
    )


def machine_openings(around: Surroundings) -> tuple[Opening, ...]:
    """What the rest of the device needs, where all of it is ours."""
    ssh = Opening("in", "tcp", SSH_PORT, (), "", "[ssh]", "SSH with keys: console for `service`, shell for `admin`")
    settings = around.settings
    if settings is None:
        return (ssh,)
    return (ssh, *_time(settings), *_resolving(settings), *_dhcp(settings))


def resolvers_of(text: str) -> tuple[str, ...]:
    """The name servers of a resolv.conf(5)."""
    words = [line.split() for line in text.splitlines()]
    return tuple(line[1] for line in words if len(line) > 1 and line[0] == "nameserver")


def is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def by_address(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """The peers as a filter knows them: none (any address) as soon as one of them is a name."""
    return tuple(dict.fromkeys(hosts)) if all(is_address(host) for host in hosts) else ()


# ------------------------------------------------------------------------------------------------ the service


def _own_port(config: Config, profile: Profile) -> Iterator[Opening]:
    port = listening_port(config, profile)
    if not port:
        return
    accepted = config.instrument.accepted_addresses
    why = "DICOM: C-ECHO and the reports of storage commitment"
    if not accepted:
        why += "; from everywhere, because instrument.accepted_addresses is empty"
    yield Opening("in", "tcp", port, accepted, SERVICE_USER, "instrument.port", why)


def _asked(config: Config, profile: Profile) -> dict[str, NodeConfig]:
    """The nodes that the profile declares something to ask of."""
    return {name: node for name, node in config.nodes().items() if service_of(name) in profile.application_entity}


def _nodes(config: Config, profile: Profile) -> Iterator[Opening]:
    for name, node in _asked(config, profile).items():
        why = f"DICOM to {node.ae_title}: {service_of(name).replace('_', ' ')}"
        peers = by_address((node.host,))
        yield Opening("out", "tcp", node.port, peers, SERVICE_USER, f"[{name}]", _named(why, node.host))


def _syslog(config: Config) -> Iterator[Opening]:
    syslog = config.audit.syslog
    if syslog.host_name:
        peers, why = by_address((syslog.host_name,)), _named("the audit trail, by syslog over TLS", syslog.host_name)
        yield Opening("out", "tcp", syslog.port, peers, SERVICE_USER, "[audit.syslog]", why)


def _names(config: Config, profile: Profile, around: Surroundings) -> Iterator[Opening]:
    """Whoever reaches its peers by name asks a resolver; one on this machine needs no opening."""
    hosts = [node.host for node in _asked(config, profile).values()] + [config.audit.syslog.host_name or "127.0.0.1"]
    asked = around.name_servers
    if asked is not None and not all(is_address(host) for host in hosts):
        for protocol in ("udp", "tcp"):
            why = "the addresses of the nodes that are configured by name"
            yield Opening("out", protocol, DNS_PORT, asked, SERVICE_USER, "host_name", why)


def _named(why: str, host: str) -> str:
    return why if is_address(host) else f"{why}; to any address, because {host} is a name"


# ------------------------------------------------------------------------------------------------ the machine


def _time(settings: SystemSettings) -> Iterator[Opening]:
    servers = settings.system.ntp_servers
    if servers or settings.network.dhcp:
        why = "the clock, from system.ntp_servers" if servers else "the clock, from the servers that DHCP names"
        yield Opening("out", "udp", NTP_PORT, by_address(servers), "systemd-timesync", "system.ntp_servers", why)


def _resolving(settings: SystemSettings) -> Iterator[Opening]:
    servers = settings.network.dns
    if servers or settings.network.dhcp:
        why = "names, from network.dns" if servers else "names, from the servers that DHCP names"
        for protocol in ("udp", "tcp"):
            yield Opening("out", protocol, DNS_PORT, servers, "systemd-resolve", "network.dns", why)


def _dhcp(settings: SystemSettings) -> Iterator[Opening]:
    if settings.network.dhcp:
        why = "the address of the interface"
        yield Opening("out", "udp", DHCP_SERVER_PORT, (), "systemd-network", "network.dhcp", why)
        yield Opening("in", "udp", DHCP_CLIENT_PORT, (), "systemd-network", "network.dhcp", why)
