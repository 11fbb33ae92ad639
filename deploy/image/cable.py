"""A USB cable: joins a simulated device's pty to the socket of a serial converter in the machine.

    python -m deploy.image.cable LINK SOCKET

While the pty is there the socket is connected, which is the converter plugged in. The pty's end closes it: the cable is
pulled; when LINK is there again, it is plugged in again. Ends with SIGTERM.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

CHUNK = 1 << 16
POLL_S = 0.1


def join_until_pulled(port: int, converter: socket.socket) -> None:
    """Octets both ways, until one end is gone."""
    with selectors.DefaultSelector() as selector:
        selector.register(port, selectors.EVENT_READ)
        selector.register(converter, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is converter:
                    octets = converter.recv(CHUNK)
                    if not octets:
                        return
                    _write_all(port, octets)
                else:
                    octets = _read(port)
                    if not octets:
                        return
                    converter.sendall(octets)


def plug_in(link: Path, path: Path) -> None:
    """Once: returns when the device or the machine is gone, or was not there."""
    try:
        port = os.open(link, os.O_RDWR | os.O_NOCTTY)
    except OSError:  # it is not plugged in
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as converter, suppress(OSError):
            converter.connect(str(path))
            join_until_pulled(port, converter)
    finally:
        os.close(port)


def _read(port: int) -> bytes:
    try:
        return os.read(port, CHUNK)
    except OSError:  # EIO: the other end was closed
        return b""


def _write_all(port: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(port, octets) :]


def main() -> int:
    link, path = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        while True:
            plug_in(link, path)
            time.sleep(POLL_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
