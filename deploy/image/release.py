"""What is handed out: the packed disk image with its block map, the bundle, the lists of what is inside, checksums."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.image.commands import run
from deploy.image.sbom import DebianPackage, PythonPackage, bill_of_materials, licences_of, read_packages
from deploy.image.wheels import PRODUCT, Wheel

CHUNK = 1 << 20


def digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def pack(disk: Path, target: Path, log: Path) -> Path:
    """TARGET.img.zst and TARGET.img.bmap; returns the former."""
    block_map, packed = Path(f"{target}.img.bmap"), Path(f"{target}.img.zst")
    run(["bmaptool", "create", "--output", block_map, disk], log)
    run(["zstd", "--quiet", "--force", "-T0", "-9", disk, "-o", packed], log)
    return packed


def debian_packages(table: str, documents: Path) -> list[DebianPackage]:
    """With their licences, from the copyright files that stay in the image."""
    found = []
    for package in read_packages(table):
        path = documents / package.name / "copyright"
        text = path.read_text(errors="replace") if path.is_file() else ""
        found.append(replace(package, licences=licences_of(text)))
    return found


def write_lists(
    target: Path,
    architecture: str,
    epoch: int,
    packages: list[DebianPackage],
    wheels: list[Wheel],
    facts: Mapping[str, Any],
) -> list[Path]:
    """TARGET.manifest.json: exactly what was built of what; TARGET.cdx.json: the SBOM."""
    python = [PythonPackage(wheel.name, wheel.version, wheel.licence) for wheel in wheels]
    product = next(package for package in python if package.name == PRODUCT)
    manifest = {
        **facts,
        "debian": {package.name: package.version for package in packages},
        "python": {package.name: package.version for package in python},
    }
    bill = bill_of_materials(product, architecture, epoch, packages, python)
    written = [(Path(f"{target}.manifest.json"), manifest), (Path(f"{target}.cdx.json"), bill)]
    for path, content in written:
        path.write_text(json.dumps(content, indent=1, sort_keys=False) + "\n")
    return [path for path, _ in written]


def write_checksums(folder: Path, name: str) -> Path:
    """SHA256SUMS of all that was made for one architecture, as `sha256sum --check` reads it."""
    files = sorted(path for path in folder.glob(f"{name}.*") if path.is_file())
    target = folder / f"{name}.SHA256SUMS"
    target.unlink(missing_ok=True)
    target.write_text("".join(f"{digest(path)}  {path.name}\n" for path in files if path != target))
    return target


def remove_older(folder: Path, name: str) -> None:
    """What an earlier build of the same name left."""
    for path in folder.glob(f"{name}.*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
