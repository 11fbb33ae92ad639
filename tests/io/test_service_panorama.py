"""Several captures of one eye at the console become a panorama beside them; a mosaic that repeats needs the stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from instrument_bench import Bench, bench, service
from PIL import Image

from firmware_app.demo.console_link import CommandRefused

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


def test_the_captures_of_an_eye_become_one_picture(around: Bench) -> None:
    with service(around.paths("panorama")) as running:
        running.wait_ready()
        with pytest.raises(CommandRefused, match="no exam is open"):
            running.run("panorama R")
        running.run("home")
        running.run("exam unscheduled P1 Doe^Jo")
        first = running.run("auto R")
        assert first["thickness"]["thickness_um"] == pytest.approx(
            around.instrument["truth"]["R"]["thickness_um"], abs=5
        )
        assert (first["point"], first["bursts"]) == ("centre", 1)
        with pytest.raises(CommandRefused, match="the right eye has 1 captures in this exam: a panorama needs two"):
            running.run("panorama R")
        running.run("move 180 0 0")
        second = running.run("capture R")
        text, made = running.link.run("panorama R")
        assert text.startswith("right eye, 2 of 2 captures: CD ")
        assert [each["name"] for each in made["captures"]] == [first["capture_id"], second["capture_id"]]
        # the simulated mosaic repeats every 640 px: only the stage can tell 212 px to the right from 428 to the left
        (pair,) = made["pairs"]
        assert 120 < pair["columns_px"] < 300
        picture, cells, numbers = (Path(file) for file in made["files"])
        assert picture.name == "panorama-R.png" and cells.name == "panorama-R-cells.png"
        assert np.asarray(Image.open(picture)).shape == (made["rows"], made["columns"])
        assert np.asarray(Image.open(cells)).shape == (made["rows"], made["columns"], 3)
        assert json.loads(numbers.read_bytes()) == {key: value for key, value in made.items() if key != "files"}
        with pytest.raises(CommandRefused, match="the left eye has 0 captures"):
            running.run("panorama L")
        text, series = running.link.run("panorama L --take 3")
        assert text.startswith("left eye, 3 of 3 captures: CD ")
        assert sorted(round(each["columns_px"], -2) for each in series["pairs"]) == [-200, 200, 400]
        text, _ = running.link.run("nudge back 40")
        assert re.search(r"; (3|4|5)\d um too far \(", text), text
        told: list[str] = []
        running.link.run("watch --seconds 1", told.append)
        assert told and all("too far" in line for line in told)
        aligned = running.run("align")
        assert aligned["thickness"]["thickness_um"] == pytest.approx(
            around.instrument["truth"]["L"]["thickness_um"], abs=5
        )
        with pytest.raises(CommandRefused, match="no fixation target up"):
            running.run("auto L --at up")
        assert running.run("results L")["thickness"] is not None
        running.run("exam finish")
        assert picture.exists()
