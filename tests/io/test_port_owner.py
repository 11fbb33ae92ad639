"""The one owner of a port: what happens to the port, and to everybody who waits for it, at its end."""

from __future__ import annotations

import os
import tty

import pytest
import trio
import trio.testing

from hw.errors import DeviceLost
from hw.port_owner import PortOwner, running
from hw.tty import Tty


async def test_a_lost_port_is_closed_at_once_and_not_when_its_user_leaves() -> None:
    """One that is still open when the device comes back makes it come back under another name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    port = await Tty.open(os.ttyname(slave))
    os.close(slave)
    owner = PortOwner(port, "board", lambda data: None)
    async with running(owner):
        os.close(master)
        assert "hung up" in await owner.wait_lost()
        with pytest.raises(trio.ClosedResourceError):
            await port.receive_some()
        with pytest.raises(DeviceLost, match="hung up"):
            await owner.hand_over(b"?")


async def test_who_leaves_closes_the_port_and_ends_whoever_waits() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    port = await Tty.open(os.ttyname(slave))
    owner = PortOwner(port, "board", lambda data: None)
    told: list[str] = []

    async def wait() -> None:
        with pytest.raises(DeviceLost) as lost:
            await owner.change()
        told.append(str(lost.value))

    async with trio.open_nursery() as nursery, running(owner):
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
    assert told == ["board: closed"]
    with pytest.raises(trio.ClosedResourceError):
        await port.receive_some()
    for fd in (master, slave):
        os.close(fd)
