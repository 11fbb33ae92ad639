"""The one IPv4 interface: every socket of the instrument is bound to its address."""

from __future__ import annotations

import fcntl
import socket
import struct

SIOCGIFADDR = 0x8915  # linux/sockios.h


class InterfaceError(Exception):
    """The configured interface is absent, or has no IPv4 address."""


def ipv4_address(interface: str) -> str:
    """The interface's primary IPv4 address, dotted. Raises `InterfaceError` naming the interface and why."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            # struct ifreq: 16 bytes of name, then a struct sockaddr_in whose address starts 4 bytes in (netdevice(7)).
            answer = fcntl.ioctl(sock, SIOCGIFADDR, struct.pack("16s24x", interface.encode()))
        except OSError as error:
            raise InterfaceError(f"network.interface {interface!r}: {error.strerror}") from error
    return socket.inet_ntoa(answer[20:24])
