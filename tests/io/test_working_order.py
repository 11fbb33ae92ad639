"""A release says that it does its work after a minute without trouble: the file that keeps an updated slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
import trio.testing
from delivery_peer import LOCAL
from records_material import StandingClock

from firmware_app.model import Event
from firmware_app.net.listener import ListenerRules
from firmware_app.progress import ProgressTable, idle, working
from firmware_app.records.disk_refusals import DiskRefusals
from firmware_app.records.errors import StorageFault
from firmware_app.services.late_imports import LateImports
from firmware_app.services.listening import ListenerService
from firmware_app.services.working_order import STEADY_S, WorkingOrder


@dataclass
class Release:
    """The real parts that are asked; nothing is wrong unless a test makes it so."""

    file: Path
    clock: trio.testing.MockClock
    table: ProgressTable = field(default_factory=lambda: ProgressTable(trio.current_time))
    disk: DiskRefusals = field(default_factory=lambda: DiskRefusals(StandingClock()))
    listener: ListenerService = field(
        default_factory=lambda: ListenerService(None, 0, ListenerRules(), lambda event: None)
    )
    events: list[Event] = field(default_factory=list)

    async def run(self) -> None:
        imports = LateImports()
        self.clock.autojump_threshold = 0.05  # modules are imported in a thread
        await imports.run()
        self.clock.autojump_threshold = 0
        order = WorkingOrder(self.table, self.disk, imports, self.listener, self.file, "1.2.3", self.events.append)
        with self.table.part("working order"):
            await order.run()


async def test_said_after_a_minute_without_trouble(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    release = Release(tmp_path / "in-working-order", autojump_clock)
    begun_s = trio.current_time()
    await release.run()
    assert trio.current_time() - begun_s >= STEADY_S
    assert release.file.read_text() == "1.2.3\n"
    assert [event.kind for event in release.events] == ["service.in_working_order"]
    assert release.table.troubles() == ()


def disk_refuses(release: Release) -> Callable[[], None]:
    release.disk.refused(StorageFault(release.file, "Input/output error"))
    return release.disk.taken


def port_is_not_open(release: Release) -> Callable[[], None]:
    release.listener = ListenerService(LOCAL, 104, ListenerRules(), lambda event: None)

    def opens() -> None:
        release.listener.as_configured = True

    return opens


@pytest.mark.parametrize("trouble", [disk_refuses, port_is_not_open])
async def test_not_said_while_something_is_wrong(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, trouble: Callable[[Release], Callable[[], None]]
) -> None:
    release = Release(tmp_path / "in-working-order", autojump_clock)
    mend = trouble(release)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(release.run)
        await trio.sleep(3 * STEADY_S)
        assert not release.file.exists()
        mend()
        await trio.sleep(STEADY_S / 2)
        assert not release.file.exists()  # the minute begins when all is well
    assert release.file.exists()


async def test_not_said_while_a_part_hangs(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    release = Release(tmp_path / "in-working-order", autojump_clock)

    async def hangs() -> None:
        with release.table.part("delivery"), working("the disk", 1.0):
            await trio.sleep(3 * STEADY_S)
            assert not release.file.exists()
            with idle("something to send"):
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hangs)
        await release.run()
        nursery.cancel_scope.cancel()
    assert release.file.exists()


async def test_a_runtime_folder_that_takes_no_file(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    release = Release(tmp_path / "in-working-order", autojump_clock)
    release.file = release.file.parent / "absent" / release.file.name
    async with trio.open_nursery() as nursery:
        nursery.start_soon(release.run)
        await trio.sleep(2 * STEADY_S)
        assert [event.kind for event in release.events] == ["service.order_not_told"]
        release.file.parent.mkdir()
    assert release.file.exists()
