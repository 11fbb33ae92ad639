"""The state machine drawn from its table: `python -m firmware_app.dicom.diagram > firmware_app/dicom/state_machine.md`.

Two Mermaid diagrams, because the aborts lead from everywhere to two states and would hide the conversation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from firmware_app.dicom.state import ACTIONS, TRANSITIONS, Action, Event, State

Cell = tuple[Event, State, Action]

PAGE = """\
# The state machine of the DICOM upper layer

Drawn from the table in `state.py` (PS3.8 table 9-10) by
`python -m firmware_app.dicom.diagram > firmware_app/dicom/state_machine.md`; a test compares the two.

## The conversation

```mermaid
{conversation}
```

## Aborts, losses and violations

```mermaid
{aborts}
```

## Events

{events}

## Actions

{actions}
"""


def words(name: str) -> str:
    return name.lower().replace("_", " ").replace("pdu", "PDU").replace("artim", "ARTIM")


def is_abort(action: Action) -> bool:
    return action.name.startswith("AA")


def draw(cells: Iterable[Cell]) -> str:
    """One edge for each pair of states; its label lists `event/action`."""
    edges: dict[tuple[State, State], list[str]] = {}
    for event, state, action in cells:
        for following in ACTIONS[action].next_states:
            edges.setdefault((state, following), []).append(f"Evt{event.value}/{action.value}")
    drawn = sorted({state for edge in edges for state in edge})
    return "\n".join(
        [
            "stateDiagram-v2",
            *(f'    state "Sta{state.value} {words(state.name)}" as Sta{state.value}' for state in drawn),
            *(f"    Sta{a.value} --> Sta{b.value}: {', '.join(labels)}" for (a, b), labels in sorted(edges.items())),
        ]
    )


def cells(*, aborts: bool) -> Iterator[Cell]:
    for (event, state), action in sorted(TRANSITIONS.items()):
        if is_abort(action) is aborts:
            yield event, state, action


def page() -> str:
    return PAGE.format(
        conversation=draw(cells(aborts=False)),
        aborts=draw(cells(aborts=True)),
        events="\n".join(f"- Evt{event.value}: {words(event.name)}" for event in Event),
        actions="\n".join(f"- {action.value}: {effect.does}" for action, effect in ACTIONS.items()),
    )


if __name__ == "__main__":
    sys.stdout.write(page())
