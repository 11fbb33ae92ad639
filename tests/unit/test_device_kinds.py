"""Every kind of stage that can be configured knows its reach and has what its driver asks for; and no key of a device
has one default in the configuration and another in its driver."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from firmware_app.config import CameraConfig, StageConfig
from firmware_app.config.devices import KINDS
from firmware_app.services.devices import folder_settings, stage_settings, v4l2_settings
from hw.asi.stage import AsiSettings
from hw.folder_camera.camera import FolderSettings
from hw.grbl.stage import GrblSettings
from hw.sangaboard.stage import SangaboardSettings
from hw.v4l2.camera import V4l2Settings

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


@pytest.mark.parametrize("kind", KINDS[StageConfig])
def test_a_stage_that_is_only_named_has_its_drivers_defaults(kind: str) -> None:
    assert stage_settings(SETTINGS[kind], KINDS[StageConfig][kind]()) == SETTINGS[kind]()


def test_a_camera_that_is_only_named_has_its_drivers_defaults() -> None:
    assert v4l2_settings(KINDS[CameraConfig]["v4l2"]()) == V4l2Settings()
    assert folder_settings(KINDS[CameraConfig]["folder"]()) == FolderSettings()
