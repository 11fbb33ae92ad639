"""What goes into a machine: this Python, the packages that its work imports, their libraries, the project."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from deploy.virtual_machine.archive import Initramfs
from deploy.virtual_machine.bytecode import cache_name, unchecked
from deploy.virtual_machine.first_program import MODULES, PACKAGES, PROJECT
from deploy.virtual_machine.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]
# Of the standard library and the packages: large, and imported by nothing here.
LEFT_OUT = re.compile(
    r"(^|/)(tests?|testing/tests|_pyinstaller|idlelib|ensurepip|lib2to3|turtledemo|tkinter|site-packages|config-3[^/]*)/"
    r"|\.(pyi|a|h|c|pyx|pxd|exe|pyc)$"
)


@dataclass(frozen=True, slots=True)
class Contents:
    """`modules` of the kernel, `packages` with what they require, folders of the `project`, relative to its root."""

    modules: tuple[str, ...]
    packages: tuple[str, ...]
    project: tuple[str, ...]
    first_program: Path  # a script of this interpreter


def fill(archive: Initramfs, kernel: Kernel, contents: Contents) -> None:
    """Everything that the machine has."""
    for name in ("dev", "proc", "sys", "tmp", "run"):
        archive.folder(name)
    archive.character_device("dev/console", 5, 1)
    binaries = [*_interpreter(archive), *_packages(archive, contents.packages)]
    for library in sorted(libraries_of(binaries)):
        archive.add_file(library, str(library))
    for place, (name, data) in enumerate(kernel.modules.items()):
        archive.add(f"{MODULES}/{place:03}-{name}.ko", data)
    for folder in contents.project:
        for source in sorted((ROOT / folder).rglob("*")):
            if source.is_file():
                add_source(archive, source, f"{PROJECT}/{source.relative_to(ROOT)}")
    archive.add("/init", f"#!{interpreter()} -u\n".encode() + contents.first_program.read_bytes(), 0o755)


def add_source(archive: Initramfs, source: Path, name: str) -> None:
    """A file of Python, or beside Python; bytecode comes with its source."""
    if source.suffix == ".pyc":
        return
    archive.add_file(source, name)
    if source.suffix == ".py" and (bytecode := unchecked(source)) is not None:
        archive.add(cache_name(name), bytecode)


def interpreter() -> Path:
    """The real program behind .venv/bin/python, which finds its standard library by its own place."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"


def _interpreter(archive: Initramfs) -> Iterator[Path]:
    program = interpreter()
    archive.add_file(program.resolve(), str(program))
    yield program
    for name in ("stdlib", "platstdlib"):
        folder = Path(sysconfig.get_path(name, vars={"base": sys.base_prefix, "installed_base": sys.base_prefix}))
        for source in sorted(folder.rglob("*")):
            if source.is_file() and not LEFT_OUT.search(str(source.relative_to(folder))):
                add_source(archive, source, str(source))
                if ".so" in source.name:
                    yield source


def _packages(archive: Initramfs, names: tuple[str, ...]) -> Iterator[Path]:
    for found in needed(names):
        for file in found.files or []:
            source = Path(str(found.locate_file(file)))
            inside = str(file)
            if ".." in file.parts or not source.is_file() or LEFT_OUT.search(inside):
                continue
            add_source(archive, source, f"{PACKAGES}/{inside}")
            if ".so" in source.name:
                yield source


def needed(names: tuple[str, ...]) -> list[Distribution]:
    """These packages and all that they require."""
    found: dict[str, Distribution] = {}
    left = list(names)
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as error:
            raise SystemExit(f"{name} is not installed: the scripts in deploy/ make .venv first") from error
        for line in found[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return list(found.values())


def libraries_of(binaries: list[Path]) -> set[Path]:
    """The shared libraries of the system that these load, and the loader; a package's own come with it."""
    said = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False).stdout
    paths = {Path(path) for path in re.findall(r"(?:=>\s+|^\s+)(/\S+) \(0x", said, re.MULTILINE)}
    own = {binary.parent for binary in binaries}
    return {path for path in paths if path.parent not in own and not any(part.endswith(".libs") for part in path.parts)}
