"""The lines of a device that talks in lines, of any octets. Pure."""

from __future__ import annotations

from collections.abc import Iterator


class LineSplitter:
    """Bytes in, ended lines out, any split. Holds at most `longest` octets of the unfinished one."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._line = bytearray()
        self._overlong = False

    @property
    def unfinished(self) -> bytes:
        """What came since the last LF."""
        return bytes(self._line)

    def clear(self) -> None:
        """Forget the unfinished line."""
        self._line.clear()
        self._overlong = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Each line that `data` ends, without its LF, and whether it was too long and is only the beginning of one.

        The iterator must be used up before the next call.
        """
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._append(part)
            line, overlong = bytes(self._line), self._overlong
            self.clear()
            yield line, overlong
        self._append(rest)

    def _append(self, part: bytes) -> None:
        room = self._longest - len(self._line)
        self._overlong = self._overlong or len(part) > room
        self._line += part[:room]
