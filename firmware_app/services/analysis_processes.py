"""Measure images in several processes of this machine.

Each process has one image at a time. One that dies, for lack of memory or by a decoder's fault, costs that image alone:
its answer says so, and another process takes the place. Ctrl-C reaches the whole process group of a terminal: the
processes do not listen to it, they are ended by their parent; and if that is killed, they end at their next answer.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from firmware_app.services.image_analysis import Answer, Wanted, answer, lost

# One image per process is parallel enough: more threads than cores would only get into each other's way.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0
READY = "ready"


class WorkerError(OSError):
    """No process can be started on this machine."""


@dataclass(slots=True)
class Worker:
    process: SpawnProcess
    pipe: Connection
    index: int | None = None  # of the file that it is measuring


@dataclass(slots=True)
class Pool:
    """Use `analyze_in_processes`."""

    wanted: Wanted
    workers: list[Worker] = field(default_factory=list)

    def start(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self.wanted), daemon=True)
        # inherited: a Ctrl-C while the interpreter starts would show the traceback of its imports
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        worker = Worker(process, ours)
        self.workers.append(worker)
        return worker

    def await_ready(self, worker: Worker) -> None:
        try:
            if worker.pipe.poll(START_TIMEOUT_S) and worker.pipe.recv() == READY:
                return
        except EOFError:
            pass
        raise WorkerError(f"a process to measure in does not start: {ended(worker.process)}")

    def successor(self) -> Worker:
        worker = self.start()
        self.await_ready(worker)
        return worker

    def end(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        worker.process.terminate()
        worker.process.join(END_TIMEOUT_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()

    def end_all(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in list(self.workers):
            self.end(worker)


def analyze_in_processes(files: Sequence[Path], wanted: Wanted, jobs: int) -> Generator[tuple[int, Answer], None, None]:
    """(index, answer) of each file as it is ready, in any order. Closing the generator ends the processes.

    Raises `WorkerError`.
    """
    pool = Pool(wanted)
    waiting = iter(range(len(files)))
    for name in THREADS:
        os.environ.setdefault(name, "1")
    try:
        for worker in [pool.start() for _ in range(min(jobs, len(files)))]:
            pool.await_ready(worker)
            give(worker, files, waiting)
        while busy := [worker for worker in pool.workers if worker.index is not None]:
            ready = wait([worker.pipe for worker in busy])
            for worker in (worker for worker in busy if worker.pipe in ready):
                assert worker.index is not None
                index, answered = worker.index, receive(worker)
                if answered is None:
                    pool.end(worker)
                    give(pool.successor(), files, waiting)
                    answered = lost(files[index], f"its process died: {ended(worker.process)}", wanted)
                else:
                    give(worker, files, waiting)
                yield index, answered
    finally:
        pool.end_all()


def give(worker: Worker, files: Sequence[Path], waiting: Iterator[int]) -> None:
    """The next file, if there is one. That a process died before it took it shows when its answer is due."""
    worker.index = next(waiting, None)
    if worker.index is not None:
        with suppress(BrokenPipeError):
            worker.pipe.send(files[worker.index])


def receive(worker: Worker) -> Answer | None:
    """None where the process died."""
    try:
        answered: Answer = worker.pipe.recv()
    except (EOFError, OSError):
        return None
    return answered


def ended(process: SpawnProcess) -> str:
    process.join(END_TIMEOUT_S)
    status = process.exitcode
    if status is not None and status < 0:
        killed = signal.Signals(-status).name
        return f"{killed}, perhaps for lack of memory" if killed == "SIGKILL" else killed
    return "it does not answer" if status is None else f"exit status {status}"


def serve(pipe: Connection, wanted: Wanted) -> None:
    """The process: a file's name comes, its answer goes, until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(READY)
        while True:
            file: Path = pipe.recv()
            pipe.send(answer(file, wanted))
