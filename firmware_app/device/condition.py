"""What a device says of itself on its console: where it can be reached, and what it misses."""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from firmware_app import __version__
from firmware_app.device.provisioning import FILE_NAME
from firmware_app.device.provisioning_files import STAMP
from firmware_app.device.trial_files import TrialFiles

SIOCGIFADDR = 0x8915
LISTENING = "0A"  # /proc/net/tcp, TCP_LISTEN
LOOPBACK = "7F"  # 127.0.0.0/8: the table has the first octet last


@dataclass(frozen=True, slots=True)
class Condition:
    """As it was found. `unit_states`: of the units that matter, as systemd names them."""

    host_name: str
    addresses: dict[str, str]
    listening: tuple[int, ...]
    provisioned: bool
    file_there: bool
    data_lost: str = ""
    host_key: str = ""
    slot: str = ""
    image: str = ""
    news: str = ""  # of the last update
    unit_states: dict[str, str] = field(default_factory=dict)


def lines_of(condition: Condition) -> list[str]:
    """For a person in front of the serial console."""
    slot = f", slot {condition.slot}" if condition.slot else ""
    lines = [f"Specular {__version__}{slot}: {condition.host_name}"]
    if condition.image:
        lines.append(condition.image)
    if condition.news:
        lines.append(f"last update: {condition.news}")
    if condition.data_lost:
        lines.append(f"MISSING: the data partition: {condition.data_lost}; nothing is kept until it is replaced")
    if not condition.provisioned:
        what = "holds what cannot be taken: see above" if condition.file_there else "is not there"
        lines.append(f"MISSING: {FILE_NAME} on the boot partition {what}.")
        lines.append("Until then: no network login, no examination. specular-provision.example is beside it.")
    for name, state in condition.unit_states.items():
        lines.append(f"{name}: {state}")
    addresses = ", ".join(f"{name} {address}" for name, address in condition.addresses.items())
    lines.append(f"addresses: {addresses or 'none'}")
    lines.append(f"open ports: {', '.join(f'tcp {port}' for port in condition.listening) or 'none'}")
    if condition.host_key:
        lines.append(f"host key: {condition.host_key}")
    lines.append("There is no login here: there are no passwords. ssh service@ADDRESS is the instrument's console.")
    return lines


def listening_ports(table: str) -> tuple[int, ...]:
    """Of /proc/net/tcp, those that others can reach."""
    rows = [line.split() for line in table.splitlines()[1:]]
    places = [row[1].partition(":") for row in rows if len(row) > 3 and row[3] == LISTENING]
    return tuple(sorted({int(port, 16) for address, _, port in places if not address.endswith(LOOPBACK)}))


def slot_of(command_line: str) -> str:
    words = dict(word.partition("=")[::2] for word in command_line.split())
    return words.get("rauc.slot", "")


def look(data: Path, file: Path, unit_states: dict[str, str]) -> Condition:
    return Condition(
        host_name=socket.gethostname(),
        addresses=_addresses(),
        listening=listening_ports(_text(Path("/proc/net/tcp"))),
        provisioned=(data / "config" / STAMP).exists(),
        file_there=file.exists(),
        data_lost=_text(Path("/run/specular/data-lost")).strip(),
        host_key=_text(data / "ssh/ssh_host_ed25519_key.pub").strip(),
        slot=slot_of(_text(Path("/proc/cmdline"))),
        image=_text(Path("/usr/lib/specular/image")).strip(),
        news=TrialFiles(data / "update").told(),
        unit_states=unit_states,
    )


def _addresses() -> dict[str, str]:
    found: dict[str, str] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asked, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            if name != "lo":
                found[name] = socket.inet_ntoa(answer[20:24])
    return found


def _text(path: Path) -> str:
    """ "" where it is not there: what is unknown is left out, and the rest is said."""
    try:
        return path.read_text(errors="backslashreplace")
    except OSError:
        return ""
