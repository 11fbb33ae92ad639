"""Which file of the repository goes where on an existing machine. Pure but for looking at the repository.

What makes a whole machine ours (sysctl, journal, time servers, `admin`, the device's SSH) stays out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/specular")
STATE = Path("/var/lib/specular")
PROGRAM = Path("/opt/specular")
MANIFEST = PROGRAM / "installed-files"
UNITS = (
    "specular-rules.service",
    "specular.service",
    "specular-dicom.socket",
    "specular-console.socket",
    "specular-uevents.socket",
)
PLACES = {
    **{f"systemd/{unit}": f"/etc/systemd/system/{unit}" for unit in UNITS},
    "systemd/udev/70-specular.rules": "/etc/udev/rules.d/70-specular.rules",
    "systemd/modules-load.d/specular.conf": "/etc/modules-load.d/specular.conf",
    "systemd/sysusers.d/specular.conf": "/etc/sysusers.d/specular.conf",
    "systemd/sysusers.d/specular-people.conf": "/etc/sysusers.d/specular-people.conf",
    "systemd/tmpfiles.d/specular.conf": "/etc/tmpfiles.d/specular.conf",
    "systemd/pam-configs/specular": "/usr/share/pam-configs/specular",
    "systemd/ssh/60-specular-console.conf": "/etc/ssh/sshd_config.d/60-specular-console.conf",
    "deploy/installation/ssh/61-specular-keys.conf": "/etc/ssh/sshd_config.d/61-specular-keys.conf",
}


@dataclass(frozen=True, slots=True)
class Placed:
    source: Path
    target: Path


def placements(repository: Path, *, has_ssh: bool) -> list[Placed]:
    """Without an SSH server nobody comes over it."""
    wanted = {source: target for source, target in PLACES.items() if has_ssh or "ssh" not in source}
    return [Placed(repository / source, Path(target)) for source, target in wanted.items()]
