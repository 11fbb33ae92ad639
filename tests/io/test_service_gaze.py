"""Where the patient was asked to look and what the scale rests on: from the console to the archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from instrument_bench import Bench, bench, service
from objects_samples import CALIBRATION
from pydicom import dcmread

from firmware_app.records.calibrations import Entry, append

LAMPS = """
[light]
eccentricity_deg = 10.0
[light.fixation]
output = "spindle"
[light.illumination]
output = "flood"
"""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


def test_gaze_and_calibration_go_with_the_picture(around: Bench) -> None:
    paths = around.paths("gaze")
    text = paths.configuration.read_text(encoding="utf-8")
    paths.configuration.write_text(text + LAMPS, encoding="utf-8")
    # Of a simulated camera at this size; the others on record are somebody else's.
    ours = replace(CALIBRATION, simulated=True, rows=480, columns=640, um_per_px=0.8525)
    for each in (ours, CALIBRATION, replace(ours, rows=240, um_per_px=1.7)):
        append(paths.state, Entry(camera=each))
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        running.run("worklist")
        running.run("exam start 2")
        running.run("eye L")
        shown = running.run("fixation up-right")
        assert shown["levels"]["fixation"] == 0.35
        assert shown["levels"]["illumination"] == 1.0, "an exam is open"
        captured = running.run("capture L")
        assert captured["gaze"]["target"] == "up-right"
        status = running.run("status")["services"]
        assert "fixation (spindle) 35 %; looking up-right" in status["lights"]
        assert "0.8525 um/px +-0.12 %, measured 2024-03-01" in status["calibration"]
        assert "days old, more than 365" in status["calibration"]
        finished = running.run("exam finish")
        running.wait("dark", lambda: not any(running.run("light")["levels"].values()))
        assert running.run("fixation")["gaze"] is None
        running.wait("stored", lambda: set(running.states()) == {"stored"})
    (sidecar,) = (paths.state / "exams").glob(f"*/{captured['capture_id']}.json")
    kept = json.loads(sidecar.read_text(encoding="utf-8"))["capture"]
    assert (kept["um_per_px"], kept["calibration"]["um_per_px"]) == (0.8525, 0.8525)
    assert kept["gaze"] == {"target": "up-right", "horizontal_deg": -7.07, "vertical_deg": 7.07}
    kinds = {instance["kind"]: instance["sop_instance_uid"] for instance in finished["instances"]}
    image = dcmread(around.root / "archive" / f"{kinds['image']}.dcm")
    assert image.PatientEyeMovementCommanded == "YES"
    assert image.PatientEyeMovementCommandCodeSequence[0].CodeMeaning == "Upward right gaze"
    assert "Gaze -7.1 deg to the patient's left, +7.1 deg up." in image.ImageComments
    assert [float(each) for each in image.PixelSpacing] == [0.0008525, 0.0008525]
    assert image.DateOfLastCalibration == "20240301"
    assert "Scale as stated" not in image.ImageComments
