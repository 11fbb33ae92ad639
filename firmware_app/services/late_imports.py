"""Modules that bring pydicom and Pillow with them, 0.4 to 1 s on a small board: imported after READY, by one thread.

By one alone: two threads that import a package whose modules import each other may each get the other's half-made
module, and an ImportError with it (seen with pydicom.dataset). Whoever needs such a module waits until all are there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module

import trio

from firmware_app.progress import COMPUTE_S, finished, idle, working

MODULES = (
    "firmware_app.net.worklist",
    "firmware_app.net.patient_query",
    "firmware_app.net.commitment",
    "firmware_app.net.film_print",
    "firmware_app.objects.mpps",
    "firmware_app.objects.transcoding",
    "firmware_app.services.deliverables",
    "firmware_app.services.film_pages",
    "firmware_app.services.panorama",
    "firmware_app.services.service_bundle",
    # Pillow imports these itself, all of them, when the first picture is written or read.
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
)


class LateImports:
    def __init__(self) -> None:
        self._there = trio.Event()

    async def run(self) -> None:
        """Import everything, then let those who wait go on."""
        for name in MODULES:
            with working(f"importing {name}", COMPUTE_S):
                await trio.to_thread.run_sync(import_module, name)
        self._there.set()
        finished("everything is imported")

    async def then(self, service: Callable[[], Awaitable[object]]) -> None:
        """Run a service as soon as everything is there."""
        with idle("late imports"):
            await self._there.wait()
        await service()

    async def wait(self) -> None:
        await self._there.wait()

    @property
    def done(self) -> bool:
        return self._there.is_set()
