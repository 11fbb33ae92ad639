"""The nftables rules of the openings: what is not opened is dropped coming in and refused going out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from firmware_app.device.openings import SERVICE_USER, Opening

TABLE = "inet specular"
# A person with `ping`, and a monitor or two; what floods us is dropped, not answered.
PING_RATE = "10/second"


def machine_rules(openings: Iterable[Opening], interface: str) -> str:
    """For a machine that is all ours: nothing in or out but the openings, over the one interface."""
    opened = tuple(openings)
    inward = [
        "type filter hook input priority filter; policy drop;",
        "iif lo accept",
        "ct state invalid drop",
        "ct state established,related accept",
        *(rule(opening, interface) for opening in opened if opening.direction == "in"),
        f'iifname "{interface}" icmp type echo-request limit rate {PING_RATE} accept',
    ]
    outward = [
        "type filter hook output priority filter; policy drop;",
        "oif lo accept",
        "ct state established,related accept",
        *(rule(opening, interface) for opening in opened if opening.direction == "out"),
        # Told at once instead of waited for: a program here that asks for what is closed is wrong, not hostile.
        "reject with icmpx type admin-prohibited",
    ]
    return _table(
        {"input": inward, "forward": ["type filter hook forward priority filter; policy drop;"], "output": outward}
    )


def service_rules(openings: Iterable[Opening], interface: str) -> str:
    """For a machine that is not ours alone: only the service's own port and its own connections are bounded."""
    opened = tuple(openings)
    inward = ["type filter hook input priority filter; policy accept;", "iif lo accept"]
    for opening in opened:
        if opening.direction == "in":
            inward += [rule(opening, interface), f"{opening.protocol} dport {opening.port} drop"]
    outward = [
        "type filter hook output priority filter; policy accept;",
        f'meta skuid != "{SERVICE_USER}" accept',
        "oif lo accept",
        "ct state established,related accept",
        *(rule(opening, interface) for opening in opened if opening.direction == "out"),
        "reject with icmpx type admin-prohibited",
    ]
    return _table({"input": inward, "output": outward})


def rule(opening: Opening, interface: str) -> str:
    """One opening as nft has it."""
    is_in = opening.direction == "in"
    words = [f'{"iifname" if is_in else "oifname"} "{interface}"']
    if opening.user and not is_in:  # who sends is known, who will receive is not
        words.append(f'meta skuid "{opening.user}"')
    if opening.peers:
        words.append(f"ip {'saddr' if is_in else 'daddr'} {{ {', '.join(opening.peers)} }}")
    else:
        words.append("meta nfproto ipv4")
    words.append(f"{opening.protocol} dport {opening.port} accept")
    return " ".join(words)


def _table(chains: dict[str, list[str]]) -> str:
    """The whole table in place of the one before, in one transaction."""
    return "\n".join([f"table {TABLE}", f"delete table {TABLE}", f"table {TABLE} {{", *_chains(chains), "}", ""])


def _chains(chains: dict[str, list[str]]) -> Iterator[str]:
    for name, rules in chains.items():
        yield f"\tchain {name} {{"
        yield from (f"\t\t{each}" for each in rules)
        yield "\t}"
