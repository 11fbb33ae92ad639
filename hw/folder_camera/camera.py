"""A folder of pictures played as a camera, for service work: alignment of the software, training, fault finding.

It is no camera and says so: its label is `sim+folder:...`, and it is opened only where the configuration declares a
simulated device, so that its pictures never end in a patient's record. Played in name order, again and again, at a
given rate; files added or removed count from the next round on.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from firmware_app.model import Frame
from hw.abc import Identity
from hw.errors import DeviceError, DeviceLost, Refused
from hw.folder_camera.pictures import PictureError, Pixels, Shape, image_files, read_pixels, read_shape
from hw.latest import LatestFrame
from hw.served import served

FRAME_S = 2.0  # beyond the frame's own interval and as many damaged files
ALIVE_S = 1.0  # an idle folder is looked at that often
RATES_PER_S = (0.01, 1000.0)
DEPTHS = range(8, 17)


@dataclass(frozen=True, slots=True)
class FolderSettings:
    """`bits_stored` above 8 plays the 16-bit files of the folder, 8 the others."""

    frames_per_s: float = 10.0
    bits_stored: int = 8


class FolderCamera:
    """Made by `open_folder_camera`, which also ends it (`hw.abc.Camera`)."""

    def __init__(self, folder: Path, settings: FolderSettings, identity: Identity) -> None:
        self._folder = folder
        self._identity = identity
        self._bits_stored = settings.bits_stored
        self._interval_s = 1.0 / settings.frames_per_s
        self._latest = LatestFrame(identity.label)
        self._size: tuple[int, int] | None = None
        self._sequence = -1
        self._late = 0
        self._corrupt = 0
        self._damaged: dict[str, str] = {}

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def dropped(self) -> int:
        """Frames that a consumer was too slow for, or whose turn passed while the one before was read."""
        return self._late + self._latest.missed

    @property
    def corrupt(self) -> int:
        """How many times a damaged file had its turn."""
        return self._corrupt

    @property
    def damaged(self) -> dict[str, str]:
        """The damaged files met so far by name, with the reason of each."""
        return dict(self._damaged)

    async def configure(self, *, bits_stored: int, exposure_us: int | None = None) -> None:
        """`Refused` where the folder has no picture of such a depth. Pictures were exposed long ago: no effect."""
        await trio.lowlevel.checkpoint()
        self._latest.require_open()
        self._size = await trio.to_thread.run_sync(playable_size, self._folder, bits_stored)
        self._bits_stored = bits_stored

    def frames(self) -> AsyncGenerator[Frame, None]:
        """The newest picture each time, of those whose turn came after this call."""
        return self._latest.frames(time.monotonic_ns(), FRAME_S + 10 * self._interval_s)

    async def wait_lost(self) -> str:
        """Returns when the folder is of no more use, with the reason."""
        return await self._latest.wait_lost()

    async def aclose(self) -> None:
        self._latest.close()
        await trio.lowlevel.checkpoint()

    async def play(self) -> None:
        """Give each file its turn while somebody looks. Raises `DeviceLost` when the folder is gone."""
        try:
            while not self._latest.is_over:
                before = self._sequence
                for path in await trio.to_thread.run_sync(listed, self._folder):
                    if not await self._turn(path):
                        return
                if self._sequence == before:  # nothing of this depth is left, but may come back
                    await trio.sleep(self._interval_s)
        except DeviceError as failure:
            self._latest.fail(failure)
            raise

    async def _turn(self, path: Path) -> bool:
        """Wait until frames are wanted, show this file, and wait for the next turn; False at the end."""
        while not await self._latest.until_wanted(ALIVE_S):
            if self._latest.is_over:
                return False
            await trio.to_thread.run_sync(listed, self._folder)
        began_s, began_ns = trio.current_time(), time.monotonic_ns()
        bits_stored = self._bits_stored
        try:
            pixels = await trio.to_thread.run_sync(self._pixels, path, bits_stored)
        except FileNotFoundError:
            return True  # taken away since the folder was listed
        except PictureError as error:
            self._corrupt += 1
            self._damaged[path.name] = str(error)
            self._sequence += 1
        else:
            if pixels is None:
                return True
            self._sequence += 1
            if bits_stored == self._bits_stored:
                self._latest.publish(Frame(pixels, bits_stored, self._sequence, time.monotonic_ns()), began_ns)
        late = math.floor((trio.current_time() - began_s) / self._interval_s)
        self._late += late
        self._sequence += late
        await trio.sleep_until(began_s + (late + 1) * self._interval_s)
        return True

    def _pixels(self, path: Path, bits_stored: int) -> Pixels | None:
        """None for a good picture of another depth. FileNotFoundError where it is no longer there."""
        path.lstat()
        shape = read_shape(path)
        if shape.is_deep is not (bits_stored > 8):
            return None
        if (shape.width, shape.height) != self._size and self._size is not None:
            width, height = self._size
            raise PictureError(f"{shape.width}x{shape.height} px, the first has {width}x{height}")
        return read_pixels(path, bits_stored)


def listed(folder: Path) -> list[Path]:
    """`DeviceLost` when the folder is gone, or has no picture file left."""
    try:
        files = image_files(folder)
    except OSError as error:
        raise DeviceLost(f"{folder}: {error.strerror}") from error
    if not files:
        raise DeviceLost(f"{folder}: no PNG, TIFF or JPEG file is in this folder")
    return files


def playable_size(folder: Path, bits_stored: int) -> tuple[int, int]:
    """Width and height in px of the first picture of that depth, which the others must have; `Refused` without one."""
    if bits_stored not in DEPTHS:
        raise Refused(f"{folder}: pictures have {DEPTHS[0]} to {DEPTHS[-1]} bits, not {bits_stored}")
    others: list[str] = []
    for path in listed(folder):
        try:
            shape: Shape = read_shape(path)
        except PictureError as error:
            others.append(f"{path.name}: {error}")
            continue
        if shape.is_deep is (bits_stored > 8):
            return shape.width, shape.height
        others.append(f"{path.name} has {'more than 8' if shape.is_deep else '8'} bits")
    raise Refused(f"{folder}: no picture of {bits_stored} bits; {others[0]}")


@asynccontextmanager
async def open_folder_camera(path: str, settings: FolderSettings, *, simulated: bool) -> AsyncIterator[FolderCamera]:
    """Play a folder. `Refused` unless the configuration declares a simulated device; `DeviceLost` when it goes away."""
    if not simulated:
        raise Refused(f"{path}: a folder is no camera, but the configuration has simulated = false")
    low, high = RATES_PER_S
    if not low <= settings.frames_per_s <= high:
        raise Refused(f"{path}: {settings.frames_per_s:g} frames/s: {low:g} to {high:g} can be played")
    camera = FolderCamera(Path(path), settings, Identity(f"sim+folder:{path}", "a folder of pictures", True))
    await camera.configure(bits_stored=settings.bits_stored)
    async with served(camera.play, camera.aclose):
        yield camera
