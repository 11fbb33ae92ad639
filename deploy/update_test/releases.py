"""Releases to update to, made of the built tree: one file of it changed, the squashfs and the bundle made anew."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.image.bundle import make_bundle
from deploy.image.commands import run
from deploy.image.signing import SigningKeys
from deploy.image.wheels import SITE

# A second instead of half a minute; the device's own root is packed better.
PACKING = ("-comp", "zstd", "-Xcompression-level", "1", "-b", "256K", "-noappend", "-no-progress")
PACKAGE = SITE / "firmware_app"

MIGRATION = """\
MIGRATIONS = (*MIGRATIONS, (
    "CREATE TABLE notes_of_a_later_release (note_id INTEGER PRIMARY KEY, exam_id TEXT NOT NULL"
    " REFERENCES exams ON DELETE CASCADE, note TEXT NOT NULL) STRICT",
    "ALTER TABLE exams ADD COLUMN added_by_a_later_release TEXT NOT NULL DEFAULT ''",
    "INSERT INTO notes_of_a_later_release (exam_id, note) SELECT exam_id, 'migrated' FROM exams",
))
"""
CRASH = """\
async def _run_of_a_broken_release(self: WorkingOrder) -> None:
    await trio.sleep(3)
    raise RuntimeError("this release is broken")


WorkingOrder.run = _run_of_a_broken_release  # type: ignore[method-assign]
"""
HANGING_INIT = "#!/bin/sh\nexec sleep 1000000\n"
DYING_INIT = "#!/bin/sh\nexit 1\n"

IMAGE_VERSION = re.compile(r"^IMAGE_VERSION=.*$", re.MULTILINE)
Change = Callable[[Path], None]


def is_version(version: str) -> Change:
    def change(tree: Path) -> None:
        path = tree / PACKAGE / "__init__.py"
        lines = [
            f'__version__ = "{version}"' if line.startswith("__version__ =") else line
            for line in path.read_text().splitlines()
        ]
        replace(path, "\n".join(lines) + "\n")
        release = tree / "usr/lib/os-release"
        replace(release, IMAGE_VERSION.sub(f'IMAGE_VERSION="{version}"', release.read_text()))

    return change


def migrates(tree: Path) -> None:
    """One more migration, as `schema_keep` allows it."""
    append(tree / PACKAGE / "records/schema.py", MIGRATION)


def crashes(tree: Path) -> None:
    """The service is READY, and dies three seconds later, again and again."""
    append(tree / PACKAGE / "services/working_order.py", CRASH)


def has_no_init(tree: Path) -> None:
    """The initramfs finds nothing to start."""
    for name in ("usr/sbin/init", "usr/lib/systemd/systemd"):
        (tree / name).unlink()


def hangs_at_init(tree: Path) -> None:
    """Nothing goes on and nothing fails: only the hardware watchdog ends this."""
    _another_init(tree, HANGING_INIT)


def dies_at_init(tree: Path) -> None:
    """The kernel panics, and starts the machine again by itself."""
    _another_init(tree, DYING_INIT)


def _another_init(tree: Path, script: str) -> None:
    init = tree / "usr/sbin/init"
    init.unlink()
    init.write_text(script)
    init.chmod(0o755)


def replace(path: Path, text: str) -> None:
    """A new file: the old one is the built tree's, too. Its bytecode goes, which is never compared with it."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_text(text)
    path.chmod(mode)
    for bytecode in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        bytecode.unlink()


def append(path: Path, text: str) -> None:
    replace(path, f"{path.read_text()}\n\n{text}")


@dataclass(frozen=True, slots=True)
class Bundles:
    """Made in `folder` from what deploy/build-image left in `build`, and signed with `keys`."""

    build: Path
    folder: Path
    architecture: str
    keys: SigningKeys
    log: Path

    def release(self, version: str, *changes: Change, say: Callable[[str], None]) -> Path:
        """A whole release. Raises `CannotBuild`."""
        began_s = time.monotonic()
        tree, root = self.folder / "tree", self.folder / f"root-{version}.squashfs"
        shutil.rmtree(tree, ignore_errors=True)
        run(["cp", "--archive", "--link", self.build / "tree", tree], self.log)
        for change in (is_version(version), *changes):
            change(tree)
        run(["mksquashfs", tree, root, *PACKING], self.log)
        shutil.rmtree(tree)
        target = self.folder / f"{version}.raucb"
        self._pack(target, root, self.build / "parts/kernel.img", version, self.keys)
        root.unlink()
        size_mb = target.stat().st_size / 1e6
        say(f"bundle {version} of the changed tree: {size_mb:.0f} MB in {time.monotonic() - began_s:.1f} s")
        return target

    def refused(self, version: str, keys: SigningKeys, name: str) -> Path:
        """A small one: it is never written anywhere."""
        part = self.folder / "part.img"
        part.write_bytes(random.Random(version).randbytes(1 << 20))  # a bundle of less than a block is none
        target = self.folder / f"{name}.raucb"
        self._pack(target, part, part, version, keys)
        return target

    def _pack(self, target: Path, root: Path, kernel: Path, version: str, keys: SigningKeys) -> None:
        make_bundle(target, root, kernel, keys, architecture=self.architecture, version=version, build="update-test",
                    log=self.log)  # fmt: skip


def damaged(bundle: Path, target: Path) -> Path:
    """Four bytes of the payload changed after signing, in the middle of it."""
    shutil.copyfile(bundle, target)
    with target.open("r+b") as file:
        file.seek(target.stat().st_size // 2)
        before = file.read(4)
        file.seek(-4, 1)
        file.write(bytes(octet ^ 0xFF for octet in before))
    return target
