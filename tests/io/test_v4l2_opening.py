"""Opening a V4L2 camera: who it is, what it has not got, its profile and its controls."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import trio
from kernel_camera import CLASS, GAIN, Camera, kernel_camera
from v4l2_driver import one, opened, opened_and_closed, put, shoot_for_ever

from hw.errors import DeviceError, DeviceFault, DeviceLost, Refused
from hw.v4l2 import abi
from hw.v4l2.camera import V4l2Settings, open_v4l2


async def test_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_camera(Camera(), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            assert camera.identity.label == f"v4l2:{kernel.path}"
            assert camera.identity.firmware == "Test Camera (uvcvideo 6.1.57)"
            assert camera.depths == (8, 10, 12, 16)
            assert camera.frames_per_s == 100


async def test_a_simulator_is_declared_and_a_declared_one_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_camera(Camera(driver="vivid"), monkeypatch) as kernel:
        with pytest.raises(Refused, match="driver vivid is a simulator, but the configuration has simulated = false"):
            await opened_and_closed(kernel, V4l2Settings())
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=True) as camera:
            assert camera.identity.label == f"sim+v4l2:{kernel.path}"
    with (
        kernel_camera(Camera(), monkeypatch) as kernel,
        pytest.raises(Refused, match="driver uvcvideo is not a simulator"),
    ):
        await opened_and_closed(kernel, V4l2Settings(), simulated=True)


UNUSABLE: list[tuple[dict[str, Any], V4l2Settings, type[DeviceError], str]] = [
    ({"capabilities": abi.Capability.STREAMING}, V4l2Settings(), Refused, "takes no pictures"),
    ({"capabilities": abi.Capability.VIDEO_CAPTURE_MPLANE}, V4l2Settings(), Refused, "has several planes"),
    ({"capabilities": abi.Capability.VIDEO_CAPTURE}, V4l2Settings(), Refused, "does not stream"),
    ({"answers": {abi.QUERYCAP: errno.ENOTTY}}, V4l2Settings(), DeviceLost, "not a video device"),
    ({"answers": {abi.S_FMT: errno.EBUSY}}, V4l2Settings(), DeviceFault, "another program is using the camera"),
    ({"answers": {abi.S_FMT: errno.EIO}}, V4l2Settings(), DeviceLost, "the camera is gone"),
    ({"answers": {abi.TRY_FMT: put(24, 2**31)}}, V4l2Settings(), Refused, "lines of 2147483648 bytes"),
    ({"answers": {abi.S_FMT: put(28, 2**32 - 1)}}, V4l2Settings(), Refused, "pictures of 4294967295 bytes"),
    ({"interlace": 7}, V4l2Settings(), Refused, "half pictures"),
    ({}, V4l2Settings(bits_stored=14), Refused, r"no format of 14 bits: the camera offers 8 \(GREY\)"),
    (
        {},
        V4l2Settings(width_px=64, height_px=48),
        Refused,
        "no pictures of 64x48 px in GREY: the camera has 16x8, 32x24",
    ),
    ({}, V4l2Settings(width_px=10_000), Refused, "a picture of 10000x8 px"),
    ({}, V4l2Settings(frames_per_s=60), Refused, "no 60 frames/s at 16x8 px in GREY: the camera has 5, 30, 100"),
    ({}, V4l2Settings(gain=256), Refused, "Gain = 256: 0 to 255 can be set"),
    ({}, V4l2Settings(exposure_us=100), Refused, "Exposure Time, Absolute = 100 us: 300 to 204700 us can be set"),
    ({}, V4l2Settings(controls={"Focus": 1}), Refused, "no control 'Focus'; there are: Gain, Automatic, Gain, Int"),
    ({"controls": ()}, V4l2Settings(gain=1), Refused, "no gain; its controls are: none"),
    ({"controls": (GAIN,)}, V4l2Settings(exposure_us=8000), Refused, "no exposure time; its controls are: Gain"),
    ({}, V4l2Settings(buffers=1), Refused, "1 buffers: 2 to 32"),
]


@pytest.mark.parametrize(("what", "settings", "error", "message"), UNUSABLE)
async def test_what_cannot_be_used_is_said(
    what: dict[str, Any],
    settings: V4l2Settings,
    error: type[DeviceError],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with kernel_camera(Camera(**what), monkeypatch) as kernel:
        with pytest.raises(error, match=message) as told:
            await opened_and_closed(kernel, settings)
        assert kernel.path in str(told.value)


async def test_a_port_that_is_no_camera(tmp_path: Path) -> None:
    with pytest.raises(DeviceLost, match="/dev/no-such-video: cannot open: no such device"):
        async with open_v4l2("/dev/no-such-video", V4l2Settings(), simulated=False):
            pytest.fail("opened")
    file = tmp_path / "file"
    file.write_bytes(b"")
    for path in (str(file), "/dev/null"):
        with pytest.raises(DeviceLost, match="not a video device"):
            async with open_v4l2(path, V4l2Settings(), simulated=False):
                pytest.fail("opened")


async def test_the_profile_is_applied_at_every_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = V4l2Settings(
        bits_stored=12,
        width_px=32,
        height_px=24,
        frames_per_s=30,
        exposure_us=8040,
        gain=7,
        controls={"Integer 64 Bits": 2**40, "auto_exposure": "Aperture Priority Mode"},
    )
    with kernel_camera(Camera(), monkeypatch) as kernel:
        for _ in range(2):
            async with open_v4l2(kernel.path, settings, simulated=False) as camera:
                assert (kernel.width, kernel.height, kernel.rate) == (32, 24, 30)
                assert abi.fourcc_name(kernel.fourcc) == "Y12"
                named = {control.name: kernel.values[control.identity] for control in camera.controls}
                assert named == {
                    "Gain, Automatic": 0,
                    "Gain": 7,
                    "Integer 64 Bits": 2**40,
                    "Auto Exposure": abi.EXPOSURE_MANUAL,
                    "Exposure Time, Absolute": 80,
                }
            kernel.values = {entry.identity: entry.default for entry in kernel.camera.controls}
            kernel.width, kernel.height, kernel.rate, kernel.fourcc = 16, 8, 5, abi.fourcc_code("YUYV")


async def test_controls_by_name(monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery) -> None:
    with kernel_camera(Camera(), monkeypatch) as kernel:
        nursery.start_soon(shoot_for_ever, kernel)
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            await one(camera)  # also while it streams
            await camera.set_control("Gain", 200)
            await camera.set_control("integer_64_bits", -(2**40))
            await camera.set_control("Auto Exposure", "Manual Mode")
            assert await camera.get_control("Gain") == 200
            assert await camera.get_control("Integer 64 Bits") == -(2**40)
            assert await camera.get_control("Auto Exposure") == 1
            with pytest.raises(Refused, match=r"Auto Exposure = 2: 1 \(Manual Mode\), 3 \(Aperture"):
                await camera.set_control("Auto Exposure", 2)
            kernel.camera.answers[abi.S_EXT_CTRLS] = errno.EPIPE
            with pytest.raises(DeviceFault, match="S_EXT_CTRLS of Gain: the camera refuses"):
                await camera.set_control("Gain", 3)
        assert CLASS.name not in [control.name for control in camera.controls]


@pytest.mark.parametrize("settings", [V4l2Settings(), V4l2Settings(frames_per_s=30)])
async def test_a_driver_without_frame_rates(settings: V4l2Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = dict.fromkeys((abi.G_PARM, abi.S_PARM), errno.ENOTTY)
    with kernel_camera(Camera(answers=answers), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, settings, simulated=False) as camera:
            assert camera.frames_per_s == 0


async def test_a_driver_that_lists_one_control_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    with kernel_camera(Camera(answers={abi.QUERY_EXT_CTRL: put(0, GAIN.identity)}), monkeypatch) as kernel:
        async with open_v4l2(kernel.path, V4l2Settings(), simulated=False) as camera:
            assert len(camera.controls) <= 1


async def test_without_a_try_the_setting_itself_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {abi.TRY_FMT: errno.ENOTTY}
    with kernel_camera(Camera(answers=answers), monkeypatch) as kernel:
        with pytest.raises(Refused, match="no pictures of 64x8 px"):
            await opened_and_closed(kernel, V4l2Settings(width_px=64))
        await opened_and_closed(kernel, V4l2Settings(width_px=32, height_px=24))


async def test_cancelled_while_it_opens_it_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = trio.CancelScope()
    answers = {abi.QUERYCAP: lambda raw: trio.from_thread.run_sync(scope.cancel)}
    with kernel_camera(Camera(answers=answers), monkeypatch) as kernel:
        with scope:
            async with open_v4l2(kernel.path, V4l2Settings(), simulated=False):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert opened(kernel.path) == 1
