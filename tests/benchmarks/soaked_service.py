"""`specular run` that also says, on SIGUSR1 and as a line of JSON on stdout, which tasks and threads it has.

    .venv/bin/python tests/benchmarks/soaked_service.py run --config FILE

The service is the same; one more task reads the signal, and the database is checked whole at once and not after 20 s.
As on the device there is no `rich`, which structlog imports where the developers' tools have brought it. Without it the
interpreter knows 43,000 names (CPython 3.11), with it 46,500: at the first rebuild of the table of interned strings
after 43,690 the table doubles, once, by 1.9 MiB (seen after 925 exams: pathlib interns the name of every file).
Used by `bench_soak.py`.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
from collections import Counter

sys.modules["rich"] = None  # type: ignore[assignment]

import trio  # noqa: E402

from firmware_app import app  # noqa: E402
from firmware_app.cli import main  # noqa: E402
from firmware_app.config import Config  # noqa: E402
from firmware_app.services import records_keeping  # noqa: E402
from firmware_app.services.handed_over import HandedOver  # noqa: E402

plain_serve = app.serve


async def serve(config: Config, handed_over: HandedOver) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(answer)
        await plain_serve(config, handed_over)
        nursery.cancel_scope.cancel()


async def answer(*, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        task_status.started()
        async for _ in signals:
            tasks = task_names()
            counted = {"tasks": dict(tasks), "threads": threading.active_count(), "objects": len(gc.get_objects())}
            print(json.dumps(counted), flush=True)


def task_names() -> Counter[str]:
    """Every task there is, by its name."""
    found: Counter[str] = Counter()
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        assert task is not None
        found[task.name] += 1
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


if __name__ == "__main__":
    app.serve = serve
    records_keeping.FIRST_LOOK_AFTER_S = 0.0  # before memory and descriptors are looked at, and not among the exams
    sys.exit(main(sys.argv[1:]))
