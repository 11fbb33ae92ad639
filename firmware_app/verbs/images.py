"""Verbs for image files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, count, matching, um_per_px
from firmware_app.verbs.outcome import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_USAGE,
    end_with_refusals,
    show,
    show_progress,
    stopping,
)

if TYPE_CHECKING:
    from firmware_app.services.analysis_rows import Row
    from firmware_app.services.analysis_run import Run
    from firmware_app.verbs.options import Parents, Verbs

JOBS_MAX = 256
PASSED_OVER_NAMED = 5
LINE_EVERY = 100  # images, where nobody watches the terminal
EPILOG = """A folder means the image files in it and in its folders, by name; hidden files are passed over. Exit status
1 if any image was refused; every image is answered all the same. A run that was interrupted goes on where it stopped if
it is started again with the same --resume FILE: an image is measured again if it, the scale or the software changed."""


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "analyze", "measure image files (PNG, TIFF, JPEG, DICOM)", parents.printed)
    verb.epilog = EPILOG
    verb.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="an image file, or a folder of them")
    verb.add_argument("--um-per-px", type=um_per_px, metavar="X", help="the scale (default: the file's, if it has one)")
    verb.add_argument("--labels", type=Path, metavar="DIR", help="write DIR/<stem>.png: 16 bits, one id per cell")
    verb.add_argument("--overlay", type=Path, metavar="DIR", help="write DIR/<stem>.png: the cells drawn on the image")
    verb.add_argument("--csv", type=Path, metavar="FILE", help="write all results as one table when they are complete")
    text = "keep every result in FILE, one JSON object a line, and measure only what it does not hold yet"
    verb.add_argument("--resume", type=Path, metavar="FILE", help=text)
    means = verb.add_mutually_exclusive_group()
    text = "measure in that many processes; `all`: one per processor (default: 1)"
    means.add_argument("--jobs", type=jobs, default=1, metavar="N", help=text)
    text = "measure on the workers of a Dask scheduler, e.g. tcp://HOST:8786 (needs the extra `batch`)"
    means.add_argument("--scheduler", type=scheduler, metavar="ADDRESS", help=text)
    verb.set_defaults(run=analyze)


def jobs(word: str) -> int:
    if word == "all":
        return min(len(os.sched_getaffinity(0)), JOBS_MAX)
    number = count(word)
    if number > JOBS_MAX:
        raise argparse.ArgumentTypeError(f"{word!r} is more than {JOBS_MAX} processes")
    return number


def scheduler(word: str) -> str:
    return matching(r"((tcp|tls|wss?)://)?[^\s/]+:[0-9]{1,5}", "an address such as tcp://HOST:8786")(word)


def analyze(arguments: argparse.Namespace) -> int:
    """Results on stdout, everything else on stderr."""
    with ExitStack() as stack:
        run = planned(arguments, stack)
        tell_passed_over(run.passed_over, arguments)
        progress = Progress(len(run.works), len(run.known))
        refusals: list[str] = []
        for number, row in enumerate(stack.enter_context(closing(rows_of(run, arguments.csv)))):
            progress.clear()
            if number == 0 and not arguments.json:
                print(HEADER)
            show(arguments.json, row, line_of(row))
            if row["status"] != "ok":
                refusals.append(f"{row['file']}: {row['reason']}")
            progress.one_more(len(refusals))
        progress.clear()
    end_with_refusals(refusals)
    return EXIT_DONE


def planned(arguments: argparse.Namespace, stack: ExitStack) -> Run:
    from firmware_app.services.analysis_journal import JournalError, open_journal
    from firmware_app.services.analysis_run import Means, Outputs, plan_run
    from firmware_app.services.image_analysis import Wanted
    from firmware_app.services.image_search import NothingToAnalyze, OutputClash

    wanted = Wanted(arguments.um_per_px, arguments.labels is not None, arguments.overlay is not None)
    outputs, means = Outputs(arguments.labels, arguments.overlay), Means(arguments.jobs, arguments.scheduler)
    with stopping(EXIT_USAGE, OutputClash, NothingToAnalyze, JournalError), stopping(EXIT_FAILED, OSError):
        journal = None if arguments.resume is None else stack.enter_context(open_journal(arguments.resume))
        run = plan_run(arguments.images, wanted, outputs, means, journal)
        if arguments.csv is not None and arguments.csv.resolve() in {work.file.resolve() for work in run.works}:
            raise OutputClash(f"{arguments.csv} would overwrite an input image")
    return run


def rows_of(run: Run, csv: Path | None) -> Generator[Row, None, None]:
    """Not around the rows' printing: a reader of ours that went away is no failure of the output files."""
    from firmware_app.services.analysis_cluster import ClusterError, ClusterMissing
    from firmware_app.services.analysis_table import tabled

    with (
        stopping(EXIT_FAILED, OSError, ClusterError),
        stopping(EXIT_USAGE, ClusterMissing),
        closing(run.rows()) as rows,
    ):
        yield from rows if csv is None else tabled(rows, csv)


def tell_passed_over(files: Sequence[Path], arguments: argparse.Namespace) -> None:
    ours = {path.absolute() for path in (arguments.csv, arguments.resume) if path is not None}
    others = [file for file in files if file.absolute() not in ours]
    for file in others[:PASSED_OVER_NAMED]:
        say(f"{file}: passed over, no PNG, TIFF, JPEG or DICOM")
    if len(others) > PASSED_OVER_NAMED:
        say(f"and {len(others) - PASSED_OVER_NAMED} more files passed over")


class Progress:
    """How far it is: in one line that stays in place where somebody watches, a line now and then in a log."""

    def __init__(self, of: int, known: int) -> None:
        self._of = of
        self._known = known
        self._done = 0
        self._began_s = time.monotonic()
        if known:
            say(f"{known} of {of} images were measured before")

    def clear(self) -> None:
        show_progress("")

    def one_more(self, refused: int) -> None:
        self._done += 1
        if self._done < self._known:
            return
        text = f"{self._done}/{self._of}, {refused} refused{self._left()}"
        if sys.stderr.isatty():
            show_progress(text)
        elif self._done % LINE_EVERY == 0 and self._done < self._of:
            say(text)

    def _left(self) -> str:
        """From the pace of what was measured now, once there is one."""
        measured, left = self._done - self._known, self._of - self._done
        if measured < 1 or left < 1:
            return ""
        seconds = (time.monotonic() - self._began_s) / measured * left
        return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"


def say(text: str) -> None:
    from firmware_app.console.text import printable

    print(printable(f"specular analyze: {text}").replace("\n", " "), file=sys.stderr)


HEADER = f"{'CD/mm2':>8} {'area px':>8} {'CV %':>6} {'HEX %':>6} {'N':>5}  Q  file"


def line_of(row: Row) -> str:
    """Without a scale there is no density: the mean cell area in pixels then stands for it."""
    forms = (
        ("cd_per_mm2", ".0f", 8),
        ("mean_area_px", ".0f", 8),
        ("cv_percent", ".1f", 6),
        ("hex_percent", ".1f", 6),
        ("n", "d", 5),
    )
    numbers = " ".join(("-" if row[key] is None else format(row[key], form)).rjust(w) for key, form, w in forms)
    reason = f": {row['reason']}" if row["reason"] else ""
    quality = row["quality"] or "-"
    return f"{numbers}  {quality}  {row['file']}{reason}"
