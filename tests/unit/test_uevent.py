"""What the kernel says when a device is plugged in, and everything else that may come on that socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.uevent import DATAGRAM_MAX_BYTES, KEYS_MAX, Uevent, parse_uevent

PATH = "/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.0/tty/ttyACM0"
ADDED = (
    f"add@{PATH}\0ACTION=add\0DEVPATH={PATH}\0SUBSYSTEM=tty\0MAJOR=166\0MINOR=0\0DEVNAME=ttyACM0\0SEQNUM=4051\0"
).encode()
INTERFACE = b"bind@/devices/x/1-1.2:1.0\0ACTION=bind\0DEVPATH=/devices/x/1-1.2:1.0\0SUBSYSTEM=usb\0DRIVER=cdc_acm\0"


def test_a_serial_port_that_came() -> None:
    assert parse_uevent(ADDED) == Uevent("add", PATH, "tty", "ttyACM0")


def test_what_has_no_device_node() -> None:
    assert parse_uevent(INTERFACE) == Uevent("bind", "/devices/x/1-1.2:1.0", "usb")


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        b"libudev\0\xfe\xed\xca\xfe" + bytes(28) + ADDED,
        ADDED[:-1],
        ADDED[: len(PATH) + 10],
        ADDED.replace(b"ACTION=add", b"ACTION=remove"),
        ADDED.replace(b"SUBSYSTEM=tty\0", b""),
        ADDED.replace(b"add@/", b"add@"),
        ADDED + b"X=1\0" * KEYS_MAX,
        ADDED + b"X=" + b"1" * DATAGRAM_MAX_BYTES + b"\0",
    ],
    ids=["empty", "nul", "udevd", "cut", "cut-early", "action", "no-subsystem", "no-path", "many-keys", "long"],
)
def test_what_is_no_word_of_the_kernel(datagram: bytes) -> None:
    assert parse_uevent(datagram) is None


@given(st.binary(max_size=300))
def test_any_octets(datagram: bytes) -> None:
    for octets in (datagram, ADDED + datagram, b"add@/x\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=" + datagram + b"\0"):
        event = parse_uevent(octets)
        assert event is None or event.action
