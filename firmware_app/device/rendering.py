"""Everything of the machine that follows from configuration and settings, as files below one folder (/run at boot)."""

from __future__ import annotations

from collections.abc import Iterable

from firmware_app.config import Config
from firmware_app.device.interface_file import network_file
from firmware_app.device.openings import (
    Opening,
    Surroundings,
    listening_port,
    machine_openings,
    service_openings,
)
from firmware_app.device.packet_filter import machine_rules, service_rules
from firmware_app.device.stable_names import names_file
from firmware_app.device.system_settings import SystemSettings
from firmware_app.device.unit_limits import port_drop_in, service_drop_in
from firmware_app.profiles.profile import Profile

SERVICE_LIMITS = "systemd/system/specular.service.d/50-device.conf"
PORT_LIMITS = "systemd/system/specular-dicom.socket.d/50-device.conf"
INTERFACE = "systemd/network/10-specular.network"
DEVICE_NAMES = "udev/rules.d/73-specular-configured.rules"
PACKET_FILTER = "specular-device/rules.nft"
LISTENS = "specular-device/listens"  # a condition of the socket unit: there only if we listen
ALL_FILES = (SERVICE_LIMITS, PORT_LIMITS, INTERFACE, DEVICE_NAMES, PACKET_FILTER, LISTENS)


class Disagreement(Exception):
    """Configuration and settings name different interfaces."""


def interface_files(settings: SystemSettings | None) -> dict[str, str]:
    """What needs no configuration: with a wrong one the device can still be reached, and mended."""
    return {} if settings is None else {INTERFACE: network_file(settings)}


def configured_files(config: Config, profile: Profile, around: Surroundings, *, whole_machine: bool) -> dict[str, str]:
    """Raises `Disagreement`."""
    interface, settings = config.network.interface, around.settings
    if settings is not None and settings.network.interface != interface:
        raise Disagreement(
            f"network.interface is {interface!r} in the configuration, but {settings.network.interface!r} in the "
            "machine's own settings, system.toml"
        )
    of_service = service_openings(config, profile, around)
    if whole_machine:
        rules = machine_rules((*machine_openings(around), *of_service), interface)
    else:
        rules = service_rules(of_service, interface)
    files = {
        SERVICE_LIMITS: service_drop_in(of_service, interface),
        DEVICE_NAMES: names_file(config),
        PACKET_FILTER: rules,
    }
    port = listening_port(config, profile)
    if port:
        files |= {PORT_LIMITS: port_drop_in(of_service), LISTENS: f"{port}\n"}
    return files


def all_openings(config: Config, profile: Profile, around: Surroundings, *, whole_machine: bool) -> tuple[Opening, ...]:
    """For the list that is shown."""
    of_machine = machine_openings(around) if whole_machine else ()
    return (*of_machine, *service_openings(config, profile, around))


def explained(openings: Iterable[Opening]) -> list[tuple[dict[str, object], str]]:
    """Each opening as a row for programs and a line for people."""
    return [(_row(opening), _line(opening)) for opening in openings]


def _row(opening: Opening) -> dict[str, object]:
    return {
        "direction": opening.direction,
        "protocol": opening.protocol,
        "port": opening.port,
        "peers": list(opening.peers) or "any",
        "user": opening.user or "any",
        "key": opening.key,
        "reason": opening.reason,
    }


def _line(opening: Opening) -> str:
    peers = ", ".join(opening.peers) or "any address"
    who = f" by {opening.user}" if opening.user else ""
    word = "from" if opening.direction == "in" else "to"
    port = f"{opening.direction:3} {opening.protocol} {opening.port:5}"
    return f"{port}  {word} {peers}{who}: {opening.reason} ({opening.key})"
