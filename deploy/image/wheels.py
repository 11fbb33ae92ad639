"""The product and its locked wheels as the virtual environment /opt/specular of the tree.

Nothing of the tree is run for it: pip chooses the wheels for the device's Python and processor, whatever runs here.
"""

from __future__ import annotations

import email
import shutil
import sys
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.image.architecture import Architecture
from deploy.image.commands import run
from deploy.image.steps import CannotBuild

PYTHON = "3.13"  # trixie's
PRODUCT = "specular"
PREFIX = Path("opt/specular")
SITE = PREFIX / "lib" / f"python{PYTHON}" / "site-packages"
# The interpreter looks for the file beside its own command, and finds that it is one of an environment.
PYVENV = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
REPRODUCIBLE = ("-j", "0", "--invalidation-mode", "unchecked-hash")
COMMAND = """#!/opt/specular/bin/python3 -I
import sys

from firmware_app.cli import main

sys.exit(main())
"""
# Only of use to who changes these packages.
NOT_ON_THE_DEVICE = ("numpy/**/tests", "numpy/f2py", "numpy/_core/include", "numpy/random/include",
                     "pydicom/data/test_files", "pydicom/data/charset_files", "pydicom/data/palettes",
                     "pylibjpeg/**/tests", "openjpeg/tests", "rle/tests", "**/*.pyi", "**/*.pyx", "**/*.pxd",
                     "**/*.a", "bin", "share")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wheel:
    """What a wheel says of itself."""

    name: str
    version: str
    licence: str
    requires: tuple[str, ...]


def build_product(repository: Path, target: Path, log: Path, epoch: int) -> Path:
    """The product as a wheel, from the working tree as it is."""
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    variables = {"SOURCE_DATE_EPOCH": str(epoch)}
    run([*command, "--wheel-dir", target, repository], log, variables=variables, folder=repository)
    return next(target.glob("*.whl"))


def download(lock: Path, architecture: Architecture, target: Path, log: Path) -> None:
    """All wheels of the lock file for the device, their hashes checked."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--python-version", PYTHON, "--implementation", "cp", "--abi", f"cp{PYTHON.replace('.', '')}"]
    command += ["--abi", "abi3", "--abi", "none"]
    for platform in architecture.wheels:
        command += ["--platform", platform]
    run([*command, "--disable-pip-version-check", "--dest", target, "--requirement", lock], log)


def install(product: Path, wheels: Path, architecture: Architecture, tree: Path, log: Path) -> list[Wheel]:
    """The product and what it needs of the wheels. Returns what is there now."""
    site = tree / SITE
    site.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-compile"]
    command += ["--target", str(site)]
    command += ["--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--root-user-action=ignore"]
    for platform in architecture.wheels:
        command += ["--platform", platform]
    run([*command, product, *sorted(wheels.glob("*.whl"))], log)
    _leave_out_what_is_not_needed(site)
    forget_where_from(site)
    for pattern in NOT_ON_THE_DEVICE:
        for path in sorted(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    _environment(tree / PREFIX)
    return [wheel for wheel, _ in _installed(site).values()]


def compile_command(place: str = "") -> list[str]:
    """Bytecode for the tree at `place`: the device's file system is read-only, so that nobody could make it later.

    Checked by hash never: the squashfs is what it is, and times of files are all the same.
    """
    folders = [f"{place}/{SITE}", f"{place}/usr/lib/python{PYTHON}"]
    elsewhere = ["-s", place, "-p", "/"] if place else []
    return [f"/usr/bin/python{PYTHON}", "-m", "compileall", "-q", *REPRODUCIBLE, *elsewhere, *folders]


def _environment(prefix: Path) -> None:
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python3").symlink_to(f"/usr/bin/python{PYTHON}")
    (prefix / "bin" / "python").symlink_to("python3")
    (prefix / "pyvenv.cfg").write_text(PYVENV)
    command = prefix / "bin" / PRODUCT
    command.write_text(COMMAND)
    command.chmod(0o755)


def licence_of(metadata: Message) -> str:
    """In one line, wherever the wheel says it: its expression, its words, or its classifier."""
    words = metadata.get("License-Expression") or metadata.get("License") or ""
    classified = (line.split(" :: ") for line in metadata.get_all("Classifier", []))
    classes = [parts[-1] for parts in classified if parts[0] == "License" and len(parts) > 2]
    return words.strip().splitlines()[0] if words.strip() else ", ".join(classes)


def _installed(site: Path) -> dict[str, tuple[Wheel, Path]]:
    found: dict[str, tuple[Wheel, Path]] = {}
    for folder in sorted(site.glob("*.dist-info")):
        metadata = email.message_from_string((folder / "METADATA").read_text())
        licence = licence_of(metadata)
        requires = tuple(metadata.get_all("Requires-Dist", []))
        wheel = Wheel(
            canonicalize_name(metadata["Name"]),
            metadata["Version"],
            licence,
            requires,
        )
        found[wheel.name] = (wheel, folder)
    return found


def needed(installed: dict[str, Wheel], root: str) -> set[str]:
    """`root` and everything it needs without its extras. Raises `CannotBuild` for one that is not installed."""
    reached: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        if name not in installed:
            raise CannotBuild(f"requirements.lock: has no {name}, which {root} needs")
        reached.add(name)
        requirements = (Requirement(text) for text in installed[name].requires)
        marks = {"extra": "", "python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
        waiting += [
            canonicalize_name(requirement.name)
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate(marks)
        ]
    return reached


def forget_where_from(site: Path) -> None:
    """pip notes the path of each wheel: the folder that somebody built in, another one on every machine."""
    for note in sorted(site.glob("*.dist-info/direct_url.json")):
        record = note.with_name("RECORD")
        lines = [line for line in record.read_text().splitlines() if not line.partition(",")[0].endswith(note.name)]
        record.write_text("".join(f"{line}\n" for line in lines))
        note.unlink()


def _leave_out_what_is_not_needed(site: Path) -> None:
    """The lock is of every use of the product: the hospital of the demo and the building are none of the device."""
    installed = _installed(site)
    kept = needed({name: wheel for name, (wheel, _) in installed.items()}, PRODUCT)
    for name, (_, folder) in installed.items():
        if name in kept:
            continue
        files = [line.split(",")[0] for line in (folder / "RECORD").read_text().splitlines()]
        tops = {Path(file).parts[0] for file in files if not file.startswith("..")}
        for top in tops:
            path = site / top
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
