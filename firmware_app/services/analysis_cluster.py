"""Measure images on an existing Dask cluster (extra `batch`).

The octets of a file travel, not its path: the workers need not see our disks, and write nothing. They travel within
the task, which the scheduler keeps until it is answered, so that it is given to another worker if one is lost; what is
under way is bounded by number and octets. Every worker must have the same release and the same core as we have.

A scheduler runs what it is sent and sees the images: patient data. Use one that you trust, beyond this machine by
`tls://`; Dask's own configuration says with which certificates.
"""

from __future__ import annotations

import logging
import tempfile
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING

from firmware_app.services.analysis_journal import software
from firmware_app.services.analysis_rows import unmeasured_row
from firmware_app.services.image_analysis import Answer, Wanted, answer, lost
from firmware_app.services.image_files import ImageFileError, file_octets

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_TIMEOUT_S = 10.0
WORKERS_TIMEOUT_S = 30.0  # without any worker
LOOK_S = 1.0
CLOSE_TIMEOUT_S = 0.5  # of a Ctrl-C's second
# Two images per thread keep every worker busy while its last answer travels.
TASKS_PER_THREAD, TASKS_MIN = 2, 4
OCTETS_UNDER_WAY_MAX = 256 * 2**20
SETTINGS = {
    "distributed.admin.large-graph-warning-threshold": "1 GiB",  # it is large on purpose: see above
    "distributed.comm.retry.count": 0,
    "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S} s",
}


class ClusterError(RuntimeError):
    """The cluster cannot do it, or went away. What was answered before stands."""


class ClusterMissing(ClusterError):
    """This installation has no `distributed`."""


@dataclass(slots=True)
class UnderWay:
    """The tasks that were sent and not answered yet."""

    futures: dict[int, Future] = field(default_factory=dict)
    octets: dict[int, int] = field(default_factory=dict)

    def has_room(self, tasks_max: int, octets: int) -> bool:
        if not self.futures:
            return True
        return len(self.futures) < tasks_max and sum(self.octets.values()) + octets <= OCTETS_UNDER_WAY_MAX

    def put(self, index: int, future: Future, octets: int) -> None:
        self.futures[index] = future
        self.octets[index] = octets

    def take(self, index: int) -> Future:
        del self.octets[index]
        return self.futures.pop(index)


def analyze_on_cluster(
    files: Sequence[Path], wanted: Wanted, address: str
) -> Generator[tuple[int, Answer], None, None]:
    """(index, answer) of each file as it is ready, in any order. Closing the generator cancels what is under way.

    Raises `ClusterError`.
    """
    try:
        import dask
        import distributed
    except ModuleNotFoundError as error:
        raise ClusterMissing(f"--scheduler needs the extra `batch` (pip install specular[batch]): {error}") from None
    silence()
    with dask.config.set(SETTINGS):
        try:
            client = distributed.Client(
                address, timeout=CONNECT_TIMEOUT_S, name="specular-analyze", set_as_default=False
            )
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(f"no Dask scheduler answers on {address}: {error}") from None
        try:
            check_workers(client, address)
            yield from answers(client, address, files, wanted)
        finally:
            client.close(timeout=CLOSE_TIMEOUT_S)


def silence() -> None:
    """What goes wrong we say ourselves, once and in one line."""
    for name in list(logging.Logger.manager.loggerDict):
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def check_workers(client: Client, address: str) -> None:
    import distributed

    try:
        client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        there = client.run(worker_software, on_error="return")
    except (TimeoutError, distributed.TimeoutError, OSError) as error:
        raise ClusterError(f"the Dask scheduler on {address} has no workers") from error
    for worker, used in there.items():
        if used != software():
            has = f"cannot import it: {used}" if isinstance(used, BaseException) else f"has {used}"
            raise ClusterError(f"the worker {worker} must have specular {software()}; it {has}")


def worker_software() -> str:
    return software()


def answer_octets(name: Path, octets: bytes, wanted: Wanted) -> tuple[str, Answer]:
    """What a worker does: the software that it has, and its answer. Its temporary folder sees one image at a time."""
    with tempfile.NamedTemporaryFile(prefix="specular-") as content:
        content.write(octets)
        content.flush()
        return software(), answer(name, wanted, Path(content.name))


def answers(client: Client, address: str, files: Sequence[Path], wanted: Wanted) -> Iterator[tuple[int, Answer]]:
    done: SimpleQueue[int] = SimpleQueue()
    under_way = UnderWay()
    watch = Watch(client, address)
    run = uuid.uuid4().hex

    def send(index: int, octets: bytes) -> None:
        future = client.submit(answer_octets, files[index], octets, wanted, key=f"specular-{run}-{index}", pure=False)
        under_way.put(index, future, len(octets))
        future.add_done_callback(lambda _: done.put(index))

    for index, file in enumerate(files):
        try:
            octets = file_octets(file)
        except ImageFileError as problem:
            yield index, Answer(unmeasured_row(file, str(problem), wanted.um_per_px, 0.0))
            continue
        while not under_way.has_room(watch.tasks_max(), len(octets)):
            yield from next_answer(done, under_way, watch, files, wanted)
        send(index, octets)
    while under_way.futures:
        yield from next_answer(done, under_way, watch, files, wanted)


def next_answer(
    done: SimpleQueue[int], under_way: UnderWay, watch: Watch, files: Sequence[Path], wanted: Wanted
) -> Iterator[tuple[int, Answer]]:
    """One that is there within a second, or none."""
    watch.look()
    try:
        index = done.get(timeout=LOOK_S)
    except Empty:
        return
    yield index, result_of(under_way.take(index), files[index], wanted, watch.address)


def result_of(future: Future, file: Path, wanted: Wanted, address: str) -> Answer:
    import distributed

    try:
        used, answered = future.result(timeout=WORKERS_TIMEOUT_S)
    except distributed.KilledWorker as error:
        return lost(file, f"every worker that measured it died: {error}".splitlines()[0], wanted)
    except distributed.CancelledError as error:
        raise ClusterError(f"the Dask scheduler on {address} is gone") from error
    except Exception as error:
        text = str(error).splitlines() or [""]
        raise ClusterError(
            f"the Dask cluster on {address} gives no result: {type(error).__name__}: {text[0]}"
        ) from error
    finally:
        future.release()
    if used != software():
        raise ClusterError(f"a worker of {address} has specular {used}, here is {software()}")
    answer_there: Answer = answered
    return answer_there


class Watch:
    """Looks at the cluster once a second: how much it can take, and whether anybody is still there."""

    def __init__(self, client: Client, address: str) -> None:
        self.address = address
        self._client = client
        self._looked = self._seen = monotonic()
        self._threads = self._ask()

    def tasks_max(self) -> int:
        return max(TASKS_MIN, TASKS_PER_THREAD * self._threads)

    def look(self) -> None:
        """Raises `ClusterError` if the scheduler is gone, or has had no worker for half a minute."""
        now = monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked, self._threads = now, self._ask()
        if self._threads:
            self._seen = now
        elif now - self._seen > WORKERS_TIMEOUT_S:
            raise ClusterError(f"the Dask scheduler on {self.address} has had no worker for {WORKERS_TIMEOUT_S:.0f} s")

    def _ask(self) -> int:
        import distributed

        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError, ValueError, TimeoutError, distributed.TimeoutError) as error:
            raise ClusterError(f"the Dask scheduler on {self.address} is gone: {error}") from error
