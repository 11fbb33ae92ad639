"""The power cut at many moments of exams on the device: what its operator was told is there afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.device_test.bench import Bench, Started
from deploy.power_cuts.examination import Examined, examine_recording
from deploy.power_cuts.file_system import require_programs
from deploy.power_cuts.recording import Recording
from deploy.power_cuts.verdict import failures, is_whole, table

Tell = Callable[[str], None]
SHORT, LONG = (2, 90), (5, 300)  # exams, power cuts
SEED = 1


def cut(bench: Bench, folder: Path, size: tuple[int, int], synchronous: str, tell: Tell) -> list[Examined]:
    require_programs()
    recording = Recording(folder)
    exams, states = size
    recording.record(bench, exams, synchronous, tell)
    examined = examine_recording(recording, states, SEED, tell)
    assert len(examined) == states
    print(f"\n{table(examined)}", flush=True)
    return examined


def test_nothing_acknowledged_is_lost(
    bench: Bench, started: Started, is_long: bool, tmp_path: Path, tell: Tell
) -> None:
    examined = cut(bench, tmp_path, LONG if is_long else SHORT, "FULL", tell)
    assert [each for each in examined if not is_whole(each)] == [], "\n".join(failures(examined))


def test_the_control_loses_something(bench: Bench, started: Started, is_long: bool, tmp_path: Path, tell: Tell) -> None:
    """With less than FULL the same check does find losses: it can fail."""
    if not is_long:
        pytest.skip("the control is of the long form")
    examined = cut(bench, tmp_path, LONG, "NORMAL", tell)
    assert any(each.survivors.lost for each in examined)
