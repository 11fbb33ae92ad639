"""A whole exam as a person performs it: over SSH into the console, with the instrument on USB, into the hospital."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from pydicom import dcmread

from deploy.device_test.bench import ANSWER_S, Bench, device_states, until
from deploy.image.vm import VirtualMachine
from firmware_app.demo.confirmation import CALLING_AE_TITLE, Archive, held_instances
from firmware_app.demo.evidence import wait_until_committed, wait_until_performed

EXAM_S = 3600.0
# One eye: emulated processors need two minutes to measure it. The demo performs the exam of both.
EXAM = ("worklist", "exam start 1", "home", "auto R", "results R", "exam finish")


def test_a_whole_exam_through_the_console_over_ssh(
    bench: Bench, machine: VirtualMachine, tell: Callable[[str], None]
) -> None:
    with bench.surroundings() as around, bench.console() as console:
        found_s = until(
            lambda: set(device_states(console.run("status")).values()) == {"ready"}, ANSWER_S, "both devices ready"
        )
        tell(f"stage and camera found on USB after {found_s:.1f} s")
        began_s = time.monotonic()
        script = "\n".join(EXAM).encode() + b"\n"
        done = machine.ssh([], user="service", given=script, timeout_s=EXAM_S)
        said = done.stdout.decode()
        assert done.returncode == 0, f"{said}\n{done.stderr.decode()}"
        tell(f"exam over SSH: {time.monotonic() - began_s:.1f} s")
        assert len(re.findall(r"\bCD \d+", said)) == 1, said
        began_s = time.monotonic()
        deliveries = console.run("queue")["deliveries"]
        wanted = {each["sop_instance_uid"] for each in deliveries}
        assert len(wanted) >= 2
        wait_until_committed(lambda: list(console.run("queue")["deliveries"]), wanted, lambda text: None, ANSWER_S)
        archive = {uid: dcmread(bench.folder / "archive" / f"{uid}.dcm", stop_before_pixels=True) for uid in wanted}
        (study,) = {instance.StudyInstanceUID for instance in archive.values()}
        wait_until_performed(around.hospital, study, wanted, ANSWER_S)
        address = around.hospital.first_line(ANSWER_S)["archive"]
        assert set(held_instances(Archive(**address), study, CALLING_AE_TITLE)) == wanted
        tell(f"{len(wanted)} instances stored, committed, step COMPLETED after {time.monotonic() - began_s:.1f} s more")
