"""The journal of calibrations on the disk, and which scale holds."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from objects_samples import CALIBRATION

from firmware_app.calibration import StageCheck
from firmware_app.config.schema import CalibrationConfig
from firmware_app.records.calibrations import JOURNAL_NAME, READ_MAX_BYTES, Entry, append, read_journal
from firmware_app.records.errors import StorageFault
from firmware_app.services.scale import camera_warnings, scale_of, stage_warnings

STAGE = StageCheck("2024-03-01T16:20:00+01:00", 1.0004, 0.9991, 0.2, 0.4, 120.0, "grid of 50 um", "Tina", "grbl", False)
LIMITS = CalibrationConfig(max_age_days=30, max_drift_percent=1.0)
NEXT_DAY = datetime.fromisoformat("2024-03-02T12:00:00+01:00")


def test_what_was_appended_is_there_in_order(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == read_journal(tmp_path / "absent")
    second = replace(CALIBRATION, um_per_px=0.86, drift_percent=1.18)
    for entry in (Entry(camera=CALIBRATION), Entry(stage=STAGE), Entry(camera=second)):
        append(tmp_path / "state", entry)
    journal = read_journal(tmp_path / "state")
    assert (journal.cameras, journal.stages, journal.problems) == ((CALIBRATION, second), (STAGE,), ())
    assert (tmp_path / "state" / JOURNAL_NAME).stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_power_cut_tore_costs_itself_alone(tmp_path: Path) -> None:
    append(tmp_path, Entry(camera=CALIBRATION))
    path = tmp_path / JOURNAL_NAME
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole + whole[:kept])
        append(tmp_path, Entry(stage=STAGE))
        journal = read_journal(tmp_path)
        assert journal.cameras[0] == CALIBRATION
        assert journal.stages == (STAGE,)
        torn = kept not in (0, len(whole) - 1)  # without its newline alone a line is whole
        assert [problem.partition(":")[0] for problem in journal.problems] == [f"{JOURNAL_NAME} line 2"] * torn


def test_a_line_that_is_no_utf8_costs_itself_alone(tmp_path: Path) -> None:
    """One without a checksum, as the first releases wrote it: the others are found by that."""
    append(tmp_path, Entry(camera=CALIBRATION))
    path = tmp_path / JOURNAL_NAME
    content = path.read_bytes().partition(b',"sha256"')[0] + b"}\n"
    path.write_bytes(content.replace(b"Tech^Tina", b"Tech^Tin\xe4"))
    append(tmp_path, Entry(stage=STAGE))
    journal = read_journal(tmp_path)
    assert (journal.cameras, journal.stages, len(journal.problems)) == ((), (STAGE,), 1)


def test_a_scale_with_one_changed_digit_is_told_and_passed_over(tmp_path: Path) -> None:
    append(tmp_path, Entry(camera=CALIBRATION))
    path = tmp_path / JOURNAL_NAME
    scale = b'"um_per_px":%.2f' % CALIBRATION.um_per_px
    assert scale in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(scale, b'"um_per_px":0.95'))
    journal = read_journal(tmp_path)
    assert journal.cameras == ()
    assert journal.problems == (f"{JOURNAL_NAME} line 1: is not what was written: the checksum differs",)


def test_a_line_of_the_first_releases_had_no_checksum(tmp_path: Path) -> None:
    append(tmp_path, Entry(camera=CALIBRATION))
    path = tmp_path / JOURNAL_NAME
    path.write_bytes(path.read_bytes().partition(b',"sha256":')[0] + b"}\n")
    assert read_journal(tmp_path).cameras == (CALIBRATION,)


@pytest.mark.parametrize("line", ['{"format":"other/1"}', "[]", "nonsense", '{"camera":{"um_per_px":0.8}}'])
def test_a_line_that_is_no_calibration_is_told_and_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / JOURNAL_NAME).write_text(line + "\n")
    append(tmp_path, Entry(camera=CALIBRATION))
    journal = read_journal(tmp_path)
    assert journal.cameras == (CALIBRATION,)
    assert len(journal.problems) == 1


@pytest.mark.parametrize("um_per_px", [0.0, -1.0, float("nan"), 1e9])
def test_a_scale_that_is_none_is_never_written(tmp_path: Path, um_per_px: float) -> None:
    append(tmp_path, Entry(stage=STAGE))
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    with pytest.raises(ValueError):
        append(tmp_path, Entry(camera=replace(CALIBRATION, um_per_px=um_per_px)))
    assert (tmp_path / JOURNAL_NAME).read_bytes() == before


def test_what_was_there_is_never_touched_and_every_line_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").resolve().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    append(tmp_path, Entry(camera=CALIBRATION))
    before = (tmp_path / JOURNAL_NAME).read_bytes()
    flushed.clear()
    append(tmp_path, Entry(stage=STAGE))
    assert (tmp_path / JOURNAL_NAME).read_bytes().startswith(before)
    assert flushed[-2:] == [JOURNAL_NAME, tmp_path.name], "the file, then its folder"


def test_no_file_that_could_not_be_one_is_read(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_bytes(b"\n" * (READ_MAX_BYTES + 1))
    with pytest.raises(StorageFault, match="not a journal of calibrations"):
        read_journal(tmp_path)
    other = tmp_path / "other"
    (other / JOURNAL_NAME).mkdir(parents=True)
    with pytest.raises(StorageFault, match="directory"):
        read_journal(other)


def test_only_the_same_camera_at_the_same_size_counts(tmp_path: Path) -> None:
    simulated = replace(CALIBRATION, simulated=True, um_per_px=0.5)
    binned = replace(CALIBRATION, rows=16, columns=23, um_per_px=1.7)
    for each in (CALIBRATION, simulated, binned):
        append(tmp_path, Entry(camera=each))
    journal = read_journal(tmp_path)
    assert journal.camera(simulated=False, rows=33, columns=47) == CALIBRATION
    assert journal.camera(simulated=True, rows=33, columns=47) == simulated
    assert journal.camera(simulated=False, rows=16, columns=23) == binned
    assert journal.camera(simulated=True, rows=16, columns=23) is None
    assert journal.stage(simulated=False) is None


def test_a_record_goes_before_the_configuration_and_nothing_is_made_up() -> None:
    assert scale_of(CALIBRATION, 0.9).um_per_px == CALIBRATION.um_per_px
    stated = scale_of(None, 0.9)
    assert (stated.um_per_px, stated.calibration) == (0.9, None)
    assert "as the configuration states, not measured" in stated.words
    assert scale_of(None, 0.0).um_per_px is None
    assert "no numbers in um" in scale_of(None, 0.0).words


@pytest.mark.parametrize(
    ("changes", "nominal", "days", "told"),
    [
        ({}, 0.85, 0, []),
        ({}, 0.0, 29, []),
        ({}, 0.0, 31, ["31 days old, more than 30"]),
        ({}, 0.86, 0, ["-1.16 % from camera.um_per_px = 0.86"]),
        ({"drift_percent": -1.5}, 0.85, 0, ["differs by -1.50 % from the one before"]),
        ({"drift_percent": 0.9}, 0.85, 0, []),
        ({}, 0.85, -5, ["from the future (2024-03-01)"]),
    ],
)
def test_what_is_old_or_drifted_is_warned_of(
    changes: dict[str, float], nominal: float, days: int, told: list[str]
) -> None:
    warnings = list(camera_warnings(replace(CALIBRATION, **changes), nominal, LIMITS, NEXT_DAY + timedelta(days=days)))
    assert len(warnings) == len(told)
    for warning, part in zip(warnings, told, strict=True):
        assert part in warning


@pytest.mark.parametrize(("ratio", "warned"), [(1.0, False), (1.011, False), (1.013, True), (0.97, True)])
def test_a_stage_that_goes_too_far_is_warned_of(ratio: float, warned: bool) -> None:
    warnings = list(stage_warnings(replace(STAGE, y_ratio=ratio), LIMITS, NEXT_DAY))
    assert bool(warnings) == warned
    if warned:
        assert f"for each um in y ({100 * (ratio - 1):+.2f} %)" in warnings[0]


def test_the_journal_is_lines_that_people_can_read(tmp_path: Path) -> None:
    append(tmp_path, Entry(camera=CALIBRATION))
    line = json.loads((tmp_path / JOURNAL_NAME).read_text())
    assert line["format"] == "specular-calibration/1"
    assert {"measured_at", "um_per_px", "target", "operator", "drift_percent"} <= line["camera"].keys()
