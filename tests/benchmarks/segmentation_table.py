"""The table of the evaluation: what the published network reached, what is required, what was reached now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from segmentation_judge import Errors

OURS, PEER = "specular", "scikit-image"
WITHIN_PERCENT = 10.0
NO_ERRORS = Errors()


@dataclass(frozen=True, slots=True)
class Judged:
    """One image as one method answered it. `reason` is the refusal's, or what warned."""

    set_name: str
    image: str
    kind: str
    method: str
    answered: bool
    seconds: float
    errors: Errors = NO_ERRORS
    n: int = 0
    grade: str = ""
    reason: str = ""
    guttae_dice: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a row. `required` None: for information."""

    name: str
    of: Callable[[Sequence[Judged]], float]
    published: float | None = None
    required: float | None = None
    at_least: bool = False
    digits: int = 1

    def met(self, value: float) -> bool:
        """What cannot be computed is not met."""
        if self.required is None:
            return True
        return value >= self.required if self.at_least else value <= self.required

    def required_text(self) -> str:
        sign = ">=" if self.at_least else "<="
        return "-" if self.required is None else f"{sign} {shown(self.required, self.digits)}"


@dataclass(frozen=True, slots=True)
class Goal:
    """One row: some images, and the figures over all of them together."""

    name: str
    sets: tuple[str, ...]
    kinds: tuple[str, ...]
    figures: tuple[Figure, ...]

    def rows(self, judged: Iterable[Judged], method: str) -> list[Judged]:
        return [row for row in judged if row.method == method and row.set_name in self.sets and row.kind in self.kinds]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table as text, and whether what is required of it was reached (None: nothing is)."""

    cells: tuple[str, ...]
    passed: bool | None


