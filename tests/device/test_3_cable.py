"""The stage's cable pulled in the middle of an exam, and plugged in again where it has another name then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy.device_test.bench import ANSWER_S, Bench, device_states, ports_of, until
from deploy.device_test.stand_in import stand_in
from deploy.image.vm import VirtualMachine
from firmware_app.demo.console_link import CommandRefused
from firmware_app.demo.evidence import wait_until_committed


def test_the_exam_goes_on_after_the_stage_was_away(
    bench: Bench, machine: VirtualMachine, tell: Callable[[str], None]
) -> None:
    stand_in(machine)
    bench.configure(bench.configuration)
    with bench.surroundings() as around, bench.console() as console:

        def states() -> dict[str, str]:
            return device_states(console.run("status"))

        until(lambda: set(states().values()) == {"ready"}, ANSWER_S, "both devices ready")
        first = ports_of(console.run("status"))
        exam_id = console.run("exam unscheduled CABLE-1 Cable^Test")["exam_id"]
        console.run("home")
        console.run("eye R")
        console.run("capture R")

        around.pull("stage")
        told_s = until(lambda: states()["stage"] == "lost", ANSWER_S, "told that the stage is gone")
        tell(f"pulled: told after {told_s:.1f} s")
        with pytest.raises(CommandRefused, match="stage"):
            console.run("home")
        # The names swap: whoever comes first is ttyUSB0 again.
        around.pull("camera")
        until(lambda: states()["camera"] == "lost", ANSWER_S, "told that the camera is gone")
        around.plug("camera")
        until(lambda: states()["camera"] == "ready", ANSWER_S, "the camera ready again")
        around.plug("stage")
        back_s = until(lambda: states()["stage"] == "ready", ANSWER_S, "the stage ready again")
        second = ports_of(console.run("status"))
        tell(f"plugged in: ready after {back_s:.1f} s; it was {first['stage']}, it is {second['stage']}")

        console.run("home")
        console.run("eye L")
        console.run("capture L")
        assert console.run("exam show")["captured"] == ["R", "L"]
        finished = console.run("exam finish")
        assert finished["exam_id"] == exam_id
        wanted = {each["sop_instance_uid"] for each in finished["instances"]}
        wait_until_committed(lambda: list(console.run("queue")["deliveries"]), wanted, lambda text: None, ANSWER_S)
        assert {path.stem for path in (bench.folder / "archive").glob("*.dcm")} == wanted
        tell(f"exam went on: {len(wanted)} instances committed")
