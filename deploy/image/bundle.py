"""The signed update bundle: one root, one kernel slot, and what RAUC checks before it writes them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploy.image.commands import run
from deploy.image.updates import Release

# What is in the bundle is packed already; the kernel's FAT is mostly zeros.
PACKING = "-comp zstd -Xcompression-level 1"
# rauc(1) takes the way in which an image is written from the end of its name: .img goes as it is onto a raw slot.
MANIFEST = """\
[update]
compatible=specular-{architecture}
version={version}
description=Specular {version}
build={build}

[bundle]
format=verity

[image.rootfs]
filename=root.img

[image.kernel]
filename=kernel.img
"""


def write_bundle(target: Path, root: Path, kernel: Path, architecture: str, release: Release, log: Path) -> None:
    """Raises `CannotBuild`."""
    folder = target.with_suffix(".contents")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.link(root, folder / "root.img")
    os.link(kernel, folder / "kernel.img")
    text = MANIFEST.format(architecture=architecture, version=release.version, build=release.build)
    (folder / "manifest.raucm").write_text(text)
    target.unlink(missing_ok=True)
    signing = release.signing
    run(["rauc", f"--keyring={signing.keyring}", f"--key={signing.key}", f"--cert={signing.certificate}", "bundle",
         f"--mksquashfs-args={PACKING}", folder, target], log)  # fmt: skip
    shutil.rmtree(folder)
