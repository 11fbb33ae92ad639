"""What deploy/install puts onto a machine: every file of systemd/ is placed, or known to be the image's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.installation.machine import place_files
from deploy.installation.placement import PLACES, UNITS, Placed, placements

ROOT = Path(__file__).resolve().parents[2]
# They make a whole machine ours.
OF_THE_IMAGE = {
    "systemd/journald.conf.d/50-specular.conf",
    "systemd/nftables/closed.nft",
    "systemd/ssh/50-specular.conf",
    "systemd/sudoers.d/specular",
    "systemd/sysctl.d/50-specular.conf",
    "systemd/sysusers.d/specular-admin.conf",
    "systemd/timesyncd.conf.d/50-specular.conf",
}


def test_every_file_is_placed_or_known_to_be_of_the_image_alone() -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "systemd").rglob("*") if path.is_file()}
    there = {name for name in there if not name.startswith("systemd/image/")}
    assert there == OF_THE_IMAGE | {name for name in PLACES if name.startswith("systemd/")}
    assert all(placed.source.is_file() for placed in placements(ROOT, has_ssh=True))


def test_no_two_files_have_the_same_place() -> None:
    targets = [placed.target for placed in placements(ROOT, has_ssh=True)]
    assert len(set(targets)) == len(targets)


def test_without_an_ssh_server_nothing_of_it_is_placed() -> None:
    assert not any("ssh" in str(placed.target) for placed in placements(ROOT, has_ssh=False))


def test_every_unit_can_be_enabled_and_its_programs_are_where_the_installation_puts_them() -> None:
    for name in UNITS:
        text = (ROOT / "systemd" / name).read_text()
        assert "[Install]" in text
        for program in re.findall(r"^Exec\w+=-?(\S*specular\S*)", text, re.M):
            assert program == "/opt/specular/bin/specular"


def test_only_what_is_different_is_written(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("a")
    placed = [Placed(source, tmp_path / "etc" / "target")]
    assert place_files(placed) == [tmp_path / "etc" / "target"]
    assert place_files(placed) == []
    source.write_text("b")
    assert place_files(placed) == [tmp_path / "etc" / "target"]
    assert (tmp_path / "etc" / "target").stat().st_mode & 0o777 == 0o644
