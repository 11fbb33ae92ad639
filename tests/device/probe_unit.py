"""Run `denials.py` under the very properties of specular.service; as root, on a machine that has the service.

    probe_unit.py [--groups network,files,...] [--without-filter] [--other-interface] [ARGUMENT OF denials.py ...]

Makes specular-probe.service of the unit and its drop-ins as systemd has them, with another program in it, starts it and
prints what it said. `--without-filter`: the packet filter is taken away meanwhile, so that only the unit denies.
`--other-interface`: the unit names another interface than the one that leads to the peer, who then is not reached.
Exit status: that of the probe; 2 if it could not be run. The service itself may go on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNIT, PROBE = "specular.service", "specular-probe.service"
RUNTIME = Path("/run/systemd/system")
FOLDER = Path("/run/specular-probe")
PYTHON = "/opt/specular/bin/python"
INTERFACE = "specprobe0"  # which nobody has
CONNECT_S = 5.0
# Whatever of these the machine has: name to kind, major, minor.
NODES = {
    "mem": ("c", 1, 1),
    "port": ("c", 1, 4),
    "kmsg": ("c", 1, 11),
    "ttyS0": ("c", 4, 64),
    "vcs": ("c", 7, 0),
    "misc-watchdog": ("c", 10, 130),
    "uinput": ("c", 10, 223),
    "input-event": ("c", 13, 64),
    "snd": ("c", 116, 0),
    "i2c": ("c", 89, 0),
    "loop": ("b", 7, 0),
    "sd": ("b", 8, 0),
    "nvme": ("b", 259, 0),
    "virtio-disk": ("b", 254, 0),
    "mmc": ("b", 179, 0),
}


def shown(name: str) -> str:
    return subprocess.run(
        ["systemctl", "show", "-P", name, UNIT], capture_output=True, text=True, check=True
    ).stdout.strip()


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def write_unit(arguments: list[str], more: list[str]) -> None:
    """The unit and every drop-in as they are, and one drop-in more."""
    drop_ins = RUNTIME / f"{PROBE}.d"
    shutil.rmtree(drop_ins, ignore_errors=True)
    drop_ins.mkdir(parents=True)
    # Its sockets are the running service's: nothing is handed over twice.
    unit = Path(shown("FragmentPath")).read_text().splitlines(keepends=True)
    (RUNTIME / PROBE).write_text("".join(line for line in unit if not line.startswith("Sockets=")))
    for path in shown("DropInPaths").split():
        shutil.copyfile(path, drop_ins / Path(path).name)
    words = " ".join(f'"{word}"' for word in arguments)
    lines = ["[Unit]", "ConditionPathExists=", "[Service]", "Type=oneshot", "WatchdogSec=0", "Restart=no"]
    lines += ["ExecStart=", f"ExecStart={PYTHON} -I {FOLDER}/denials.py {words}"]
    lines += [f"StandardOutput=truncate:{FOLDER}/said", "StandardError=journal"]
    (drop_ins / "zz-probe.conf").write_text("\n".join([*lines, *more]) + "\n")
    run("systemctl", "daemon-reload")


@contextmanager
def device_nodes() -> Iterator[None]:
    """In /dev, because elsewhere `nodev` would deny them too."""
    made = []
    try:
        for name, (kind, major, minor) in NODES.items():
            path = Path(f"/dev/specular-probe-{name}")
            path.unlink(missing_ok=True)
            os.mknod(path, 0o666 | (stat.S_IFCHR if kind == "c" else stat.S_IFBLK), os.makedev(major, minor))
            made.append(path)
            path.chmod(0o666)
        yield
    finally:
        for path in made:
            path.unlink(missing_ok=True)


@contextmanager
def without_filter() -> Iterator[None]:
    run("nft", "delete", "table", "inet", "specular")
    try:
        yield
    finally:
        run("systemctl", "reload", "specular-rules.service")


@contextmanager
def nothing() -> Iterator[None]:
    yield


def reaches(other: str) -> bool:
    """The control, without packet filter and unit: there is somebody whom the unit then keeps the service from."""
    host, _, port = other.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
        outcome, ok = "works: connected", True
    except ConnectionRefusedError:
        outcome, ok = "works: reached, which refuses the port", True
    except OSError as error:
        outcome, ok = f"failed: {error}", False
    print(json.dumps({"group": "control", "what": f"root reaches {other}", "ok": ok, "outcome": outcome}), flush=True)
    return ok


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--groups", default="network,sockets,files,devices,processes,limits,kernel")
    parser.add_argument("--peer", default="")
    parser.add_argument("--other", action="append", default=[])
    parser.add_argument("--without-filter", action="store_true")
    parser.add_argument("--other-interface", action="store_true")
    own, others = parser.parse_known_args()
    groups = "interface" if own.other_interface else own.groups
    of_another = ["RestrictNetworkInterfaces=", f"RestrictNetworkInterfaces=lo {INTERFACE}"]
    more = of_another if own.other_interface else []
    FOLDER.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("denials.py"), FOLDER / "denials.py")
    try:
        write_unit(["--groups", groups, "--peer", own.peer, *(f"--other={each}" for each in own.other), *others], more)
        with (
            device_nodes() if "devices" in groups else nothing(),
            without_filter() if own.without_filter or own.other_interface else nothing(),
        ):
            unreached = sum(not reaches(other) for other in own.other) if own.without_filter else 0
            subprocess.run(["systemctl", "start", PROBE], check=False, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"probe_unit: {error}", file=sys.stderr)
        return 2
    said = (FOLDER / "said").read_text() if (FOLDER / "said").exists() else ""
    sys.stdout.write(said)
    status = subprocess.run(
        ["systemctl", "show", "-P", "ExecMainStatus", PROBE], capture_output=True, text=True, check=False
    ).stdout.strip()
    remove()
    return int(status) or min(unreached, 1) if said and status.isdigit() else 2


def remove() -> None:
    shutil.rmtree(RUNTIME / f"{PROBE}.d", ignore_errors=True)
    (RUNTIME / PROBE).unlink(missing_ok=True)
    subprocess.run(["systemctl", "reset-failed", PROBE], check=False, capture_output=True)
    subprocess.run(["systemctl", "daemon-reload"], check=False)
    shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
