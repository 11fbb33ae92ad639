"""One open video device and its ioctls. Blocking, though only for as long as a driver takes: `camera.py` calls it.

Every errno becomes a `hw.errors.DeviceError`: ENODEV and EIO mean that the camera is gone, and then nothing of what was
mapped or queued is of use: `close`, and open anew. Re-queuing the old buffers would loop for ever.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Iterator

from hw.errors import DeviceError, DeviceFault, DeviceLost, Refused
from hw.v4l2 import abi
from hw.v4l2.abi import Buffer, Capability, Description, Geometry, SizeRange
from hw.v4l2.controls import Control, control_of
from hw.v4l2.formats import MAX_IMAGE_BYTES, Layout, check_geometry

GONE = frozenset({errno.ENODEV, errno.EIO, errno.ENXIO, errno.EBADF, errno.ESHUTDOWN})
OPEN_REASONS = {
    errno.ENOENT: "no such device",
    errno.ENODEV: "no such device",
    errno.EACCES: "permission denied",
    errno.EBUSY: "another program has it open",
}
FAULT_REASONS = {
    errno.EBUSY: "another program is using the camera",
    errno.ENOSPC: "the USB bus has no room for this picture size and rate",
    errno.EPIPE: "the camera refuses",
    errno.ETIMEDOUT: "the camera does not answer",
}
MAX_BUFFERS = 32  # VIDEO_MAX_FRAME of kernels up to 6.8; asked for are fewer, a driver may give more
# What a driver lists is cut off here: the largest list seen is vivid's, 83 formats and 66 controls.
MAX_FORMATS, MAX_SIZES, MAX_INTERVALS, MAX_CONTROLS, MAX_MENU = 256, 256, 64, 512, 256


class VideoDevice:
    """Made by `open`; `close` lets go of everything. Not for two threads at once, except `dequeue` and `queue`."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self._maps: list[mmap.mmap] = []
        self._streaming = False

    @classmethod
    def open(cls, path: str) -> VideoDevice:
        """`DeviceLost` names the path and why it cannot be had."""
        if struct.calcsize("P") != abi.POINTER_BYTES:
            raise Refused(f"{path}: video devices need a 64-bit Python")
        try:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            reason = OPEN_REASONS.get(error.errno or 0) or error.strerror
            raise DeviceLost(f"{path}: cannot open: {reason}") from error
        if not stat.S_ISCHR(os.fstat(fd).st_mode):
            os.close(fd)
            raise DeviceLost(f"{path}: cannot open: not a video device")
        return cls(fd, path)

    def close(self) -> None:
        """Stop, unmap, close; errors of a device that is gone do not matter. Does nothing a second time."""
        if self.fd == -1:
            return
        with contextlib.suppress(DeviceError):
            self.stop()
        fd, self.fd = self.fd, -1
        with contextlib.suppress(OSError):  # the fd is released all the same
            os.close(fd)

    # ------------------------------------------------------------------------------------------ who it is

    def description(self) -> Description:
        """`Refused` for what is no camera, or one that this driver cannot stream from."""
        raw = bytearray(abi.CAPABILITY.size)
        try:
            self._ioctl(abi.QUERYCAP, raw, "QUERYCAP")
        except DeviceFault as error:
            raise DeviceLost(f"{self.path}: cannot open: not a video device") from error
        found = abi.read_capability(raw)
        if Capability.VIDEO_CAPTURE not in found.capabilities:
            why = "has several planes" if Capability.VIDEO_CAPTURE_MPLANE in found.capabilities else "takes no pictures"
            raise Refused(f"{self.path}: this device {why} ({found.card}, driver {found.driver})")
        if Capability.STREAMING not in found.capabilities:
            raise Refused(f"{self.path}: {found.card} does not stream (driver {found.driver})")
        return found

    def fourccs(self) -> tuple[int, ...]:
        """The pixel formats that the camera offers."""
        raws = self._listed(abi.ENUM_FMT, abi.DESCRIPTION, MAX_FORMATS, abi.CAPTURE)
        return tuple(abi.DESCRIPTION.unpack(raw)[4] for raw in raws)

    def sizes(self, fourcc: int) -> tuple[SizeRange, ...]:
        raws = self._listed(abi.ENUM_FRAMESIZES, abi.FRAME_SIZE, MAX_SIZES, fourcc)
        return tuple(abi.read_size(raw) for raw in raws)

    def rates_per_s(self, fourcc: int, width: int, height: int) -> tuple[float, ...]:
        """Frame rates at a size: each that there is, or the ends of a range."""
        raws = self._listed(abi.ENUM_FRAMEINTERVALS, abi.FRAME_INTERVAL, MAX_INTERVALS, fourcc, width, height)
        return tuple(1.0 / interval_s for raw in raws for interval_s in abi.read_intervals_s(raw))

    # ------------------------------------------------------------------------------------------ pictures

    def geometry(self) -> Geometry:
        raw = bytearray(abi.FORMAT.pack(abi.CAPTURE, *([0] * 12)))
        self._ioctl(abi.G_FMT, raw, "G_FMT")
        return abi.read_geometry(raw)

    def set_format(self, layout: Layout, width: int, height: int) -> Geometry:
        """`Refused`, with nothing changed, where the camera would send something else than this."""
        raw = abi.write_geometry(width, height, layout.fourcc)
        with contextlib.suppress(DeviceFault):  # some drivers know no TRY_FMT; S_FMT is judged all the same
            self._ioctl(abi.TRY_FMT, raw, "TRY_FMT")
            self._require(abi.read_geometry(raw), layout, width, height)
        raw = abi.write_geometry(width, height, layout.fourcc)
        self._ioctl(abi.S_FMT, raw, "S_FMT")
        return self._require(abi.read_geometry(raw), layout, width, height)

    def _require(self, answer: Geometry, layout: Layout, width: int, height: int) -> Geometry:
        try:
            geometry = check_geometry(answer, layout)
        except ValueError as error:
            raise Refused(f"{self.path}: {error}") from error
        if (geometry.width, geometry.height) != (width, height):
            sizes = ", ".join(_size_text(size) for size in self.sizes(layout.fourcc)) or "unknown sizes"
            raise Refused(f"{self.path}: no pictures of {width}x{height} px in {layout.name}: the camera has {sizes}")
        return geometry

    def frames_per_s(self) -> float:
        """The rate that the driver has set, 0 where it does not say."""
        raw = bytearray(abi.PARAMETERS.pack(abi.CAPTURE, *([0] * 6)))
        try:
            self._ioctl(abi.G_PARM, raw, "G_PARM")
        except DeviceFault:
            return 0.0
        return self._rate_of(raw)

    def set_frames_per_s(self, frames_per_s: float) -> float:
        """The nearest rate that the driver has, in frames/s; 0 where it cannot be set."""
        milli = round(frames_per_s * 1000)
        raw = bytearray(abi.PARAMETERS.pack(abi.CAPTURE, 0, 0, 1000, milli, 0, 0))
        try:
            self._ioctl(abi.S_PARM, raw, "S_PARM")
        except DeviceFault:
            return 0.0
        return self._rate_of(raw)

    @staticmethod
    def _rate_of(raw: bytearray) -> float:
        _, capability, _, numerator, denominator, _, _ = abi.PARAMETERS.unpack(raw)
        return denominator / numerator if capability & abi.TIME_PER_FRAME and numerator and denominator else 0.0

    # ------------------------------------------------------------------------------------------ streaming

    def start(self, buffers: int, image_bytes: int) -> None:
        """Fresh buffers, mapped and queued, and the stream on. On any error nothing is left mapped."""
        try:
            for index in range(self._request(buffers)):
                raw = abi.write_buffer(index)
                self._ioctl(abi.QUERYBUF, raw, "QUERYBUF")
                buffer = abi.read_buffer(raw)
                if not image_bytes <= buffer.length <= 2 * MAX_IMAGE_BYTES:
                    raise DeviceFault("QUERYBUF", f"{self.path}: a buffer of {buffer.length} bytes for {image_bytes}")
                self._maps.append(self._mapped(buffer))
                self.queue(index)
            self._ioctl(abi.STREAMON, bytearray(abi.BUFFER_TYPE.pack(abi.CAPTURE)), "STREAMON")
            self._streaming = True
        except DeviceError:
            with contextlib.suppress(DeviceError):
                self.stop()
            raise

    def stop(self) -> None:
        """The stream off, every buffer given back to the kernel. `DeviceLost` only after all that."""
        streaming, self._streaming = self._streaming, False
        mapped, self._maps = self._maps, []
        try:
            if streaming:
                self._ioctl(abi.STREAMOFF, bytearray(abi.BUFFER_TYPE.pack(abi.CAPTURE)), "STREAMOFF")
        finally:
            for memory in mapped:
                memory.close()
        if mapped:
            self._request(0)

    @property
    def buffers(self) -> int:
        """How many are mapped while it streams."""
        return len(self._maps)

    def queue(self, index: int) -> None:
        """Give a buffer back to the driver, to be filled."""
        self._ioctl(abi.QBUF, abi.write_buffer(index), "QBUF")

    def dequeue(self) -> Buffer | None:
        """The next filled buffer, None where there is none yet."""
        raw = abi.write_buffer(0)
        try:
            fcntl.ioctl(self.fd, abi.DQBUF, raw)
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._error(error, "DQBUF") from error
        buffer = abi.read_buffer(raw)
        if buffer.index >= len(self._maps):
            raise DeviceFault("DQBUF", f"{self.path}: buffer {buffer.index} of {len(self._maps)}")
        return buffer

    def filled(self, buffer: Buffer) -> memoryview:
        """The bytes of a dequeued buffer; release it before the buffer is queued again."""
        memory = self._maps[buffer.index]
        return memoryview(memory)[: min(buffer.bytes_used, len(memory))].toreadonly()

    def _request(self, count: int) -> int:
        raw = bytearray(abi.REQUEST_BUFFERS.pack(count, abi.CAPTURE, abi.MMAP, 0, 0))
        self._ioctl(abi.REQBUFS, raw, "REQBUFS")
        given = int(abi.REQUEST_BUFFERS.unpack(raw)[0])
        if count and not 2 <= given <= MAX_BUFFERS:
            raise DeviceFault(
                "REQBUFS", f"{self.path}: the driver gives {given} buffers: 2 to {MAX_BUFFERS} can be used"
            )
        return given

    def _mapped(self, buffer: Buffer) -> mmap.mmap:
        try:
            return mmap.mmap(
                self.fd,
                buffer.length,
                flags=mmap.MAP_SHARED,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
                offset=buffer.offset,
            )
        except (OSError, ValueError) as error:
            raise DeviceFault("mmap", f"{self.path}: a buffer cannot be mapped: {error}") from error

    # ------------------------------------------------------------------------------------------ controls

    def controls(self) -> tuple[Control, ...]:
        """Every control that can be read or set by a number."""
        found: list[Control] = []
        identity = 0
        for _ in range(MAX_CONTROLS):
            raw = bytearray(abi.QUERY_CONTROL.pack(identity | abi.NEXT_CONTROL, 0, b"", *([0] * 8)))
            try:
                self._ioctl(abi.QUERY_EXT_CTRL, raw, "QUERY_EXT_CTRL")
            except DeviceFault:
                break  # EINVAL: that was the last; ENOTTY: there are none
            entry = abi.read_control(raw)
            if entry.identity <= identity:
                break  # a driver that does not go on
            identity = entry.identity
            menu = self._menu(entry) if entry.kind in (abi.ControlType.MENU, abi.ControlType.INTEGER_MENU) else {}
            control = control_of(entry, menu)
            if control is not None:
                found.append(control)
        return tuple(found)

    def _menu(self, entry: abi.ControlEntry) -> dict[int, str]:
        menu = {}
        for index in range(max(0, entry.minimum), min(entry.maximum, entry.minimum + MAX_MENU) + 1):
            raw = bytearray(abi.QUERY_MENU.pack(entry.identity, index, b""))
            with contextlib.suppress(DeviceFault):  # EINVAL: this one does not exist
                self._ioctl(abi.QUERYMENU, raw, "QUERYMENU")
                menu[index] = abi.read_menu_entry(raw, entry.kind)
        return menu

    def value_of(self, control: Control) -> int:
        layout = abi.value_layout(control.kind)
        value = int(layout.unpack(self._exchange(abi.G_EXT_CTRLS, control, 0, "G_EXT_CTRLS"))[2])
        return value & 0xFFFFFFFF if control.kind is abi.ControlType.BITMASK else value

    def set_value(self, control: Control, value: int) -> None:
        self._exchange(abi.S_EXT_CTRLS, control, value, "S_EXT_CTRLS")

    def _exchange(self, number: int, control: Control, value: int, what: str) -> bytes:
        if control.kind is abi.ControlType.BITMASK and value >> 31:
            value -= 1 << 32
        entry = array.array("B", abi.value_layout(control.kind).pack(control.identity, 0, value))
        raw = bytearray(abi.CONTROLS.pack(0, 1, 0, 0, entry.buffer_info()[0]))
        self._ioctl(number, raw, f"{what} of {control.name}")
        return entry.tobytes()

    # ------------------------------------------------------------------------------------------ ioctl

    def _listed(self, number: int, layout: struct.Struct, limit: int, *of: int) -> Iterator[bytes]:
        """The entries of a list of the driver: asked by index until it says EINVAL, or has none (ENOTTY)."""
        for index in range(limit):
            raw = bytearray(layout.size)
            struct.pack_into(f"={1 + len(of)}I", raw, 0, index, *of)
            try:
                self._ioctl(number, raw, "enumeration")
            except DeviceFault:
                return
            yield bytes(raw)

    def _ioctl(self, number: int, raw: bytearray, what: str) -> None:
        if self.fd == -1:
            raise DeviceLost(f"{self.path}: the camera was closed")
        try:
            fcntl.ioctl(self.fd, number, raw)
        except OSError as error:
            raise self._error(error, what) from error

    def _error(self, error: OSError, what: str) -> DeviceError:
        if error.errno in GONE:
            return DeviceLost(f"{self.path}: the camera is gone ({error.strerror})")
        code = errno.errorcode.get(error.errno or 0, "ioctl")
        return DeviceFault(code, f"{self.path}: {what}: {FAULT_REASONS.get(error.errno or 0) or error.strerror}")


def _size_text(size: SizeRange) -> str:
    if (size.min_width, size.min_height) == (size.max_width, size.max_height):
        return f"{size.min_width}x{size.min_height}"
    return f"{size.min_width}x{size.min_height} to {size.max_width}x{size.max_height}"
