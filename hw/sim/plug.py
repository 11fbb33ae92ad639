"""A pty as a USB plug: in, it is a port the host can open; out, the host sees a hang-up."""

from __future__ import annotations

import os
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio


class Plug:
    """The device's end of one pty. Pulled out, it has neither fd nor port.

    `always_open`: our own copy of the host's end stays open, so that the device never notices whether a host is there,
    like a board on a UART. Without it the device reads EIO while nobody has the port open.
    """

    def __init__(self, link: Path | None, *, always_open: bool) -> None:
        self.fd = -1
        self._link = link
        self._always_open = always_open
        self._pty = ""
        self._host_fd = -1

    @property
    def port(self) -> str:
        """What the host opens: the link, which survives a replug, or else the pty."""
        return str(self._link) if self._link is not None else self._pty

    def insert(self) -> None:
        self.fd, host_fd = os.openpty()
        tty.setraw(host_fd)
        os.set_blocking(self.fd, False)
        self._pty = os.ttyname(host_fd)
        if self._always_open:
            self._host_fd = host_fd
        else:
            os.close(host_fd)
        if self._link is not None:
            fresh = self._link.with_name(f".{self._link.name}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._pty)
            fresh.replace(self._link)

    def pull(self) -> None:
        """Nobody may be waiting on `fd` any more."""
        for fd in (self._host_fd, self.fd):
            if fd != -1:
                os.close(fd)
        if self.fd != -1 and self._link is not None:
            self._link.unlink(missing_ok=True)
        self.fd = self._host_fd = -1


class Device:
    """Something on a plug: `serve(fd)` runs, powered, for as long as it is plugged in."""

    def __init__(self, name: str, plug: Plug, serve: Callable[[int], Awaitable[None]]) -> None:
        self.name = name
        self.plug = plug
        self._serve = serve
        self._power = trio.CancelScope()
        self._plugged = trio.Event()
        self._unplugged = trio.Event()
        self._replug = trio.Event()
        self.glitching = False  # it will be back at once, and its board keeps its power

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        while True:
            self.plug.insert()
            self._unplugged, self._replug, self._power = trio.Event(), trio.Event(), trio.CancelScope()
            self._plugged.set()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            try:
                with self._power:
                    await self._serve(self.plug.fd)
            finally:
                self.plug.pull()
            self._plugged = trio.Event()
            self._unplugged.set()
            if not self.glitching:
                await self._replug.wait()
            self.glitching = False

    async def unplug(self) -> None:
        if not self._plugged.is_set():
            raise ValueError(f"the {self.name} is not plugged in")
        self._power.cancel()
        await self._unplugged.wait()

    async def glitch(self) -> None:
        """The USB bridge starts anew: whoever has the port open gets EIO, what is behind it goes on."""
        if not self._plugged.is_set():
            raise ValueError(f"the {self.name} is not plugged in")
        self.glitching = True
        self._power.cancel()
        await self._unplugged.wait()
        await self._plugged.wait()

    async def replug(self) -> None:
        if self._plugged.is_set():
            raise ValueError(f"the {self.name} is plugged in already")
        self._replug.set()
        await self._plugged.wait()
