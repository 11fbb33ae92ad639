"""The folder camera: what it plays, what it refuses, and that it never passes for a camera."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hw.errors import DeviceLost, Refused
from hw.folder_camera.camera import FolderCamera, FolderSettings, open_folder_camera
from hw.folder_camera.pictures import PictureError, read_pixels

RAMP = np.arange(128, dtype=np.uint8).reshape(8, 16)
QUICK = FolderSettings(frames_per_s=500.0)


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


async def play(camera: FolderCamera, count: int) -> list[int]:
    """The first pixel of each picture that came."""
    seen: list[int] = []
    async with aclosing(camera.frames()) as stream:
        while len(seen) < count:
            seen.append(int((await anext(stream)).pixels[0, 0]))
    return seen


async def test_name_order_again_and_again(tmp_path: Path) -> None:
    for name, level in (("b.tif", 20), ("a.png", 10), ("c.PNG", 30)):
        save(tmp_path / name, np.full((4, 4), level, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    async with open_folder_camera(str(tmp_path), FolderSettings(frames_per_s=50.0), simulated=True) as camera:
        seen = await play(camera, 7)
    rest = [10, 20, 30] * 4
    start = rest.index(seen[0])
    assert seen == rest[start : start + 7] or camera.dropped > 0
    assert camera.identity.label == f"sim+folder:{tmp_path}"


async def test_a_folder_is_never_taken_for_a_camera(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RAMP)
    with pytest.raises(Refused, match="a folder is no camera, but the configuration has simulated = false"):
        async with open_folder_camera(str(tmp_path), QUICK, simulated=False):
            pytest.fail("opened")


async def test_damaged_files_are_counted_and_named(tmp_path: Path) -> None:
    for name in ("a.png", "d.png"):
        save(tmp_path / name, RAMP)
    save(tmp_path / "c.png", RAMP[:4])
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:45])
    async with open_folder_camera(str(tmp_path), QUICK, simulated=True) as camera:
        while camera.corrupt < 2:
            await play(camera, 1)
        assert camera.damaged["c.png"] == "16x4 px, the first has 16x8"
        assert set(camera.damaged) == {"b.png", "c.png"}


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (12, r"no picture of 12 bits; a.png has 8 bits"),
        (17, "pictures have 8 to 16 bits, not 17"),
    ],
)
async def test_a_depth_that_is_not_there(bits: int, message: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png", RAMP)
    with pytest.raises(Refused, match=message):
        async with open_folder_camera(str(tmp_path), FolderSettings(bits_stored=bits), simulated=True):
            pytest.fail("opened")
    async with open_folder_camera(str(tmp_path), QUICK, simulated=True) as camera:
        with pytest.raises(Refused, match=message):
            await camera.configure(bits_stored=bits)
        assert await play(camera, 1) == [0]


async def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none", "No such file"), (tmp_path, "no PNG, TIFF or JPEG file")):
        with pytest.raises(DeviceLost, match=message):
            async with open_folder_camera(str(path), QUICK, simulated=True):
                pytest.fail("opened")
    with pytest.raises(Refused, match=r"0 frames/s: 0\.01 to 1000"):
        async with open_folder_camera(str(tmp_path), FolderSettings(frames_per_s=0.0), simulated=True):
            pytest.fail("opened")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_pictures_keep_every_bit(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"deep.{suffix}"
    values = np.array([[0, 1, 4095], [255, 256, 2048]], np.uint16)
    save(file, values)
    assert np.array_equal(read_pixels(file, 12), values)
    assert read_pixels(file, 12).dtype == np.uint16
    with pytest.raises(PictureError, match="pixel values of 0 to 4095, 11 bits are configured"):
        read_pixels(file, 11)
    with pytest.raises(PictureError, match="more than 8 bits a pixel, 8 are configured"):
        read_pixels(file, 8)


def test_colour_is_played_as_its_luminance_and_junk_is_refused(tmp_path: Path) -> None:
    colour = tmp_path / "colour.png"
    save(colour, np.repeat(RAMP[..., None], 3, axis=2))
    assert np.array_equal(read_pixels(colour, 8), RAMP)
    for name, data, message in (("a.png", b"junk", "none of PNG"), ("b.gif", b"GIF89a", "none of PNG")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(PictureError, match=message):
            read_pixels(tmp_path / name, 8)
    save(tmp_path / "f.tif", np.zeros((2, 2), np.float32))
    with pytest.raises(PictureError, match="floating-point"):
        read_pixels(tmp_path / "f.tif", 8)


async def test_files_that_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"junk")  # is not what decides about size and depth
    for level in (1, 2):
        save(tmp_path / f"{level}.png", np.full((4, 4), level, np.uint8))
    with pytest.raises(DeviceLost, match="no PNG, TIFF or JPEG file"):
        await play_what_is_there(tmp_path)


async def play_what_is_there(tmp_path: Path) -> None:
    async with open_folder_camera(str(tmp_path), QUICK, simulated=True) as camera:
        assert set(await play(camera, 4)) <= {1, 2}
        (tmp_path / "1.png").unlink()
        (tmp_path / "0.png").unlink()
        save(tmp_path / "3.png", np.full((4, 4), 3, np.uint8))
        seen: list[int] = []
        while set(seen) != {2, 3}:
            seen = await play(camera, 4)
        (tmp_path / "2.png").unlink()
        (tmp_path / "3.png").unlink()
        await play(camera, 1000)
