"""The demo's folder: taken over only when it is empty or an earlier demo's, filled with what people want to see."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from firmware_app.demo.configuration import DemoPaths
from firmware_app.demo.holdings import data_set_of
from firmware_app.demo.processes import DemoFailed

MARKER = ".specular-demo"
OURS = ("archive", "films", "instances", "logs", "pictures", "state", "specular.toml", "summary.json")


@dataclass(frozen=True, slots=True)
class DeliveredInstance:
    sop_instance_uid: str
    sop_class_uid: str
    kind: str
    file: Path
    sha256: str  # of the encoded data set, without the file meta information


def take_over(out: Path) -> None:
    """Make `out` an empty folder of ours. Raises `DemoFailed` rather than touch what somebody else put there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / MARKER).exists():
            raise DemoFailed(f"{out} is not empty and not the folder of an earlier demo: choose another with --out")
        (out / MARKER).write_text("specular demo writes here and clears it the next time\n")
        for name in OURS:
            entry = out / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise DemoFailed(f"the folder {out} cannot be used: {error.strerror or error}") from error


def collect_pictures(pictures: Sequence[str], paths: DemoPaths) -> list[Path]:
    """Report and overlays beside each other, under the names the service gave them."""
    folder = paths.out / "pictures"
    folder.mkdir()
    return [Path(shutil.copy2(picture, folder)) for picture in pictures]


def collect_instances(instances: Sequence[Mapping[str, Any]], paths: DemoPaths) -> list[DeliveredInstance]:
    """Copies of the instances that the service made, from its own files."""
    paths.instances.mkdir()
    collected = []
    for instance in instances:
        uid = str(instance["sop_instance_uid"])
        copy = Path(shutil.copy2(instance["file"], paths.instances / f"{instance['kind']}-{uid}.dcm"))
        part10 = copy.read_bytes()
        header = dcmread(copy, stop_before_pixels=True)
        sha256 = hashlib.sha256(data_set_of(part10)).hexdigest()
        collected.append(DeliveredInstance(uid, str(header.SOPClassUID), str(instance["kind"]), copy, sha256))
    return collected


def same_content(ours: Path, archived: Path) -> bool:
    """Byte for byte the same data set; where the archive took another transfer syntax, the same values."""
    if data_set_of(ours.read_bytes()) == data_set_of(archived.read_bytes()):
        return True
    sent, held = dcmread(ours), dcmread(archived)
    if sent.file_meta.TransferSyntaxUID == held.file_meta.TransferSyntaxUID:
        return False
    return Dataset(sent) == Dataset(held)
