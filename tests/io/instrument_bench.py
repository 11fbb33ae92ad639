"""Simulated instrument, embedded hospital and service as processes, with faults on command."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_app.demo.configuration import DemoPaths, configuration_text
from firmware_app.demo.console_link import ConsoleLink, answers, connected
from firmware_app.demo.exam import free_port
from firmware_app.demo.processes import Child, running

READY_S = 60.0  # a bound, not an expectation: the machine may be busy with anything
POLL_S = 0.05


@dataclass
class Bench:
    """What stands around the service. `service()` starts one on a state folder of its own choice."""

    root: Path
    simulator: Child
    hospital: Child
    instrument: dict[str, Any]
    addresses: dict[str, Any]
    port: int  # where the service under test listens: the hospital reports there
    started: int = field(default=0)

    def tell_simulator(self, command: str) -> None:
        self._tell(self.simulator, command)

    def tell_hospital(self, command: str) -> None:
        self._tell(self.hospital, command)

    def _tell(self, child: Child, command: str) -> None:
        """Give the command and wait for the line that answers it."""
        before = child.output.read_bytes().count(b"\n")
        assert child.process.stdin is not None
        child.process.stdin.write(command.encode() + b"\n")
        child.process.stdin.flush()
        child.wait_until(lambda: child.output.read_bytes().count(b"\n") > before, READY_S, f"answered {command!r}")

    def paths(self, name: str) -> DemoPaths:
        paths = DemoPaths(self.root / name, self.root / f"r{self.started}")
        self.started += 1
        paths.logs.mkdir(parents=True)
        text = configuration_text(paths, self.instrument, self.addresses, self.port)
        paths.configuration.write_text(text, encoding="utf-8")
        return paths

    def stored_in_archive(self) -> set[str]:
        """SOP Instance UIDs that the hospital says it has stored so far."""
        events = [json.loads(line) for line in self.hospital.output.read_text(encoding="utf-8").splitlines()[1:]]
        stores = [event for event in events if event.get("event") == "store"]
        return {event["sop_instance_uid"] for event in stores if event["status"] == "0000"}


@dataclass
class Running:
    child: Child
    link: ConsoleLink
    paths: DemoPaths

    def run(self, line: str) -> dict[str, Any]:
        return self.link.run(line)[1]

    def devices(self) -> dict[str, dict[str, Any]]:
        return {device["name"]: device for device in self.run("status")["devices"]}

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        give_up_s = time.monotonic() + READY_S
        while not condition():
            assert self.child.process.poll() is None, self.child.log.read_text()
            assert time.monotonic() < give_up_s, f"{what}\n{self.child.log.read_text()[-4000:]}"
            time.sleep(POLL_S)

    def wait_ready(self) -> None:
        self.wait("devices ready", lambda: all(each["state"] == "ready" for each in self.devices().values()))

    def deliveries(self) -> list[dict[str, Any]]:
        return list(self.run("queue")["deliveries"])

    def states(self) -> list[str]:
        return [delivery["state"] for delivery in self.deliveries()]

    def kill(self) -> None:
        os.kill(self.child.process.pid, signal.SIGKILL)
        self.child.process.wait()


@contextmanager
def bench(root: Path) -> Iterator[Bench]:
    logs = root / "logs"
    logs.mkdir()
    with ExitStack() as stack:
        simulator = stack.enter_context(running("simulator", ["sim", "--seed", "3", "--link-dir", str(root)], logs))
        port = free_port()
        arguments = ["hospital", "--out", str(root / "archive"), "--station-port", str(port)]
        hospital = stack.enter_context(running("hospital", arguments, logs))
        yield Bench(root, simulator, hospital, simulator.first_line(READY_S), hospital.first_line(READY_S), port)


@contextmanager
def service(paths: DemoPaths) -> Iterator[Running]:
    with running("service", ["run", "--config", str(paths.configuration)], paths.logs) as child:
        child.wait_until(lambda: answers(paths.console), READY_S, "opened its console")
        with connected(paths.console) as link:
            yield Running(child, link, paths)
