"""Build the device's disk image, its update bundle, and the lists of what is in them.

    ./deploy/build-image amd64|arm64 [--release TEXT] [--keyring FILE --key FILE --cert FILE] [--output DIR]

Exit status: 0 built; 1 something could not be built, the reason on stderr; 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

from deploy.image import release, wheels
from deploy.image.architecture import ARCHITECTURES, Architecture
from deploy.image.base import Base, MirrorState, mirror_state, native_base
from deploy.image.bundle import make_bundle
from deploy.image.commands import need, output
from deploy.image.disk import DiskMaker
from deploy.image.isolation import in_namespace, is_foreign, register_interpreter, run_in_namespace
from deploy.image.signing import SigningKeys, signing_keys
from deploy.image.steps import CannotBuild, say, step
from deploy.image.tree import Inputs, Tree, build
from firmware_app import __version__
from firmware_app.demo.processes import signals_as_interrupts

ROOT = Path(__file__).resolve().parents[2]
RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~-]{0,40}")
PROGRAMS = ("git", "mmdebstrap", "mksquashfs", "mke2fs", "sfdisk", "mformat", "openssl", "rauc", "bmaptool", "zstd")


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/build-image", description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "image", metavar="DIR")
    parser.add_argument(
        "--release",
        type=release_name,
        default=__version__,
        metavar="TEXT",
        help=f"default: {__version__}, the product's",
    )
    parser.add_argument("--keyring", type=Path, metavar="FILE", help="PEM: whose updates the device takes")
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM: signs the bundle")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="PEM: of that key, vouched for by the keyring")
    parser.add_argument("--disk-only", action="store_true", help="the disk image, not what is handed out")
    arguments = parser.parse_args()
    architecture = ARCHITECTURES[arguments.architecture]
    began_s = time.monotonic()
    try:
        with signals_as_interrupts():  # no program that was started here goes on alone
            prepare(architecture)
            if is_foreign(architecture) and not in_namespace():
                return run_in_namespace([sys.executable, "-m", "deploy.image", *sys.argv[1:]])
            build_image(arguments)
    except CannotBuild as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"{architecture.debian} built in {time.monotonic() - began_s:.0f} s")
    return 0


def release_name(text: str) -> str:
    """Part of file names, and what RAUC compares: letters, digits, and . + ~ - between them."""
    if not RELEASE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 1.2.0 or 1.2.0~rc1")
    return text


def prepare(architecture: Architecture) -> None:
    """Before anything is built. Raises `CannotBuild` for what is missing here."""
    if os.geteuid() != 0:
        raise CannotBuild("needs root: the files of the image belong to its users")
    os.umask(0o022)  # the device's users read what root writes here, whatever root's own umask is
    need(*PROGRAMS, *(("grub-mkstandalone",) if architecture.debian == "amd64" else ("mkimage",)))
    if is_foreign(architecture):
        need("qemu-aarch64-static", "arch-test")


def epoch_of(repository: Path) -> int:
    """What everything in the image is dated: when what it is built from was committed."""
    return int(output(["git", "-c", f"safe.directory={repository}", "-C", repository, "log", "-1", "--format=%ct"]))


def build_image(arguments: argparse.Namespace) -> None:
    """Raises `CannotBuild`."""
    architecture = ARCHITECTURES[arguments.architecture]
    folder: Path = arguments.output / architecture.debian
    cache: Path = arguments.output / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    log.write_text("")
    epoch = epoch_of(ROOT)
    if is_foreign(architecture):
        register_interpreter(log)
    state = mirror_state()
    base = Base(architecture, state, cache).ready(log)
    given = (arguments.keyring, arguments.key, arguments.cert)
    keys = signing_keys(given, arguments.output / "development-keys", log)
    with step("the product's wheel, and those of requirements.lock for the device"):
        product = wheels.build_product(ROOT, folder / "product", log, epoch)
        wheel_folder = wheels.download(ROOT / "requirements.lock", architecture, cache, log)
    tree = Tree(folder / "tree", architecture, log, epoch)
    inputs = Inputs(
        ROOT,
        base,
        product,
        wheel_folder,
        keys,
        arguments.release,
        native_base(architecture, state, cache, log),
    )
    build(tree, inputs, folder / "kernel")
    root = folder / "root.squashfs"
    with step("squashfs"):
        tree.pack(root)
    say(f"{root.name}: {root.stat().st_size / 1e6:.0f} MB")
    maker = DiskMaker(folder / "parts", architecture, log, epoch)
    with step("disk image"):
        kernel = maker.kernel_slot(folder / "kernel")
        maker.write(folder / "disk.img", root, kernel)
    if not arguments.disk_only:
        hand_out(arguments, tree, state, keys, root, kernel)


def hand_out(
    arguments: argparse.Namespace, tree: Tree, state: MirrorState, keys: SigningKeys, root: Path, kernel: Path
) -> None:
    """Raises `CannotBuild`."""
    architecture, log = tree.architecture.debian, tree.log
    name = f"{wheels.PRODUCT}-{arguments.release}-{architecture}"
    target = arguments.output / name
    release.remove_older(arguments.output, name)
    commit = output(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "describe", "--always", "--dirty"]).strip()
    with step("the signed bundle"):
        bundle = Path(f"{target}.raucb")
        make_bundle(bundle, root, kernel, keys, architecture=architecture, version=arguments.release,
                    build=commit, log=log)  # fmt: skip
    with step("manifest and SBOM"):
        facts = {
            "name": name,
            "release": arguments.release,
            "commit": commit,
            "source_date_epoch": tree.epoch,
            "signed_with": "development keys" if keys.development else str(arguments.cert.name),
            "mirror": state.lines(),
            "root": {
                "sha256": release.digest(root),
                "packed_bytes": root.stat().st_size,
                "unpacked_bytes": tree.unpacked_bytes(),
            },
        }
        packages = release.debian_packages(tree.packages, tree.folder / "usr/share/doc")
        release.write_lists(target, architecture, tree.epoch, packages, tree.wheels, facts)
    with step("packing, block map, checksums"):
        release.pack(arguments.output / architecture / "disk.img", target, log)
        sums = release.write_checksums(arguments.output, name)
    for line in sums.read_text().splitlines():
        path = arguments.output / line.split("  ")[1]
        say(f"  {path.name}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
