"""Our DICOM client beside DCMTK and pynetdicom on loopback: every figure of all three in the same run.

    .venv/bin/python tests/benchmarks/bench_dicom.py [--case NAME ...] [--runs 3] [--markdown]

Medians of the runs, in which the three take turns. What is required is a ratio to a peer: exit status 1 when one is
missed. "at rest" is what the peers achieved on an idle 2-core machine when the requirement was written.
Needs DCMTK and Orthanc; it takes about 5 minutes, nearly all of them waiting for the peers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from dicom_clients import echoscu, findscu, loop, peak_mib, seconds, store_commands  # noqa: E402
from dicom_material import WORKLIST_COUNT, write_images, write_worklist  # noqa: E402
from dicom_servers import canned_worklist, orthanc, storescp, wlmscpfs  # noqa: E402

CLIENTS = ("ours", "dcmtk", "pynetdicom")
Figures = dict[str, float]  # by client
Required = dict[str, float]  # by peer: how many times better than it we have to be at least
SLOW_ECHOES, OUR_ECHOES, ASSOCIATIONS, MANY_ECHOES = 40, 5000, 100, 100_000
REPEATED = 10  # 200 MB so many times are 2 GB


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    title: str
    unit: str  # s and MiB: the less the better; /s: the more
    figures: list[Figures]
    required: Required
    at_rest: str

    def median(self, client: str) -> float | None:
        values = [figures[client] for figures in self.figures if client in figures]
        return statistics.median(values) if values else None

    def advantage(self, peer: str) -> float | None:
        ours, theirs = self.median("ours"), self.median(peer)
        if ours is None or theirs is None:
            return None
        return ours / theirs if self.unit == "/s" else theirs / ours

    def missed(self) -> list[str]:
        return [
            f"{self.title}: {advantage:.2f} times as good as {peer}, required {least:g}"
            for peer, least in self.required.items()
            if (advantage := self.advantage(peer)) is not None and advantage < least
        ]


class Bench:
    """The material on disk and how often everything is measured."""

    def __init__(self, folder: Path, runs: int) -> None:
        self.folder = folder
        self.runs = runs
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")  # nothing of ours into the source tree
        (folder / "worklist").mkdir()
        write_worklist(folder / "worklist" / "PEER")
        self.captures, self.radiographs = write_images(folder)

    def warm_up(self) -> None:
        """Everybody's byte code is written, and the files are in the page cache."""
        with storescp(self.folder, nodelay=True) as port:
            store_all(port, [*self.captures, *self.radiographs], nodelay=True)
            for client in ("ours", "pynetdicom"):
                for what in ("echo", "associate"):
                    loop(client, what, port, 1)

    def each_run(self, measure: Callable[[], Figures]) -> list[Figures]:
        return [measure() for _ in range(self.runs)]


def store_all(port: int, files: Sequence[Path], *, nodelay: bool = False) -> Figures:
    return {client: seconds(command, nodelay=nodelay) for client, command in store_commands(port, files).items()}


def captures_default(bench: Bench) -> Iterator[Row]:
    with storescp(bench.folder) as port:
        figures = bench.each_run(partial(store_all, port, bench.captures))
    title = "200 SC of 640x480x3 (184 MB) to a default `storescp --ignore`"
    yield Row(title, "s", figures, {"dcmtk": 20, "pynetdicom": 20}, "12.4 / 13-15 s; at most 0.6 s")


def captures_orthanc(bench: Bench) -> Iterator[Row]:
    with orthanc(bench.folder) as port:
        figures = bench.each_run(partial(store_all, port, bench.captures))
    # Orthanc itself needs 1.6 s of the 2.0: all that a client can win is what DCMTK waits, 12 to 15 s.
    yield Row("the same to Orthanc", "s", figures, {"dcmtk": 5}, "15.0 / 14.1 s; at most 2.0 s")


def radiographs_default(bench: Bench) -> Iterator[Row]:
    with storescp(bench.folder) as port:
        figures = bench.each_run(partial(store_all, port, bench.radiographs))
    title = "20 CR of 2000x2500 in 16 bits (200 MB), default storescp"
    yield Row(title, "s", figures, {"dcmtk": 1.28 / 0.45}, "1.28 / 2.0 s; at most 0.45 s")


def captures_nodelay(bench: Bench) -> Iterator[Row]:
    with storescp(bench.folder, nodelay=True) as port:
        figures = bench.each_run(partial(store_all, port, bench.captures, nodelay=True))
    title = "200 SC, both ends with TCP_NODELAY=1"
    yield Row(title, "s", figures, {"dcmtk": 1 / 2}, "0.206 / 3.6 s; within 2 times of DCMTK")


def echoes(bench: Bench) -> Iterator[Row]:
    def measure(port: int) -> Figures:
        return {
            "ours": loop("ours", "echo", port, OUR_ECHOES)["per_s"],
            "dcmtk": SLOW_ECHOES / seconds(echoscu(port, SLOW_ECHOES)),
            "pynetdicom": loop("pynetdicom", "echo", port, SLOW_ECHOES)["per_s"],
        }

    with storescp(bench.folder) as port:
        figures = bench.each_run(partial(measure, port))
    title = "C-ECHO on one association, default storescp"
    yield Row(title, "/s", figures, {"dcmtk": 3000 / 11, "pynetdicom": 3000 / 22}, "11 / 22 per s; at least 3000")


