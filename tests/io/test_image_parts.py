"""Parts of the device image made with the real tools: the same squashfs of the same tree, a boot script that is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.image.architecture import AMD64
from deploy.image.commands import environment
from deploy.image.disk import FIRST_START, grub_environment
from deploy.image.kernel_options import kernel_options
from deploy.image.provisioned_disk import add_option
from deploy.image.reproducible import differences
from deploy.image.tree import Tree

EPOCH = 1_750_000_000
GRUB = Path(__file__).resolve().parents[2] / "deploy/image/grub.cfg"


def small_tree(folder: Path) -> Path:
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/hostname").write_text("specular\n")
    (folder / "bin").symlink_to("usr/bin")
    (folder / "etc/program").write_bytes(bytes(range(256)) * 2000)
    (folder / "etc/program").chmod(0o755)
    return folder


@pytest.mark.peer("squashfs")
def test_the_same_tree_gives_the_same_squashfs_whenever_it_was_made(tmp_path: Path) -> None:
    images = []
    for name, made_s in (("one", 1_600_000_000), ("two", 1_700_000_000)):
        tree = small_tree(tmp_path / name)
        for path in (*tree.rglob("*"), tree):
            os.utime(path, (made_s, made_s), follow_symlinks=False)
        image = tmp_path / f"{name}.squashfs"
        Tree(tree, AMD64, tmp_path / "log", EPOCH).pack(image)
        images.append(image.read_bytes())
    assert images[0] == images[1]


@pytest.mark.peer("squashfs")
def test_another_octet_gives_another_squashfs(tmp_path: Path) -> None:
    images = []
    for name in ("one", "two"):
        tree = small_tree(tmp_path / name)
        (tree / "etc/hostname").write_text(name)
        image = tmp_path / f"{name}.squashfs"
        Tree(tree, AMD64, tmp_path / "log", EPOCH).pack(image)
        images.append(image.read_bytes())
    assert images[0] != images[1]
    assert differences(tmp_path / "one", tmp_path / "two") == ["etc/hostname"]


def test_two_trees_differ_in_mode_link_and_presence(tmp_path: Path) -> None:
    one = small_tree(tmp_path / "one")
    two = tmp_path / "two"
    shutil.copytree(one, two, symlinks=True)
    assert differences(one, two) == []
    (two / "etc/program").chmod(0o644)
    (two / "bin").unlink()
    (two / "bin").symlink_to("usr/sbin")
    (one / "only").write_text("")
    assert differences(one, two) == ["bin", "etc/program", "only"]


@pytest.mark.peer("grub")
def test_grubs_script_is_one(tmp_path: Path) -> None:
    script = tmp_path / "grub.cfg"
    script.write_text(GRUB.read_text().replace("@KERNEL_OPTIONS@", kernel_options(AMD64)))
    done = subprocess.run(["grub-script-check", script], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_option_for_the_virtual_machine_keeps_grubs_other_variables(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4096) + grub_environment(FIRST_START) + bytes(4096))
    add_option(disk, 4096, 1024)
    octets = disk.read_bytes()
    assert octets[4096 : 4096 + 1024] == grub_environment({**FIRST_START, "OPTIONS": "mitigations=off"})
    assert len(octets) == 9216
