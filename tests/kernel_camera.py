"""A camera as the kernel answers for it: the ioctls and mapped buffers of one video device, fed by the test.

It stands where the kernel stands (`fcntl.ioctl` and `mmap.mmap` of `hw.v4l2.device`), so that everything of ours runs.
The device node is a pty: a character device that can be waited for; one byte in it is one filled buffer. What the real
kernel does is asked of vivid in deploy/kernel-bench.
"""

from __future__ import annotations

import errno
import mmap
import os
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic_ns
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hw.v4l2 import abi, device
from hw.v4l2.formats import BY_FOURCC

PAGE = 1 << 20
GAIN = abi.ControlEntry(abi.CID_GAIN, 1, "Gain", 0, 255, 1, 100, abi.ControlFlag(0))
AUTOGAIN = abi.ControlEntry(abi.CID_AUTOGAIN, 2, "Gain, Automatic", 0, 1, 1, 1, abi.ControlFlag(0))
EXPOSURE_AUTO = abi.ControlEntry(abi.CID_EXPOSURE_AUTO, 3, "Auto Exposure", 0, 3, 1, 3, abi.ControlFlag(0))
EXPOSURE = abi.ControlEntry(
    abi.CID_EXPOSURE_ABSOLUTE, 1, "Exposure Time, Absolute", 3, 2047, 1, 250, abi.ControlFlag(0)
)
LONG = abi.ControlEntry(0x0098F905, 5, "Integer 64 Bits", -(2**40), 2**40, 1, 0, abi.ControlFlag(0))
CLASS = abi.ControlEntry(0x00980001, 6, "User Controls", 0, 0, 0, 0, abi.ControlFlag.READ_ONLY)


@dataclass
class Camera:
    """What this camera is, and what is to go wrong with it."""

    driver: str = "uvcvideo"
    formats: tuple[str, ...] = ("YUYV", "GREY", "Y10", "Y12", "Y16", "H264")
    sizes: tuple[tuple[int, int], ...] = ((16, 8), (32, 24))
    rates: tuple[int, ...] = (5, 30, 100)
    controls: tuple[abi.ControlEntry, ...] = (CLASS, AUTOGAIN, GAIN, LONG, EXPOSURE_AUTO, EXPOSURE)
    menus: dict[int, dict[int, str]] = field(
        default_factory=lambda: {abi.CID_EXPOSURE_AUTO: {1: "Manual Mode", 3: "Aperture Priority Mode"}}
    )
    capabilities: int = abi.Capability.VIDEO_CAPTURE | abi.Capability.STREAMING
    padding: int = 0  # of each line, in bytes
    interlace: int = abi.FIELD_NONE
    stamp_flags: int = abi.BufferFlag.TIMESTAMP_MONOTONIC
    answers: dict[int, Any] = field(default_factory=dict)  # ioctl number -> errno, or what to do with the answer


