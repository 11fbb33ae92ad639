"""What is known of the machine and the software on it, for the service bundle. Reads files; run it in a thread."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from firmware_app import __version__

JOURNAL_LINES = 20_000
JOURNAL_MAX_BYTES = 16 << 20
JOURNAL_LIMIT_S = 20.0
UNIT = "specular"


def versions() -> dict[str, Any]:
    return {
        "specular": __version__,
        "python": sys.version,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": platform.freedesktop_os_release().get("PRETTY_NAME", "") if Path("/etc/os-release").exists() else "",
        "packages": {each.name: each.version for each in metadata.distributions() if each.name},
    }


def machine() -> dict[str, Any]:
    disk = shutil.disk_usage("/")
    return {
        "load": _load(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "memory": dict(line.split(":", 1) for line in _lines("/proc/meminfo")[:6] if ":" in line),
        "own_memory": dict(line.split(":", 1) for line in _lines("/proc/self/status") if line.startswith("Vm")),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "root_disk": {"total_bytes": disk.total, "free_bytes": disk.free},
        "up_s": round(time.clock_gettime(time.CLOCK_BOOTTIME), 2),
    }


def _load() -> tuple[float, float, float] | None:
    """None in a sandbox that shows us no more of /proc than our own processes (ProcSubset=pid)."""
    try:
        return os.getloadavg()
    except OSError:
        return None


def usb_devices(root: Path = Path("/sys/bus/usb/devices")) -> list[dict[str, str]]:
    """Who is plugged in where, as the kernel has it."""
    found = []
    for device in sorted(root.glob("*")):
        said = {name: _text(device / name) for name in ("idVendor", "idProduct", "manufacturer", "product", "serial")}
        if said["idVendor"]:
            found.append({"place": device.name, **said})
    return found


def journal() -> tuple[list[str], str]:
    """The unit's last lines, oldest first; and why there are none."""
    program = shutil.which("journalctl")
    if program is None:
        return [], "there is no journalctl"
    command = [program, "-u", UNIT, "-o", "cat", "--no-pager", "-q", "-n", str(JOURNAL_LINES)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=JOURNAL_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"journalctl: {error}"
    lines = done.stdout[-JOURNAL_MAX_BYTES:].decode("utf-8", "replace").splitlines()
    if lines:
        return lines, ""
    nothing = "the journal has nothing of the unit, or nothing that this user may read"
    return [], done.stderr.decode("utf-8", "replace").strip() or nothing


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
