"""Status handling as tables, from the functions that decide it: every one of the 65536 statuses is in one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import groupby

from firmware_app.conformance.document import Table
from firmware_app.dicom.statuses import describe_status, find_category, normalized_category, store_category
from firmware_app.net.mpps import StepOperation, judge_failure

COLUMNS = ("Status", "Meaning", "Taken as", "Behaviour")
UNNAMED = "unknown status"  # describe_status, of a status without a name
STORE_BEHAVIOUR = {
    "stored": "the instance counts as stored, even if the release of the association fails",
    "warning": "the instance counts as stored; the warning is kept with it and shown",
    "retry": "the instance stays in the queue and is sent again after a back-off, without end",
    "permanent": "the instance is parked with the status and the comment until somebody decides; nothing is deleted",
}
FIND_BEHAVIOUR = {
    "pending": "a match; where optional keys were not supported, it is marked so",
    "success": "the list is complete, even if the release of the association fails; without a match it is empty",
    "cancelled": "after a C-CANCEL of ours the end of the list; otherwise the query has failed: it may not be whole",
    "retry": "the query has failed: the reason is shown; it may pass",
    "permanent": "the query has failed: the reason is shown",
}
NORMALIZED_BEHAVIOUR = {
    "success": "the operation has been done",
    "warning": "the operation has been done; the warning is shown",
    "failure": "the operation has failed: the status and the comment are shown",
}
STEP_BEHAVIOUR = {
    "done": "the step is as the message says",
    "warning": "the step is as the message says; the warning is shown",
    "retry": "the message stays in the queue and is sent again after a back-off; later messages wait",
    "permanent": "the message is parked with the status and the comment, and with it the rest of its step",
}
# The order in which a reader looks for them.
SEVERITIES = ("stored", "done", "success", "pending", "warning", "cancelled", "retry", "permanent", "failure")


def store_statuses() -> Table:
    return _table("Responses to C-STORE", store_category, STORE_BEHAVIOUR)


def find_statuses(what: str) -> Table:
    return _table(f"Responses to the C-FIND of {what}", find_category, FIND_BEHAVIOUR)


def normalized_statuses(what: str, behaviour: Mapping[str, str] = NORMALIZED_BEHAVIOUR) -> Table:
    return _table(f"Responses to {what}", normalized_category, behaviour)


def step_statuses(operation: StepOperation) -> Table:
    """Of Modality Performed Procedure Step, where the answer before this one was not lost."""

    def category(status: int) -> str:
        general = normalized_category(status)
        if general != "failure":
            return "done" if general == "success" else "warning"
        return judge_failure(operation, status, None, in_doubt=False)

    return _table(f"Responses to {operation} of a performed procedure step", category, STEP_BEHAVIOUR)


def _table(caption: str, category: Callable[[int], str], behaviour: Mapping[str, str]) -> Table:
    rows: list[tuple[str, str, str, str]] = []
    unnamed: dict[str, None] = {}
    for words, statuses in _runs():
        for kind, run in groupby(statuses, key=category):
            found = list(run)
            if words == UNNAMED:
                unnamed[kind] = None
            else:
                rows.append((_range(found[0], found[-1]), words, kind, behaviour[kind]))
    rows += [("any other", UNNAMED, kind, behaviour[kind]) for kind in unnamed]
    return Table(caption, COLUMNS, tuple(sorted(rows, key=lambda row: SEVERITIES.index(row[2]))))


@cache
def _runs() -> tuple[tuple[str, range], ...]:
    """The 65536 statuses, neighbours of the same words together."""
    runs: list[tuple[str, range]] = []
    for words, run in groupby(range(0x10000), key=lambda status: describe_status(status).partition(" ")[2]):
        statuses = list(run)
        runs.append((words, range(statuses[0], statuses[-1] + 1)))
    return tuple(runs)


def _range(first: int, last: int) -> str:
    return f"{first:04X}H" if first == last else f"{first:04X}H - {last:04X}H"
