"""The camera contract on a folder of pictures."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio
from camera_contract import CHECKS, PATIENCE_S, CameraRig, Check
from PIL import Image

from hw.folder_camera.camera import FolderSettings, open_folder_camera

FRAMES_PER_S = 100.0
FILES = 60  # more than a check looks at before it has seen the damaged ones once


def fill(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(FILES):
        dtype = np.uint16 if number % 2 else np.uint8
        Image.fromarray(np.full((8, 16), 3 * number, dtype)).save(folder / f"{number:03}.png")


@asynccontextmanager
async def played_folder(folder: Path) -> AsyncIterator[CameraRig]:
    fill(folder)

    def spoil(files: int) -> None:
        for path in sorted(folder.iterdir())[-2 * files :: 2]:
            path.write_bytes(path.read_bytes()[:40])

    settings = FolderSettings(frames_per_s=FRAMES_PER_S)
    async with open_folder_camera(str(folder), settings, simulated=True) as camera:
        yield CameraRig(
            camera,
            (8, 10, 16),
            spoil_frames=spoil,
            unplug=partial(shutil.rmtree, folder, ignore_errors=True),
            nominal_frames_per_s=FRAMES_PER_S,
        )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_folder_camera(check: Check, tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        await check(partial(played_folder, tmp_path / "pictures"))
