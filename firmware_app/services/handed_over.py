"""Sockets that systemd has opened for us (sd_listen_fds(3)): what needs a privilege is done by whoever has it.

Our own DICOM port may be below 1024, the console's socket belongs to a group that the service is not in, and the
kernel's events come over netlink, of which the service may then open no socket itself.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START
DESCRIPTORS_MAX: Final = 16  # we are given three; more is no environment of systemd's


class HandedOver:
    """The sockets by the FileDescriptorName= of their units; empty where systemd handed over nothing."""

    def __init__(self, descriptors: Mapping[str, int] | None = None) -> None:
        self.descriptors = dict(descriptors or {})

    def duplicate(self, name: str) -> socket.socket | None:
        """A duplicate, non-blocking, for the caller to close: who begins anew gets the same socket again."""
        descriptor = self.descriptors.get(name)
        if descriptor is None:
            return None
        opened = socket.socket(fileno=fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR))
        opened.setblocking(False)
        return opened

    def dicom_port(self, port: int) -> socket.socket | None:
        """The socket that listens on `port`, if that is the one that was handed over."""
        opened = self.duplicate("dicom")
        if opened is not None and opened.family == socket.AF_INET and opened.getsockname()[1] == port:
            return opened
        if opened is not None:
            opened.close()
        return None

    def console(self, path: Path) -> socket.socket | None:
        """The socket at `path`, if that is the one that was handed over."""
        opened = self.duplicate("console")
        if opened is not None and opened.family == socket.AF_UNIX and opened.getsockname() == str(path):
            return opened
        if opened is not None:
            opened.close()
        return None


def taken_from(environment: Mapping[str, str], process_id: int) -> HandedOver:
    """What LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say; nothing where they are not for this process."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(process_id) or not (count.isascii() and count.isdigit() and len(count) < 4):
        return HandedOver()
    names = environment.get("LISTEN_FDNAMES", "").split(":")[: min(int(count), DESCRIPTORS_MAX)]
    return HandedOver({name: FIRST_DESCRIPTOR + index for index, name in enumerate(names)})


def take_over() -> HandedOver:
    """This process's own; a child inherits neither the descriptors nor the word of them."""
    found = taken_from(os.environ, os.getpid())
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    for descriptor in found.descriptors.values():
        os.set_inheritable(descriptor, False)
    return found
