"""A copy of an image, with a provisioning file on its boot partition, below an overlay: the image stays clean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy.image.commands import run
from deploy.image.layout import partitions

DISK_BYTES = 4 << 30  # what the data partition grows into
# Emulated, the mitigations of Intel's faults cost a third of the time; a device never has this.
VIRTUAL_OPTIONS = "mitigations=off"


def provisioned_disk(
    image: Path, architecture: str, folder: Path, files: Mapping[str, bytes], disk_bytes: int = DISK_BYTES
) -> Path:
    """The qcow2 to boot from. `files` go beside the boot loader. Raises `CannotBuild`."""
    log = folder / "disk.log"
    base, overlay = folder / "disk.img", folder / "disk.qcow2"
    run(["cp", "--sparse=always", "--reflink=auto", image, base], log)
    boot, variables = partitions(architecture)[:2]
    for name, content in files.items():
        source = folder / name
        source.write_bytes(content)
        run(["mcopy", "-o", "-i", f"{base}@@{boot.start}", source, f"::{name}"], log)
    if architecture == "amd64":
        add_option(base, variables.start, variables.size)
    overlay.unlink(missing_ok=True)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay, str(disk_bytes)], log)
    return overlay


def add_option(disk: Path, start: int, size: int) -> None:
    with disk.open("r+b") as file:
        file.seek(start)
        text = file.read(size).rstrip(b"#")
        file.seek(start)
        file.write((text + f"OPTIONS={VIRTUAL_OPTIONS}\n".encode()).ljust(size, b"#"))
