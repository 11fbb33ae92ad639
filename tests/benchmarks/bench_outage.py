"""An archive away for a week of work, then back: how fast the queue empties, beside DCMTK sending the same files.

    .venv/bin/python tests/benchmarks/bench_outage.py [--exams 500] [--rows 480] [--columns 640] [--days 7] [--runs 1]

The exams are taken into real records in virtual time while delivery, commitment and MPPS find closed ports. Then the
same services work with the embedded hospital until everything is stored, committed to and reported, and with DCMTK's
storescp, which does nothing but take; DCMTK's storescu and dcmsend send the same files to the same peers in the same
run. Exit status 1 when anything is missing, doubled, out of order or not the same to the byte, or when delivery to
storescp is not at least as fast as DCMTK's faster client. Needs DCMTK. With the defaults (1500 instances, 461 MB) it
takes some minutes, most of them the week itself and the peers of others.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "io"), str(HERE.parent / "peers")]

import outage  # noqa: E402
import trio  # noqa: E402
from dicom_clients import seconds  # noqa: E402
from dicom_servers import storescp  # noqa: E402
from outage import READY_S, STORAGE, Material, hospital  # noqa: E402
from peers_material import program  # noqa: E402

from firmware_app.demo.exam import free_port  # noqa: E402
from firmware_app.model import DeliveryState  # noqa: E402
from firmware_app.net.node import Node, Timeouts  # noqa: E402
from firmware_app.net.pace import Pace  # noqa: E402
from firmware_app.records.store import open_records  # noqa: E402

BOUND_BYTES_PER_S = 2_000_000
DCMTK = ("storescu", "dcmsend")


def deliver_to(state: Path, node: Node, began: datetime, *, count: int = 0) -> float:
    """Seconds until everything that is queued, or `count` of it, is stored at the node."""
    taken_s = 0.0

    async def run() -> None:
        nonlocal taken_s
        begun_s = time.perf_counter()

        def clock() -> datetime:
            return began + timedelta(hours=1, seconds=time.perf_counter() - begun_s)

        async with open_records(state, clock=clock) as records, trio.open_nursery() as nursery:
            waiting = count or (await records.counts())[DeliveryState.QUEUED]
            nodes = dict.fromkeys((STORAGE, outage.COMMITMENT, outage.MPPS), node)

            def settled() -> None:
                nonlocal waiting, taken_s
                waiting -= 1
                if waiting == 0:
                    taken_s = time.perf_counter() - begun_s
                    nursery.cancel_scope.cancel()

            services = outage.Services(records, nodes, lambda event: None)
            nursery.start_soon(services.deliver, settled)

    trio.run(run)
    return taken_s


def dcmtk_s(name: str, title: str, port: int, files: list[str]) -> float:
    return seconds([program(name), "-aec", title, "127.0.0.1", str(port), *files])


def shown(what: str, count: int, octets: int, taken_s: float) -> None:
    print(
        f"{what:58} {taken_s:8.2f} s {count / taken_s:8.0f} instances/s {octets / taken_s / 1e6:8.1f} MB/s", flush=True
    )


def with_hospital(root: Path, state: Path, material: Material, began: datetime) -> list[str]:
    """Ours with all its services, and each client of DCMTK, to a hospital of its own each."""
    port = free_port()
    with hospital(root / "ours", port) as child:
        done = outage.recovery(copied(state, root / "hospital-state"), child, port, began)
    count, octets = len(material.sent), material.octets
    shown("hospital: specular, everything stored", count, octets, done.stored_s)
    shown("hospital: specular, committed to and reported as well", count, octets, done.committed_s)
    with hospital(root / "alone", free_port()) as child:
        archive = outage.nodes_of(child.first_line(READY_S))[STORAGE]
        alone_s = deliver_to(copied(state, root / "hospital-state"), archive, began)
    shown("hospital: specular, delivery alone", count, octets, alone_s)
    for name in DCMTK:
        with hospital(root / name, free_port()) as child:
            archive = child.first_line(READY_S)["archive"]
            taken_s = dcmtk_s(name, archive["ae_title"], archive["port"], files_of(state, material))
        shown(f"hospital: {name}", count, octets, taken_s)
        print(f"{'':58} delivery alone is {taken_s / alone_s:.2f} times as fast as {name}")
    return outage.complaints(material, done)


def with_storescp(root: Path, state: Path, material: Material, began: datetime, runs: int) -> list[str]:
    """Storing alone, to a peer that only takes."""
    count, octets = len(material.sent), material.octets
    taken: dict[str, list[float]] = {name: [] for name in ("specular", "specular store", *DCMTK)}
    files = files_of(state, material)
    with storescp(root) as port:
        node = Node(STORAGE, "127.0.0.1", port, "PEER", Timeouts.all(60))
        by_hand = [sys.executable, "-m", "firmware_app", "store", f"PEER@127.0.0.1:{port}", *files]
        ways: dict[str, Callable[[], float]] = {
            "specular": lambda: deliver_to(copied(state, root / "storescp-state"), node, began),
            "specular store": lambda: seconds(by_hand),
            **{name: partial(dcmtk_s, name, "PEER", port, files) for name in DCMTK},
        }
        for _ in range(runs):
            for name, way in ways.items():
                taken[name].append(way())
        bounded(root, state, node, began, material)
    medians = {name: statistics.median(each) for name, each in taken.items()}
    for name, taken_s in medians.items():
        shown(f"storescp: {name}", count, octets, taken_s)
    fastest = min(DCMTK, key=lambda name: medians[name])
    for name in (*DCMTK, "specular store"):
        ratio = medians[name] / medians["specular"]
        print(f"{'':58} delivery is {ratio:.2f} times as fast as {name}")
    slower = medians["specular"] > medians[fastest]
    return [f"delivery to storescp is slower than {fastest}"] if slower else []


def bounded(root: Path, state: Path, node: Node, began: datetime, material: Material) -> None:
    """The bound on bytes per second, with the same queue: what it says and what is measured."""
    count = min(40, len(material.sent))
    octets = material.octets * count // len(material.sent)
    slow = replace(node, pace=Pace(BOUND_BYTES_PER_S))
    taken_s = deliver_to(copied(state, root / "bounded-state"), slow, began, count=count)
    shown(f"storescp: specular, bounded to {BOUND_BYTES_PER_S / 1e6:g} MB/s", count, octets, taken_s)


def copied(state: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(state, to))


def files_of(state: Path, material: Material) -> list[str]:
    found = {path.stem: path for path in state.glob("exams/*/*.dcm")}
    return [str(found[uid]) for uid in material.sent]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("exams", 500), ("rows", 480), ("columns", 640), ("runs", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--days", type=float, default=7.0)
    arguments = parser.parse_args()
    material = Material(arguments.exams, arguments.rows, arguments.columns)
    with tempfile.TemporaryDirectory(prefix="outage") as folder:
        root = Path(folder)
        begun_s = time.perf_counter()
        away = outage.week(root / "state", material, arguments.days)
        print(
            f"{arguments.exams} exams, {len(material.sent)} instances, {material.octets / 1e6:.0f} MB taken in "
            f"{arguments.days:g} days without an archive ({time.perf_counter() - begun_s:.0f} s of real time): "
            f"{away.tries} tries in vain, at most {away.longest_wait_s:.0f} s apart",
            flush=True,
        )
        complaints = with_hospital(root, root / "state", material, away.ended_at)
        complaints += with_storescp(root, root / "state", material, away.ended_at, arguments.runs)
    for text in complaints:
        print(f"MISSED {text}", file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
