"""What stands around a service that is killed or whose disk fails: stage, pictures, hospital, configuration.

All of it outlives the service, as the real things do. Everything is small and fast: an exam takes half a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE), str(HERE.parent)]),
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
PICTURES = 23  # a capture of an exam is hardly ever the same picture as the next
SIDE_PX = 64  # the smallest that the alignment looks at

Table = Mapping[str, object]

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent() -> None:
    """In a child, as its first work: nobody is left who would end it when the thread that started it is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Helper:
    """A program of this folder that talks to us by lines on its standard streams; the end of its stdin is its end."""

    process: subprocess.Popen[bytes]

    def line(self) -> Any:
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        assert said, f"{self.process.args!r} ended"
        return json.loads(said)

    def tell(self, line: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        return self.line()


@contextlib.contextmanager
def helper(program: str, *arguments: object, log: Path) -> Iterator[Helper]:
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=ENVIRONMENT
        ) as process,
    ):
        try:
            yield Helper(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


@contextlib.contextmanager
def stages(count: int, folder: Path) -> Iterator[list[str]]:
    """The ports of so many simulated stages (`stages.py`)."""
    folder.mkdir(parents=True, exist_ok=True)
    with helper("stages.py", count, folder, log=folder / "log") as served:
        yield served.line()


@dataclass(frozen=True)
class Place:
    """One instrument's own. `pictures` are the SHA-256 of the pixels of what its camera can show."""

    folder: Path
    station_port: int
    pictures: frozenset[str]
    tables: dict[str, Table] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def console(self) -> Path:
        return self.folder / "console.sock"

    @property
    def configuration(self) -> Path:
        return self.folder / "specular.toml"

    @property
    def log(self) -> Path:
        return self.folder / "service.log"


def make_place(folder: Path, stage: Table, nodes: Mapping[str, Table], station_port: int, **tables: Table) -> Place:
    """Write pictures and configuration into the folder, whose path is short: it also holds the console's socket."""
    camera, state = folder / "camera", folder / "state"
    for each in (camera, state):
        each.mkdir(parents=True)
    known = draw_pictures(camera)
    all_tables: dict[str, Table] = {
        "instrument": {"port": station_port},
        "network": {"interface": "lo"},
        **nodes,
        "stage": stage,
        "camera": {"kind": "folder", "port": str(camera), "frames_per_s": 200.0, "um_per_px": 0.85},
        "capture": {"burst": 1},
        "retention": {"min_free_percent": 0},  # whatever room this machine has
        "paths": {"state": str(state), "runtime": str(folder)},
        **tables,
    }
    place = Place(folder, station_port, known, all_tables)
    place.configuration.write_text(toml(all_tables), encoding="utf-8")
    return place


def draw_pictures(folder: Path) -> frozenset[str]:
    chance = np.random.default_rng(7)
    known = set()
    for number in range(PICTURES):
        pixels = chance.integers(30, 220, (SIDE_PX, SIDE_PX)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        known.add(hashlib.sha256(pixels.tobytes()).hexdigest())
    return frozenset(known)


def toml(tables: Mapping[str, Table]) -> str:
    """Nothing but strings, numbers, booleans and lists of them, which JSON writes as TOML does."""
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        for key, value in table.items():
            if isinstance(value, Mapping):
                inner = ", ".join(f"{inner_key} = {json.dumps(each)}" for inner_key, each in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            else:
                lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def node(port: int, ae_title: str, **more: object) -> Table:
    return {"ip_address": "127.0.0.1", "port": port, "ae_title": ae_title, **more}
