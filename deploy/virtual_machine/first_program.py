"""What the first program (PID 1) of a virtual machine does before and after its work: mounts, modules, power off.

It runs with the standard library alone, before anything that is installed is on the path.
"""

from __future__ import annotations

import ctypes
import os
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

MODULES = Path("/modules")
PROJECT, PACKAGES = "/specular", "/site"
_LIBC = ctypes.CDLL(None, use_errno=True)
_FINIT_MODULE = 313  # x86-64
_POWER_OFF = 0x4321FEDC
_MOUNTS = (
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/tmp"),
    ("devpts", "/dev/pts"),
)


def say(words: str) -> None:
    print(f"guest: {words}", flush=True)


def mount(kind: str, place: str) -> None:
    """With the kernel's own defaults. Raises OSError."""
    Path(place).mkdir(parents=True, exist_ok=True)
    if _LIBC.mount(kind.encode(), place.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"mount {kind} on {place}: {os.strerror(ctypes.get_errno())}")


def environment() -> dict[str, str]:
    """For programs of the project."""
    return {
        **os.environ,
        "PYTHONPATH": f"{PACKAGES}:{PROJECT}",
        "HOME": "/tmp",
        "USER": "root",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "TERM": "dumb",
        "COLUMNS": "120",
    }


def kernel_word(name: str) -> str:
    """What `NAME=...` on the kernel's command line says, with %20 for a space; empty without one."""
    for word in Path("/proc/cmdline").read_text().split():
        key, _, value = word.partition("=")
        if key == name:
            return value.replace("%20", " ")
    return ""


def first_program(work: Callable[[], int], module_parameters: Mapping[str, str]) -> None:
    """Mounts and modules, then `work`, whose exit status goes to the console; then power off. Never returns."""
    status = 3
    try:
        for kind, place in _MOUNTS:
            mount(kind, place)
        for file in sorted(MODULES.iterdir()):
            _load(file, module_parameters)
        say(f"kernel {os.uname().release} with its modules after {time.monotonic():.1f} s")
        status = work()
    except Exception:  # noqa: BLE001 - whatever it is, the host must hear of it and the machine must stop
        traceback.print_exc()
    say(f"exit status {status} after {time.monotonic():.1f} s")
    os.sync()
    _LIBC.reboot(_POWER_OFF)


def _load(file: Path, parameters: Mapping[str, str]) -> None:
    name = file.name.partition("-")[2].removesuffix(".ko")
    fd = os.open(file, os.O_RDONLY)
    if _LIBC.syscall(_FINIT_MODULE, fd, parameters.get(name, "").encode(), 0):
        raise OSError(ctypes.get_errno(), f"module {name}: {os.strerror(ctypes.get_errno())}")
    os.close(fd)
