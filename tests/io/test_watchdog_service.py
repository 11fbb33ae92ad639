"""A whole service whose disk dies under it: systemd hears no more, the log says why, and `health` still answers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from firmware_app.console.protocol import Run, encode_request
from firmware_app.demo.console_link import answers, connected

WAIT_S = 60.0
LIMIT_S = 1.0
PROGRAM = """
import sys, time
from pathlib import Path
from firmware_app.app import run_service
from firmware_app.config import load_config
from firmware_app.records import store
from firmware_app.records.queue import DeliveryQueue

store.DISK_S = float(sys.argv[2])
DeliveryQueue.counts = lambda *_: time.sleep(600)  # the read that never returns
run_service(load_config(Path(sys.argv[1])))
"""


def wait(holds: Callable[[], bool]) -> None:
    give_up_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


def heard(systemd: socket.socket, seconds: float) -> list[bytes]:
    """What systemd hears in this time."""
    messages, end_s = [], time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        systemd.settimeout(left_s)
        with contextlib.suppress(TimeoutError):
            messages.append(systemd.recv(1000))
    return messages


def test_a_dead_disk_under_a_whole_service(tmp_path: Path) -> None:
    folder = Path(os.path.realpath(tmp_path))
    configuration = folder / "c.toml"
    configuration.write_text(
        f'[instrument]\nport = 0\n[network]\ninterface = "lo"\n[paths]\nstate = "{folder}/s"\nruntime = "{folder}/r"\n'
    )
    log = folder / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, log.open("wb") as written:
        systemd.bind(str(folder / "n"))
        surroundings = os.environ | {"NOTIFY_SOCKET": str(folder / "n"), "WATCHDOG_USEC": "1000000"}
        surroundings.pop("WATCHDOG_PID", None)
        command = [sys.executable, "-c", PROGRAM, str(configuration), str(LIMIT_S)]
        with subprocess.Popen(command, env=surroundings, stderr=written) as service:
            try:
                console = folder / "r" / "console.sock"
                said: list[bytes] = []
                wait(lambda: said.extend(heard(systemd, 0.5)) or b"WATCHDOG=1" in said)  # type: ignore[func-returns-value]
                wait(lambda: answers(console))
                assert b"READY=1" in b"".join(said)
                with socket.socket(socket.AF_UNIX) as asking, connected(console) as link:
                    asking.connect(str(console))
                    asking.sendall(encode_request(Run(1, "status")))  # and it never gets an answer
                    wait(lambda: heard(systemd, 3 * LIMIT_S) == [])
                    health = link.run("health")[1]
                assert not health["well"]
                assert "console hangs: the disk for" in health["watchdog_withheld"]
                assert {part["name"]: part["doing"] for part in health["parts"]}["records"] != "idle"
                events = [json.loads(line) for line in log.read_text().splitlines()]
                (hangs,) = [event for event in events if event["event"] == "service.hangs"]
                assert hangs["part"] == "console"
                assert hangs["level"] == "critical"
            finally:
                service.kill()
