"""Which USB device a port of the configuration means: a path, or `usb:VENDOR:PRODUCT[:SERIAL][@LOCATION]`. Pure.

A number such as ttyACM0 belongs to whoever came first: a board that is plugged in again while its old descriptor is
still open gets the next one. Vendor and product say what a device is, its serial number which one; two boards without
serial numbers are told apart by the socket that they are in (`1-1.4`, as the kernel names it; `1-1.4:1.0` with the
interface, for a board with several ports).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hw.errors import DeviceLost, Refused
from hw.printable import printable

PREFIX: Final = "usb:"
LISTED_MAX: Final = 8  # devices that a reason names
WORD_MAX: Final = 64  # characters of a text that a device says of itself
_PLACE: Final = r"[0-9]{1,3}-[0-9]{1,3}(?:\.[0-9]{1,3}){0,6}(?::[0-9]{1,3}\.[0-9]{1,3})?"
PATTERN: Final = rf"usb:[0-9A-Fa-f]{{4}}:[0-9A-Fa-f]{{4}}(?::[^\s@\x00-\x1f\x7f]{{1,126}})?(?:@{_PLACE})?"
_IDENTITY = re.compile(
    r"usb:(?P<vendor>[0-9A-Fa-f]{4}):(?P<product>[0-9A-Fa-f]{4})(?::(?P<serial>[^@]+))?(?:@(?P<location>.+))?"
)


@dataclass(frozen=True, slots=True)
class UsbIdentity:
    """`serial` and `location` are empty where the configuration does not ask for them."""

    vendor: int
    product: int
    serial: str = ""
    location: str = ""

    def __str__(self) -> str:
        serial = f":{self.serial}" if self.serial else ""
        place = f"@{self.location}" if self.location else ""
        return f"{PREFIX}{self.vendor:04x}:{self.product:04x}{serial}{place}"


@dataclass(frozen=True, slots=True)
class FoundPort:
    """A port that is there, with what its USB device says of itself; `name` is for people."""

    path: str
    vendor: int
    product: int
    serial: str = ""
    location: str = ""
    name: str = ""

    @property
    def words(self) -> str:
        identity = UsbIdentity(self.vendor, self.product, _shown(self.serial), _shown(self.location))
        return f"{identity} ({_shown(self.name)}) at {self.path}" if self.name else f"{identity} at {self.path}"


def parse_identity(port: str) -> UsbIdentity | None:
    """None for a path. `ValueError` for an identity that is none."""
    if not port.startswith(PREFIX):
        return None
    if re.fullmatch(PATTERN, port) is None or (match := _IDENTITY.fullmatch(port)) is None:
        raise ValueError(f"{port!r} is no USB identity such as usb:2341:0043 or usb:2341:0043:SERIAL@1-1.4")
    return UsbIdentity(
        int(match["vendor"], 16), int(match["product"], 16), match["serial"] or "", match["location"] or ""
    )


def choose(identity: UsbIdentity, found: Sequence[FoundPort]) -> str:
    """The path of the one port that is meant. `DeviceLost` where none is, `Refused` where several are."""
    matching = [port for port in found if _is_meant(identity, port)]
    if len(matching) == 1:
        return matching[0].path
    if matching:
        raise Refused(
            f"{len(matching)} devices are {identity}: {_listed(matching)}; "
            "name the one with its serial number or @location"
        )
    raise DeviceLost(f"no device {identity} is there; there is {_listed(found) if found else 'no such USB device'}")


def _is_meant(identity: UsbIdentity, port: FoundPort) -> bool:
    at_the_place = not identity.location or identity.location in (port.location, port.location.partition(":")[0])
    return (
        (identity.vendor, identity.product) == (port.vendor, port.product)
        and identity.serial in ("", port.serial)
        and at_the_place
    )


def _listed(ports: Sequence[FoundPort]) -> str:
    more = f" and {len(ports) - LISTED_MAX} more" if len(ports) > LISTED_MAX else ""
    return ", ".join(port.words for port in ports[:LISTED_MAX]) + more


def _shown(text: str) -> str:
    return printable(text[:WORD_MAX])
