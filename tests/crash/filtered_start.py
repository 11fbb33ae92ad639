"""Become another program whose writing is supervised: `python filtered_start.py SOCKET_FD PROGRAM ARGUMENTS...`."""

from __future__ import annotations

import os
import socket
import sys

from system_calls import install_filter

if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as control:
        listener = install_filter()
        socket.send_fds(control, [b"listener"], [listener])
    os.execv(sys.argv[2], sys.argv[2:])
