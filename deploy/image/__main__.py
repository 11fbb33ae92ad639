"""Build the device's disk image, its update bundle, and the lists of what is in them.

    ./deploy/build-image amd64|arm64 [--output DIR] [--fast] ...

Exit status: 0 built; 1 something could not be built, the reason on stderr; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from deploy.image import wheels
from deploy.image.architecture import ARCHITECTURES
from deploy.image.base import Base, mirror_state
from deploy.image.bundle import write_bundle
from deploy.image.commands import need, output
from deploy.image.disk import DiskMaker
from deploy.image.isolation import in_namespace, is_foreign, register_interpreter, run_in_namespace
from deploy.image.signing import given_or_development
from deploy.image.steps import CannotBuild, say, step
from deploy.image.tree import Tree, build
from deploy.image.updates import Release
from firmware_app import __version__

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("mmdebstrap", "mksquashfs", "mke2fs", "sfdisk", "mformat", "xz", "zstd", "rauc", "openssl")


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/build-image", description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "image", metavar="DIR")
    for name, text in (
        ("keyring", "certificates of the authorities whose bundles the image takes"),
        ("key", "what signs the bundle"),
        ("cert", "the certificate of --key"),
    ):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{text} (default: development keys)")
    arguments = parser.parse_args()
    architecture = ARCHITECTURES[arguments.architecture]
    began_s = time.monotonic()
    try:
        if os.geteuid() != 0:
            raise CannotBuild("needs root: the files of the image belong to its users")
        if is_foreign(architecture) and not in_namespace():
            need("qemu-aarch64-static", "arch-test")
            return run_in_namespace([sys.executable, "-m", "deploy.image", *sys.argv[1:]])
        build_image(arguments)
    except CannotBuild as error:
        say(str(error))
        return 1
    say(f"{architecture.debian} built in {time.monotonic() - began_s:.0f} s")
    return 0


def build_image(arguments: argparse.Namespace) -> None:
    """Raises `CannotBuild`."""
    architecture = ARCHITECTURES[arguments.architecture]
    need(*PROGRAMS, *(("grub-mkstandalone",) if architecture.debian == "amd64" else ("mkimage",)))
    folder: Path = arguments.output / architecture.debian
    cache: Path = arguments.output / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    log.write_text("")
    epoch = int(output(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "log", "-1", "--format=%ct"]))
    signing = given_or_development(arguments.keyring, arguments.key, arguments.cert, arguments.output / "keys", log)
    commit = output(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"]).strip()
    release = Release(__version__, commit, signing)
    if is_foreign(architecture):
        register_interpreter(log)
    base = Base(architecture, mirror_state(), cache).ready(log)
    with step("the product's wheel, and those of requirements.lock for the device"):
        product = wheels.build_product(ROOT, folder / "product", log, epoch)
        wheels.download(ROOT / "requirements.lock", architecture, cache / f"wheels-{architecture.debian}", log)
    tree = Tree(folder / "tree", architecture, log, epoch)
    build(tree, base, ROOT, product, cache / f"wheels-{architecture.debian}", folder / "kernel", release)
    root = folder / "root.squashfs"
    with step("squashfs"):
        tree.pack(root)
    say(f"{root.name}: {root.stat().st_size / 1e6:.0f} MB")
    maker = DiskMaker(folder / "parts", architecture, log, epoch)
    with step("disk image"):
        kernel = maker.kernel_slot(folder / "kernel")
        maker.write(folder / "disk.img", root, kernel)
    bundle = folder / f"specular-{release.version}-{architecture.debian}.raucb"
    with step("update bundle"):
        write_bundle(bundle, root, kernel, architecture.debian, release, log)
    say(f"{bundle.name}: {bundle.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
