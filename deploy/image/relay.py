"""One connection of the guest to a port of 127.0.0.1: QEMU runs this for each, its standard input and output the guest.

python -I relay.py PORT
"""

from __future__ import annotations

import os
import selectors
import socket
import sys

CHUNK = 1 << 16


def join(peer: socket.socket, incoming: int, outgoing: int) -> None:
    """Octets both ways, until the peer or the other end (its descriptors: in, out) has closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(peer, selectors.EVENT_READ)
        selector.register(incoming, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is peer:
                    octets = peer.recv(CHUNK)
                    if not octets:
                        return
                    _write_all(outgoing, octets)
                else:
                    octets = os.read(incoming, CHUNK)
                    if not octets:
                        return
                    peer.sendall(octets)


def _write_all(descriptor: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(descriptor, octets) :]


def main() -> int:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as peer:
            peer.settimeout(None)
            join(peer, 0, 1)
    except OSError as error:
        sys.stderr.write(f"relay: 127.0.0.1:{sys.argv[1]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
