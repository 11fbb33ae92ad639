"""Exams on the device from its snapshot, with every write and flush of its disk in a log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from deploy.device_test.bench import SNAPSHOT, Bench
from deploy.device_test.stand_in import stand_in
from deploy.image.commands import output, run
from deploy.image.layout import SECTOR, partitions
from deploy.image.qmp import Monitor
from deploy.power_cuts.acknowledgements import Promise, read_promises
from deploy.power_cuts.exams import perform
from deploy.power_cuts.operator import Notes, Operator, machine_files
from deploy.power_cuts.write_log import WriteLog, of_partition, read_write_log

BURST = "\n[capture]\nburst = 2\n"
CHUNK = 1 << 20


class Recording:
    """Its files: the data partition as it was before, the log of the whole disk, and the promises."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before, self.log, self.promises = folder / "before.img", folder / "writes.log", folder / "promises"
        self.data_start = next(part.start for part in partitions("amd64") if part.name == "data")

    @property
    def is_there(self) -> bool:
        return self.before.exists() and self.log.exists() and self.promises.exists()

    def record(self, bench: Bench, exams: int, synchronous: str, tell: Callable[[str], None]) -> None:
        """Raises `MachineError` or `Refused`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "unfinished.log"
        unfinished.write_bytes(b"")
        with bench.case(lambda monitor: log_writes(monitor, unfinished)) as machine:
            stand_in(machine, synchronous)
            bench.configure(bench.configuration + BURST)
            notes = Notes(unfinished, self.promises)
            with (
                bench.surroundings(),
                bench.console() as console,
                machine_files(machine.ssh_command("admin")) as files,
            ):
                perform(Operator(console.sock, notes, files), exams, tell)
            tell(f"{exams} exams and {notes.count} acknowledgements")
        self._keep_before(bench)
        unfinished.rename(self.log)

    def _keep_before(self, bench: Bench) -> None:
        """The partition as the snapshot has it; the machine is off."""
        whole = self.folder / "whole.img"
        run(["qemu-img", "convert", "-l", f"snapshot.name={SNAPSHOT}", "-O", "raw", bench.disk, whole],
            self.folder / "recording.log")  # fmt: skip
        size = data_bytes(whole)
        with whole.open("rb") as disk, self.before.open("wb") as partition:
            disk.seek(self.data_start)
            partition.truncate(size)
            for at in range(0, size, CHUNK):
                chunk = disk.read(min(CHUNK, size - at))
                if chunk.count(0) != len(chunk):
                    partition.seek(at)
                    partition.write(chunk)
        whole.unlink()

    def read(self) -> tuple[WriteLog, bytearray, list[Promise]]:
        """The log placed on the partition. Raises `BadLog`."""
        before = bytearray(self.before.read_bytes())
        log = of_partition(read_write_log(self.log.read_bytes()), self.data_start, len(before))
        return log, before, read_promises(self.promises.read_bytes())


def data_bytes(disk: Path) -> int:
    """How large the data partition has grown."""
    table = json.loads(output(["sfdisk", "--json", disk]))["partitiontable"]
    return next(int(part["size"]) for part in table["partitions"] if part.get("name") == "data") * SECTOR


def log_writes(monitor: Monitor, log: Path) -> None:
    """From now on, of a machine that stands still: a filter is put between its disk and the file of it.

    The host's own files are not flushed (no-flush; the disk's is unsafe): a flush then is logged at the moment at which
    the guest asks for it, and no write can slip in between that it would seem to cover.
    """
    (disk,) = (each for each in monitor.execute("query-block") if each["device"] == "disk")
    file = {"node-name": "log", "filename": str(log), "cache": {"no-flush": True}}
    monitor.execute("blockdev-add", driver="file", **file)
    below = disk["inserted"]["node-name"]
    words = {"node-name": "logged", "file": below, "log": "log", "log-super-update-interval": 1}
    monitor.execute("blockdev-add", driver="blklogwrites", **words)
    monitor.execute("qom-set", path=disk["qdev"].removesuffix("/virtio-backend"), property="drive", value="logged")
