"""The records with 100,000 instances: start, screens, capture, check, copy and rebuild, beside an empty database.

    .venv/bin/python tests/benchmarks/bench_records.py [--exams 25000] [--rebuild]

Four instances an exam, at two nodes, in every state; commitment, MPPS messages and films. Start is from exec to READY=1
of the real service, screens are commands over its console socket: medians, and beside them the service's processor
time, which other programs on the machine change little. Exit status 1 where a required figure is missed. `--rebuild`
also writes every sidecar and rebuilds the database, with and without its daily copy.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trio

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "io")]

from damage import DARK, overwrite  # noqa: E402
from objects_samples import CALIBRATION  # noqa: E402
from records_material import CAPTURED, IMPLICIT, SC_CLASS, exam_of, frame_of  # noqa: E402

from firmware_app.demo.console_link import ConsoleLink, connected  # noqa: E402
from firmware_app.gaze import gaze_at  # noqa: E402
from firmware_app.model import Capture, Exam, Eye, Position  # noqa: E402
from firmware_app.records import captures, documents, exams, instances, mpps, queue, safekeeping, sidecars  # noqa: E402
from firmware_app.records.database import open_database  # noqa: E402
from firmware_app.records.documents import (  # noqa: E402
    CaptureSidecar,
    EndSidecar,
    ExamSidecar,
    FrameOrigin,
    MeasurementSidecar,
    ObjectRecord,
    ObjectSidecar,
    StoredFile,
)
from firmware_app.records.files import digest  # noqa: E402
from firmware_app.records.mpps import MppsMessage  # noqa: E402
from firmware_app.records.schema import clock_text  # noqa: E402
from firmware_app.records.store import DATABASE_NAME, open_records  # noqa: E402

BEGIN = datetime(2024, 3, 1, 8, 0, tzinfo=UTC)
INSTANCES = 4  # of an exam: two eyes, two reports
NODES = ("storage", "second")
START_MAX_S = 2.0
SCREEN_MAX_MS = 100.0
SCREENS = (
    "queue",
    "queue --limit 500",
    "exams",
    "exams --limit 200",
    "exams --id ID-77",
    "commitment",
    "commitment --limit 200",
    "mpps",
    "print-jobs",
    "records",
    "status",
)
CAPTURES = 30
LOOKS = 11


@dataclass
class Row:
    name: str
    value: float
    unit: str
    limit: float | None = None
    words: str = ""

    @property
    def is_missed(self) -> bool:
        return self.limit is not None and self.value > self.limit


class Filling:
    """Exams in bulk: the rows by the same statements as the service's own, the sidecars where they are wanted."""

    def __init__(self, state: Path, count: int, with_sidecars: bool) -> None:
        self._state = state
        self._count = count
        self._with_sidecars = with_sidecars
        self._pixels = b"pixels"

    def run(self) -> None:
        (self._state / "exams").mkdir(parents=True)
        with open_database(self._state / DATABASE_NAME) as database:
            for start in range(0, self._count, 1000):
                with database.transaction() as self._connection:
                    for number in range(start, min(start + 1000, self._count)):
                        self._exam(number)

    def _exam(self, number: int) -> None:
        at = BEGIN + timedelta(minutes=20 * number)
        sample = exam_of(number)
        exam = replace(
            sample,
            exam_id=f"{number:012x}",
            started_at=at.isoformat(timespec="seconds"),
            mpps_sop_instance_uid=f"1.2.9.{number}",
        )
        folder = self._state / "exams" / exam.exam_id
        folder.mkdir()
        message = MppsMessage(exam.mpps_sop_instance_uid, exam.exam_id, "mpps", "IN PROGRESS", bytes(900))
        self._write(folder / "exam.json", ExamSidecar(exam, message, end_is_noted=True))
        exams.insert(self._connection, exam)
        mpps.insert(self._connection, message, at)
        taken = [self._capture(exam, eye, at, folder) for eye in Eye]
        records = [self._object(exam, taken[index % 2], index, at, folder) for index in range(INSTANCES)]
        self._states(number, records, at)
        if number < self._count - 3:
            self._close(exam, number, at, folder)

    def _capture(self, exam: Exam, eye: Eye, at: datetime, folder: Path) -> Capture:
        capture = Capture(
            capture_id=f"{at:%Y%m%dT%H%M%S}-{eye.value}-{exam.exam_id[-8:]}",
            exam_id=exam.exam_id,
            eye=eye,
            captured_at=at.isoformat(timespec="milliseconds"),
            position=Position(1.0, 2.0, 3.0),
            um_per_px=0.85,
            bits_stored=8,
            rows=480,
            columns=640,
            sharpness=12.5,
            simulated=True,
            gaze=gaze_at("centre", 0.0),
            calibration=CALIBRATION,
        )
        image = self._file(exam, f"{capture.capture_id}.png", folder)
        origin = FrameOrigin(1, 1)
        self._write(folder / f"{capture.capture_id}.json", CaptureSidecar(exam, capture, origin, image))
        captures.insert(self._connection, capture, origin, image)
        for revision in (1, 2):
            numbers = documents.numbers_of(DARK)
            mosaic = self._file(exam, f"{capture.capture_id}-m{revision}.npz", folder)
            sidecar = MeasurementSidecar(
                exam.exam_id, capture.capture_id, revision, capture.captured_at, numbers, mosaic
            )
            self._write(folder / sidecars.name_of_measurement(capture.capture_id, revision), sidecar)
            captures.insert_measurement(self._connection, sidecar)
        return capture

    def _object(self, exam: Exam, capture: Capture, index: int, at: datetime, folder: Path) -> ObjectRecord:
        uid = f"1.2.826.0.1.3680043.10.{int(exam.exam_id, 16)}.{index}"
        file = self._file(exam, f"{uid}.dcm", folder)
        record = ObjectRecord(
            uid, SC_CLASS, IMPLICIT, exam.exam_id, capture.capture_id, "image", at.isoformat(), **_as_dict(file)
        )
        self._write(folder / f"{uid}.json", ObjectSidecar(exam, record, NODES))
        instances.insert(self._connection, record)
        return record

    def _states(self, number: int, records: list[ObjectRecord], at: datetime) -> None:
        """All but the last hundred exams are stored and nearly all committed to; one in a thousand has failed."""
        for record, node in itertools.product(records, NODES):
            queue.insert(self._connection, record.sop_instance_uid, node, at)
        values = {"exam": records[0].exam_id, "now": clock_text(at)}
        of_exam = "sop_instance_uid IN (SELECT sop_instance_uid FROM objects WHERE exam_id = :exam)"
        if number < self._count - 100:
            word = "failed" if number % 1000 == 7 else "stored"
            commitment = "committed" if word == "stored" and number % 50 else ""
            self._connection.execute(
                f"UPDATE deliveries SET state = '{word}', status = 0, attempts = 1, next_attempt_at = '', "
                f"commitment = iif(node = 'storage', '{commitment}', '') WHERE {of_exam}",
                values,
            )
            self._transaction(number, records, at)
        self._connection.execute(
            "INSERT INTO print_jobs (exam_id, node, automatic, film, images, state, created_at, changed_at) "
            "VALUES (:exam, 'print', 1, '{}', '[\"capture/x\"]', 'printed', :now, :now)",
            values,
        )

    def _transaction(self, number: int, records: list[ObjectRecord], at: datetime) -> None:
        values = {"uid": f"1.2.8.{number}", "now": clock_text(at)}
        place = self._connection.execute(
            "INSERT INTO commitment_transactions (transaction_uid, node, stored_at_node, state, due_at, requested_at, "
            "answered_at, answered_by, changed_at) "
            "VALUES (:uid, 'commitment', 'storage', 'answered', :now, :now, :now, 'ARCHIVE', :now)",
            values,
        ).lastrowid
        rows = [(place, record.sop_instance_uid) for record in records]
        self._connection.executemany("INSERT INTO commitment_instances VALUES (?, ?, 'committed', NULL)", rows)

    def _close(self, exam: Exam, number: int, at: datetime, folder: Path) -> None:
        message = MppsMessage(exam.mpps_sop_instance_uid, exam.exam_id, "mpps", "COMPLETED", bytes(2500))
        finished_at = at.isoformat(timespec="milliseconds")
        self._write(folder / "end.json", EndSidecar(exam.exam_id, finished_at, message))
        exams.note_end(self._connection, exam.exam_id, finished_at)
        mpps.insert(self._connection, message, at)
        if number < self._count - 100:
            self._connection.execute(
                "UPDATE mpps_messages SET state = 'done', status = 0, next_attempt_at = '' WHERE exam_id = :exam",
                {"exam": exam.exam_id},
            )

    def _file(self, exam: Exam, name: str, folder: Path) -> StoredFile:
        if self._with_sidecars:
            (folder / name).write_bytes(self._pixels)
        return StoredFile(f"exams/{exam.exam_id}/{name}", len(self._pixels), digest(self._pixels))

    def _write(self, path: Path, sidecar: object) -> None:
        # The latest exams are looked at in every start.
        if self._with_sidecars or int(path.parent.name, 16) >= self._count - 100:
            path.write_bytes(documents.encode_sidecar(sidecar))


