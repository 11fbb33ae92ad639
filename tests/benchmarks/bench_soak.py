"""Two thousand exams in one service process against the embedded hospital: memory, descriptors, tasks, throughput.

    .venv/bin/python tests/benchmarks/bench_soak.py [--exams 2000]

A simulated stage on a pty, a folder of small pictures as the camera, the embedded hospital's archive (storage and
commitment), information system (worklist and MPPS) and printer. Every exam has both eyes captured, measured, reported,
stored, committed to and its step reported; one of 25 comes from the worklist, one of 50 is printed. Looked at whenever
nothing is under way any more and what the last exam has used is given back: memory of its own (anonymous pages: PSS and
USS also change when others who share the libraries come and go), PSS, descriptors, tasks, threads. Exit status 1 when
memory grows by 2 MiB or more after the first 200 exams, or when a descriptor or a task is left over.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "crash"), str(HERE.parent.parent)]

from crash_round import EYES  # noqa: E402
from operator_script import run_patiently as run  # noqa: E402
from place import ENVIRONMENT, Place, make_place, node, stages  # noqa: E402
from stages import STAGE_CONFIG  # noqa: E402

from firmware_app.demo.console_link import ConsoleLink, answers, connected  # noqa: E402
from firmware_app.demo.exam import free_port  # noqa: E402
from firmware_app.demo.processes import running  # noqa: E402
from firmware_app.services.memory import SETTLE_S  # noqa: E402

GROWTH_KIB = 2048
REST_S = 2 * SETTLE_S  # until what the last exam has used is given back
SETTLED = 200  # exams after which memory must not grow
FROM_WORKLIST, PRINTED, TOGETHER = 25, 50, 10
PATIENCE_S = 120.0
POLL_S = 0.01
INBOUND = ".Inbound.run"  # the task of an association with our own port


@dataclass(frozen=True)
class Look:
    exams: int
    own_kib: int
    pss_kib: int
    rss_kib: int
    descriptors: Counter[str]
    tasks: Counter[str]
    threads: int
    objects: int

    def __str__(self) -> str:
        return (
            f"{self.exams:6} exams: own {self.own_kib / 1024:6.2f} MiB, PSS {self.pss_kib / 1024:6.2f}, "
            f"RSS {self.rss_kib / 1024:6.2f}; {self.descriptors.total()} descriptors, {self.tasks.total()} tasks, "
            f"{self.threads} threads, {self.objects} objects"
        )


@dataclass(frozen=True)
class Soak:
    looks: list[Look]
    exams: int
    wall_s: float

    @property
    def settled(self) -> list[Look]:
        """From the look on at which memory must have come to rest."""
        return [look for look in self.looks if look.exams >= min(SETTLED, self.exams)]

    @property
    def growth_kib(self) -> int:
        """The most that any later look has more than the first settled one."""
        first, *later = self.settled
        return max((look.own_kib - first.own_kib for look in later), default=0)

    @property
    def slope_kib(self) -> float:
        """KiB in 100 exams, of the straight line through the settled looks."""
        if len(self.settled) < 3:
            return 0.0
        exams, own = [look.exams for look in self.settled], [look.own_kib for look in self.settled]
        return 100 * statistics.linear_regression(exams, own).slope

    def left_over(self) -> list[str]:
        """Descriptors and tasks that the last look has and the first has not."""
        first, last = self.looks[0], self.looks[-1]
        return [
            f"{count} {kind} {name}"
            for kind, before, after in (
                ("descriptor", first.descriptors, last.descriptors),
                ("task", first.tasks, last.tasks),
            )
            for name, count in (after - before).items()
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exams", type=int, default=2000)
    parser.add_argument("--look-every", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        soak = run_soak(Path(folder), options.exams, options.look_every, lambda look: print(look, flush=True))
    print(f"exams per minute                       {60 * soak.exams / soak.wall_s:.0f}")
    print(f"growth after the first {SETTLED} exams, KiB    {soak.growth_kib}")
    print(f"slope after them, KiB in 100 exams     {soak.slope_kib:.1f}")
    print(f"left over                              {', '.join(soak.left_over()) or 'nothing'}")
    return 1 if soak.growth_kib >= GROWTH_KIB or soak.left_over() else 0


def run_soak(folder: Path, exams: int, look_every: int, tell: Callable[[Look], None], rest_s: float = REST_S) -> Soak:
    """`folder` is short: it also holds the console's socket. Before each look nothing happens for `rest_s`."""
    with (
        stages(1, folder / "s") as (stage_port,),
        running(
            "hospital", ["hospital", "--out", str(folder / "a"), "--station-port", str(port := free_port())], folder
        ) as hospital,
    ):
        place = soak_place(folder / "i", stage_port, port, hospital.first_line(PATIENCE_S))
        command = [sys.executable, str(HERE / "soaked_service.py"), "run", "--config", str(place.configuration)]
        with (
            place.log.open("wb") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=ENVIRONMENT) as service,
        ):
            try:
                return soaked(service, place, exams, look_every, tell, rest_s)
            finally:
                service.terminate()


