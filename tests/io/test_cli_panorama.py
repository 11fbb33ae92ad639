"""`specular panorama` on files: what it writes and prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from wide_eye import shoot

from firmware_app.cli import main

SEED = 3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, x_um in enumerate((0.0, 200.0)):
        Image.fromarray(shoot(SEED, x_um, 0.0, number).pixels).save(folder / f"{number}.png")
    Image.fromarray(shoot(SEED, 0.0, 120.0, 2, bits=12).pixels).save(folder / "deep.tif")
    Image.fromarray(shoot(11, 0.0, 0.0, 3).pixels).save(folder / "other.png")
    (folder / "text.png").write_text("no picture")
    return folder


def run(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(["panorama", *(str(word) for word in words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_pictures_numbers_and_labels_agree(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, labels, overlay = (tmp_path / f"{name}.png" for name in ("out", "labels", "overlay"))
    status, output, errors = run(
        *(pictures / "1.png", pictures / "0.png", "--um-per-px", 0.85, "-o", out),
        *("--labels", labels, "--overlay", overlay, "--json"),
        capsys=capsys,
    )
    assert (status, errors) == (0, "")
    row = json.loads(output)
    assert (row["status"], row["reason"], row["file"]) == ("ok", None, str(out))
    assert [capture["name"] for capture in row["captures"]] == [str(pictures / "1.png"), str(pictures / "0.png")]
    stitched, cells = np.asarray(Image.open(out)), np.asarray(Image.open(labels))
    assert stitched.dtype == np.uint8 and stitched.shape == cells.shape == (row["rows"], row["columns"])
    assert np.asarray(Image.open(overlay)).shape == (*stitched.shape, 3)
    assert len(np.unique(cells)) - 1 == row["morphometry"]["n"] == sum(each["cells"] for each in row["captures"])
    assert row["morphometry"]["n"] > 1.2 * max(each["cells"] for each in row["captures"])
    assert row["morphometry"]["um_per_px"] == 0.85
    (pair,) = row["pairs"]
    assert (pair["first"], pair["second"]) == (1, 2) and pair["columns_px"] < -200
    assert row["captures"][1]["column_px"] == 0


def test_lines_for_people(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.png"
    status, output, _ = run(pictures / "0.png", pictures / "deep.tif", "-o", out, capsys=capsys)
    lines = output.splitlines()
    assert status == 0 and len(lines) == 3
    assert "cells" in lines[0] and lines[0].endswith("0.png")
    assert lines[2].startswith(f"{out}: ") and "area " in lines[2] and " px, CV " in lines[2]
    assert np.asarray(Image.open(out)).dtype == np.uint16  # one of them has 12 bits
    assert out.stat().st_mode & 0o077 == 0  # a patient's picture


def test_another_eye_is_named_and_the_rest_is_stitched(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [pictures / name for name in ("0.png", "other.png", "1.png")]
    status, output, errors = run(*files, "-o", tmp_path / "out.png", capsys=capsys)
    assert status == 1
    assert errors.startswith(f"specular panorama: left out: {files[1]}: they share no cells")
    assert f"left out {files[1]}" in " ".join(output.split())
    assert (tmp_path / "out.png").exists()


def test_what_cannot_be_done_is_one_line(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, out = pictures / "0.png", pictures / "1.png", tmp_path / "out.png"
    out.write_bytes(b"of an earlier run")
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (1, "1 and 2: they share no cells", (first, pictures / "other.png", "-o", out)),
        (1, "needs 2 to 16 captures, not 1", (first, "-o", out)),
        (1, "text.png: the file is none of PNG", (first, pictures / "text.png", "-o", out)),
        (1, "nofolder", (first, second, "-o", tmp_path / "nofolder" / "out.png")),
        (2, "would overwrite an input", (first, second, "-o", second)),
        (2, "two outputs would both be", (first, second, "-o", out, "--labels", out)),
        (2, "is to be a PNG file", (first, second, "-o", tmp_path / "out.jpg")),
    ]
    for wanted, told, words in cases:
        status, output, errors = run(*words, capsys=capsys)
        assert (status, output) == (wanted, ""), words
        assert told in errors and errors.count("\n") == 1
    assert not out.exists() and second.exists()  # what an earlier run left is not the result of this one


def test_files_of_different_scales_are_not_stitched(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    for scale, name, made in ((0.85, "0.png", files[0]), (1.0, "1.png", files[1])):
        words = ["object", "op", str(pictures / name), "-o", str(made), "--laterality", "R", "--um-per-px", str(scale)]
        assert main(words) == 0
    capsys.readouterr()
    status, _, errors = run(*files, "-o", tmp_path / "out.png", capsys=capsys)
    assert status == 1 and "um per pixel" in errors
    status, _, errors = run(files[0], pictures / "0.png", "-o", tmp_path / "out.png", capsys=capsys)
    assert status == 1 and "states a scale and others do not" in errors
    assert run(*files, "-o", tmp_path / "out.png", "--um-per-px", 0.9, capsys=capsys)[0] == 0
