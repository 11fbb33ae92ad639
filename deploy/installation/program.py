"""The product in a virtual environment of its own in /opt/specular, made from the lock file."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.installation.commands import run, say
from deploy.installation.placement import PROGRAM

SOURCES = ("firmware_app", "hw")
SINGLE_FILES = ("pyproject.toml", "requirements.lock", "README.md", "LICENSE")
STAMP = "installed-version"


def fingerprint(repository: Path) -> str:
    """Of everything that the environment is made of, and of the interpreter."""
    digest = hashlib.sha256(run("python3", "-VV").encode())
    for path in _files(repository):
        digest.update(f"{path.relative_to(repository)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current(repository: Path) -> bool:
    stamp = PROGRAM / STAMP
    return stamp.is_file() and stamp.read_text().strip() == fingerprint(repository)


def install_program(repository: Path, wheels: Path | None) -> None:
    """A new environment in place of the old one, which comes back if that fails."""
    before = PROGRAM.with_name("specular.before")
    shutil.rmtree(before, ignore_errors=True)
    if PROGRAM.exists():
        PROGRAM.rename(before)
    try:
        _make(repository, wheels)
    except BaseException:
        shutil.rmtree(PROGRAM, ignore_errors=True)
        if before.exists():
            before.rename(PROGRAM)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _make(repository: Path, wheels: Path | None) -> None:
    say(f"making the virtual environment {PROGRAM}")
    run("python3", "-m", "venv", str(PROGRAM))
    pip = (str(PROGRAM / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
    source = ("--no-index", f"--find-links={wheels}") if wheels is not None else ()
    say("installing the packages of requirements.lock" + (f" from {wheels}" if wheels is not None else ""))
    run(*pip, *source, "--require-hashes", "--requirement", str(repository / "requirements.lock"))
    with tempfile.TemporaryDirectory() as folder:  # the repository may be read-only, and nobody's to write into as root
        copy = Path(folder) / "specular"
        for path in _files(repository):
            target = copy / path.relative_to(repository)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        run(*pip, "--no-index", "--no-deps", "--no-build-isolation", str(copy))
    run(str(PROGRAM / "bin/python"), "-m", "compileall", "-q", str(PROGRAM / "lib"))
    (PROGRAM / STAMP).write_text(fingerprint(repository) + "\n")


def _files(repository: Path) -> Iterator[Path]:
    for name in SOURCES:
        for path in sorted((repository / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
    yield from (repository / name for name in SINGLE_FILES)
