"""The update bundle: root and kernel slot, signed, in RAUC's format verity, which is checked block by block."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploy.image.commands import run
from deploy.image.signing import SigningKeys

# Which image goes into which slots is RAUC's to decide: a kernel slot belongs to the root slot of its number.
MANIFEST = """\
[update]
compatible=specular-{architecture}
version={version}
build={build}

[bundle]
format=verity

[image.rootfs]
filename=rootfs.img

[image.kernel]
filename=kernel.img
"""


def make_bundle(
    target: Path, root: Path, kernel: Path, keys: SigningKeys, *, architecture: str, version: str, build: str, log: Path
) -> None:
    """Raises `CannotBuild`."""
    folder = target.with_suffix(".contents")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source, name in ((root, "rootfs.img"), (kernel, "kernel.img")):
        os.link(source, folder / name)
    (folder / "manifest.raucm").write_text(MANIFEST.format(architecture=architecture, version=version, build=build))
    target.unlink(missing_ok=True)
    # The root is packed already, and the kernel, too: packing them again costs half a minute and gains 2 %.
    run(["rauc", f"--cert={keys.certificate}", f"--key={keys.key}", f"--keyring={keys.keyring}",
         "--mksquashfs-args=-comp zstd -Xcompression-level 3", "bundle", folder, target], log)  # fmt: skip
    shutil.rmtree(folder)
