"""What differs between the machines that the image is built for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    debian: str  # as Debian calls it
    machine: str  # as the kernel calls it
    wheels: tuple[str, ...]  # pip's --platform, the newest first: trixie's C library is 2.41
    console: str  # the kernel's name of the serial port
    modules: tuple[str, ...]  # for the initramfs, beside those of both


MANYLINUX = ("manylinux_2_39", "manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_26",
             "manylinux_2_24", "manylinux_2_17", "manylinux2014")  # fmt: skip

AMD64 = Architecture(
    debian="amd64",
    machine="x86_64",
    wheels=tuple(f"{tag}_x86_64" for tag in MANYLINUX),
    console="ttyS0",
    modules=("ahci", "ata_piix", "i6300esb", "iTCO_wdt"),
)
ARM64 = Architecture(
    debian="arm64",
    machine="aarch64",
    wheels=tuple(f"{tag}_aarch64" for tag in MANYLINUX),
    console="ttyAMA0",
    modules=("virtio_mmio", "i6300esb"),
)
ARCHITECTURES = {architecture.debian: architecture for architecture in (AMD64, ARM64)}
