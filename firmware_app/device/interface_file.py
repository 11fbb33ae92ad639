"""The one IPv4 interface, as systemd-networkd brings it up."""

from __future__ import annotations

from firmware_app.device.system_settings import SystemSettings
from firmware_app.device.unit_limits import HEADER

# Nothing is announced, nothing is asked by multicast, and IPv6 has not even a link-local address.
QUIET = (
    "LinkLocalAddressing=no",
    "IPv6AcceptRA=no",
    "LLMNR=no",
    "MulticastDNS=no",
    "LLDP=no",
    "EmitLLDP=no",
)


def network_file(settings: SystemSettings) -> str:
    """The .network file of `settings`."""
    network, servers = settings.network, settings.system.ntp_servers
    lines = [HEADER + "[Match]", f"Name={network.interface}", "", "[Network]", *QUIET]
    if network.dhcp:
        lines.append("DHCP=ipv4")
    else:
        # The instrument starts, and examines, with the cable out.
        lines += [f"Address={network.address}", "ConfigureWithoutCarrier=yes"]
        lines += [f"Gateway={network.gateway}"] * bool(network.gateway)
    lines += [f"DNS={server}" for server in network.dns]
    lines += [f"NTP={server}" for server in servers]
    if network.dhcp:
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseHostname=no", "UseDomains=no", "SendHostname=no"]
        lines += ["UseDNS=no"] * bool(network.dns) + ["UseNTP=no"] * bool(servers)
    return "\n".join(lines) + "\n"
