"""The console's way to an eye's cells: list them, edit them, count them by another method, see who did what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import trio

from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, CommandUsage, number
from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table
from firmware_app.endothelium.editing import ImpossibleEdit
from firmware_app.endothelium.edits import Change, CountDots, change_words
from firmware_app.endothelium.history import History, Outcome, changed, redone, undone
from firmware_app.model import Eye, Measurement, Method
from firmware_app.services import screens
from firmware_app.services.analysis import Analysed
from firmware_app.services.dot_files import BadDotFile, read_dots
from firmware_app.services.editing_words import EDIT_USAGES, EDITS, typed_dots, typed_edit, typed_frame
from firmware_app.services.exam import ExamService

NAME_MAX = 64  # of a person, as in DICOM's PN

_EYE = Argument("EYE", "the patient's own right or left", Eye, choices=("R", "L"))
_PX = number(-1e5, 1e5)
_LOG = ("undo", "redo", "history")
_METHODS = (Method.CENTRE.value, Method.FLEX_CENTRE.value, "frame")


def _person(word: str) -> str:
    if not word.strip() or len(word) > NAME_MAX or not word.isprintable():
        raise ValueError(f"a name of at most {NAME_MAX} characters")
    return word.strip()


_BY = Argument("--by", "who does it, where it is not the configured operator", _person, default="")


_ACTION = Argument("ACTION", "; ".join((*EDIT_USAGES, *_LOG)), choices=(*EDITS, *_LOG))
_PLACES = Argument(
    "VALUES", "cells as `cells` numbers them; rows R and columns C in px of the image", _PX, default=(), repeated=True
)
_METHOD = Argument("METHOD", "how to count", choices=_METHODS)
_COUNTED = Argument(
    "VALUES",
    "dots: R1 C1 R2 C2 ... or the absolute path of a text file with a row and a column a line; "
    "frame: TOP LEFT HEIGHT WIDTH; all in px of the image",
    repeated=True,
)


@dataclass(frozen=True, slots=True)
class EditingCommands:
    """The handlers; errors of records and exam are the console's `EXPECTED`. `now` gives the time in ISO 8601."""

    exams: ExamService
    operator: str
    now: Callable[[], str]

    def table(self) -> tuple[Command, ...]:
        return (
            Command("cells", "every counted cell of an eye: number, area, sides, where it is", self._cells, (_EYE,)),
            Command(
                "edit",
                "change an eye's cells by hand before the exam is finished; the numbers follow",
                self._edit,
                (_EYE, _ACTION, _PLACES, _BY),
            ),
            Command(
                "method",
                "count an eye's cells from dots or in a fixed frame instead",
                self._method,
                (_EYE, _METHOD, _COUNTED, _BY),
            ),
        )

    async def _cells(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return cells_screen(await self.exams.result(arguments["eye"]))

    async def _edit(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        eye, action, values = arguments["eye"], arguments["action"], arguments["values"]
        if action in _LOG and values:
            raise CommandUsage(f"edit: {action} takes no values")
        if action == "history":
            return history_screen((await self.exams.result(eye)).history)
        who = self._who(arguments)
        if action == "undo":
            return await self._revise(eye, partial(_step, undone, who, self.now()))
        if action == "redo":
            return await self._revise(eye, partial(_step, redone, who, self.now()))
        try:
            change = typed_edit(action, values)
        except ValueError as error:
            raise CommandUsage(f"edit: {error}") from error
        return await self._revise(eye, partial(_changed, change, who, self.now()))

    async def _method(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        change = await self._counting(arguments["method"], arguments["values"])
        work = partial(_changed, change, self._who(arguments), self.now())
        return await self._revise(arguments["eye"], work)

    async def _counting(self, method: Literal["centre", "flex-centre", "frame"], words: tuple[str, ...]) -> Change:
        path = Path(words[0])
        if method != "frame" and len(words) == 1 and path.is_absolute():
            try:
                return CountDots(method, await trio.to_thread.run_sync(read_dots, path))
            except BadDotFile as error:
                raise CommandFailed(str(error)) from error
        try:
            values = [float(_PX(word)) for word in words]
            return typed_frame(values) if method == "frame" else typed_dots(method, values)
        except ValueError as error:
            raise CommandUsage(f"method: {error}") from error

    def _who(self, arguments: Mapping[str, Any]) -> str:
        return arguments["by"] or self.operator or "(operator not configured)"

    async def _revise(self, eye: Eye, work: Callable[[Analysed], tuple[Measurement, History]]) -> Reply:
        try:
            revised, revision = await self.exams.revise(eye, work)
        except ImpossibleEdit as error:
            raise CommandFailed(str(error)) from error
        return edited_screen(revised, revision)


def _changed(change: Change, who: str, when: str, analysed: Analysed) -> tuple[Measurement, History]:
    capture = analysed.captured.capture
    return changed(
        analysed.measurement,
        analysed.history,
        change,
        who=who,
        when=when,
        shape=(capture.rows, capture.columns),
        um_per_px=capture.um_per_px,
    )


def _step(
    step: Callable[..., tuple[Measurement, History]], who: str, when: str, analysed: Analysed
) -> tuple[Measurement, History]:
    capture = analysed.captured.capture
    return step(analysed.measurement, analysed.history, who=who, when=when, shape=(capture.rows, capture.columns))


def cells_screen(analysed: Analysed) -> Reply:
    mosaic, um_per_px = analysed.measurement.mosaic, analysed.captured.capture.um_per_px
    if mosaic is None or mosaic.n == 0:
        return Reply(f"no cells: {screens.measurement_text(analysed.measurement)}", {"cells": []})
    scale = 1.0 if um_per_px is None else um_per_px**2
    cells = [
        {"cell": index + 1, "area": area * scale, "sides": sides or None, "row": row, "column": column}
        for index, (area, sides, (row, column)) in enumerate(
            zip(mosaic.area_px.tolist(), mosaic.sides.tolist(), mosaic.centroid_px.tolist(), strict=True)
        )
    ]
    unit = "px" if um_per_px is None else "um2"
    rows = [
        (each["cell"], f"{each['area']:.0f}", each["sides"], f"{each['row']:.0f}", f"{each['column']:.0f}")
        for each in cells
    ]
    text = format_table(("cell", f"area {unit}", "sides", "row", "column"), rows)
    return Reply(text, {"cells": cells, "area_unit": unit})


def edited_screen(revised: Analysed, revision: int) -> Reply:
    record = revised.history.records[-1]
    done = change_words(record.change) if record.action == "edit" else f"{record.action}: {change_words(record.change)}"
    text = (
        f"{done}; revision {revision}\n"
        f"before: {_outcome_words(record.before)}\n"
        f"now:    {screens.measurement_text(revised.measurement)}"
    )
    data: dict[str, object] = {
        "eye": str(revised.captured.capture.eye),
        "revision": revision,
        "action": record.action,
        "done": len(revised.history.done),
        "undone": len(revised.history.undone),
        **screens.measurement_data(revised.measurement),
    }
    return Reply(text, data)


def history_screen(history: History) -> Reply:
    if not history.records:
        return Reply("nobody edited these numbers", {"records": []})
    rows = [
        (
            record.when,
            record.who,
            record.action,
            change_words(record.change),
            _outcome_words(record.before, with_intervals=False),
            _outcome_words(record.after, with_intervals=False),
        )
        for record in history.records
    ]
    records = [
        {
            "when": record.when,
            "who": record.who,
            "action": record.action,
            "change": change_words(record.change),
            "before": asdict(record.before),
            "after": asdict(record.after),
        }
        for record in history.records
    ]
    text = format_table(("when", "who", "action", "what", "before", "after"), rows)
    return Reply(text, {"records": records})


def _outcome_words(outcome: Outcome, *, with_intervals: bool = True) -> str:
    if outcome.numbers is None:
        return f"not measured: {outcome.refusal.reason}" if outcome.refusal else "not measured"
    return screens.numbers_text(outcome.numbers, with_intervals=with_intervals)
