# The first program of the virtual machine (PID 1): mounts, modules, tests, an exit status on the console, power off.
# It runs with the standard library alone, before anything of the project is on the path.
import ctypes
import os
import sys
import time
import traceback
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE = 313  # x86-64
POWER_OFF = 0x4321FEDC
# One camera with one webcam input: picture sizes and rates as a UVC camera has them.
PARAMETERS = {"vivid": "n_devs=1 node_types=0x1 num_inputs=1 input_types=0", "dummy_hcd": "is_high_speed=1"}
MOUNTS = (
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("tmpfs", "/tmp"),
    ("devpts", "/dev/pts"),
    ("configfs", "/sys/kernel/config"),
)


def say(words: str) -> None:
    print(f"guest: {words}", flush=True)


def mount(kind: str, place: str) -> None:
    Path(place).mkdir(parents=True, exist_ok=True)
    if LIBC.mount(kind.encode(), place.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"mount {kind} on {place}: {os.strerror(ctypes.get_errno())}")


def load(file: Path) -> None:
    name = file.name.partition("-")[2].removesuffix(".ko")
    fd = os.open(file, os.O_RDONLY)
    if LIBC.syscall(FINIT_MODULE, fd, PARAMETERS.get(name, "").encode(), 0):
        raise OSError(ctypes.get_errno(), f"module {name}: {os.strerror(ctypes.get_errno())}")
    os.close(fd)


def run_tests() -> int:
    os.environ.update(PYTHONPATH="/site:/specular", HOME="/tmp", USER="root", PYTHONDONTWRITEBYTECODE="1")
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", TERM="dumb", COLUMNS="120")
    command = Path("/proc/cmdline").read_text()
    options = command.partition("specular.pytest=")[2].split()
    chosen = [part.replace("%20", " ") for part in options[0].split(",")] if options else []
    arguments = [sys.executable, "-u", "-m", "pytest", "-c", "/dev/null", "--rootdir=/specular", "--noconftest"]
    arguments += ["-v", "-ra", "--tb=short", "--durations=5", "-p", "no:cacheprovider", "-o", "trio_mode=true"]
    arguments += ["--timeout=150", "-W", "error", *(chosen or []), "/specular/tests/kernel"]
    os.chdir("/specular")
    return os.spawnve(os.P_WAIT, sys.executable, arguments, dict(os.environ))


def main() -> None:
    status = 3
    try:
        for kind, place in MOUNTS:
            if kind == "configfs":
                for file in sorted(Path("/modules").iterdir()):
                    load(file)
            mount(kind, place)
        say(f"kernel {os.uname().release} with its modules after {time.monotonic():.1f} s")
        status = run_tests()
    except Exception:  # noqa: BLE001 - whatever it is, the host must hear of it and the machine must stop
        traceback.print_exc()
    say(f"exit status {status} after {time.monotonic():.1f} s")
    os.sync()
    LIBC.reboot(POWER_OFF)


main()
