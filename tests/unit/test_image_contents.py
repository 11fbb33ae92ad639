"""What the device image is made of: lists, places, partitions, bills. Nothing is built here."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from deploy.image.__main__ import release_name
from deploy.image.architecture import ARCHITECTURES
from deploy.image.base import PACKAGE_LIST, wanted
from deploy.image.contents import placed_files
from deploy.image.disk import grub_environment
from deploy.image.kernel_options import kernel_options
from deploy.image.layout import MIB, disk_bytes, partitions, sfdisk_script
from deploy.image.sbom import DebianPackage, PythonPackage, bill_of_materials, licences_of, read_packages
from deploy.image.steps import CannotBuild
from deploy.image.trimming import MODULE_LIST, module_name, read_needs, wanted_modules
from deploy.image.wheels import Wheel, folder_of, forget_where_from, needed
from firmware_app.device.condition import Condition, lines_of, listening_ports, slot_of

ROOT = Path(__file__).resolve().parents[2]
BOTH = sorted(ARCHITECTURES)


def test_every_file_of_systemd_has_a_place_in_the_image() -> None:
    placed = placed_files(ROOT / "systemd")
    targets = [each.target for each in placed]
    assert "usr/lib/systemd/system/specular.service" in targets
    assert "usr/lib/systemd/system/ssh.service.d/provisioned.conf" in targets
    assert len(targets) == len(set(targets)) == sum(path.is_file() for path in (ROOT / "systemd").rglob("*"))


def test_a_file_without_a_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "polkit").mkdir()
    (tmp_path / "polkit" / "x.rules").write_text("")
    with pytest.raises(CannotBuild, match=r"polkit/x\.rules: no place"):
        placed_files(tmp_path)


@pytest.mark.parametrize("architecture", BOTH)
def test_the_package_list_names_one_kernel_and_one_boot_tool(architecture: str) -> None:
    names = wanted(PACKAGE_LIST.read_text(), architecture)
    assert [name for name in names if name.startswith("linux-image")] == [f"linux-image-{architecture}"]
    assert ("grub-common" in names) is (architecture == "amd64")
    assert ("libubootenv-tool" in names) is (architecture == "arm64")
    assert len(names) == len(set(names))


def test_a_line_that_is_no_package_is_told() -> None:
    with pytest.raises(CannotBuild, match=r"line 2: 'rauc \| sh' is not"):
        wanted("systemd # starts it all\nrauc | sh\n", "amd64")


def test_modules_bring_what_they_need() -> None:
    lines = ["kernel/a/ftdi_sio.ko.xz: kernel/a/usbserial.ko.xz", "kernel/a/usbserial.ko.xz:", "kernel/b/sound.ko:"]
    needs = read_needs("\n".join([*lines, "kernel/c/x-y.ko:"]))
    kept = wanted_modules("ftdi_sio # converters\nx-y\n", needs)
    assert kept == {"kernel/a/ftdi_sio.ko.xz", "kernel/a/usbserial.ko.xz", "kernel/c/x-y.ko"}
    assert "kernel/b/sound.ko" in wanted_modules("kernel/b/\n", needs)
    assert module_name("kernel/drivers/watchdog/iTCO_wdt.ko.xz") == "iTCO_wdt"


@pytest.mark.parametrize("name", ["i6300esb", "vivid", "ftdi_sio", "cdc_acm", "dm_verity", "squashfs", "ext4", "vfat"])
def test_the_module_list_has(name: str) -> None:
    assert name in MODULE_LIST.read_text().split()


@pytest.mark.parametrize("architecture", BOTH)
def test_partitions_follow_each_other(architecture: str) -> None:
    parts = partitions(architecture)
    assert [part.name for part in parts[2:]] == ["kernel-a", "kernel-b", "root-a", "root-b", "data"]
    ends = [part.start + part.size for part in parts]
    assert all(end <= part.start for end, part in zip(ends, parts[1:], strict=False))
    assert all(part.start % MIB == 0 for part in parts)
    assert ends[-1] < disk_bytes(architecture)
    assert sfdisk_script(architecture).count("name=") == len(parts)
    # systemd-repart grows the only partition of this type.
    assert [part.name for part in parts if part.kind == parts[-1].kind] == ["data"]


def test_grubs_block_has_two_sectors() -> None:
    block = grub_environment({"ORDER": "A B", "A_OK": "1"})
    assert len(block) == 1024 and block.startswith(b"# GRUB Environment Block\n") and b"\nA_OK=1\n" in block
    assert block.endswith(b"##")


WHEELS = {
    "specular": Wheel(
        "specular", "1", "", ("trio>=0.3", 'pynetdicom>=3; extra == "demo"', 'old; python_version < "3.11"')
    ),
    "trio": Wheel("trio", "1", "", ("sniffio",)),
    "sniffio": Wheel("sniffio", "1", "", ()),
    "pynetdicom": Wheel("pynetdicom", "1", "", ()),
}


def test_only_what_the_service_needs_is_on_the_device() -> None:
    assert needed(WHEELS, "specular") == {"specular", "trio", "sniffio"}


def test_a_lock_file_that_lacks_something_is_told() -> None:
    with pytest.raises(CannotBuild, match="has no sniffio"):
        needed({name: wheel for name, wheel in WHEELS.items() if name != "sniffio"}, "specular")


def test_of_another_lock_files_wheels_none_is_installed(tmp_path: Path) -> None:
    lock, (here, other) = tmp_path / "lock", (ARCHITECTURES[name] for name in BOTH)
    lock.write_text("trio==0.30\n")
    before = folder_of(lock, here, tmp_path)
    elsewhere = folder_of(lock, other, tmp_path)
    for folder in (before, elsewhere):
        folder.mkdir()
    assert folder_of(lock, here, tmp_path) == before and before.exists()
    lock.write_text("trio==0.31\n")
    assert folder_of(lock, here, tmp_path) != before
    assert not before.exists() and elsewhere.exists()


@pytest.mark.parametrize("architecture", BOTH)
def test_a_torn_partition_table_is_read_from_its_second_copy(architecture: str) -> None:
    assert "gpt" in kernel_options(ARCHITECTURES[architecture]).split()


DEP5 = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: GPL-2+

License: MIT
 x
"""


