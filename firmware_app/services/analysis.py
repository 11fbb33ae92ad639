"""From a captured frame to numbers, in a worker thread so that the event loop never waits for numpy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from firmware_app.endothelium.history import NOT_EDITED, History
from firmware_app.endothelium.measure import measure
from firmware_app.model import CALCULATION_FAILURE, Event, Measurement, Quality, Refusal
from firmware_app.progress import COMPUTE_S, Arriving, working
from firmware_app.services.capture import Captured


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """What is known of one capture; `history` is what was done by hand since the instrument measured it."""

    captured: Captured
    measurement: Measurement
    history: History = NOT_EDITED


async def run_analysis(
    captures: trio.MemoryReceiveChannel[Captured],
    analysed: trio.MemorySendChannel[Analysed],
    publish: Callable[[Event], None],
) -> None:
    """Measure every capture in order, until the channel closes."""
    async with captures, analysed:
        async for captured in Arriving(captures, "a capture to measure"):
            capture = captured.capture
            publish(
                Event(
                    "analysis.started",
                    f"measuring the {capture.eye.name.lower()} eye",
                    {"capture_id": capture.capture_id},
                )
            )
            with working(f"measuring {capture.capture_id}", COMPUTE_S):
                measurement = await trio.to_thread.run_sync(_measure_timed, captured)
            with working("handing over what was measured", COMPUTE_S):
                await analysed.send(Analysed(captured, measurement))


def _measure_timed(captured: Captured) -> Measurement:
    started_s = time.perf_counter()
    try:
        measurement = measure(captured.frame.pixels, captured.frame.bits_stored, captured.capture.um_per_px)
    except Exception as error:  # noqa: BLE001 - one odd image must not stop the instrument; the operator is told why
        reason = f"the analysis failed on this image: {type(error).__name__}: {error}"
        measurement = Measurement(
            quality=Quality("D", 0.0, 0.0, 0.0, (reason,)), refusal=Refusal(CALCULATION_FAILURE, reason)
        )
    return replace(measurement, seconds=time.perf_counter() - started_s)
