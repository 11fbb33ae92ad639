"""What may be asked of a lamp output, whichever board it is on. Pure."""

from __future__ import annotations

from hw.errors import Refused


def require_level(label: str, names: tuple[str, ...], name: str, level: float) -> None:
    """`Refused`, before anything is sent, for an output that is not there and a level outside 0 to 1."""
    if name not in names:
        raise Refused(f"{label} has no output {name!r}; there are: {', '.join(names) or 'none'}")
    if not 0.0 <= level <= 1.0:
        raise Refused(f"{label}: level {level:g} of {name} is outside 0 to 1")
