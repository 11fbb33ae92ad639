"""A USB serial gadget on the kernel's dummy controller: ttyGS0 is the board's end, ttyACM0 the host's."""

from __future__ import annotations

import os
import select
import socket
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hw.sim.plug import Plug

GADGET = Path("/sys/kernel/config/usb_gadget/board")
CONTROLLER = "dummy_udc.0"
BOARD_END, HOST_END = Path("/dev/ttyGS0"), Path("/dev/ttyACM0")
VENDOR, PRODUCT, SERIAL = "0x1d6b", "0x0104", "SPECULAR-0001"
PLUG_S = 30.0
NETLINK_KOBJECT_UEVENT, KERNEL_GROUP = 15, 1


def make_gadget() -> None:
    """One configuration with one ACM function, not plugged in yet."""
    if GADGET.exists():
        return
    for folder in ("strings/0x409", "configs/c.1/strings/0x409", "functions/acm.usb0"):
        (GADGET / folder).mkdir(parents=True)
    words = {"manufacturer": "Specular", "product": "Simulated board", "serialnumber": SERIAL}
    for name, word in words.items():
        (GADGET / "strings/0x409" / name).write_text(word)
    (GADGET / "idVendor").write_text(VENDOR)
    (GADGET / "idProduct").write_text(PRODUCT)
    (GADGET / "configs/c.1/acm.usb0").symlink_to(GADGET / "functions/acm.usb0")


class UsbPlug(Plug):
    """Plugged in, the board's end is open and the host has found the device; pulled, both are gone.

    The kernel makes the node before the port behind it works (opening it then is ENXIO): its announcement counts.
    """

    def __init__(self) -> None:
        super().__init__(HOST_END, always_open=False)
        make_gadget()

    def insert(self) -> None:
        with kernel_events() as events:
            (GADGET / "UDC").write_text(CONTROLLER)
            wait_until_said(events, "add@")
        self.fd = os.open(BOARD_END, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        tty.setraw(self.fd)

    def pull(self) -> None:
        if self.fd == -1:
            return
        with kernel_events() as events:
            (GADGET / "UDC").write_text("\n")
            wait_until_said(events, "remove@")
        os.close(self.fd)
        self.fd = -1


def wait_until_said(events: socket.socket, what: str) -> None:
    """The bus does it in its own time, whatever our event loop does."""
    late_s = time.monotonic() + PLUG_S
    while not any(head.startswith(what) and head.endswith(f"/tty/{HOST_END.name}") for head in announced(events)):
        left_s = late_s - time.monotonic()
        if left_s < 0 or not select.select([events], [], [], left_s)[0]:
            raise TimeoutError(f"the kernel has not said {what} of {HOST_END} within {PLUG_S:g} s")


@contextmanager
def kernel_events() -> Iterator[socket.socket]:
    """The kernel's own announcements of devices that come and go."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT) as events:
        events.bind((0, KERNEL_GROUP))
        yield events


def announced(events: socket.socket) -> list[str]:
    """What has been said so far: `add@/devices/...`."""
    heads = []
    while True:
        try:
            heads.append(events.recv(8192).partition(b"\0")[0].decode())
        except BlockingIOError:
            return heads
