"""What the examined cuts say together: a table for people, and whether it is as it must be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy.power_cuts.cut_states import KINDS
from deploy.power_cuts.examination import Examined

HEAD = ("later writes", "states", "corrupt", "damaged", "lost something", "most lost", "of acknowledged")


def table(examined: Sequence[Examined]) -> str:
    """One line for each kind of cut and one for all."""
    rows = [HEAD, *(_row(kind, [each for each in examined if each.cut.kind == kind]) for kind in KINDS)]
    rows.append(_row("in all", examined))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(name: str, examined: Iterable[Examined]) -> tuple[str, ...]:
    found = list(examined)
    most, promised = max(((len(each.survivors.lost), each.told) for each in found), default=(0, 0))
    corrupt = sum(1 for each in found if each.corrupt)
    damaged = sum(1 for each in found if each.survivors.damaged)
    lost = sum(1 for each in found if each.survivors.lost)
    return (name, *map(str, (len(found), corrupt, damaged, lost, most, promised)))


def is_whole(each: Examined) -> bool:
    return not (each.corrupt or each.survivors.damaged or each.survivors.lost)


def failures(examined: Sequence[Examined], *, at_most: int = 10) -> list[str]:
    """The first of what was found, a line each."""
    lines = []
    for each in examined:
        reasons = [*([each.corrupt] if each.corrupt else []), *each.survivors.damaged, *each.survivors.lost]
        lines += [f"cut at {each.cut.position}, {each.cut.kind} of the later writes: {reason}" for reason in reasons]
    more = len(lines) - at_most
    return lines[:at_most] + ([f"and {more} more"] if more > 0 else [])
