"""Deliberately broken builds, by which the rigs prove that they can fail: `python broken_build.py NAME run ...`."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

LATER_S: Final = 0.4


def reports_too_early() -> None:
    """A capture is told before it is on disk: its file and its row follow later."""
    from firmware_app.records.captures import CaptureTable

    write = CaptureTable._write

    def write_later(self: CaptureTable, *arguments: Any) -> None:
        threading.Timer(LATER_S, write, (self, *arguments)).start()

    CaptureTable._write = write_later  # type: ignore[method-assign]


def renames_what_it_sends_again() -> None:
    """An instance whose answer was lost is sent again under a SOP Instance UID of its own."""
    from firmware_app.net.instance_file import InstanceFile, read_instance_file
    from firmware_app.records.queue import Outgoing
    from firmware_app.services import delivery

    async def checked(self: delivery.NodeDelivery, outgoing: Outgoing) -> InstanceFile | None:
        path, uid = outgoing.path, outgoing.sop_instance_uid
        if outgoing.attempts:
            last = str((int(uid[-1]) + outgoing.attempts) % 10)
            uid = uid[:-1] + last
            path = Path(f"{path}-{last}.tmp.again")
            path.write_bytes(outgoing.path.read_bytes().replace(outgoing.sop_instance_uid.encode(), uid.encode()))
        return replace(read_instance_file(path), sop_instance_uid=uid)

    delivery.NodeDelivery._checked_file = checked  # type: ignore[method-assign]


def makes_instances_anew() -> None:
    """An exam that is finished again after a crash makes second instances of what it had made."""
    from firmware_app.objects.identifiers import new_uid
    from firmware_app.services import deliverables

    deliverables.derived_uid = lambda *_: new_uid()  # type: ignore[assignment]


def reports_steps_backwards() -> None:
    """The youngest message of a step goes first."""
    from firmware_app.records import mpps

    mpps._HEAD = mpps._HEAD.replace("ORDER BY place", "ORDER BY place DESC")


def forgets_what_it_was_sending() -> None:
    """What was being sent when the service was killed counts as stored."""
    from firmware_app.records.queue import DeliveryQueue

    plain = DeliveryQueue.requeue_interrupted

    def forget(self: DeliveryQueue, node: str | None, now: datetime) -> int:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = 'stored', commitment = 'committed' WHERE state = 'sending'"
            )
        return plain(self, node, now)

    DeliveryQueue.requeue_interrupted = forget  # type: ignore[method-assign]


def ignores_the_disk() -> None:
    """What the disk refuses is not noticed: a write, a flush or a rename that failed counts as done."""
    from firmware_app.records import files

    plain = files.write_files

    def write_files(*arguments: Any) -> None:
        with contextlib.suppress(files.StorageFault):
            plain(*arguments)

    files.write_files = write_files


BROKEN: Final[dict[str, Callable[[], None]]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        reports_too_early,
        renames_what_it_sends_again,
        makes_instances_anew,
        reports_steps_backwards,
        forgets_what_it_was_sending,
        ignores_the_disk,
    )
}

if __name__ == "__main__":
    from firmware_app.cli import main

    BROKEN[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
