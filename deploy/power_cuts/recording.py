"""One boot of the machine, with every write and flush of its data disk in a log."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deploy.power_cuts.file_system import make_disk
from deploy.power_cuts.pictures import pictures
from deploy.virtual_machine.contents import Contents
from deploy.virtual_machine.machine import Machine

CONTENTS = Contents(
    modules=("virtio_pci", "virtio_blk", "crc32c_generic", "ext4"),
    packages=(
        "trio",
        "numpy",
        "pydicom",
        "pynetdicom",
        "pyserial",
        "pylibjpeg",
        "pylibjpeg-openjpeg",
        "pylibjpeg-rle",
        "tomli",
        "msgspec",
        "structlog",
        "pillow",
    ),
    project=("firmware_app", "hw", "tests", "deploy/virtual_machine", "deploy/power_cuts"),
    first_program=Path(__file__).parent / "guest.py",
)


class NotRecorded(Exception):
    """The exams in the machine did not come to their end."""


class Recording:
    """Its files: the disk as it was before the boot, and the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = folder / "before.img"
        self.log = folder / "writes.log"

    @property
    def is_there(self) -> bool:
        return self.log.exists() and self.before.exists()

    def record(self, exams: int, synchronous: str, timeout_s: float, tell: Callable[[str], None]) -> None:
        """Raises `CannotBuild`, `FileSystemError` or `NotRecorded`."""
        machine = Machine(self.folder, replace(CONTENTS, more=pictures()))
        tell(machine.built)
        make_disk(self.before)
        disk = self.folder / "disk.img"
        shutil.copyfile(self.before, disk)
        unfinished = self.folder / "unfinished.log"
        unfinished.write_bytes(b"")
        status = machine.run(timeout_s, f"specular.exams={exams},{synchronous}", self._devices(disk, unfinished))
        disk.unlink()
        machine.remove()
        if status:
            raise NotRecorded(f"the exams in the machine ended with {status}")
        unfinished.rename(self.log)

    def _devices(self, disk: Path, log: Path) -> list[str]:
        """A virtio disk with a volatile write cache; its writes and flushes pass the filter.

        The host's own files are not flushed (no-flush): a flush then is logged at the moment at which the guest asks
        for it, and no write can slip in between that it would seem to cover.
        """
        plain = "driver=file,cache.no-flush=on,filename="
        return [
            *("-blockdev", f"{plain}{disk},node-name=disk"),
            *("-blockdev", f"{plain}{log},node-name=log"),
            *("-blockdev", "driver=blklogwrites,node-name=logged,file=disk,log=log,log-super-update-interval=1"),
            *("-device", "virtio-blk-pci,drive=logged,write-cache=on"),
        ]
