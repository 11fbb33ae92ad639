"""Which of the devices that are there the configuration means, and what is said when it is none or several."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from firmware_app.config import fields
from hw.errors import DeviceLost, Refused
from hw.find_port import find_port, video_ports
from hw.usb_identity import LISTED_MAX, PATTERN, FoundPort, UsbIdentity, choose, parse_identity

UNO = FoundPort("/dev/ttyACM1", 0x2341, 0x0043, "95032303837351F0B1D1", "1-1.2:1.0", "Arduino Uno")
OTHER_UNO = FoundPort("/dev/ttyACM0", 0x2341, 0x0043, "75833353934351E02142", "1-1.4:1.0", "Arduino Uno")
CH340 = FoundPort("/dev/ttyUSB0", 0x1A86, 0x7523, "", "1-1.1", "USB Serial")


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("usb:2341:0043", UsbIdentity(0x2341, 0x0043)),
        ("usb:1A86:7523@1-1.4", UsbIdentity(0x1A86, 0x7523, "", "1-1.4")),
        ("usb:2341:0043:9503@2-1:1.0", UsbIdentity(0x2341, 0x0043, "9503", "2-1:1.0")),
        ("/dev/ttyACM0", None),
    ],
)
def test_what_a_port_of_the_configuration_means(text: str, identity: UsbIdentity | None) -> None:
    assert parse_identity(text) == identity
    if identity is not None:
        assert parse_identity(str(identity)) == identity


@pytest.mark.parametrize(
    "text", ["usb:", "usb:2341", "usb:234:0043", "usb:2341:0043:", "usb:2341:0043@", "usb:2341:0043:a b", "usb:1:2:3@x"]
)
def test_no_identity(text: str) -> None:
    with pytest.raises(ValueError, match="no USB identity"):
        parse_identity(text)


@pytest.mark.parametrize(
    ("port", "path"),
    [
        ("usb:1a86:7523", CH340.path),
        ("usb:2341:0043:95032303837351F0B1D1", UNO.path),
        ("usb:2341:0043@1-1.4", OTHER_UNO.path),
        ("usb:2341:0043@1-1.4:1.0", OTHER_UNO.path),
        ("/dev/anything", "/dev/anything"),
    ],
)
async def test_the_device_is_found_whatever_its_number_is(port: str, path: str) -> None:
    assert await find_port(port, lambda: [OTHER_UNO, UNO, CH340]) == path


@pytest.mark.parametrize("other", [(0x2341, 0x0001), (0x0001, 0x0043)])
def test_another_product_of_the_same_vendor_is_another_device_and_so_is_the_same_number_of_another_vendor(
    other: tuple[int, int],
) -> None:
    alike = FoundPort("/dev/ttyACM7", *other, UNO.serial, UNO.location)
    assert choose(UsbIdentity(0x2341, 0x0043, UNO.serial), [alike, UNO]) == UNO.path
    with pytest.raises(DeviceLost):
        choose(UsbIdentity(0x2341, 0x0043, UNO.serial), [alike])


def test_the_configuration_takes_what_the_drivers_take() -> None:
    assert fields.USB_PATTERN == PATTERN


def test_none_lists_what_is_there() -> None:
    wanted = UsbIdentity(0x2E8A, 0x0005)
    with pytest.raises(DeviceLost, match=re.escape("no device usb:2e8a:0005 is there; there is usb:1a86:7523@1-1.1")):
        choose(wanted, [CH340])
    with pytest.raises(DeviceLost, match="there is no such USB device"):
        choose(wanted, [])


def test_several_are_never_guessed_between() -> None:
    with pytest.raises(Refused, match=r"2 devices are usb:2341:0043: .*9503.*ttyACM1.*7583.*ttyACM0; name the one"):
        choose(UsbIdentity(0x2341, 0x0043), [UNO, OTHER_UNO, CH340])


def test_a_serial_number_that_is_another_ones_is_not_enough() -> None:
    with pytest.raises(DeviceLost, match="no device usb:2341:0043:1 is there"):
        choose(UsbIdentity(0x2341, 0x0043, "1"), [UNO, OTHER_UNO])


def test_a_reason_is_bounded_and_printable_whatever_the_devices_call_themselves() -> None:
    odd = [FoundPort(f"/dev/ttyACM{n}", 1, n, "\x1b]0;" + "s" * 500, "1-1", "n" * 500) for n in range(50)]
    with pytest.raises(DeviceLost) as caught:
        choose(UsbIdentity(0x2341, 0x0043), odd)
    assert str(caught.value).endswith(f"and {50 - LISTED_MAX} more")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


@pytest.fixture
def video_class(tmp_path: Path) -> Path:
    """sysfs as it is with one UVC camera (two nodes), a test device without USB, and a node whose device went away."""
    usb = tmp_path / "devices" / "usb1" / "1-1" / "1-1.3"
    interface = usb / "1-1.3:1.0"
    platform = tmp_path / "devices" / "platform" / "vivid.0"
    for folder in (interface, platform):
        folder.mkdir(parents=True)
    for name, text in {"idVendor": "046d\n", "idProduct": "0825\n", "serial": "AB12\n", "product": "Webcam\n"}.items():
        (usb / name).write_text(text)
    classes = tmp_path / "class"
    for number, (device, index) in enumerate([(platform, 0), (interface, 0), (interface, 1), (tmp_path / "gone", 0)]):
        node = classes / f"video{number}"
        node.mkdir(parents=True)
        (node / "index").write_text(f"{index}\n")
        os.symlink(device, node / "device")
    (classes / "v4l-subdev0").mkdir()
    return classes


def test_a_camera_is_the_node_that_gives_pictures(video_class: Path) -> None:
    assert video_ports(video_class) == [FoundPort("/dev/video1", 0x046D, 0x0825, "AB12", "1-1.3:1.0", "Webcam")]


def test_without_a_driver_for_cameras_there_are_none(tmp_path: Path) -> None:
    assert video_ports(tmp_path / "absent") == []


async def test_a_camera_that_is_plugged_in_again_has_another_number(video_class: Path) -> None:
    for old, new in (("video1", "video7"), ("video2", "video8")):
        (video_class / old).rename(video_class / new)
    assert await find_port("usb:046d:0825:AB12", lambda: video_ports(video_class)) == "/dev/video7"
