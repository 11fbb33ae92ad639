"""Is the root the same when it is built again? Two trees, two squashfs; where they differ, the files that do.

    ./deploy/check-image amd64|arm64 [--new-base]

With --new-base Debian's part is made by two mmdebstrap runs as well, instead of once. Exit status: 0 bit-identical;
1 not, or it could not be built.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from pathlib import Path

from deploy.image import wheels
from deploy.image.__main__ import ROOT, epoch_of
from deploy.image.architecture import ARCHITECTURES, Architecture
from deploy.image.base import Base, mirror_state, native_base
from deploy.image.isolation import in_namespace, is_foreign, register_interpreter, run_in_namespace
from deploy.image.release import digest
from deploy.image.signing import signing_keys
from deploy.image.steps import CannotBuild, say
from deploy.image.tree import Inputs, Tree, build

SHOWN_MAX = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/check-image", description=__doc__.splitlines()[0])
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("--new-base", action="store_true", help="two mmdebstrap runs, too")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "image", metavar="DIR")
    arguments = parser.parse_args()
    architecture = ARCHITECTURES[arguments.architecture]
    if is_foreign(architecture) and not in_namespace():
        return run_in_namespace([sys.executable, "-m", "deploy.image.reproducible", *sys.argv[1:]])
    try:
        return compare(architecture, arguments.output, new_base=arguments.new_base)
    except CannotBuild as error:
        say(str(error))
        return 1


def compare(architecture: Architecture, output: Path, *, new_base: bool) -> int:
    """The exit status. Raises `CannotBuild`."""
    folder = output / f"twice-{architecture.debian}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "build.log"
    if is_foreign(architecture):
        register_interpreter(log)
    state = mirror_state()
    base = Base(architecture, state, output / "cache")
    native = native_base(architecture, state, output / "cache", log)
    keys = signing_keys((None, None, None), output / "development-keys", log)
    wheel_folder = output / "cache" / f"wheels-{architecture.debian}"
    wheels.download(ROOT / "requirements.lock", architecture, wheel_folder, log)
    trees = []
    for name in ("one", "two"):
        tar = base.ready(log)
        if new_base and name == "two":
            tar = folder / "base.tar"
            base.make(tar, log)
        product = wheels.build_product(ROOT, folder / f"product-{name}", log, epoch_of(ROOT))
        tree = Tree(folder / name, architecture, log, epoch_of(ROOT))
        build(tree, Inputs(ROOT, tar, product, wheel_folder, keys, "check", native), folder / f"kernel-{name}")
        tree.pack(folder / f"{name}.squashfs")
        trees.append(tree)
    one, two = (digest(folder / f"{name}.squashfs") for name in ("one", "two"))
    kernels = [digest(folder / f"kernel-{name}/initrd.img") for name in ("one", "two")]
    say(f"root: {one[:16]} {two[:16]}; initramfs: {kernels[0][:16]} {kernels[1][:16]}")
    if one == two:
        say("the root is bit-identical")
        return 0
    for line in differences(trees[0].folder, trees[1].folder)[:SHOWN_MAX]:
        say(f"  {line}")
    return 1


def differences(one: Path, two: Path) -> list[str]:
    """Paths that only one tree has, or that differ in kind, owner, mode or content."""
    states = [_states(tree) for tree in (one, two)]
    names = sorted(states[0].keys() | states[1].keys())
    return [name for name in names if states[0].get(name) != states[1].get(name)]


def _states(tree: Path) -> dict[str, tuple[object, ...]]:
    return {str(path.relative_to(tree)): _state(path) for path in tree.rglob("*")}


def _state(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = ""
    if path.is_symlink():
        content = str(path.readlink())
    elif path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        status.st_mode,
        status.st_uid,
        status.st_gid,
        content,
        tuple(sorted(os.listxattr(path, follow_symlinks=False))),
    )


if __name__ == "__main__":
    sys.exit(main())
