"""Exams of one operator, and what must have come of them in the end."""

from __future__ import annotations

from collections.abc import Callable

from deploy.power_cuts.operator import Operator

# Bounds, not expectations: emulated processors on a host that may be busy with anything.
READY_S, SETTLED_S = 1800.0, 1800.0
EYES = ("R", "L")
ABANDONED = 4  # every so manieth exam is abandoned, after its first capture


def perform(operator: Operator, exams: int, tell: Callable[[str], None]) -> None:
    """Raises `Refused`."""
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
        tell(f"exam {number} of {exams}")
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
