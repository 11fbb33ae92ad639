"""What number and which moment a driver gives a frame, made dependable. Without I/O or a clock of its own.

Drivers number frames from 0 at each start of the stream, wrap at 2**32, and a few do not number at all. Most stamp the
end of a frame with CLOCK_MONOTONIC; UVC cameras its start; vivid is ahead by up to 0.2 s; some use another clock.
"""

from __future__ import annotations

from hw.frame_numbers import missing_between
from hw.v4l2.abi import Buffer, BufferFlag

AHEAD_NS = 500_000_000
LATE_NS = 5_000_000_000
UNKNOWN_INTERVAL_NS = 100_000_000
MAX_INTERVAL_NS = 2_000_000_000


class FrameCounter:
    """One rising number for all streams of a camera, and how many frames are missing in between."""

    def __init__(self) -> None:
        self.sequence = -1
        self.missing = 0
        self._last: int | None = None

    def restart(self) -> None:
        """The stream is started anew, and the driver's numbers with it."""
        self._last = None

    def count(self, buffer: Buffer) -> bool:
        """Take a dequeued buffer into account; False where the driver says that it is damaged."""
        gap = 0 if self._last is None else missing_between(self._last, buffer.sequence)
        self._last = buffer.sequence
        self.missing += gap
        self.sequence += gap + 1
        return BufferFlag.ERROR not in buffer.flags


class Stamps:
    """When the exposure of a frame began at the earliest, and when the frame was complete, in CLOCK_MONOTONIC ns."""

    def __init__(self) -> None:
        self._started_ns = 0
        self._interval_ns = UNKNOWN_INTERVAL_NS
        self._last_ns = 0

    def restart(self, started_ns: int) -> None:
        """The stream starts now: no frame of it began earlier."""
        self._started_ns = started_ns

    def expect(self, frames_per_s: float, exposure_us: int) -> None:
        """The nominal rate (0: unknown) and the exposure that is set (0: the camera's own)."""
        interval_ns = round(1e9 / frames_per_s) if frames_per_s > 0 else UNKNOWN_INTERVAL_NS
        self._interval_ns = max(interval_ns, 1000 * exposure_us)

    def of(self, buffer: Buffer, received_ns: int) -> tuple[int, int]:
        """(begun, complete). A stamp of another clock, or far from now, is replaced by the moment of arrival.

        A frame is exposed for at most one interval and read out in at most another; in the dark a camera that exposes
        by itself takes longer than its nominal one, which the frame before tells.
        """
        is_monotonic = buffer.flags & BufferFlag.TIMESTAMP_MASK == BufferFlag.TIMESTAMP_MONOTONIC
        is_near = received_ns - LATE_NS <= buffer.stamp_ns <= received_ns + AHEAD_NS
        stamp_ns = buffer.stamp_ns if is_monotonic and is_near else received_ns
        at_start = buffer.flags & BufferFlag.STAMP_SOURCE_MASK == BufferFlag.STAMPED_AT_START
        if at_start and stamp_ns != received_ns:
            begun_ns, complete_ns = stamp_ns, min(stamp_ns + self._interval_ns, max(stamp_ns, received_ns))
        else:
            since_last_ns = stamp_ns - max(self._last_ns, self._started_ns)
            begun_ns = stamp_ns - 2 * min(max(self._interval_ns, since_last_ns), MAX_INTERVAL_NS)
            complete_ns = stamp_ns
        self._last_ns = max(complete_ns, self._last_ns + 1)
        return max(begun_ns, self._started_ns), self._last_ns
