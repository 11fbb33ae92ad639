"""A bound on what is sent to one node, for a line that others use too: a token bucket. Pure: the times are given."""

from __future__ import annotations

# What may go at once after a pause, and how much one write brings, in seconds of the rate: small enough that a shared
# line feels no bursts, and that a peer hears from us several times a second.
BURST_S = 0.25
PIECE_S = 0.1
MIN_PIECE_BYTES = 1024


class Pace:
    """At most `bytes_per_s`, over all associations that share it. ValueError for a rate that is no rate."""

    def __init__(self, bytes_per_s: float) -> None:
        if not 0 < bytes_per_s < float("inf"):
            raise ValueError(f"a pace is above 0 bytes per second, not {bytes_per_s}")
        self.bytes_per_s = bytes_per_s
        self._burst_bytes = bytes_per_s * BURST_S
        self._left_bytes = self._burst_bytes
        self._at_s: float | None = None

    @property
    def piece_bytes(self) -> int:
        """How much should be written at once: even, as fragments of a data set have to be."""
        return max(int(self.bytes_per_s * PIECE_S), MIN_PIECE_BYTES) & ~1

    def take(self, count: int, now_s: float) -> float:
        """Take `count` bytes and return how many seconds to wait before they are written.

        More than there is may be taken: those that follow wait for it too. `now_s` never goes back.
        """
        if self._at_s is not None:
            earned = (now_s - self._at_s) * self.bytes_per_s
            self._left_bytes = min(self._burst_bytes, self._left_bytes + earned)
        self._at_s = now_s
        self._left_bytes -= count
        return max(0.0, -self._left_bytes / self.bytes_per_s)
