"""What the tree needs to take updates: RAUC's configuration, whom it believes, and what this image is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.image.architecture import Architecture
from deploy.image.signing import Signing

HERE = Path(__file__).parent
# The oldest release that can read what this one writes.
OLDEST_RELEASE = "0.1.0"
BOOTLOADERS = {
    # A partition of two sectors: written in place, so that no power cut leaves half a file of it.
    "amd64": "bootloader=grub\ngrubenv=/dev/disk/by-partlabel/grubenv",
    "arm64": "bootloader=uboot",
}
DEVELOPMENT = "DEVELOPMENT KEYS: whoever has this image's build folder can make updates for it. Not for a clinic."


@dataclass(frozen=True, slots=True)
class Release:
    """What this image is. RAUC compares `version` (semver); `build` is the commit."""

    version: str
    build: str
    signing: Signing


def system_configuration(template: str, architecture: str, oldest: str = OLDEST_RELEASE) -> str:
    text = template.replace("@ARCHITECTURE@", architecture).replace("@OLDEST@", oldest)
    return text.replace("@BOOTLOADER@", BOOTLOADERS[architecture])


def image_lines(release: Release, architecture: str) -> str:
    """For the console and the greeting of a login."""
    lines = [f"image: {release.version} ({release.build}) for {architecture}"]
    return "\n".join(lines + [DEVELOPMENT] * release.signing.development) + "\n"


def install(tree: Path, architecture: Architecture, release: Release) -> None:
    configuration = system_configuration((HERE / "system.conf").read_text(), architecture.debian)
    about = image_lines(release, architecture.debian)
    texts = {
        "etc/rauc/system.conf": configuration,
        "etc/rauc/keyring.pem": release.signing.keyring.read_text(),
        "usr/lib/specular/image": about,
        "etc/motd": about,
    }
    for name, text in texts.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)
