"""The power cut at many moments of exams on the device: what its operator was told is there afterwards.

That this check does see losses: `./deploy/power-cuts --synchronous NORMAL`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deploy.device_test.bench import Bench, Started
from deploy.power_cuts.examination import examine_recording
from deploy.power_cuts.file_system import require_programs
from deploy.power_cuts.recording import Recording
from deploy.power_cuts.verdict import failures, is_whole, table

EXAMS, POWER_CUTS, SEED = 4, 300, 1


def test_nothing_acknowledged_is_lost(
    bench: Bench, started: Started, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    require_programs()
    recording = Recording(tmp_path)
    recording.record(bench, EXAMS, "FULL", tell)
    examined = examine_recording(recording, POWER_CUTS, SEED, tell)
    print(f"\n{table(examined)}", flush=True)
    assert len(examined) == POWER_CUTS
    assert [each for each in examined if not is_whole(each)] == [], "\n".join(failures(examined))
