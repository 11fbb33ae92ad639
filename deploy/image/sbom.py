"""The software bill of materials: CycloneDX 1.5 in JSON, of every Debian and Python package in the image. Pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

SPECIFICATION = "1.5"
NAMESPACE = uuid.UUID("5bec01a8-0000-4000-8000-00000000cdec")
LICENCES_SHOWN = 40  # the kernel's copyright file names more than a hundred stanzas of a few licences


@dataclass(frozen=True, slots=True)
class DebianPackage:
    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    licences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PythonPackage:
    name: str
    version: str
    licence: str


def read_packages(table: str) -> list[DebianPackage]:
    """dpkg's table, one package a line."""
    rows = (line.split("\t") for line in table.splitlines())
    return [DebianPackage(row[0].partition(":")[0], row[1], row[2], row[3], row[4]) for row in rows if len(row) >= 5]


def licences_of(copyright_file: str) -> tuple[str, ...]:
    """The short names in a machine-readable copyright file (DEP-5); none in one that is not."""
    if not re.match(r"Format(-Specification)?:", copyright_file.lstrip("\ufeff \n")):
        return ()
    names = (match[1].strip() for match in re.finditer(r"^License:[ \t]*(.+)$", copyright_file, re.MULTILINE))
    return tuple(sorted(set(names)))[:LICENCES_SHOWN]


def bill_of_materials(
    product: PythonPackage,
    architecture: str,
    epoch: int,
    debian: Iterable[DebianPackage],
    python: Iterable[PythonPackage],
) -> dict[str, Any]:
    """The same for the same packages: even its serial number is made of them."""
    components = [_debian(package) for package in debian]
    components += [_python(package) for package in python if package.name != product.name]
    components.sort(key=lambda component: str(component["purl"]))
    identity = "\n".join([architecture, product.version, *(str(component["purl"]) for component in components)])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, identity)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "firmware",
                "bom-ref": f"specular-{architecture}",
                "name": f"specular-{architecture}",
                "version": product.version,
                "licenses": _licences((product.licence,)),
                "purl": f"pkg:pypi/{product.name}@{quote(product.version)}",
            },
        },
        "components": components,
        "dependencies": [
            {
                "ref": f"specular-{architecture}",
                "dependsOn": [str(component["bom-ref"]) for component in components],
            }
        ],
    }


def _debian(package: DebianPackage) -> dict[str, Any]:
    purl = f"pkg:deb/debian/{quote(package.name)}@{quote(package.version)}?arch={package.architecture}&distro=trixie"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        **({"licenses": _licences(package.licences)} if package.licences else {}),
        "properties": [{"name": "debian:source", "value": f"{package.source} {package.source_version}"}],
    }


def _python(package: PythonPackage) -> dict[str, Any]:
    purl = f"pkg:pypi/{quote(package.name)}@{quote(package.version)}"
    found = {"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl}
    return {**found, **({"licenses": _licences((package.licence,))} if package.licence else {})}


def _licences(names: Iterable[str]) -> list[dict[str, Any]]:
    """By name: Debian's short names are not all SPDX's."""
    return [{"license": {"name": name}} for name in names if name]
