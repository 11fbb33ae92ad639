"""The machine's own settings, beside the instrument's: interface and address, host name, time servers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from firmware_app.config.fields import Addresses, HostName, InterfaceName
from firmware_app.device.tables import NoSuchTables, tables_of

FILE_MAX_BYTES = 64 << 10
Servers = Annotated[
    tuple[Annotated[HostName, Meta(min_length=1)], ...],
    Meta(max_length=8, description='at most 8 names or addresses such as ["192.168.1.1"]'),
]


class SettingsError(Exception):
    """Settings nobody may bring a network up with: one line that names file, key and what is allowed."""


class SystemTable(Struct, frozen=True, forbid_unknown_fields=True):
    host_name: HostName = ""
    ntp_servers: Servers = ()  # empty: those that DHCP names, or none


class NetworkTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The one IPv4 interface: `dhcp`, or an address with its prefix length."""

    interface: InterfaceName = "eth0"
    dhcp: bool = False
    address: str = ""  # "192.168.1.10/24"
    gateway: str = ""
    dns: Addresses = ()


class SystemSettings(Struct, frozen=True, forbid_unknown_fields=True):
    network: NetworkTable
    system: SystemTable = SystemTable()


def parse_settings(text: str, name: str) -> SystemSettings:
    """Raises `SettingsError`, which begins with `name`."""
    try:
        settings = tables_of(text, SystemSettings)
    except NoSuchTables as error:
        raise SettingsError(f"{name}: {error}") from error
    problems = network_problems(settings.network)
    if problems:
        raise SettingsError(f"{name}: {'; '.join(problems)}")
    return settings


def read_settings(path: Path) -> SystemSettings:
    """Raises `SettingsError`."""
    try:
        with path.open("rb") as file:
            octets = file.read(FILE_MAX_BYTES + 1)
        if len(octets) > FILE_MAX_BYTES:
            raise SettingsError(f"{path}: more than {FILE_MAX_BYTES} bytes")
        return parse_settings(octets.decode(), str(path))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8: {error}") from error


def network_problems(network: NetworkTable) -> list[str]:
    """What no single key shows, a line each that begins with the key."""
    if network.dhcp:
        given = [key for key in ("address", "gateway") if getattr(network, key)]
        return [f"network.{key}: not with network.dhcp = true" for key in given]
    if not network.address:
        return ["network.address: missing; either an address with its prefix length or network.dhcp = true"]
    try:
        interface = IPv4Interface(network.address)
    except ValueError:
        interface = None
    # As it is written: networkd reads neither a netmask in the place of the length nor a length that begins with 0.
    if interface is None or interface.with_prefixlen != network.address or interface.network.prefixlen == 0:
        return [f'network.address: "{network.address}" is no IPv4 address with its prefix length ("192.168.1.10/24")']
    if network.gateway:
        try:
            gateway = IPv4Address(network.gateway)
        except ValueError:
            return [f'network.gateway: "{network.gateway}" is no IPv4 address']
        if gateway not in interface.network:
            return [f"network.gateway: {gateway} is not in {interface.network}, so it cannot be reached"]
    return []
