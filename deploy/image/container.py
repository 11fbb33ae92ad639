"""The image's tree, booted as a container: its own systemd and units in 2 s, for what needs no kernel of its own.

    ./deploy/boot-container [TREE]

There is no network but loopback, no USB, and no packet filter by control group: what those deny is proved in the
virtual machine. Nothing is registered on this machine, and nothing of the tree is written.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.image.commands import environment, need
from deploy.image.steps import CannotBuild
from firmware_app.demo.processes import signals_as_interrupts
from firmware_app.device.provisioning_files import take

ROOT = Path(__file__).resolve().parents[2]
READY_MAX_S = 3.0  # from the service's start to its READY
# On a host that is busy with something else: as many times what the interpreter with our imports alone takes there.
# 1.2 s and 0.6 s were measured on an idle one.
READY_MAX_STARTS = 3.0
STARTS_MAX = 3  # of the service, the first together with everything else: a bound on it, not on what the host does
DATA_FOLDERS = ("specular", "config", "ssh", "journal", "timesync", "rauc")
CONFIGURATION = """\
profile = "specular"

[instrument]
port = 64001

[network]
interface = "lo"
"""
PROVISIONING = """\
[system]
host_name = "specular-container"

[network]
interface = "lo"
address = "127.0.0.1/8"

[configuration]
file = "specular.toml"
"""


class ContainerError(Exception):
    """The container did not do what was waited for."""


@dataclass(frozen=True, slots=True)
class Container:
    """`init` is its first process, as this machine numbers it."""

    init: int
    data: Path

    def ask(self, *command: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """A program in the container, as root."""
        words = ["nsenter", "--target", str(self.init), "--mount", "--uts", "--ipc", "--net", "--pid", "--", *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, env=environment(), check=False)

    def wait_until_started(self, timeout_s: float = 60.0) -> str:
        """What `systemctl is-system-running` says when nothing is being started any more."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            answer = self.ask("systemctl", "is-system-running").stdout.strip()
            if answer in ("running", "degraded") or time.monotonic() > give_up_s:
                return answer
            time.sleep(0.1)

    def property_of(self, unit: str, name: str) -> str:
        return self.ask("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def ready_bound_s(self) -> float:
        """At most so long may READY take, by what the host does just now."""
        began_s = time.monotonic()
        self.ask("/opt/specular/bin/python", "-c", "import firmware_app.app")
        return max(READY_MAX_S, READY_MAX_STARTS * (time.monotonic() - began_s))

    def is_ready_in_time(self) -> bool:
        """Says how long READY took; where that was too long the service is started once more, for the next look."""
        ready_s, bound_s = self.ready_after_s(), self.ready_bound_s()
        print(f"container: specular.service READY after {ready_s:.2f} s (at most {bound_s:.1f})")
        if ready_s > bound_s:
            self.ask("systemctl", "restart", "specular.service")
        return ready_s <= bound_s

    def ready_after_s(self, unit: str = "specular.service") -> float:
        """From its start to its READY. Raises `ContainerError` for one that is not active."""
        state = self.property_of(unit, "ActiveState")
        if state != "active":
            log = self.ask("journalctl", "--unit", unit, "--lines", "20", "--no-pager").stdout
            raise ContainerError(f"{unit} is {state or 'unknown'}:\n{log}")
        began, ready = (
            int(self.property_of(unit, name))
            for name in ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        )
        return (ready - began) / 1e6


@contextmanager
def booted(
    tree: Path, folder: Path, *, configuration: str = CONFIGURATION, timeout_s: float = 60.0
) -> Iterator[Container]:
    """`folder` takes its data partition and its console's log. Raises `CannotBuild`, `ContainerError`."""
    need("systemd-nspawn", "nsenter")
    data = folder / "data"
    for name in DATA_FOLDERS:
        (data / name).mkdir(parents=True, exist_ok=True)
    provide(data, folder, configuration)
    log = folder / "container.log"
    command = ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", "--read-only", "--volatile=state"]
    command += ["--console=pipe", "--link-journal=no", "--machine=specular-container", f"--bind={data}:/data"]
    command += [f"--directory={tree}", "--boot", "systemd.mask=systemd-repart.service", "systemd.mask=boot.mount"]
    command += ["systemd.mask=systemd-growfs@data.service", "systemd.mask=specular-provision.service"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment())
    try:
        yield Container(_wait_for_init(process, log, timeout_s), data)
    finally:
        process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        finally:  # a second Ctrl-C, too, leaves no container behind
            process.kill()
            process.wait()


def provide(data: Path, folder: Path, configuration: str) -> None:
    """As the provisioning of the first start does it."""
    boot = folder / "boot"
    boot.mkdir(exist_ok=True)
    (boot / "specular.toml").write_text(configuration)
    (boot / "specular-provision.toml").write_text(PROVISIONING)
    take(boot / "specular-provision.toml", data)


def _wait_for_init(process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> int:
    """Its systemd answers."""
    give_up_s = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < give_up_s:
        for child in _children(process.pid):
            found = Container(child, log.parent)
            if found.ask("systemctl", "is-system-running").stdout.strip() not in ("", "offline", "unknown"):
                return child
        time.sleep(0.1)
    raise ContainerError(f"the container did not start: {log.read_text(errors='replace')[-1500:]}")


def _children(process: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path, nargs="?", default=ROOT / "build/image/amd64/tree")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    try:
        with (
            signals_as_interrupts(),
            tempfile.TemporaryDirectory(prefix="specular-") as folder,
            booted(arguments.tree, Path(folder)) as container,
        ):
            state = container.wait_until_started()
            print(f"container: {state} after {time.monotonic() - began_s:.1f} s")
            failed = container.ask("systemctl", "--failed", "--no-legend", "--plain").stdout.strip()
            in_time = any(container.is_ready_in_time() for _ in range(STARTS_MAX))
            if failed:
                print(f"container: failed units: {failed}")
    except (CannotBuild, ContainerError) as error:
        print(f"container: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0 if in_time and state == "running" else 1


if __name__ == "__main__":
    sys.exit(main())
