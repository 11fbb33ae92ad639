"""A process that begins, ends and reports steps and says so, until killed: `python mpps_reporter.py STATE PORT N`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio
from mpps_steps import POLICY, begin, end

from firmware_app.model import Event
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.records.store import open_records
from firmware_app.services.mpps import MppsService

LOCAL = LocalApplicationEntity("INSTRUMENT", "127.0.0.1", "1.2.3.4.5", "TEST")


def acknowledge(**what: object) -> None:
    print(json.dumps(what), flush=True)


def tell(event: Event) -> None:
    acknowledge(event=event.kind)


async def report_until_killed(state_dir: Path, port: int, first: int) -> None:
    node = Node("mpps", "127.0.0.1", port, "RIS", Timeouts.all(10))
    async with open_records(state_dir) as records, trio.open_nursery() as nursery:
        service = MppsService(records, node, LOCAL, tell, POLICY)
        nursery.start_soon(service.run)
        for number in range(first, first + 1000):
            await begin(records, number)
            service.wake()
            acknowledge(begun=number)
            await end(records, number)
            service.wake()
            acknowledge(ended=number)


if __name__ == "__main__":
    trio.run(report_until_killed, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