class KernelCamera:
    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self.master, False)
        os.set_blocking(self._slave, False)
        self.path = os.ttyname(self._slave)
        self.present, self.gone = True, 0
        self.streaming = False
        self.sequence = 0
        self.rate = camera.rates[-1]
        self.width, self.height = camera.sizes[0]
        self.fourcc = abi.fourcc_code(camera.formats[0])
        self.values = {entry.identity: entry.default for entry in camera.controls}
        self.calls: list[int] = []
        self.maps: list[mmap.mmap] = []
        self.count = 0
        self.queued: deque[int] = deque()
        self.filled: deque[tuple[int, int, int, int, int]] = deque()
        self.spoiled = 0
        self.skipped = 0

    # ------------------------------------------------------------------------------------------ the test's side

    def shoot(self, level: int = 1, *, used: int | None = None, stamp_ns: int | None = None) -> bool:
        """One exposure: bytes that count up from `level`; False where no buffer is free, or nothing streams."""
        if not (self.present and self.streaming):
            return False
        sequence = self.sequence
        self.sequence = (self.sequence + 1) & 0xFFFFFFFF
        if self.skipped or not self.queued:
            self.skipped = max(0, self.skipped - 1)
            return False
        index = self.queued.popleft()
        data = self.picture(level)
        self.maps[index][: len(data)] = data
        flags = self.camera.stamp_flags | (abi.BufferFlag.ERROR if self.spoiled else 0)
        self.spoiled = max(0, self.spoiled - 1)
        self.filled.append((index, len(data) if used is None else used, flags, stamp_ns or monotonic_ns(), sequence))
        os.write(self.master, b".")
        return True

    def picture(self, level: int) -> bytes:
        line = self._line_bytes()
        if BY_FOURCC[self.fourcc].bits_stored == 8:
            return bytes((level + place) & 0xFF for place in range(line * self.height))
        high = (1 << BY_FOURCC[self.fourcc].bits_stored) - 1
        return np.arange(level, level + line * self.height // 2).clip(0, high).astype("<u2").tobytes()

    def unplug(self, code: int = errno.ENODEV) -> None:
        """As the USB core does: everybody who polls is woken, every call is ENODEV (or EIO)."""
        if self.present:
            self.present, self.gone = False, code
            os.write(self.master, b"x" * 64)

    def replug(self) -> None:
        """The same camera at the same node, knowing nothing of what was."""
        assert all(memory.closed for memory in self.maps), "left mapped"
        self.present, self.streaming, self.count, self.maps = True, False, 0, []
        self._forget()

    def close(self) -> None:
        for fd in (self.master, self._slave):
            os.close(fd)

    # ------------------------------------------------------------------------------------------ the kernel's side

    def ioctl(self, fd: int, number: int, raw: bytearray) -> int:
        self.calls.append(number)
        answer = self.camera.answers.get(number)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        if not self.present:
            raise OSError(self.gone, os.strerror(self.gone))
        handlers = {
            abi.QUERYCAP: self._querycap,
            abi.ENUM_FMT: self._enum_fmt,
            abi.ENUM_FRAMESIZES: self._enum_sizes,
            abi.ENUM_FRAMEINTERVALS: self._enum_intervals,
            abi.G_FMT: self._g_fmt,
            abi.TRY_FMT: self._try_fmt,
            abi.S_FMT: self._s_fmt,
            abi.G_PARM: self._parm,
            abi.S_PARM: self._parm,
            abi.REQBUFS: self._reqbufs,
            abi.QUERYBUF: self._querybuf,
            abi.QBUF: self._qbuf,
            abi.STREAMON: self._streamon,
            abi.STREAMOFF: self._streamoff,
            abi.QUERY_EXT_CTRL: self._query_control,
            abi.QUERYMENU: self._query_menu,
        }
        if number == abi.DQBUF:
            self._dqbuf(fd, raw)
        elif number in (abi.G_EXT_CTRLS, abi.S_EXT_CTRLS):
            self._exchange(number, raw)
        else:
            handlers[number](raw)
        if answer is not None:
            answer(raw)
        return 0

    def mmap(self, fd: int, length: int, **how: int) -> mmap.mmap:
        memory = mmap.mmap(-1, length)
        assert how["offset"] == len(self.maps) * PAGE
        self.maps.append(memory)
        return memory

    def _line_bytes(self) -> int:
        return BY_FOURCC[self.fourcc].line_bytes(self.width) + self.camera.padding

    def _image_bytes(self) -> int:
        return self._line_bytes() * self.height or self.width * self.height

    def _querycap(self, raw: bytearray) -> None:
        camera = self.camera
        everything = camera.capabilities | abi.Capability.DEVICE_CAPS | abi.Capability.VIDEO_CAPTURE
        abi.CAPABILITY.pack_into(
            raw, 0, camera.driver.encode(), b"Test Camera", b"usb-1", 0x060139, everything, camera.capabilities
        )

    def _enum_fmt(self, raw: bytearray) -> None:
        index, kind = abi.DESCRIPTION.unpack(raw)[:2]
        assert kind == abi.CAPTURE
        abi.DESCRIPTION.pack_into(raw, 0, index, kind, 0, b"", abi.fourcc_code(_entry(self.camera.formats, index)), 0)

    def _enum_sizes(self, raw: bytearray) -> None:
        index, fourcc = abi.FRAME_SIZE.unpack(raw)[:2]
        width, height = _entry(self.camera.sizes, index)
        abi.FRAME_SIZE.pack_into(raw, 0, index, fourcc, abi.SIZE_DISCRETE, width, height, 0, 0, 0, 0)

    def _enum_intervals(self, raw: bytearray) -> None:
        index, *of = abi.FRAME_INTERVAL.unpack(raw)[:4]
        rate = _entry(self.camera.rates, index)
        abi.FRAME_INTERVAL.pack_into(raw, 0, index, *of, abi.INTERVAL_DISCRETE, 1, rate, 0, 0, 0, 0)

    def _g_fmt(self, raw: bytearray) -> None:
        geometry = (
            self.width,
            self.height,
            self.fourcc,
            self.camera.interlace,
            self._line_bytes(),
            self._image_bytes(),
        )
        abi.FORMAT.pack_into(raw, 0, abi.CAPTURE, *geometry, 0, 0, 0, 0, 0, 0)

    def _try_fmt(self, raw: bytearray) -> None:
        before = self.width, self.height, self.fourcc
        self._s_fmt(raw)
        self.width, self.height, self.fourcc = before

    def _s_fmt(self, raw: bytearray) -> None:
        if self.count:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        _, width, height, fourcc, *_ = abi.FORMAT.unpack(raw)
        if abi.fourcc_name(fourcc) in self.camera.formats:
            self.fourcc = fourcc
        near = min(self.camera.sizes, key=lambda size: abs(size[0] - width) + abs(size[1] - height))
        self.width, self.height = near
        self._g_fmt(raw)

    def _parm(self, raw: bytearray) -> None:
        _, _, _, numerator, denominator, _, _ = abi.PARAMETERS.unpack(raw)
        if numerator and denominator:
            self.rate = min(self.camera.rates, key=lambda rate: abs(rate - denominator / numerator))
        abi.PARAMETERS.pack_into(raw, 0, abi.CAPTURE, abi.TIME_PER_FRAME, 0, 1, self.rate, 0, 0)

    def _reqbufs(self, raw: bytearray) -> None:
        count = abi.REQUEST_BUFFERS.unpack(raw)[0]
        assert all(memory.closed for memory in self.maps), "buffers are given back while they are mapped"
        self.count, self.maps = count, []
        self.queued.clear()
        self._forget()

    def _querybuf(self, raw: bytearray) -> None:
        index = abi.BUFFER.unpack(raw)[0]
        fields = [index, abi.CAPTURE, 0, 0, 0, 0, 0, 0, abi.MMAP, index * PAGE, self._image_bytes(), 0, 0]
        abi.BUFFER.pack_into(raw, 0, *fields)

    def _qbuf(self, raw: bytearray) -> None:
        index = abi.BUFFER.unpack(raw)[0]
        assert index < self.count
        assert index not in self.queued, "queued twice"
        self.queued.append(index)

    def _dqbuf(self, fd: int, raw: bytearray) -> None:
        os.read(fd, 1)  # BlockingIOError: nothing is filled
        index, used, flags, stamp_ns, sequence = self.filled.popleft()
        when = divmod(stamp_ns // 1000, 1_000_000)
        fields = [index, abi.CAPTURE, used, flags, 1, *when, sequence, abi.MMAP, index * PAGE, 0, 0, 0]
        abi.BUFFER.pack_into(raw, 0, *fields)

    def _streamon(self, raw: bytearray) -> None:
        self.streaming, self.sequence = True, 0

    def _streamoff(self, raw: bytearray) -> None:
        self.streaming = False
        self._forget()

    def _forget(self) -> None:
        self.filled.clear()
        with suppress(BlockingIOError):
            os.read(self._slave, 4096)

    def _query_control(self, raw: bytearray) -> None:
        after = abi.QUERY_CONTROL.unpack(raw)[0] & ~abi.NEXT_CONTROL
        later = [entry for entry in self.camera.controls if entry.identity > after]
        entry = _entry(sorted(later, key=lambda entry: entry.identity), 0)
        numbers = (entry.minimum, entry.maximum, entry.step, entry.default, entry.flags, 4, 1, 0)
        abi.QUERY_CONTROL.pack_into(raw, 0, entry.identity, entry.kind, entry.name.encode(), *numbers)

    def _query_menu(self, raw: bytearray) -> None:
        identity, index, _ = abi.QUERY_MENU.unpack(raw)
        words = self.camera.menus.get(identity, {}).get(index)
        if words is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        abi.QUERY_MENU.pack_into(raw, 0, identity, index, words.encode())

    def _exchange(self, number: int, raw: bytearray) -> None:
        _, count, _, _, address = abi.CONTROLS.unpack(raw)
        assert count == 1
        memory = _memory(address, 20)
        identity = int.from_bytes(memory[:4], "little")
        kind = next(entry.kind for entry in self.camera.controls if entry.identity == identity)
        layout = abi.value_layout(kind)
        if number == abi.S_EXT_CTRLS:
            self.values[identity] = layout.unpack(memory)[2]
        memory[:] = layout.pack(identity, 0, self.values[identity])


def _entry(entries: Any, index: int) -> Any:
    if index >= len(entries):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return entries[index]


def _memory(address: int, size: int) -> memoryview:
    import ctypes

    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


@contextmanager
def kernel_camera(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelCamera]:
    """The kernel with this one camera. Afterwards nothing of it may be mapped."""
    kernel = KernelCamera(camera)
    with monkeypatch.context() as patch:
        patch.setattr(device, "fcntl", SimpleNamespace(ioctl=kernel.ioctl))
        how = {name: getattr(mmap, name) for name in ("MAP_SHARED", "PROT_READ", "PROT_WRITE")}
        patch.setattr(device, "mmap", SimpleNamespace(mmap=kernel.mmap, **how))
        try:
            yield kernel
            assert all(memory.closed for memory in kernel.maps), "left mapped"
        finally:
            kernel.close()
