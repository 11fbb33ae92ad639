"""Measurements on their way from the analysis: kept in the records, then told."""

from __future__ import annotations

from collections.abc import Callable

import trio

from firmware_app.model import Event
from firmware_app.progress import Arriving
from firmware_app.records.errors import RecordsError
from firmware_app.records.store import Records
from firmware_app.services.analysis import Analysed
from firmware_app.services.exam import ExamService


async def run_recorder(
    analysed: trio.MemoryReceiveChannel[Analysed],
    records: Records,
    exams: ExamService,
    publish: Callable[[Event], None],
) -> None:
    """Keep every measurement, then tell the numbers."""
    async with analysed:
        async for item in Arriving(analysed, "a measurement to keep"):
            capture, measurement = item.captured.capture, item.measurement
            try:
                await records.save_measurement(capture.capture_id, measurement)
            except RecordsError as error:
                # The capture is safe and can be measured again; whoever waits for the numbers must not wait for ever.
                publish(Event("records.failed", f"the measurement was not kept: {error}", level="error"))
            exams.measured(item)
            data: dict[str, object] = {"capture_id": capture.capture_id, "seconds": round(measurement.seconds, 3)}
            eye = capture.eye.name.lower()
            if measurement.refusal is not None:
                publish(Event("analysis.refused", f"{eye} eye: {measurement.refusal.reason}", data, "warning"))
            elif measurement.morphometry is not None:
                publish(Event("analysis.measured", f"{eye} eye: {measurement.morphometry.n} cells measured", data))
