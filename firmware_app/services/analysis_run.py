"""Measure many image files: here, in several processes, or on a cluster; going on where an earlier run stopped.

A file that cannot be read is a result too: status `refused` with the file's problem as the reason. Only a fault of the
caller (`OutputClash`, a bad scale), of the output folders (`OSError`) or of the cluster (`ClusterError`) stops the run.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from firmware_app.endothelium.parameters import Parameters
from firmware_app.services.analysis_cluster import analyze_on_cluster
from firmware_app.services.analysis_journal import Identity, Journal, identity
from firmware_app.services.analysis_processes import analyze_in_processes
from firmware_app.services.analysis_rows import Row, shown_name
from firmware_app.services.image_analysis import Answer, Wanted, answer
from firmware_app.services.image_search import Work, check_outputs, find_images
from firmware_app.services.whole_files import written_whole


@dataclass(frozen=True, slots=True)
class Outputs:
    """Folders for the pictures; None: not wanted."""

    labels: Path | None = None
    overlay: Path | None = None

    @property
    def folders(self) -> list[Path]:
        return [folder for folder in (self.labels, self.overlay) if folder is not None]

    def are_there(self, work: Work, row: Row) -> bool:
        """Whether an earlier run left what this one is asked to write."""
        due = [self.labels if row["status"] == "ok" else None, self.overlay if row["quality"] is not None else None]
        return all((folder / work.picture).is_file() for folder in due if folder is not None)

    def write(self, work: Work, answered: Answer) -> None:
        """What an earlier run left there is not the result of this one: it is replaced, or goes."""
        for folder, octets in ((self.labels, answered.labels), (self.overlay, answered.overlay)):
            if folder is None:
                continue
            target = folder / work.picture
            if octets is None:
                target.unlink(missing_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(target) as stream:
                stream.write(octets)


@dataclass(frozen=True, slots=True)
class Means:
    """Who measures: the workers of a Dask scheduler, or that many processes here (1: this one)."""

    jobs: int = 1
    scheduler: str | None = None

    def answers(self, files: Sequence[Path], wanted: Wanted) -> Generator[tuple[int, Answer], None, None]:
        """In any order. To be closed: there may be processes or a connection to end."""
        if self.scheduler is not None and files:
            return analyze_on_cluster(files, wanted, self.scheduler)
        if self.jobs > 1 and files:
            return analyze_in_processes(files, wanted, self.jobs)
        return ((index, answer(file, wanted)) for index, file in enumerate(files))


@dataclass(frozen=True, slots=True)
class Run:
    """All images that are asked about, in order, and what an earlier run knew of them."""

    works: tuple[Work, ...]
    passed_over: tuple[Path, ...]
    wanted: Wanted
    outputs: Outputs
    means: Means
    journal: Journal | None
    identities: tuple[Identity | None, ...]
    known: dict[int, Row]

    def rows(self) -> Generator[Row, None, None]:
        """One row per image in their order, each as soon as it and all before it are known.

        Every row that is new stands in the journal before it is returned, and its pictures in their folders.
        """
        ready = dict(self.known)
        missing = [number for number in range(len(self.works)) if number not in ready]
        due = 0
        while due in ready:
            yield ready.pop(due)
            due += 1
        answers = self.means.answers([self.works[number].file for number in missing], self.wanted)
        with closing(answers):
            for index, answered in answers:
                number = missing[index]
                self.outputs.write(self.works[number], answered)
                if self.journal is not None and not answered.lost:
                    self.journal.add(self.identities[number], answered.row)
                ready[number] = answered.row
                while due in ready:
                    yield ready.pop(due)
                    due += 1


def plan_run(
    paths: Sequence[Path],
    wanted: Wanted,
    outputs: Outputs | None = None,
    means: Means | None = None,
    journal: Journal | None = None,
) -> Run:
    """Find the images and make the output folders; nothing is measured yet.

    Raises `OutputClash` and `NothingToAnalyze`, `OSError` when a folder cannot be read or made.
    """
    outputs = outputs or Outputs()
    found = find_images(paths, outputs.folders)
    check_outputs(found.works, outputs.folders)
    for folder in outputs.folders:
        folder.mkdir(parents=True, exist_ok=True)
    identities: tuple[Identity | None, ...] = (None,) * len(found.works)
    known = {}
    if journal is not None:
        identities = tuple(identity(work.file, wanted) for work in found.works)
        for number, (work, of) in enumerate(zip(found.works, identities, strict=True)):
            row = journal.row_of(of)
            if row is not None and outputs.are_there(work, row):
                known[number] = {**row, "file": shown_name(work.file)}
    return Run(found.works, found.passed_over, wanted, outputs, means or Means(), journal, identities, known)


def analyze_files(
    paths: Sequence[str | Path],
    *,
    um_per_px: float | None = None,
    labels_dir: str | Path | None = None,
    overlay_dir: str | Path | None = None,
    parameters: Parameters | None = None,
) -> Generator[Row, None, None]:
    """One result per image, in order, measured in this process; a given scale overrules the file's.

    Raises `OutputClash`, `NothingToAnalyze` or `ValueError` before the first file is read, `OSError` when an output
    cannot be written.
    """
    if um_per_px is not None and not 0 < um_per_px < float("inf"):
        raise ValueError(f"um_per_px must be positive, not {um_per_px}")
    labels, overlay = (None if folder is None else Path(folder) for folder in (labels_dir, overlay_dir))
    wanted = Wanted(um_per_px, labels is not None, overlay is not None, parameters)
    return plan_run([Path(path) for path in paths], wanted, Outputs(labels, overlay)).rows()
