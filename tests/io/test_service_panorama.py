"""Several captures of one eye at the console become a panorama beside them; a mosaic that repeats needs the stage."""

from __future__ import annotations

import json
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
        running.run("eye R")
        running.run("focus")
        first = running.run("capture R")
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
        running.run("exam finish")
        assert picture.exists()
