"""What goes into the machine: this Python, the packages that the tests import, their libraries, the project."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from deploy.kernel_bench.archive import Initramfs
from deploy.kernel_bench.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("trio", "numpy", "pyserial", "pillow", "msgspec", "tomli", "pytest", "pytest-trio", "pytest-timeout")
PROJECT = ("firmware_app", "hw", "tests", "deploy/kernel_bench")
# Of the standard library and the packages: large, and imported by nothing here.
LEFT_OUT = re.compile(
    r"(^|/)(tests?|testing/tests|_pyinstaller|idlelib|ensurepip|lib2to3|turtledemo|tkinter|site-packages|config-3[^/]*)/"
    r"|\.(pyi|a|h|c|pyx|pxd|exe|opt-[12]\.pyc)$"
)
GUEST_SITE, GUEST_PROJECT, GUEST_MODULES = "/site", "/specular", "/modules"


def fill(archive: Initramfs, kernel: Kernel) -> None:
    """Everything that the machine has. Its first program is `guest.py`, with this interpreter."""
    for name in ("dev", "proc", "sys", "tmp", "run"):
        archive.folder(name)
    archive.character_device("dev/console", 5, 1)
    binaries = [*_interpreter(archive), *_packages(archive)]
    for library in sorted(libraries_of(binaries)):
        archive.add_file(library, str(library))
    for place, (name, data) in enumerate(kernel.modules.items()):
        archive.add(f"{GUEST_MODULES}/{place:03}-{name}.ko", data)
    for folder in PROJECT:
        for source in sorted((ROOT / folder).rglob("*.py")):
            archive.add_file(source, f"{GUEST_PROJECT}/{source.relative_to(ROOT)}")
    guest = (Path(__file__).parent / "guest.py").read_bytes()
    archive.add("/init", f"#!{interpreter()} -u\n".encode() + guest, 0o755)


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
                archive.add_file(source, str(source))
                if ".so" in source.name:
                    yield source


def _packages(archive: Initramfs) -> Iterator[Path]:
    for found in needed(PACKAGES):
        for file in found.files or []:
            source = Path(str(found.locate_file(file)))
            inside = str(file)
            if ".." in file.parts or not source.is_file() or LEFT_OUT.search(inside):
                continue
            archive.add_file(source, f"{GUEST_SITE}/{inside}")
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
            raise SystemExit(f"{name} is not installed: deploy/kernel-bench makes .venv first") from error
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
