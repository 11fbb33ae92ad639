"""A serial port as bytes under trio: pyserial opens and configures it, trio waits, no thread ever blocks.

VMIN=1 is what tells a quiet port from a dead one: pyserial leaves VMIN=0, under which "nothing yet" and "hung up" both
read as b"". With VMIN=1 nothing waiting is EAGAIN, and b"" only ever means that the device is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import termios

import serial
import trio

from hw.errors import Deadline, DeviceLost

RECEIVE_BYTES = 65536  # a tty hands over at most 4095 bytes a read; a larger buffer costs nothing and fits a pty burst
GONE = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.EBADF, errno.EPIPE})
OPEN_REASONS = {
    errno.ENOENT: "no such port",
    errno.ENODEV: "no such device",
    errno.EACCES: "permission denied",
    errno.EAGAIN: "another program has it open",
    errno.EBUSY: "another program has it open",
    errno.ENOTTY: "not a serial port",
}


class Tty:
    """One open serial port. Whoever opened it closes it; after a `DeviceLost` it is of no further use."""

    def __init__(self, fd: int, port: str) -> None:
        self.port = port
        self._fd = fd

    @classmethod
    async def open(cls, port: str, baud: int = 115200) -> Tty:
        """Open exclusively, raw, 8N1. `DeviceLost` names the port and why it cannot be had."""
        await trio.lowlevel.checkpoint()
        try:
            opened = serial.Serial(port, baud, timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as error:
            raise DeviceLost(f"{port}: cannot open: {_open_reason(error)}") from error
        # The copy shares pyserial's lock and settings; pyserial's object, with its three pipes, is not needed further.
        fd = -1
        try:
            fd = os.dup(opened.fileno())
            _wait_for_bytes_and_keep_dtr(fd)
        except (OSError, termios.error) as error:
            if fd != -1:
                os.close(fd)
            raise DeviceLost(f"{port}: cannot configure: {_open_reason(error)}") from error
        finally:
            opened.close()
        return cls(fd, port)

    async def receive_some(self, max_bytes: int = RECEIVE_BYTES) -> bytes:
        """At least one byte. `DeviceLost` when the device hung up or the kernel says it is gone."""
        await trio.lowlevel.checkpoint()
        while True:
            fd = self._open_fd()
            try:
                data = os.read(fd, max_bytes)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(fd)
            except OSError as error:
                raise self._lost(error) from error
            else:
                if not data:
                    raise DeviceLost(f"{self.port}: the device hung up")
                return data

    async def send_all(self, data: bytes, *, timeout_s: float = 1.0) -> None:
        """Hand everything to the kernel. `Deadline` when the device has stopped taking bytes."""
        await trio.lowlevel.checkpoint()
        left = memoryview(data)
        with trio.move_on_after(timeout_s) as scope:
            while left:
                fd = self._open_fd()
                try:
                    left = left[os.write(fd, left) :]
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(fd)
                except OSError as error:
                    raise self._lost(error) from error
        if scope.cancelled_caught:
            raise Deadline(f"{self.port}: {len(left)} of {len(data)} bytes were not taken within {timeout_s:g} s")

    def close(self) -> None:
        """Close at once. A task that waits on this port gets `trio.ClosedResourceError`."""
        fd, self._fd = self._fd, -1
        if fd == -1:
            return
        trio.lowlevel.notify_closing(fd)
        # What is still unsent must not hold up the close: the kernel would wait for a device that no longer reads.
        with contextlib.suppress(termios.error):
            termios.tcflush(fd, termios.TCOFLUSH)
        with contextlib.suppress(OSError):  # EIO from a device that is already gone; the fd is released all the same
            os.close(fd)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def _open_fd(self) -> int:
        if self._fd == -1:
            raise trio.ClosedResourceError(f"{self.port}: this port was closed")
        return self._fd

    def _lost(self, error: OSError) -> DeviceLost:
        if error.errno in GONE:
            return DeviceLost(f"{self.port}: the device is gone ({os.strerror(error.errno or 0)})")
        return DeviceLost(f"{self.port}: {error.strerror or error}")


def _wait_for_bytes_and_keep_dtr(fd: int) -> None:
    """VMIN=1, and HUPCL off: a board that resets on a falling DTR then survives our close and the next open."""
    attributes = termios.tcgetattr(fd)
    attributes[2] &= ~termios.HUPCL
    attributes[6][termios.VMIN] = 1
    attributes[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    os.set_blocking(fd, False)


def _open_reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number is None and error.args and isinstance(error.args[0], int):
        number = error.args[0]  # termios.error carries (errno, text)
    if number is None and isinstance(error.__context__, (OSError, termios.error)):
        return _open_reason(error.__context__)
    if number is None:
        return " ".join(str(error).split())
    return OPEN_REASONS.get(number) or os.strerror(number)
