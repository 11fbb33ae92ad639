"""Which files a list of files and folders means, and where what is drawn of each is written.

A file that is named is always asked about. A folder means the image files in it, found by their first bytes, in all of
its folders, sorted by name; hidden files and folders are passed over, links to folders are not followed. What was found
in a folder keeps its place below an output folder, so that two visits may hold files of the same name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_app.services.image_files import holds_image

FILES_MAX = 100_000


class OutputClash(ValueError):
    """Two outputs would have the same name, or an output would overwrite an input."""


class NothingToAnalyze(ValueError):
    """A folder without images, or with more files than one run should be asked about."""


@dataclass(frozen=True, slots=True)
class Work:
    """One image file, and the place of its pictures relative to an output folder."""

    file: Path
    picture: Path


@dataclass(frozen=True, slots=True)
class Found:
    works: tuple[Work, ...]
    passed_over: tuple[Path, ...]  # files in folders that are no images


def find_images(paths: Sequence[Path], outputs: Sequence[Path] = ()) -> Found:
    """The images in the order of `paths`, none twice because of a folder; the `outputs` folders are not looked into.

    Raises `NothingToAnalyze`, naming the folder, and `OSError` where a folder cannot be read.
    """
    works: list[Work] = []
    passed_over: list[Path] = []
    known = {path.absolute() for path in paths if not path.is_dir()}
    closed = {folder.resolve() for folder in outputs}
    for path in paths:
        if not path.is_dir():
            works.append(Work(path, Path(picture_name(path))))
            continue
        images = 0
        for number, file in enumerate(files_below(path, closed), start=1):
            if number > FILES_MAX:
                raise NothingToAnalyze(f"{path}: more than {FILES_MAX} files; name its folders one by one")
            if not holds_image(file):
                passed_over.append(file)
                continue
            images += 1
            if file.absolute() not in known:
                known.add(file.absolute())
                works.append(Work(file, file.relative_to(path).with_name(picture_name(file))))
        if images == 0:
            raise NothingToAnalyze(f"{path}: no PNG, TIFF, JPEG or DICOM file in this folder")
    return Found(tuple(works), tuple(passed_over))


def picture_name(file: Path) -> str:
    """<stem>.png; DICOM files are often named by their UID, whose last number is no suffix."""
    return f"{file.name if file.suffix[1:].isdigit() else file.stem}.png"


def files_below(folder: Path, closed: set[Path]) -> Iterator[Path]:
    """The files of a folder, then those of its folders, each sorted by name."""
    if folder.resolve() in closed:
        return
    with os.scandir(folder) as entries:
        shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    yield from (folder / entry.name for entry in shown if entry.is_file())
    for entry in shown:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name, closed)


def check_outputs(works: Sequence[Work], folders: Sequence[Path]) -> None:
    """Refuse any set of arguments under which one file would be written twice or an input overwritten."""
    writers: dict[Path, Path] = {}
    inputs = {work.file.resolve() for work in works}
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise OutputClash(f"labels and overlays need two different folders, not both {folders[0]}")
    for folder in folders:
        for work in works:
            target = (folder / work.picture).resolve()
            if target in inputs:
                raise OutputClash(f"{folder / work.picture} would overwrite an input image")
            earlier = writers.setdefault(target, work.file)
            if earlier.resolve() != work.file.resolve():
                raise OutputClash(f"{earlier} and {work.file} would both write {folder / work.picture}")
