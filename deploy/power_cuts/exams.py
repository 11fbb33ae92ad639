"""In the machine: the service with its state on the data disk, simulated instrument and hospital beside it, and exams.

    python -m deploy.power_cuts.exams DISK MOUNTED EXAMS SYNCHRONOUS

What is not the service's state lies in memory: archive, logs, configuration, console.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.power_cuts.configuration import MEASURED, RUNTIME, configuration_text
from deploy.power_cuts.file_system import FILE_SYSTEM_BYTES
from deploy.power_cuts.operator import Notes, Operator, Refused, at_the_console
from deploy.virtual_machine.first_program import PROJECT, say
from firmware_app.demo.console_link import answers
from firmware_app.demo.exam import free_port
from firmware_app.demo.processes import DemoFailed, running, tail

# Bounds, not expectations: emulated processors on a host that may be busy with anything.
READY_S, SETTLED_S, END_S = 300.0, 300.0, 60.0
POLL_S = 0.05
EYES = ("R", "L")
ABANDONED = 4  # every so manieth exam is abandoned, after its first capture
AROUND = Path("/tmp/around")
LOG = AROUND / "logs" / "service.log"
CONSOLE = RUNTIME / "console.sock"


def perform(operator: Operator, exams: int) -> None:
    operator.until(lambda: all_ready(operator), READY_S, "stage and camera found")
    operator.run("home")
    for number in range(1, exams + 1):
        operator.begin_exam(f"P{number:04}", f"Power^Cut{number}")
        eyes = EYES[:1] if number % ABANDONED == 0 else EYES
        for eye in eyes:
            operator.run(f"eye {eye}")
            operator.capture(eye)
        if len(eyes) < len(EYES):
            operator.abandon()
            continue
        for eye in eyes:
            if operator.results(eye) > 1:
                operator.edit(eye, f"remove {1 + number % 2}")
        operator.finish()
        say(f"exam {number} of {exams} after {time.monotonic():.1f} s")
    operator.until(lambda: all_settled(operator), SETTLED_S, "everything committed and reported")


def all_ready(operator: Operator) -> bool:
    devices = operator.run("status")["devices"]
    return len(devices) == 2 and all(device["state"] == "ready" for device in devices)


def all_settled(operator: Operator) -> bool:
    """Nothing is left to be promised."""
    deliveries = operator.run("queue --limit 10000")["deliveries"]
    messages = operator.run("mpps --limit 10000")["messages"]
    return all(each["commitment"] == "committed" for each in deliveries) and all(
        each["state"] == "done" for each in messages
    )


@contextmanager
def surroundings(state: Path) -> Iterator[Path]:
    """Simulator and hospital running; yields the configuration of a service between them."""
    logs = AROUND / "logs"
    logs.mkdir(parents=True)
    with ExitStack() as stack:
        simulator = stack.enter_context(running("simulator", ["sim", "--no-camera"], logs))
        port = free_port()
        arguments = ["hospital", "--out", str(AROUND / "archive"), "--station-port", str(port)]
        hospital = stack.enter_context(running("hospital", arguments, logs))
        instrument, addresses = simulator.first_line(READY_S), hospital.first_line(READY_S)
        say(f"stage and hospital ready after {time.monotonic():.1f} s")
        configuration = AROUND / "specular.toml"
        configuration.write_text(configuration_text(state, port, instrument, addresses), encoding="utf-8")
        yield configuration


@contextmanager
def service(configuration: Path, synchronous: str) -> Iterator[None]:
    """Answering at its console."""
    program = [sys.executable, f"{PROJECT}/tests/power_service.py", synchronous, MEASURED]
    with LOG.open("wb") as stderr:
        process = subprocess.Popen([*program, "run", "--config", str(configuration)], stderr=stderr)
    try:
        give_up_s = time.monotonic() + READY_S
        while not answers(CONSOLE):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise Refused("the service does not start")
            time.sleep(POLL_S)
        yield
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(disk: str, mounted: str, exams: str, synchronous: str) -> int:
    state = Path(mounted) / "state"
    try:
        with (
            surroundings(state) as configuration,
            service(configuration, synchronous),
            Notes(disk, FILE_SYSTEM_BYTES) as notes,
            at_the_console(CONSOLE, notes, state) as operator,
        ):
            say(f"service ready after {time.monotonic():.1f} s")
            perform(operator, int(exams))
            say(f"{exams} exams and {notes.count} acknowledgements after {time.monotonic():.1f} s")
    except (Refused, DemoFailed) as error:
        say(str(error))
        print("\n".join(tail(LOG)), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