def _as_dict(file: StoredFile) -> dict[str, Any]:
    return {"file": file.file, "size": file.size, "sha256": file.sha256}


@dataclass
class Service:
    """`ready_s` from exec to READY=1, `cpu_s` the processor time of it."""

    ready_s: float
    cpu_s: float
    link: ConsoleLink
    pid: int


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def service(folder: Path, state: Path) -> Iterator[Service]:
    """The real service without devices and peers, ready."""
    runtime = Path(tempfile.mkdtemp(prefix="r", dir=folder))
    configuration = runtime / "specular.toml"
    configuration.write_text(
        f'[paths]\nstate = "{state}"\nruntime = "{runtime}"\n[instrument]\nport = 0\n', encoding="utf-8"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(runtime / "notify"))
        systemd.settimeout(600)
        started_s = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "firmware_app", "run", "--config", str(configuration)],
            env={**os.environ, "NOTIFY_SOCKET": str(runtime / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            while not systemd.recv(4096).startswith(b"READY=1"):
                pass
            ready_s = time.perf_counter() - started_s
            cpu_s = cpu_seconds(process.pid)
            with connected(runtime / "console.sock") as link:
                yield Service(ready_s, cpu_s, link, process.pid)
        finally:
            process.terminate()
            process.wait()


def start(folder: Path, state: Path, runs: int) -> tuple[float, float]:
    """Seconds, and of them processor time."""
    starts = []
    for _ in range(runs):
        with service(folder, state) as running:
            starts.append((running.ready_s, running.cpu_s))
    return statistics.median(each for each, _ in starts), statistics.median(each for _, each in starts)


def screen(running: Service, command: str) -> tuple[float, float]:
    """Milliseconds from the request to its answer, and the processor time of the service."""
    spent = []
    before_s = cpu_seconds(running.pid)
    for _ in range(LOOKS):
        started_s = time.perf_counter()
        running.link.run(command)
        spent.append(time.perf_counter() - started_s)
    return 1e3 * statistics.median(spent), 1e3 * (cpu_seconds(running.pid) - before_s) / LOOKS


async def milliseconds_of_capture(state: Path) -> float:
    """Median of saving a frame of 640 x 480."""
    async with open_records(state) as records:
        exam = replace(exam_of(1), exam_id="measured")
        await records.begin_exam(exam)
        frame = frame_of(3)
        spent = []
        for _ in range(CAPTURES):
            started_s = time.perf_counter()
            await records.save_capture(exam, frame, **CAPTURED)
            spent.append(time.perf_counter() - started_s)
    return 1e3 * statistics.median(spent)


async def soundness(state: Path) -> tuple[float, float, int]:
    """Processor seconds of the whole check and of the copy, and its size."""
    async with open_records(state) as records:
        started_s = time.process_time()
        await records.soundness.check()
        checked_s = time.process_time()
        size = await records.soundness.keep_copy()
        return checked_s - started_s, time.process_time() - checked_s, size


async def seconds_of_rebuild(state: Path) -> tuple[float, str]:
    overwrite(state / DATABASE_NAME, 0, bytes(4096))
    started_s = time.perf_counter()
    async with open_records(state) as records:
        report = (await records.soundness.rebuilds())[-1]
    return time.perf_counter() - started_s, report.short


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exams", type=int, default=25_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rebuild", action="store_true")
    parser.add_argument("--dir", type=Path, help="where to write: a disk, and no tmpfs, for figures of a capture")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench", dir=arguments.dir) as name:
        folder = Path(name)
        full, empty = folder / "full", folder / "empty"
        Filling(full, arguments.exams, arguments.rebuild).run()
        os.sync()  # no start pays for flushing what was filled in
        rows = list(measure(folder, full, empty, arguments.runs))
        if arguments.rebuild:
            rows += rebuilds(full)
        show(rows, arguments.exams)  # removing half a million files takes a while
    return int(any(row.is_missed for row in rows))


def show(rows: list[Row], count: int) -> None:
    print(f"{f'{count * INSTANCES} instances, {count} exams':46} {'value':>10}      {'required':>9}")
    for row in rows:
        required = "" if row.limit is None else f"< {row.limit:g}"
        verdict = " MISSED" if row.is_missed else ""
        print(f"{row.name:46} {row.value:10.3f} {row.unit:4} {required:>9}{verdict}  {row.words}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)


def measure(folder: Path, full: Path, empty: Path, runs: int) -> Iterator[Row]:
    size = (full / DATABASE_NAME).stat().st_size / (1 << 20)
    yield Row("size of the database", size, "MiB")
    (started_s, cpu_s), (reference_s, reference_cpu_s) = start(folder, full, runs), start(folder, empty, runs)
    words = f"processor {cpu_s:.2f}; empty {reference_s:.2f}, processor {reference_cpu_s:.2f}"
    yield Row("start, exec to READY", started_s, "s", START_MAX_S, words)
    with service(folder, empty) as running:
        running.link.run("queue")  # waits for late imports, which no screen is to blame for
        nothing = {command: screen(running, command) for command in SCREENS}
    with service(folder, full) as running:
        running.link.run("queue")
        for command in SCREENS:
            spent_ms, cpu_ms = screen(running, command)
            words = f"processor {cpu_ms:.1f}; empty {nothing[command][0]:.1f}, processor {nothing[command][1]:.1f}"
            yield Row(f"screen: {command}", spent_ms, "ms", SCREEN_MAX_MS, words)
    alone = trio.run(milliseconds_of_capture, empty)
    spent = trio.run(milliseconds_of_capture, full)
    yield Row("saving a capture", spent, "ms", None, f"empty {alone:.1f}, ratio {spent / alone:.2f}")
    check_s, copy_s, copy_bytes = trio.run(soundness, full)
    yield Row("whole check, beside the service", check_s, "s", None, "processor time")
    yield Row("daily copy with its check", copy_s, "s", None, f"processor time, {copy_bytes / (1 << 20):.0f} MiB")


def rebuilds(full: Path) -> Iterator[Row]:
    with_copy_s, words = trio.run(seconds_of_rebuild, full)
    yield Row("rebuild from the copy and the sidecars", with_copy_s, "s", None, words)
    (full / safekeeping.COPY_NAME).unlink()
    without_s, words = trio.run(seconds_of_rebuild, full)
    yield Row("rebuild from the sidecars alone", without_s, "s", None, words)


if __name__ == "__main__":
    sys.exit(main())