def soak_place(folder: Path, stage_port: str, station_port: int, hospital: dict[str, Any]) -> Place:
    worklist, archive, printer = (
        node(hospital[name]["port"], hospital[name]["ae_title"]) for name in ("worklist", "archive", "printer")
    )
    nodes = {
        "worklist": {**worklist, "refresh_interval_s": 0},
        "storage": {**archive, "modality": "OP", "transfer_syntax": "explicit-vr-little-endian", "retry_first_s": 0.1},
        "mpps": worklist,
        "commitment": {**archive, "report_timeout_s": 20.0, "same_association_wait_s": 0.1},
        "print": printer,
    }
    return make_place(folder, {"port": stage_port, **STAGE_CONFIG, **EYES}, nodes, station_port)


def soaked(
    service: subprocess.Popen[bytes],
    place: Place,
    exams: int,
    look_every: int,
    tell: Callable[[Look], None],
    rest_s: float,
) -> Soak:
    wait_until("the console", service, lambda: answers(place.console))
    looks: list[Look] = []
    with connected(place.console) as link:
        wait_until(
            "the devices", service, lambda: all(each["state"] == "ready" for each in run(link, "status")["devices"])
        )
        run(link, "home")
        wait_until("the copy of the database", service, lambda: "copy of" in run(link, "status")["services"]["records"])
        began_s, rested_s = time.monotonic(), 0.0
        for number in range(1, exams + 1):
            one_exam(link, number)
            if number % TOGETHER == 0:
                wait_until("nothing under way", service, lambda: is_at_rest(link))
            if number % look_every == 0 or number == TOGETHER:
                # The archive's last report is taken before its association is released.
                wait_until("the archive's associations to end", service, lambda: not has_inbound(service))
                time.sleep(rest_s)
                rested_s += rest_s
                looks.append(look_at(service, number))
                tell(looks[-1])
        return Soak(looks, exams, time.monotonic() - began_s - rested_s)


def one_exam(link: ConsoleLink, number: int) -> None:
    if number % FROM_WORKLIST == 1:
        run(link, "worklist")
        exam_id = run(link, "exam start 1")["exam_id"]
    else:
        exam_id = run(link, f"exam unscheduled S{number} Soak^Test")["exam_id"]
    for eye in "RL":
        run(link, f"eye {eye}")
        run(link, f"capture {eye}")
    run(link, "exam finish")
    if number % PRINTED == 1:
        run(link, f"print {exam_id}")


def is_at_rest(link: ConsoleLink) -> bool:
    deliveries = run(link, f"queue --limit {4 * TOGETHER}")["deliveries"]
    messages = run(link, f"mpps --limit {2 * TOGETHER}")["messages"]
    films = run(link, "print-jobs")["jobs"]
    return (
        all(each["state"] == "stored" and each["commitment"] == "committed" for each in deliveries)
        and all(each["state"] == "done" for each in messages)
        and all(each["state"] not in ("queued", "printing") for each in films)
    )


def wait_until(what: str, service: subprocess.Popen[bytes], holds: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not holds():
        if service.poll() is not None or time.monotonic() > give_up_s:
            raise SystemExit(f"waited for {what} in vain; the service's status is {service.poll()}")
        time.sleep(POLL_S)


def look_at(service: subprocess.Popen[bytes], exams: int) -> Look:
    sizes = {}
    for line in Path(f"/proc/{service.pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        sizes[name] = int(value.split()[0])
    # After the sizes: the list of its objects is memory too, 0.7 MiB, and up to 3 with what then lies free.
    said = ask(service)
    return Look(
        exams,
        sizes["Anonymous"],
        sizes["Pss"],
        sizes["Rss"],
        descriptors_of(service.pid),
        Counter(said["tasks"]),
        said["threads"],
        said["objects"],
    )


def ask(service: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What soaked_service.py says of itself."""
    assert service.stdout is not None
    service.send_signal(signal.SIGUSR1)
    said: dict[str, Any] = json.loads(service.stdout.readline())
    return said


def has_inbound(service: subprocess.Popen[bytes]) -> bool:
    return any(name.endswith(INBOUND) for name in ask(service)["tasks"])


def descriptors_of(pid: int) -> Counter[str]:
    """By what they lead to; of sockets and pipes only that they are."""
    found: Counter[str] = Counter()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found[os.readlink(entry.path).partition(":[")[0]] += 1
        except FileNotFoundError:  # closed meanwhile
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
