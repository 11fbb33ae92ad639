"""Sockets that systemd opens for the service: taken by name, used again, never instead of another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from firmware_app.model import Event
from firmware_app.net.errors import NetworkError
from firmware_app.net.listener import ListenerRules, serve
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.tls import ListenerTls
from firmware_app.net.tls_reasons import TlsFault
from firmware_app.net.verification import echo
from firmware_app.services.handed_over import FIRST_DESCRIPTOR, HandedOver, taken_from
from firmware_app.services.hotplug import HotplugService
from firmware_app.services.listening import ListenerService

US = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
PEER = LocalApplicationEntity("PEER", "127.0.0.1", "1.2.3.5", "PEER")
GOOD = {"LISTEN_PID": "77", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "dicom:console"}


def listening_everywhere() -> socket.socket:
    opened = socket.create_server(("0.0.0.0", 0))
    opened.setblocking(False)
    return opened


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        (GOOD, ["dicom", "console"]),
        (GOOD | {"LISTEN_FDS": "1"}, ["dicom"]),
        (GOOD | {"LISTEN_PID": "78"}, []),  # a parent's
        (GOOD | {"LISTEN_FDS": "-1"}, []),
        (GOOD | {"LISTEN_FDS": "two"}, []),
        (GOOD | {"LISTEN_FDS": ""}, []),
        ({}, []),
    ],
)
def test_the_environment_names_what_was_handed_over(environment: dict[str, str], names: list[str]) -> None:
    found = taken_from(environment, 77)
    assert found.descriptors == {name: FIRST_DESCRIPTOR + index for index, name in enumerate(names)}


def test_a_process_that_was_started_as_systemd_does_it_has_the_socket_and_its_children_have_nothing() -> None:
    """The descriptor's number and the process's own are known only in a process of its own."""
    program = '''
import json, os, socket, subprocess, sys
kept = socket.create_server(("127.0.0.1", 0))
os.dup2(kept.fileno(), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "dicom"}
from firmware_app.services.handed_over import take_over
taken = take_over()
port = kept.getsockname()[1]
mine = taken.dicom_port(port)
look = """import os
has = os.path.exists("/proc/self/fd/3") and os.readlink("/proc/self/fd/3").startswith("socket")
print("LISTEN_FDS" in os.environ or has)"""
child = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, close_fds=False)
print(json.dumps([mine.getsockname()[1] == port, taken.dicom_port(port + 1) is None, child.stdout.strip()]))
'''
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, True, "False"]


async def test_the_port_is_served_on_the_socket_that_was_handed_over_also_after_it_failed_once() -> None:
    with listening_everywhere() as opened:
        port = opened.getsockname()[1]
        handed_over = HandedOver({"dicom": opened.fileno()})
        for _ in range(2):
            telling, told = trio.open_memory_channel[Event](10)
            service = ListenerService(
                US, port, ListenerRules(), telling.send_nowait, handed_over=handed_over.dicom_port, offers=()
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                with trio.fail_after(10):
                    event = await told.receive()
                assert event.kind == "listener.ready" and f":{port} " in event.text
                nursery.cancel_scope.cancel()


async def test_a_socket_that_listens_everywhere_answers_on_our_one_address_only(nursery: trio.Nursery) -> None:
    opened = listening_everywhere()
    port = opened.getsockname()[1]
    await nursery.start(partial(serve, US, port, handed_over=opened))
    here = Node("us", "127.0.0.1", port, "SPECULAR", Timeouts.all(20))
    assert (await echo(here, PEER)).seconds >= 0
    with pytest.raises(NetworkError):
        await echo(Node("us", "127.0.0.2", port, "SPECULAR", Timeouts.all(20)), PEER)
    nursery.cancel_scope.cancel()


async def test_a_socket_is_closed_also_where_our_certificate_cannot_be_used(tmp_path: Path) -> None:
    """The port is tried for as long as it takes: a duplicate for each try would be all descriptors in the end."""
    opened = listening_everywhere()
    missing = str(tmp_path / "missing.pem")
    tls = ListenerTls(certificate=missing, key=missing, trusted=missing)
    with pytest.raises(TlsFault, match=r"missing\.pem"):
        await serve(US, opened.getsockname()[1], tls=tls, handed_over=opened)
    assert opened.fileno() == -1


def test_a_socket_of_another_port_or_path_is_not_ours(tmp_path: Path) -> None:
    with listening_everywhere() as opened, socket.socket(socket.AF_UNIX) as console:
        console.bind(str(tmp_path / "console.sock"))
        console.listen()
        handed_over = HandedOver({"dicom": opened.fileno(), "console": console.fileno()})
        assert handed_over.dicom_port(opened.getsockname()[1] % 65535 + 1) is None
        assert handed_over.console(tmp_path / "other.sock") is None
        with handed_over.console(tmp_path / "console.sock") or pytest.fail("not taken") as ours:
            assert ours.getblocking() is False
        assert console.fileno() >= 0 and os.fstat(console.fileno())  # the original stays open


async def test_events_come_over_a_socket_that_hears_the_kernel_already() -> None:
    """Where systemd opened it the service may open no netlink socket, and has not to."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)
    try:
        opened.bind((0, 1))
        opened.setblocking(False)
        service = HotplugService((), lambda event: pytest.fail(str(event)), opened)
        with trio.move_on_after(0.1) as scope:
            await service.run()
        assert scope.cancelled_caught and service.detail.startswith("kernel events")
    finally:
        opened.close()
