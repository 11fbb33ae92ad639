"""Host names are resolved to IPv4 at each connection, and to nothing else (SP-1P 4.3.2)."""

from __future__ import annotations

import socket

import pytest
import trio
from dicom_acceptor import run_acceptor

from firmware_app.net.errors import ConnectFailed
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.verification import echo

LOCAL = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")


class Names:
    """A resolver in place of the system's: names with addresses of both kinds."""

    def __init__(self, **addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[int] = []

    async def getaddrinfo(self, host: bytes, port: int, family: int, type: int, proto: int, flags: int) -> list[object]:
        self.asked.append(family)
        known = [each for each in self.addresses.get(host.decode().partition(".")[0], "").split() if each]
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        of_family = [each for each in known if (":" in each) == (family == socket.AF_INET6)]
        if family != socket.AF_UNSPEC and not of_family:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")
        return [(family, type, proto, "", (each, port)) for each in of_family or known]

    async def getnameinfo(self, sockaddr: object, flags: int) -> object:
        raise AssertionError("nobody asks for the name of an address")


@pytest.fixture
async def names() -> Names:
    """Of this run of trio alone."""
    resolver = Names(v4="127.0.0.1", v6="::1", both="::1 127.0.0.1")
    trio.socket.set_custom_hostname_resolver(resolver)  # type: ignore[arg-type]
    return resolver


@pytest.mark.parametrize("host", ["v4.clinic.example", "both"])
async def test_a_name_with_an_ipv4_address_is_used_by_it(names: Names, host: str) -> None:
    async with run_acceptor(lambda message: [0x0000]) as acceptor:
        node = Node("archive", host, acceptor.node.port, "ANY", Timeouts.all(5))
        assert (await echo(node, LOCAL)).count == 1
    assert names.asked == [socket.AF_INET]


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("v6.clinic.example", "Address family for hostname not supported"),
        ("nobody.clinic.example", "Name or service not known"),
        ("x" * 64, "label"),
    ],
)
async def test_a_name_without_one_fails_in_words(names: Names, host: str, why: str) -> None:
    node = Node("archive", host, 104, "ANY", Timeouts.all(5))
    with pytest.raises(ConnectFailed, match=rf"{host} has no IPv4 address, and only IPv4 is used: .*{why}"):
        await echo(node, LOCAL)


async def test_an_ipv6_address_is_no_way_around_it(names: Names) -> None:
    with pytest.raises(ConnectFailed, match="::1 has no IPv4 address"):
        await echo(Node("archive", "::1", 104, "ANY", Timeouts.all(5)), LOCAL)