def shown(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def mean_error(field: str) -> Callable[[Sequence[Judged]], float]:
    """The mean absolute error over the answered images that have one: dots give no CV, some pictures no HEX."""

    def of(rows: Sequence[Judged]) -> float:
        known = [abs(value) for row in rows if row.answered and (value := getattr(row.errors, field)) is not None]
        return float(np.mean(known)) if known else math.nan

    return of


def answered_percent(rows: Sequence[Judged]) -> float:
    return 100 * float(np.mean([row.answered for row in rows])) if rows else math.nan


def answered_count(rows: Sequence[Judged]) -> float:
    return float(sum(row.answered for row in rows)) if rows else math.nan


def within_percent(rows: Sequence[Judged]) -> float:
    """The share of the answered images whose density is within 10 %."""
    errors = [row.errors.density_percent for row in rows if row.answered]
    if not errors:
        return math.nan
    return 100 * float(np.mean([error is not None and abs(error) <= WITHIN_PERCENT for error in errors]))


def mean_dice(rows: Sequence[Judged]) -> float:
    known = [row.guttae_dice for row in rows if row.guttae_dice is not None]
    return float(np.mean(known)) if known else math.nan


ECD, CV, HEX = mean_error("density_percent"), mean_error("cv_points"), mean_error("hex_points")
F1 = Figure("F1", mean_error("f1"), digits=3)
FAULTS = (Figure("merged %", mean_error("merged_percent")), Figure("split %", mean_error("split_percent")))
MORPHOMETRY = (Figure("ECD %", ECD), Figure("CV", CV), Figure("HEX", HEX))


def required(published: Sequence[float], limits: Sequence[float]) -> tuple[Figure, ...]:
    known = zip(MORPHOMETRY, published, limits, strict=True)
    return tuple(replace(figure, published=reached, required=limit) for figure, reached, limit in known)


def outlined(name: str, *figures: Figure) -> Goal:
    return Goal(name, tuple(name.split(" + ")), ("outlined",), figures)


# Published: the dense U-net of 2022 with its own weights, zero-shot, as measured on all images of each set.
GOALS = (
    outlined(
        "gavet + confoscan52",
        *required((1.3, 2.2, 4.4), (1.0, 1.8, 3.5)),
        replace(F1, published=0.952, required=0.96, at_least=True),
    ),
    outlined("gavet", *MORPHOMETRY, F1, *FAULTS),
    outlined("confoscan52", *MORPHOMETRY, F1, *FAULTS),
    outlined("cwru", *required((3.1, 4.8, 10.0), (3.0, 4.0, 8.0)), F1, *FAULTS),
    outlined("alizarine", *required((0.2, 1.3, 0.6), (0.5, 1.3, 1.0)), F1),
    Goal(
        "specular385 countable",
        ("specular385",),
        ("countable",),
        (
            Figure("ECD %", ECD, 3.0, 2.5),
            Figure("within 10 %", within_percent, 97, 98, at_least=True),
            Figure("answered %", answered_percent, 85, 90, at_least=True),
            Figure("ECD % in the patch", mean_error("patch_percent")),
        ),
    ),
    Goal(
        "specular385 uncountable",
        ("specular385",),
        ("uncountable",),
        (Figure("answered", answered_count, 0, 0, digits=0),),
    ),
    Goal("specular385 between", ("specular385",), ("between",), (Figure("answered %", answered_percent),)),
    outlined("specular7", *MORPHOMETRY, F1, *FAULTS),
    outlined("gdocm", *MORPHOMETRY, F1, *FAULTS),
    outlined("sp3000p", *MORPHOMETRY, F1, Figure("guttae Dice", mean_dice, digits=2)),
    Goal("simulated", ("simulated",), ("simulated",), MORPHOMETRY),
)

HEADER = ("images", "figures", "published", "required", "ours", "scikit-image", "answered", "")


def lines_of(judged: Sequence[Judged], sets: Sequence[str]) -> list[Line]:
    """The rows whose sets were all asked about."""
    return [line_of(goal, judged) for goal in GOALS if set(goal.sets) <= set(sets)]


def line_of(goal: Goal, judged: Sequence[Judged]) -> Line:
    """A row without a single image fails where something is required of it: it shows nothing."""
    ours, peer = goal.rows(judged, OURS), goal.rows(judged, PEER)
    reached = [figure.of(ours) for figure in goal.figures]
    missed = [figure.name for figure, value in zip(goal.figures, reached, strict=True) if not figure.met(value)]
    binding = any(figure.required is not None for figure in goal.figures)
    answered = f"{sum(row.answered for row in ours)}/{len(ours)}"
    if peer:
        answered += f", {sum(row.answered for row in peer)}/{len(peer)}"
    verdict = "FAIL: " + ", ".join(missed) if missed else "pass" if binding else ""
    columns = (
        joined(figure.name for figure in goal.figures),
        joined(shown(figure.published, figure.digits) for figure in goal.figures),
        joined(figure.required_text() for figure in goal.figures),
        joined(shown(value, figure.digits) for value, figure in zip(reached, goal.figures, strict=True)),
        joined(shown(figure.of(peer), figure.digits) for figure in goal.figures),
    )
    return Line((goal.name, *columns, answered, verdict), not missed if binding else None)


def joined(parts: Iterable[str]) -> str:
    """Parts of which none says anything are one dash."""
    words = list(parts)
    return "-" if set(words) == {"-"} else " / ".join(words)


def printed(lines: Sequence[Line], markdown: bool) -> str:
    rows = [HEADER, *(line.cells for line in lines)]
    if markdown:
        rows.insert(1, ("---",) * len(HEADER))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def badness(row: Judged) -> float:
    """To find the worst images: refused ones of a set that can be counted first, then by their errors."""
    if not row.answered:
        return 0.0 if row.kind == "uncountable" else math.inf
    if row.kind == "uncountable":
        return math.inf
    errors = row.errors
    parts = ((errors.density_percent, 1.0), (errors.cv_points, 1.8), (errors.hex_points, 3.5))
    return sum(abs(value) / scale for value, scale in parts if value is not None)


def worst_lines(judged: Sequence[Judged], count: int) -> list[str]:
    """Per set: its worst images as our core answered them, with their errors and reasons."""
    lines = []
    for name in dict.fromkeys(row.set_name for row in judged):
        ours = [row for row in judged if row.set_name == name and row.method == OURS and row.kind != "between"]
        bad = sorted((row for row in ours if badness(row) > 0), key=badness, reverse=True)[:count]
        lines += [f"{name}: the worst", *(f"  {described(row)}" for row in bad)] if bad else []
    return lines


def described(row: Judged) -> str:
    if not row.answered:
        return f"{row.image:12} {row.kind}, refused: {row.reason}"
    errors = row.errors
    words = [f"ECD {errors.density_percent:+.1f} %"] if errors.density_percent is not None else []
    words += [f"CV {errors.cv_points:+.1f}"] if errors.cv_points is not None else []
    words += [f"HEX {errors.hex_points:+.1f}"] if errors.hex_points is not None else []
    words += [f"F1 {errors.f1:.3f}"] if errors.f1 is not None else []
    if errors.merged_percent is not None and errors.split_percent is not None:
        words += [f"merged {errors.merged_percent:.1f} %", f"split {errors.split_percent:.1f} %"]
        words += [f"judged {errors.judged} of {errors.outlined} outlined"]
    reason = f": {row.reason}" if row.reason else ""
    return f"{row.image:12} {row.kind}, n {row.n}, {row.grade} {', '.join(words)}{reason}"
