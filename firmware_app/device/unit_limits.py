"""Drop-ins of the units: which addresses the service may speak to, over which interface, and where systemd listens."""

from __future__ import annotations

from collections.abc import Iterable

from firmware_app.device.openings import Opening

HEADER = "# Made at boot from the configuration by `specular device-rules`.\n"


def service_drop_in(openings: Iterable[Opening], interface: str) -> str:
    """IPAddressAllow= knows addresses only: a node that is configured by name opens all of them, and the packet
    filter then holds it to its port."""
    outward = [opening for opening in openings if opening.direction == "out"]
    lines = [HEADER + "[Service]", f"RestrictNetworkInterfaces=lo {interface}", *_allowed(outward)]
    return "\n".join(lines) + "\n"


def port_drop_in(openings: Iterable[Opening]) -> str:
    """Of the DICOM port's socket unit; "" where nothing listens. Connections to it count as the socket's, not the
    service's, so who may call stands here."""
    for opening in openings:
        if opening.direction == "in":
            listens = ["ListenStream=", f"ListenStream=0.0.0.0:{opening.port}"]
            return "\n".join([HEADER + "[Socket]", *listens, "IPAddressAllow=localhost", *_allowed([opening])]) + "\n"
    return ""


def _allowed(openings: Iterable[Opening]) -> list[str]:
    opened = list(openings)
    if any(not opening.peers for opening in opened):
        return ["IPAddressAllow=any"]
    peers = dict.fromkeys(peer for opening in opened for peer in opening.peers)
    return [f"IPAddressAllow={peer}" for peer in peers]
