"""The committed drawing of the state machine is the one that the table gives."""

from __future__ import annotations

import re
from pathlib import Path

from firmware_app.dicom import diagram
from firmware_app.dicom.state import ACTIONS, TRANSITIONS

COMMITTED = Path(diagram.__file__).with_name("state_machine.md")


def test_the_committed_page_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == diagram.page(), "run: python -m firmware_app.dicom.diagram > " + str(COMMITTED)


def test_every_cell_is_drawn() -> None:
    drawn = set()
    for source, target, labels in re.findall(r"Sta(\d+) --> Sta(\d+): (.*)", diagram.page()):
        drawn |= {(int(source), int(target), label) for label in labels.split(", ")}
    assert drawn == {
        (state.value, following.value, f"Evt{event.value}/{action.value}")
        for (event, state), action in TRANSITIONS.items()
        for following in ACTIONS[action].next_states
    }
