"""What became of the exam beyond storage: committed by the archive, performed for the information system, printed.

Each is the other side's word: the queue says "committed" only after the archive's report, and of performed procedure
step and film the hospital's own events are read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from firmware_app.demo.processes import Child, DemoFailed

LIMIT_S = 30.0  # of each; a hospital that works takes a second
POLL_S = 0.1

COMPLETED = "COMPLETED"

Queue = Callable[[], list[dict[str, Any]]]  # the service's deliveries
Tell = Callable[[str], None]


def wait_until_committed(queue: Queue, wanted: Collection[str], tell: Tell, limit_s: float = LIMIT_S) -> None:
    """Until the archive has taken responsibility for every instance. Raises `DemoFailed` with its reason."""
    for states in _states_until(queue, limit_s):
        mine = [each for each in states if each["sop_instance_uid"] in wanted]
        committed = [each for each in mine if each["commitment"] == "committed"]
        tell(f"{len(committed)} of {len(wanted)}")
        for each in mine:
            if each["commitment"] == "refused":
                raise DemoFailed(f"the archive does not commit to {each['sop_instance_uid']}: {_why(each)}")
        if len(committed) == len(wanted):
            return
    why = "; ".join(sorted({_why(each) for each in mine if each["commitment"] != "committed"}))
    raise DemoFailed(f"{len(committed)} of {len(wanted)} instances committed in {limit_s:.0f} s: {why}")


def wait_until_performed(
    hospital: Child, study_instance_uid: str, instances: Collection[str], limit_s: float = LIMIT_S
) -> dict[str, Any]:
    """The step of this study as the hospital has it: COMPLETED, with exactly these instances. Raises `DemoFailed`."""

    def last() -> dict[str, Any] | None:
        steps = (
            event for event in _events(hospital, "mpps") if study_instance_uid in event.get("study_instance_uids", ())
        )
        return max(steps, key=lambda event: event["step_status"] == COMPLETED, default=None)

    try:
        hospital.wait_until(lambda: (last() or {}).get("step_status") == COMPLETED, limit_s, "seen the step completed")
    except DemoFailed as error:
        refused = [event["reason"] for event in _events(hospital, "mpps") if event["status"] != "0000"]
        why = (
            f"it refused: {refused[-1]}" if refused else f"its step is {(last() or {}).get('step_status', 'not there')}"
        )
        raise DemoFailed(f"{error} ({why})", error.log) from error
    step = last()
    assert step is not None
    missing, foreign = set(instances) - set(step["instances"]), set(step["instances"]) - set(instances)
    if missing or foreign:
        text = f"the completed step names {len(foreign)} instances that are not of this exam, and misses {len(missing)}"
        raise DemoFailed(text)
    return step


def wait_until_printed(
    hospital: Child, jobs: Queue, wanted: Collection[int], tell: Tell, limit_s: float = LIMIT_S
) -> list[Path]:
    """The pages of these films, as the printer has made them. Raises `DemoFailed`."""
    for states in _states_until(jobs, limit_s):
        mine = [each for each in states if each["job_id"] in wanted]
        for each in mine:
            if each["state"] == "failed":
                raise DemoFailed(f"film {each['job_id']} was not printed: {each['reason']}")
        tell(", ".join(each["state"] for each in mine))
        if all(each["state"] == "printed" for each in mine):
            break
    else:
        why = "; ".join(each["reason"] or each["state"] for each in mine)
        raise DemoFailed(f"not printed in {limit_s:.0f} s: {why}")
    pages = [Path(event["file"]) for event in _events(hospital, "print")]
    if len(pages) != len(wanted):
        raise DemoFailed(f"the printer has made {len(pages)} pages, {len(wanted)} films were sent")
    return pages


def _states_until(queue: Queue, limit_s: float) -> Iterator[list[dict[str, Any]]]:
    """What the queue says, once at least, until the time is over."""
    give_up_s = time.monotonic() + limit_s
    yield queue()
    while time.monotonic() <= give_up_s:
        time.sleep(POLL_S)
        yield queue()


def _events(hospital: Child, kind: str) -> list[dict[str, Any]]:
    return [event for event in hospital.lines() if event.get("event") == kind]


def _why(delivery: dict[str, Any]) -> str:
    return str(delivery["commitment_reason"] or delivery["commitment"] or "nobody was asked")