def associations(bench: Bench) -> Iterator[Row]:
    """echoscu can only associate with an echo: with TCP_NODELAY that echo does not stall."""

    def measure(port: int, nodelay_port: int) -> Figures:
        command = echoscu(nodelay_port)
        return {
            "ours": loop("ours", "associate", port, ASSOCIATIONS)["per_s"],
            "dcmtk": SLOW_ECHOES / sum(seconds(command, nodelay=True) for _ in range(SLOW_ECHOES)),
            "pynetdicom": loop("pynetdicom", "associate", port, SLOW_ECHOES)["per_s"],
        }

    with storescp(bench.folder) as port, storescp(bench.folder, nodelay=True) as nodelay_port:
        figures = bench.each_run(partial(measure, port, nodelay_port))
    title = "association and release (DCMTK: a process with one echo each)"
    yield Row(title, "/s", figures, {"dcmtk": 150 / 41, "pynetdicom": 150 / 60}, "41 / 60 per s; at least 150")


def worklist(bench: Bench) -> Iterator[Row]:
    required = {"dcmtk": 0.18 / 0.25, "pynetdicom": 1.3 / 0.25}
    yield from worklist_from("canned peer", canned_worklist(), bench.runs, required, {"pynetdicom": 57 / 30})
    # wlmscpfs reads its 1000 files before it answers: that is nearly all of the time, and says nothing about us.
    required = {"dcmtk": 0.19 / 0.25, "pynetdicom": 0.77 / 0.25}
    yield from worklist_from("wlmscpfs", wlmscpfs(bench.folder / "worklist"), bench.runs, required, {})


def worklist_from(
    name: str, server: AbstractContextManager[int], runs: int, required: Required, required_first: Required
) -> Iterator[Row]:
    whole, first = [], []
    with server as port:
        for _ in range(runs):
            ours = loop("ours", "worklist", port, WORKLIST_COUNT)
            theirs = loop("pynetdicom", "worklist", port, WORKLIST_COUNT)
            whole.append({"ours": ours["s"], "dcmtk": seconds(findscu(port)), "pynetdicom": theirs["s"]})
            first.append({"ours": ours["first_s"], "pynetdicom": theirs["first_s"]})
    yield Row(f"1000 worklist items, decoded ({name})", "s", whole, required, "0.18 / 1.3 s; at most 0.25 s")
    yield Row(f"the first of them ({name})", "s", first, required_first, "- / 0.06 s; at most 0.03 s")


def memory(bench: Bench) -> Iterator[Row]:
    def measure(port: int, files: Sequence[Path]) -> Figures:
        return {client: peak_mib(command) for client, command in store_commands(port, files).items()}

    with storescp(bench.folder, nodelay=True) as port:
        small = bench.each_run(partial(measure, port, bench.captures))
        # As many names as before: 2000 more of them would cost 3 MiB, whatever is in the files.
        large = bench.each_run(lambda: {"ours": peak_mib(store_commands(port, bench.radiographs * REPEATED)["ours"])})
    required = {"dcmtk": 16 / 75, "pynetdicom": 60 / 75}
    yield Row("peak memory while sending 184 MB", "MiB", small, required, "16 / 60 MiB; at most 75 MiB")
    pairs = zip(large, small, strict=True)
    both = [{"ours": whole["ours"], "ours with 184 MB": part["ours"]} for whole, part in pairs]
    yield Row("peak memory while sending 2 GB", "MiB", both, {"ours with 184 MB": 1 / 1.05}, "the same")


def endurance(bench: Bench) -> Iterator[Row]:
    """Only when asked for. pynetdicom loses one response in some hundreds, and a default storescp makes 22 a second."""
    with storescp(bench.folder, nodelay=True) as port:
        figures = [
            {
                "ours": loop("ours", "echo", port, MANY_ECHOES)["per_s"],
                "dcmtk": MANY_ECHOES / seconds(echoscu(port, MANY_ECHOES), nodelay=True),
            }
        ]
    yield Row("100 000 C-ECHOs on one association, none lost, TCP_NODELAY=1", "/s", figures, {}, "-")


CASES = {
    "sc": captures_default,
    "orthanc": captures_orthanc,
    "cr": radiographs_default,
    "nodelay": captures_nodelay,
    "echo": echoes,
    "associate": associations,
    "worklist": worklist,
    "memory": memory,
}
OPTIONAL = {"endurance": endurance}


# ------------------------------------------------------------------ what is printed


def shown(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if unit == "MiB" else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def cells(row: Row) -> list[str]:
    """Title, the three figures, how many times better than each peer, and what is required of the first."""
    figures = [f"{shown(row.median(client), row.unit)}" for client in CLIENTS]
    ratios = ["-" if (one := row.advantage(peer)) is None else f"{one:.3g}x" for peer in CLIENTS[1:]]
    least = ", ".join(f"{peer} {factor:.3g}x" for peer, factor in row.required.items()) or "-"
    return [f"{row.title}, {row.unit.replace('/s', 'per s')}", *figures, *ratios, least, row.at_rest]


HEADINGS = ["case", "specular", "DCMTK", "pynetdicom", "to DCMTK", "to pynetdicom", "required", "at rest"]


def print_row(columns: list[str], *, markdown: bool) -> None:
    if markdown:
        print(f"| {' | '.join(columns)} |", flush=True)
        return
    title, *figures, required, at_rest = columns
    print(f"{title:72} {' '.join(f'{one:>13}' for one in figures)}  {required}  ({at_rest})", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--case", action="append", choices=[*CASES, *OPTIONAL], help="only this one; may be given again"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--markdown", action="store_true", help="a table for README")
    arguments = parser.parse_args()
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        bench = Bench(Path(folder), arguments.runs)
        bench.warm_up()
        print_row(HEADINGS, markdown=arguments.markdown)
        if arguments.markdown:
            print_row(["---", *["---:"] * 5, "---", "---"], markdown=True)
        for name in arguments.case or CASES:
            for row in (CASES | OPTIONAL)[name](bench):
                print_row(cells(row), markdown=arguments.markdown)
                missed += row.missed()
    for line in missed:
        print(f"MISSED {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
