"""Does this release do its work: said once, in a file, to whoever has just installed it and can still go back.

On the device image an updated slot is on trial until this file is there (`systemd/image/specular-keep-slot.path`);
without it the device goes back to the release before (`device/trial.py`). Devices and peers that are away are no fault
of a release: what counts is that the records take what is captured, every module is there, the port is open and nothing
hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from firmware_app.model import Event
from firmware_app.progress import ProgressTable, finished, idle
from firmware_app.records.disk_refusals import DiskRefusals
from firmware_app.services.late_imports import LateImports
from firmware_app.services.listening import ListenerService
from firmware_app.services.whole_files import written_whole

FILE_NAME: Final = "in-working-order"
LOOK_S: Final = 1.0
# Longer than a service that dies soon after its start lives, and than the database is looked at whole after READY.
STEADY_S: Final = 60.0


class WorkingOrder:
    def __init__(
        self,
        table: ProgressTable,
        disk: DiskRefusals,
        imports: LateImports,
        listener: ListenerService,
        file: Path,
        release: str,
        publish: Callable[[Event], None],
    ) -> None:
        self._table = table
        self._disk = disk
        self._imports = imports
        self._listener = listener
        self._file = file
        self._release = release
        self._publish = publish

    def missing(self) -> str:
        """What is not in order, in words; empty where all is."""
        reasons = [trouble.why for trouble in self._table.troubles()]
        if self._disk.fault is not None:
            reasons.append(f"the disk: it {self._disk.detail}")
        if not self._imports.done:
            reasons.append("modules are still being imported")
        if not self._listener.as_configured:
            reasons.append(f"own port: {self._listener.detail}")
        return "; ".join(reasons)

    async def run(self) -> None:
        """Until everything has been in order for `STEADY_S` without a break, and that is written down."""
        steady_since_s = trio.current_time()
        told = ""
        while True:
            with idle(self.missing() or f"{STEADY_S:.0f} s without trouble"):
                await trio.sleep(LOOK_S)
            if self.missing():
                steady_since_s = trio.current_time()
            elif trio.current_time() - steady_since_s >= STEADY_S:
                try:
                    self._say()
                    return
                except OSError as error:
                    text = (
                        f"{self._file}: that the service is in working order cannot be written down: {error.strerror}"
                    )
                    if text != told:
                        self._publish(Event("service.order_not_told", text, level="error"))
                    told = text

    def _say(self) -> None:
        with written_whole(self._file) as file:
            file.write(f"{self._release}\n".encode())
        text = f"specular {self._release} is in working order"
        self._publish(Event("service.in_working_order", text, {"release": self._release}))
        finished(text)
