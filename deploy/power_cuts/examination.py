"""Every chosen power cut: the disk rebuilt, repaired, read and opened, and compared with what had been promised."""

from __future__ import annotations

import os
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import trio

from deploy.power_cuts.acknowledgements import Told, told_in
from deploy.power_cuts.cut_states import Cut, Medium, patch_of
from deploy.power_cuts.file_system import (
    FILE_SYSTEM_BYTES,
    Corrupt,
    ImageWriter,
    read_folder,
    repair_and_check,
)
from deploy.power_cuts.survivors import Survivors, look
from deploy.power_cuts.write_log import WriteLog

STATE = "state"  # the service's folder on the data disk
AHEAD = 4  # images that wait for a process: 30 MB each


@dataclass(frozen=True, slots=True)
class Examined:
    """One cut: how much had been promised by then, and what was found. `corrupt`: e2fsck's words, empty if whole."""

    cut: Cut
    told: int
    corrupt: str
    survivors: Survivors


class Examination:
    """A recording, and the cuts of it that are looked at."""

    def __init__(self, log: WriteLog, before: bytearray, cuts: Sequence[Cut]) -> None:
        self._log = log
        self._cuts = cuts
        self._before = before
        marked = list(told_in(log, FILE_SYSTEM_BYTES))
        self._marked_at = [place for place, _ in marked]
        self.told = [told for _, told in marked]

    def run(self) -> Iterator[Examined]:
        """Each cut in the order of the log. Raises `FileSystemError`."""
        medium = Medium(self._before, self._log)
        writer = ImageWriter(self._before, [patch_of(entry) for entry in self._log.entries if entry.writes])
        with (
            tempfile.TemporaryDirectory(prefix="specular-cuts-") as folder,
            ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes,
        ):
            waiting: list[tuple[Cut, int, Future[tuple[str, Survivors]]]] = []
            for number, cut in enumerate(self._cuts):
                place = Path(folder) / str(number)
                place.mkdir()
                writer.write(place / "disk.img", medium.content, medium.advance(cut))
                told = bisect_left(self._marked_at, cut.position)
                waiting.append((cut, told, processes.submit(examine, place, self.told[:told])))
                while len(waiting) > AHEAD:
                    yield _examined(waiting.pop(0))
            yield from map(_examined, waiting)


def _examined(waited: tuple[Cut, int, Future[tuple[str, Survivors]]]) -> Examined:
    cut, told, future = waited
    return Examined(cut, told, *future.result())


def examine(place: Path, told: Sequence[Told]) -> tuple[str, Survivors]:
    """The disk `place/disk.img` after its power cut; the folder is removed. Raises `FileSystemError`."""
    image = place / "disk.img"
    corrupt = ""
    try:
        try:
            repair_and_check(image)
        except Corrupt as error:
            corrupt = str(error)
        read_folder(image, f"/{STATE}", place)
        return corrupt, trio.run(look, place / STATE, told)
    finally:
        shutil.rmtree(place)
