"""RAUC's configuration on the device: the same slots on both architectures, another boot loader."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = Path(__file__).parent / "system.conf"
# The oldest release that can read what this one writes to the data partition.
OLDEST_RELEASE = "0.1.0"
BOOT_LOADERS = {
    # specular-grubenv.service lends it: the two sectors that GRUB reads and writes, too.
    "amd64": "bootloader=grub\ngrubenv=/dev/loop7",
    # By fw_setenv, on the two copies that /etc/fw_env.config names.
    "arm64": "bootloader=uboot",
}


def rauc_configuration(architecture: str, oldest: str = OLDEST_RELEASE) -> str:
    text = TEMPLATE.read_text().replace("@ARCHITECTURE@", architecture).replace("@OLDEST@", oldest)
    return text.replace("@BOOT_LOADER@", BOOT_LOADERS[architecture])
