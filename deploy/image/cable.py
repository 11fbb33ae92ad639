"""A USB cable: joins a simulated device's pty to the socket of a serial converter in the machine.

    python -m deploy.image.cable LINK SOCKET

While the pty is there the socket is connected, which is the converter plugged in. The pty's end closes it: the cable is
pulled; when LINK is there again, it is plugged in again. Ends with SIGTERM.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from deploy.image.relay import join

POLL_S = 0.1


def plug_in(link: Path, path: Path) -> None:
    """Once: returns when the device or the machine is gone, or was not there."""
    try:
        port = os.open(link, os.O_RDWR | os.O_NOCTTY)
    except OSError:  # it is not plugged in
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as converter, suppress(OSError):
            converter.connect(str(path))
            join(converter, port, port)  # an end that was closed is EIO
    finally:
        os.close(port)


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