def test_the_bill_of_materials_is_the_same_for_the_same_packages() -> None:
    packages = read_packages(
        "libc6:amd64\t2.41-12\tamd64\tglibc\t2.41-12\t5000\nadduser\t3.152\tall\tadduser\t3.152\t1\n"
    )
    assert packages[0] == DebianPackage("libc6", "2.41-12", "amd64", "glibc", "2.41-12")
    python = [PythonPackage("specular", "0.1.0", "Apache-2.0"), PythonPackage("trio", "0.35", "MIT OR Apache-2.0")]
    bills = [bill_of_materials(python[0], "amd64", 0, order, python) for order in (packages, packages[::-1])]
    assert bills[0] == bills[1]
    assert bills[0]["specVersion"] == "1.5"
    assert [component["purl"] for component in bills[0]["components"]] == [
        "pkg:deb/debian/adduser@3.152?arch=all&distro=trixie",
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie",
        "pkg:pypi/trio@0.35",
    ]


def test_licences_are_those_of_a_machine_readable_copyright_file() -> None:
    assert licences_of(DEP5) == ("GPL-2+", "MIT")
    assert licences_of("This package was debianized by\nLicense: whatever\n") == ()


TABLE = """  sl  local_address rem_address   st
   0: 0100007F:0016 00000000:0000 0A 00000000:00000000
   1: 00000000:FA01 00000000:0000 0A 00000000:00000000
   2: 3500007F:0035 00000000:0000 0A 00000000:00000000
   3: 0F02000A:0016 0202000A:E2C4 01 00000000:00000000
"""


def test_ports_that_others_can_reach() -> None:
    assert listening_ports(TABLE) == (64001,)


def test_the_slot_is_on_the_kernels_command_line() -> None:
    assert slot_of("root=PARTLABEL=root-b ro rauc.slot=B quiet") == "B"
    assert slot_of("quiet") == ""


def test_the_console_says_what_is_missing() -> None:
    bare = Condition(host_name="specular", addresses={}, listening=(), provisioned=False, file_there=False)
    text = "\n".join(lines_of(bare))
    assert "MISSING: specular-provision.toml on the boot partition is not there" in text
    assert "no network login" in text and "open ports: none" in text
    lost = Condition(
        host_name="a", addresses={}, listening=(22,), provisioned=True, file_there=True, data_lost="/dev/x"
    )
    assert any(line.startswith("MISSING: the data partition: /dev/x") for line in lines_of(lost))
    assert "open ports: tcp 22" in lines_of(lost)


def test_no_wheel_says_in_which_folder_somebody_built(tmp_path: Path) -> None:
    folder = tmp_path / "trio-1.dist-info"
    folder.mkdir()
    (folder / "direct_url.json").write_text('{"url": "file:///home/somebody/trio.whl"}')
    (folder / "RECORD").write_text("trio/a.py,sha256=x,1\ntrio-1.dist-info/direct_url.json,sha256=y,2\n")
    forget_where_from(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["RECORD"]
    assert (folder / "RECORD").read_text() == "trio/a.py,sha256=x,1\n"


@pytest.mark.parametrize("name", ["0.1.0", "1.2.0~rc1", "2026.11+site-3"])
def test_a_releases_name(name: str) -> None:
    assert release_name(name) == name


@pytest.mark.parametrize("name", ["", "../0.1.0", "a/b", "-1", "0.1 0", "1" * 42])
def test_what_is_no_releases_name(name: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not like"):
        release_name(name)
