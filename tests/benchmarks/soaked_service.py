"""`specular run` that also says, on SIGUSR1 and as a line of JSON on stdout, which tasks and threads it has.

    .venv/bin/python tests/benchmarks/soaked_service.py run --config FILE

The service is the same; one more task reads the signal, and the database is checked whole at once and not after 20 s.
Used by `bench_soak.py`.
"""

from __future__ import annotations

import gc
import json
import signal
import sys
import threading
from collections import Counter

import trio

from firmware_app import app
from firmware_app.cli import main
from firmware_app.config import Config
from firmware_app.services import records_keeping

plain_serve = app.serve


async def serve(config: Config) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(answer)
        await plain_serve(config)
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
