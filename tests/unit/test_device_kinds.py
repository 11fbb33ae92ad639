"""Every kind of stage that can be configured knows its reach and has what its driver asks for."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from firmware_app.config import StageConfig
from firmware_app.config.devices import KINDS
from hw.asi.stage import AsiSettings
from hw.grbl.stage import GrblSettings
from hw.sangaboard.stage import SangaboardSettings

NOT_THE_DRIVERS = {"kind", "port", "simulated", "right_eye_um", "left_eye_um", "retract_um"}
SETTINGS = {"grbl": GrblSettings, "sangaboard": SangaboardSettings, "asi": AsiSettings}


@pytest.mark.parametrize("kind", KINDS[StageConfig])
def test_a_kind_of_stage_has_a_reach_of_its_own_and_its_drivers_settings(kind: str) -> None:
    table = KINDS[StageConfig][kind]
    reach = table().reach
    assert all(math.isfinite(end) for end in (*reach.low_um, *reach.high_um))
    assert all(key.removeprefix("stage.") in table.__struct_fields__ for key in reach.keys)
    reaching_the_driver = {field.name for field in fields(SETTINGS[kind])}
    assert set(table.__struct_fields__) - reaching_the_driver == NOT_THE_DRIVERS
