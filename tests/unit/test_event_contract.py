"""No event and no line of the log is composed of what names a patient: every place that makes one is looked at.

`Event.patient` is where such things go; text and data of an event, and the arguments of a log call, may not read an
attribute, a variable or a key that is called after them. What a peer says is no better: its comment may name anybody.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import firmware_app

ROOT = Path(firmware_app.__file__).parent
SUSPECTS = (
    "patient", "birth_date", "accession", "comment", "physician", "worklist_item", "found_patient", "other_ids",
)  # fmt: skip
# The name of a service or of a count, not of anybody.
HARMLESS = {"PatientCommands", "patient_query", "patients", "without_comment"}
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}


def places() -> Iterator[tuple[str, ast.Call]]:
    """Every construction of an event and every call of a log."""
    for path in sorted(ROOT.rglob("*.py")):
        if "demo" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            is_event = isinstance(node.func, ast.Name) and node.func.id == "Event"
            is_log = (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in LOG_METHODS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            )
            if is_event or is_log:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def suspicious(call: ast.Call) -> list[str]:
    arguments = [*call.args[:4], *(each.value for each in call.keywords if each.arg != "patient")]
    found = []
    for argument in arguments:
        for node in ast.walk(argument):
            name = (
                node.attr
                if isinstance(node, ast.Attribute)
                else node.id
                if isinstance(node, ast.Name)
                else node.value
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
                else ""
            )
            if name not in HARMLESS and any(suspect in name.lower() for suspect in SUSPECTS):
                found.append(name)
    return found


PLACES = list(places())


def test_there_are_many() -> None:
    assert len(PLACES) > 60


@pytest.mark.parametrize("place", [place for place, _ in PLACES])
def test_none_is_composed_of_a_patient(place: str) -> None:
    assert suspicious(dict(PLACES)[place]) == []


@pytest.mark.parametrize(
    "call",
    [
        'Event("a.b", f"exam of {exam.patient.name}")',
        'Event("a.b", "text", {"id": patient_id})',
        'Event("a.b", text, {"accession_number": number})',
        'Event("a.b", f"refused: {error.comment}")',
        'log.warning("a", said=item.referring_physician)',
    ],
)
def test_what_is_found(call: str) -> None:
    parsed = ast.parse(call, mode="eval").body
    assert isinstance(parsed, ast.Call)
    assert suspicious(parsed)


def test_what_is_meant_for_patients() -> None:
    parsed = ast.parse('Event("a", "b", patient={"name": exam.patient.name})', mode="eval").body
    assert isinstance(parsed, ast.Call)
    assert suspicious(parsed) == []
