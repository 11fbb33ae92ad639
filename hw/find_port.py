"""From the port of the configuration to the device node that it is at this moment; asked anew at every opening."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from serial.tools import list_ports

from hw.usb_identity import FoundPort, choose, parse_identity

VIDEO_CLASS: Final = Path("/sys/class/video4linux")
NODES_MAX: Final = 256  # the kernel has 256 video minors by default
_NODE = re.compile(r"video[0-9]{1,3}")
_READ_MAX: Final = 256  # a USB string has at most 126 characters
# From the interface that a node belongs to upwards there is its device, and a hub or two would be somebody else's.
_PARENTS_MAX: Final = 2


async def find_port(port: str, list_found: Callable[[], list[FoundPort]]) -> str:
    """A path as it is; an identity as the path of the one device that has it.

    `hw.errors.DeviceLost` lists what is there when it is not, `Refused` when there are several.
    """
    identity = parse_identity(port)
    if identity is None:
        await trio.lowlevel.checkpoint()
        return port
    return choose(identity, await trio.to_thread.run_sync(list_found, abandon_on_cancel=True))


def serial_ports() -> list[FoundPort]:
    """Every serial port of a USB device, as pyserial's list_ports finds them."""
    return [
        FoundPort(
            path=found.device,
            vendor=found.vid,
            product=found.pid,
            serial=found.serial_number or "",
            location=found.location or "",
            name=found.product or "",
        )
        for found in sorted(list_ports.comports(), key=lambda each: str(each.device))
        if found.vid is not None and found.pid is not None
    ]


def video_ports(video_class: Path = VIDEO_CLASS) -> list[FoundPort]:
    """Every camera of a USB device, from sysfs.

    A UVC camera has a second node for its metadata; the kernel counts the nodes of one function, and the pictures come
    from the one with index 0.
    """
    try:
        names = sorted(entry.name for entry in video_class.iterdir())
    except OSError:
        return []  # no driver of cameras is loaded
    nodes = [video_class / name for name in names if _NODE.fullmatch(name)][:NODES_MAX]
    return [found for node in nodes if _text(node / "index") in ("", "0") and (found := _camera(node)) is not None]


def _camera(node: Path) -> FoundPort | None:
    """None where it is no USB device, such as a sensor on a ribbon cable, or went away just now."""
    try:
        interface = (node / "device").resolve(strict=True)
    except OSError:
        return None
    for folder in (interface, *list(interface.parents)[:_PARENTS_MAX]):
        vendor, product = _text(folder / "idVendor"), _text(folder / "idProduct")
        if vendor and product:
            try:
                numbers = int(vendor, 16), int(product, 16)
            except ValueError:
                return None
            name = _text(folder / "product") or _text(node / "name")
            return FoundPort(f"/dev/{node.name}", *numbers, _text(folder / "serial"), interface.name, name)
    return None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_READ_MAX).decode("utf-8", "replace").strip()
    except OSError:
        return ""
