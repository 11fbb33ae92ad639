"""The V4L2 driver on the kernel's own test device; runs in the machine of deploy/kernel-bench."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio

sys.path.append(str(Path(__file__).parents[1] / "contract"))

from camera_contract import CHECKS, CameraRig, Check

from firmware_app.model import Frame
from hw.errors import DeviceError, DeviceLost, Refused
from hw.v4l2.abi import ControlFlag, ControlType
from hw.v4l2.camera import V4l2Camera, V4l2Settings, open_v4l2

PORT = "/dev/video0"
PATIENCE_S = 100  # an emulated processor on a busy machine
WIDTH, HEIGHT, FRAMES_PER_S = 320, 180, 15.0
ERROR, DROPPED = "Inject V4L2_BUF_FLAG_ERROR", "Percentage of Dropped Buffers"
QUIET = {DROPPED: 0, "Test Pattern": "Gray Ramp", "OSD Text Mode": "None", "Fill Percentage of Frame": 100}


def settings(**changes: object) -> V4l2Settings:
    plain = {"width_px": WIDTH, "height_px": HEIGHT, "frames_per_s": FRAMES_PER_S, "controls": QUIET}
    return V4l2Settings(**(plain | changes))  # type: ignore[arg-type]


async def press_for_each(camera: V4l2Camera, count: int) -> None:
    """The button marks the next buffer alone."""
    for _ in range(count):
        before = camera.corrupt
        await camera.set_control(ERROR, 1)
        while camera.corrupt == before:  # noqa: ASYNC110 - the camera tells nobody of a damaged frame
            await trio.sleep(0.01)


async def set_quietly(camera: V4l2Camera, name: str, value: int) -> None:
    with suppress(DeviceError):  # it may be gone by then
        await camera.set_control(name, value)


@asynccontextmanager
async def vivid(nursery: trio.Nursery) -> AsyncIterator[CameraRig]:
    async with open_v4l2(PORT, settings(), simulated=True) as camera:

        def spoil(frames: int) -> None:
            nursery.start_soon(press_for_each, camera, frames)

        def lose(frames: int) -> None:
            nursery.start_soon(set_quietly, camera, DROPPED, 50)

        def unplug() -> None:
            nursery.start_soon(set_quietly, camera, "Disconnect", 1)

        yield CameraRig(camera, camera.depths, spoil, lose, unplug, camera.frames_per_s)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_camera_contract(check: Check, nursery: trio.Nursery) -> None:
    with trio.fail_after(PATIENCE_S):
        await check(partial(vivid, nursery))


async def take(camera: V4l2Camera) -> Frame:
    async with aclosing(camera.frames()) as stream:
        return await anext(stream)


def ramp(frame: Frame) -> np.ndarray:
    """The grey ramp of a frame, one value a column, 0 to 1."""
    columns = frame.pixels.astype(float).mean(axis=0)
    return (columns - columns.min()) / np.ptp(columns)


@pytest.mark.parametrize("name", ["GREY", "YUYV", "UYVY", "Y10", "Y12", "Y16", "Y16-BE"])
async def test_every_format_shows_the_same_ramp(name: str) -> None:
    bits = {"Y10": 10, "Y12": 12, "Y16": 16, "Y16-BE": 16}.get(name, 8)
    with trio.fail_after(PATIENCE_S):
        async with open_v4l2(PORT, settings(pixel_format=name, bits_stored=bits), simulated=True) as camera:
            frame = await take(camera)
    assert (frame.rows, frame.columns, frame.bits_stored) == (HEIGHT, WIDTH, bits)
    assert int(frame.pixels.max()) > (1 << bits) * 0.8
    assert int(frame.pixels.max()) < 1 << bits
    assert np.abs(ramp(frame) - np.linspace(0, 1, WIDTH)).max() < 0.05


async def test_who_it_is() -> None:
    with trio.fail_after(PATIENCE_S):
        async with open_v4l2(PORT, settings(), simulated=True) as camera:
            assert camera.identity.label == f"sim+v4l2:{PORT}"
            assert camera.identity.firmware.startswith("vivid (vivid ")
            assert camera.depths == (8, 10, 12, 16)
            assert camera.frames_per_s == FRAMES_PER_S
        with pytest.raises(Refused, match="driver vivid is a simulator, but the configuration has simulated = false"):
            async with open_v4l2(PORT, settings(), simulated=False):
                pytest.fail("opened")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width_px": 1280, "height_px": 960}, "no pictures of 1280x960 px in GREY: the camera has 320x180, "),
        ({"bits_stored": 14}, "no format of 14 bits"),
        ({"exposure_us": 8000}, "no exposure time; its controls are: "),
        ({"gain": 10_000}, "Gain = 10000: 0 to 255 can be set"),
        ({"controls": {"Hue": 200}}, "Hue = 200: -128 to 128 can be set"),
    ],
)
async def test_what_it_has_not_got(changes: dict[str, object], message: str) -> None:
    with trio.fail_after(PATIENCE_S), pytest.raises(Refused, match=message):
        async with open_v4l2(PORT, settings(**changes), simulated=True):
            pytest.fail("opened")


CONTROLS = [
    ("Brightness", 200, 200),
    ("Hue", -128, -128),
    ("Gain", 255, 255),
    ("Horizontal Flip", 1, 1),
    ("Integer 64 Bits", -(2**40), -(2**40)),
    ("Bitmask", 0x80002000, 0x80002000),
    ("Menu", "Menu Item 4", 4),
    ("integer_menu", 8, 8),
]


@pytest.mark.parametrize(("name", "value", "number"), CONTROLS, ids=[name for name, _, _ in CONTROLS])
async def test_controls_by_name(name: str, value: int | str, number: int) -> None:
    with trio.fail_after(PATIENCE_S):
        async with open_v4l2(PORT, settings(gain=100), simulated=True) as camera:
            control = next(
                c for c in camera.controls if c.name.lower().replace(" ", "_") == name.lower().replace(" ", "_")
            )
            await camera.set_control(name, value)
            assert await camera.get_control(name) == number
            await camera.set_control(name, control.default)
            assert await camera.get_control(name) == control.default


async def test_every_control_can_be_read() -> None:
    with trio.fail_after(PATIENCE_S):
        async with open_v4l2(PORT, settings(), simulated=True) as camera:
            assert len(camera.controls) > 30
            for control in camera.controls:
                if control.kind is ControlType.BUTTON or ControlFlag.WRITE_ONLY in control.flags:
                    continue
                value = await camera.get_control(control.name)
                assert control.minimum <= value <= control.maximum, control


async def test_disconnect_is_lost_once_and_a_reopening_rebuilds_everything(nursery: trio.Nursery) -> None:
    """While anything of the old is open, vivid stays away: that it comes back says that all was closed."""
    for _ in range(3):
        with trio.fail_after(PATIENCE_S):
            told: list[DeviceError] = []
            with pytest.raises(DeviceLost, match=f"{PORT}: the camera is gone"):
                async with open_v4l2(PORT, settings(bits_stored=12, gain=7), simulated=True) as camera:
                    assert (await take(camera)).bits_stored == 12
                    assert await camera.get_control("Gain") == 7
                    nursery.start_soon(set_quietly, camera, "Disconnect", 1)
                    try:
                        async with aclosing(camera.frames()) as stream:
                            async for _ in stream:
                                pass
                    except DeviceError as error:
                        told.append(error)
                        raise
            assert [type(error) for error in told] == [DeviceLost]


FAULTS: list[tuple[str, Callable[[DeviceError], bool]]] = [
    ("Inject VIDIOC_STREAMON Error", lambda error: "STREAMON" in str(error)),
    ("Inject VIDIOC_REQBUFS Error", lambda error: "REQBUFS" in str(error)),
]


@pytest.mark.parametrize(("button", "is_told"), FAULTS, ids=[button for button, _ in FAULTS])
async def test_errors_of_single_calls_are_told_and_the_next_opening_works(
    button: str, is_told: Callable[[DeviceError], bool]
) -> None:
    with trio.fail_after(PATIENCE_S):
        with pytest.raises(DeviceError) as told:
            async with open_v4l2(PORT, settings(), simulated=True) as camera:
                assert button in [control.name for control in camera.controls]
                await camera.set_control(button, 1)
                await take(camera)
        assert is_told(told.value)
        async with open_v4l2(PORT, settings(), simulated=True) as camera:
            await take(camera)
