"""Which files a list of files and folders means, and where their pictures go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware_app.services import image_search
from firmware_app.services.image_search import NothingToAnalyze, OutputClash, check_outputs, find_images

DICOM = bytes(128) + b"DICM"
TIFF = b"II*\0" + bytes(8)


def put(path: Path, octets: bytes = TIFF) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    return path


def names(folder: Path, found: image_search.Found) -> list[str]:
    return [str(work.file.relative_to(folder)) for work in found.works]


def test_a_folder_means_its_images_by_name_those_of_its_folders_after_them(tmp_path: Path) -> None:
    for name in ("b.tif", "a.tif", "visit 2/c.tif", "visit 1/deeper/d.tif", "visit 1/b.tif"):
        put(tmp_path / name)
    found = find_images([tmp_path])
    assert names(tmp_path, found) == ["a.tif", "b.tif", "visit 1/b.tif", "visit 1/deeper/d.tif", "visit 2/c.tif"]
    assert [str(work.picture) for work in found.works] == [
        name.replace(".tif", ".png") for name in names(tmp_path, found)
    ]
    check_outputs(found.works, [tmp_path / "out"])  # two of the same name are no clash: each keeps its folder


def test_files_are_known_by_their_first_bytes_and_others_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "b.jpg")
    put(tmp_path / "1.2.840.113619.7", DICOM)
    notes, empty = put(tmp_path / "notes.png", b"words"), put(tmp_path / "empty.png", b"")
    found = find_images([tmp_path])
    assert names(tmp_path, found) == ["1.2.840.113619.7", "a.png", "b.jpg"]
    assert found.passed_over == (empty, notes)
    # named outright they are asked about, and refused with their reason
    assert [work.file for work in find_images([notes, empty]).works] == [notes, empty]


def test_the_last_number_of_a_uid_is_no_suffix(tmp_path: Path) -> None:
    for name in ("1.2.3.1", "1.2.3.2", "IM0001", "eye.dcm"):
        put(tmp_path / name, DICOM)
    pictures = [str(work.picture) for work in find_images([tmp_path]).works]
    assert pictures == ["1.2.3.1.png", "1.2.3.2.png", "IM0001.png", "eye.png"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in (".hidden.tif", ".git/a.tif", "seen.tif"):
        put(tmp_path / name)
    found = find_images([tmp_path])
    assert names(tmp_path, found) == ["seen.tif"]
    assert found.passed_over == ()


def test_links_to_files_are_followed_links_to_folders_are_not(tmp_path: Path) -> None:
    put(tmp_path / "archive" / "a.tif")
    (tmp_path / "archive" / "around").symlink_to(tmp_path / "archive", target_is_directory=True)
    (tmp_path / "archive" / "b.tif").symlink_to(tmp_path / "archive" / "a.tif")
    (tmp_path / "archive" / "dangling.tif").symlink_to(tmp_path / "nothing")
    assert names(tmp_path / "archive", find_images([tmp_path / "archive"])) == ["a.tif", "b.tif"]


def test_a_folder_does_not_repeat_what_was_named_but_who_names_twice_asks_twice(tmp_path: Path) -> None:
    one, other = put(tmp_path / "a.tif"), put(tmp_path / "b.tif")
    assert [work.file for work in find_images([other, tmp_path, tmp_path]).works] == [other, one]
    assert [work.file for work in find_images([one, one]).works] == [one, one]


def test_folders_that_we_write_are_not_looked_into(tmp_path: Path) -> None:
    put(tmp_path / "a.tif")
    put(tmp_path / "labels" / "a.png")
    assert names(tmp_path, find_images([tmp_path], [tmp_path / "x" / ".." / "labels"])) == ["a.tif"]
    with pytest.raises(NothingToAnalyze):
        find_images([tmp_path / "labels"], [tmp_path / "labels"])


def test_a_folder_without_images_is_the_callers_fault(tmp_path: Path) -> None:
    put(tmp_path / "full" / "a.tif")
    put(tmp_path / "bare" / "notes.txt", b"words")
    with pytest.raises(NothingToAnalyze, match="bare: no PNG"):
        find_images([tmp_path / "full", tmp_path / "bare"])


def test_one_run_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_search, "FILES_MAX", 3)
    for number in range(3):
        put(tmp_path / f"{number}.tif")
    assert len(find_images([tmp_path]).works) == 3
    put(tmp_path / "deep" / "3.tif")
    with pytest.raises(NothingToAnalyze, match="more than 3 files"):
        find_images([tmp_path])


def test_an_output_never_overwrites_an_input_of_a_folder(tmp_path: Path) -> None:
    put(tmp_path / "eyes" / "a.tif")
    png = put(tmp_path / "eyes" / "b.png", b"\x89PNG\r\n\x1a\n")
    found = find_images([tmp_path / "eyes", png])
    with pytest.raises(OutputClash, match="would overwrite an input image"):
        check_outputs(found.works, [tmp_path / "eyes"])
