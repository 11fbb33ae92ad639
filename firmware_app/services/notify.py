"""sd_notify(3): one datagram to the socket systemd names. Silent where there is no systemd."""

from __future__ import annotations

import os
import socket


def sd_notify(message: str) -> None:
    """Send `READY=1`, `WATCHDOG=1`, `STATUS=...` or `STOPPING=1`. Raises OSError if the named socket is unusable."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":  # an abstract socket's name begins with a NUL byte
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect(address)
        sock.sendall(message.encode())


def watchdog_interval_s() -> float | None:
    """Half of WATCHDOG_USEC as sd_watchdog_enabled(3) recommends, or None when this process is not watched."""
    watched_pid = os.environ.get("WATCHDOG_PID", "")
    if watched_pid and watched_pid != str(os.getpid()):
        return None
    try:
        period_us = int(os.environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return period_us / 2e6 if period_us > 0 else None
