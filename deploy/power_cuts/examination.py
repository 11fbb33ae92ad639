"""Every chosen power cut: the disk rebuilt, repaired, read and opened, and compared with what had been promised."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import trio

from deploy.power_cuts.acknowledgements import Promise, Told
from deploy.power_cuts.cut_states import Cut, Medium, choose_cuts, patch_of
from deploy.power_cuts.file_system import (
    Corrupt,
    ImageWriter,
    read_folder,
    repair_and_check,
)
from deploy.power_cuts.recording import Recording
from deploy.power_cuts.survivors import Survivors, look
from deploy.power_cuts.write_log import WriteLog

STATE = "specular"  # the service's folder on the data partition
AHEAD = 4  # images that wait for a process: 30 MB each


@dataclass(frozen=True, slots=True)
class Examined:
    """One cut: how much had been promised by then, and what was found. `corrupt`: e2fsck's words, empty if whole."""

    cut: Cut
    told: int
    corrupt: str
    survivors: Survivors


class Examination:
    """A recording of one file system, and the cuts of it that are looked at."""

    def __init__(self, log: WriteLog, before: bytearray, promises: Sequence[Promise], cuts: Sequence[Cut]) -> None:
        self._log = log
        self._cuts = cuts
        self._before = before
        self._told_at = [promise.position for promise in promises]
        self.told = [promise.told for promise in promises]

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
                told = bisect_right(self._told_at, cut.position)
                waiting.append((cut, told, processes.submit(examine, place, self.told[:told])))
                while len(waiting) > AHEAD:
                    yield _examined(waiting.pop(0))
            yield from map(_examined, waiting)


def examine_recording(recording: Recording, states: int, seed: int, tell: Callable[[str], None]) -> list[Examined]:
    """So many cuts of it, chosen by `seed`. Raises `BadLog` or `FileSystemError`."""
    log, before, promises = recording.read()
    flushes = sum(1 for entry in log.entries if entry.is_flush)
    tell(f"{len(log.entries)} writes and flushes, {flushes} of them flushes; {len(promises)} acknowledgements")
    return list(Examination(log, before, promises, choose_cuts(log, states, random.Random(seed))).run())


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
