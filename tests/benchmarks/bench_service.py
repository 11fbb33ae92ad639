"""The service as a process: start to READY, idle memory, event loop lag during an exam, shot to measured result.

    .venv/bin/python tests/benchmarks/bench_service.py [--runs 5]

Each figure stands beside a reference measured in the same run: the bare imports, scikit-image on the same frame.
Needs requirements-bench.lock.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "io")]

from instrument_bench import Bench, bench, service  # noqa: E402
from segmentation_peer import peer_pipeline  # noqa: E402

PYTHON = sys.executable
# What the service has imported at READY, and what it has imported when it idles.
AT_READY = "import trio, numpy, msgspec, structlog, serial, PIL.Image, sqlite3, tomli"
IDLE = AT_READY + ", pydicom"
SETTLE_S = 3.0


def seconds_to_ready(configuration: Path, runtime: Path) -> tuple[float, int]:
    """From exec to READY=1, as systemd sees it; and the resident memory once idle, in KiB."""
    runtime.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        path = runtime / "notify"
        path.unlink(missing_ok=True)
        systemd.bind(str(path))
        systemd.settimeout(60)
        started_s = time.perf_counter()
        process = subprocess.Popen(
            [PYTHON, "-m", "firmware_app", "run", "--config", str(configuration)],
            env={**os.environ, "NOTIFY_SOCKET": str(path)},
            stderr=subprocess.DEVNULL,
        )
        while not systemd.recv(4096).startswith(b"READY=1"):
            pass
        ready_s = time.perf_counter() - started_s
        time.sleep(SETTLE_S)
        memory_kib = resident_kib(process.pid)
        process.terminate()
        process.wait()
    return ready_s, memory_kib


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError(f"no VmRSS of process {pid}")


def imports(statement: str) -> tuple[float, int]:
    """A bare interpreter with the same packages: whole-process seconds, and its resident memory in KiB."""
    probe = f"{statement}; print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1])"
    started_s = time.perf_counter()
    done = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=True)
    return time.perf_counter() - started_s, int(done.stdout)


def exam(around: Bench) -> dict[str, float]:
    """One exam of both eyes by console. Seconds from the answer of `capture` to the numbers, and the lag in ms."""
    figures: dict[str, float] = {}
    with service(around.paths("exam")) as running:
        running.wait_ready()
        running.run("exam unscheduled BENCH Bench^Mark")
        running.run("home")
        shots: list[float] = []
        core: list[float] = []
        peer: list[float] = []
        for eye in ("R", "L"):
            running.run(f"eye {eye}")
            running.run("focus")
            started_s = time.perf_counter()
            capture_id = running.run(f"capture {eye}")["capture_id"]
            result = running.run(f"results {eye}")
            shots.append(time.perf_counter() - started_s)
            core.append(float(result["seconds"]))
            (picture,) = running.paths.state.glob(f"exams/*/{capture_id}.png")
            pixels = np.asarray(Image.open(picture))
            started_s = time.perf_counter()
            peer_pipeline(pixels)
            peer.append(time.perf_counter() - started_s)
        running.run("exam finish")
        running.wait("stored", lambda: set(running.states()) == {"stored"})
        figures["shot_s"], figures["core_s"], figures["peer_s"] = max(shots), max(core), max(peer)
        figures["lag_ms"] = float(running.run("status")["loop_lag_ms"])
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="bench") as folder, bench(Path(folder)) as around:
        starts, ours_kib, bare, bare_kib = [], [], [], []
        for number in range(runs):
            paths = around.paths(f"start{number}")
            ready_s, memory_kib = seconds_to_ready(paths.configuration, paths.runtime)
            starts.append(ready_s)
            ours_kib.append(memory_kib)
            bare.append(imports(AT_READY)[0])
            bare_kib.append(imports(IDLE)[1])
        figures = exam(around)
    start, reference = statistics.median(starts), statistics.median(bare)
    memory, memory_reference = statistics.median(ours_kib) / 1024, statistics.median(bare_kib) / 1024
    print(f"{'figure':34} {'ours':>10} {'reference':>10} {'ratio':>6}   reference is")
    row("start to READY, s", start, reference, "the bare imports, as a process")
    row("idle memory, MiB", memory, memory_reference, "the bare imports with pydicom")
    row("capture to numbers, s", figures["shot_s"], figures["peer_s"], "scikit-image, same frame, analysis only")
    row("of that the core, s", figures["core_s"], figures["peer_s"], "scikit-image, same frame")
    print(f"{'worst event loop lag in an exam, ms':34} {figures['lag_ms']:10.1f}")
    return 0


def row(name: str, ours: float, reference: float, what: str) -> None:
    print(f"{name:34} {ours:10.3f} {reference:10.3f} {ours / reference:6.2f}   {what}")


if __name__ == "__main__":
    sys.exit(main())
