"""The machine's own settings, beside the instrument's: interface and address, host name, time servers."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Annotated

import msgspec
import tomli
from msgspec import Meta, Struct

from firmware_app.config.fields import Addresses, HostName, InterfaceName

FILE_MAX_BYTES = 64 << 10
Servers = Annotated[
    tuple[HostName, ...], Meta(max_length=8, description='at most 8 names or addresses such as ["192.168.1.1"]')
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
        settings = msgspec.convert(tomli.loads(text), SystemSettings)
    except tomli.TOMLDecodeError as error:
        raise SettingsError(f"{name}: not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {_with_key(str(error))}") from error
    for problem in _problems(settings.network):
        raise SettingsError(f"{name}: {problem}")
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


def _with_key(error: str) -> str:
    """msgspec says where at the end: "Expected `bool` - at `$.network.dhcp`"; we begin with the key."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", error)
    return f"{found[2]}: {found[1]}" if found and found[2] else error


def _problems(network: NetworkTable) -> list[str]:
    if network.dhcp:
        given = [key for key in ("address", "gateway") if getattr(network, key)]
        return [f"network.{key}: not with network.dhcp = true" for key in given]
    if not network.address:
        return ["network.address: missing; either an address with its prefix length or network.dhcp = true"]
    try:
        interface = IPv4Interface(network.address)
    except ValueError:
        interface = None
    if interface is None or "/" not in network.address or interface.network.prefixlen == 0:
        return [f'network.address: "{network.address}" is no IPv4 address with its prefix length ("192.168.1.10/24")']
    if network.gateway:
        try:
            gateway = IPv4Address(network.gateway)
        except ValueError:
            return [f'network.gateway: "{network.gateway}" is no IPv4 address']
        if gateway not in interface.network:
            return [f"network.gateway: {gateway} is not in {interface.network}, so it cannot be reached"]
    return []
