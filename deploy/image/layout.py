"""The partitions of the device's disk, the same on both architectures; only what is in the second differs."""

from __future__ import annotations

from dataclasses import dataclass

SECTOR = 512
MIB = 1 << 20
# GPT types: EFI system, Linux file system (the data alone has it: systemd-repart grows what has it), and our own for
# what nobody is meant to mount by himself.
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
OURS = "8F2C1E5A-6A0B-4F7E-9C43-5C5A2F3D1B00"
DISK_ID = "5BEC01A8-0000-4000-8000-000000000001"
DATA_ID = "5BEC01A8-0000-4000-8000-0000000000DA"


@dataclass(frozen=True, slots=True)
class Partition:
    name: str
    kind: str
    start: int  # bytes
    size: int  # bytes


# The boot loader's variables. GRUB's are a file in a tar archive (`disk.grub_variables`).
VARIABLES_BYTES = {"amd64": 4096, "arm64": MIB}
GRUB_BLOCK = (512, 1024)  # where in the archive, and how long: what the device's losetup takes, too
KERNEL_BYTES = 96 * MIB  # an arm64 kernel has 40 MB, not packed
ROOT_BYTES = 384 * MIB
DATA_BYTES = 256 * MIB  # grown at the first start to what the disk has
VARIABLES_NAME = {"amd64": "grubenv", "arm64": "ubootenv"}


def partitions(architecture: str) -> list[Partition]:
    """In the order of their numbers, which the boot loaders know: 3 and 4 are the kernels, 5 and 6 the roots."""
    wanted = [
        ("boot", ESP, 64 * MIB),
        (VARIABLES_NAME[architecture], OURS, VARIABLES_BYTES[architecture]),
        ("kernel-a", OURS, KERNEL_BYTES),
        ("kernel-b", OURS, KERNEL_BYTES),
        ("root-a", OURS, ROOT_BYTES),
        ("root-b", OURS, ROOT_BYTES),
        ("data", LINUX, DATA_BYTES),
    ]
    found: list[Partition] = []
    start = MIB
    for name, kind, size in wanted:
        found.append(Partition(name, kind, start, size))
        start += -(-size // MIB) * MIB
    return found


def disk_bytes(architecture: str) -> int:
    """With room for the second partition table at the end."""
    last = partitions(architecture)[-1]
    return last.start + last.size + MIB


def sfdisk_script(architecture: str) -> str:
    lines = ["label: gpt", f"label-id: {DISK_ID}", f"sector-size: {SECTOR}", ""]
    for number, part in enumerate(partitions(architecture), 1):
        identity = DATA_ID if part.name == "data" else f"{DISK_ID[:-2]}A{number}"
        where = f"start={part.start // SECTOR}, size={part.size // SECTOR}"
        lines.append(f"{number}: {where}, type={part.kind}, uuid={identity}, name={part.name}")
    return "\n".join(lines) + "\n"
