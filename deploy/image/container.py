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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.image.commands import environment, need
from deploy.image.steps import CannotBuild
from firmware_app.device.provisioning_files import take

ROOT = Path(__file__).resolve().parents[2]
READY_MAX_S = 3.0  # of the issue: from the service's start to its READY
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
            process.wait(20)
        except subprocess.TimeoutExpired:
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
            tempfile.TemporaryDirectory(prefix="specular-") as folder,
            booted(arguments.tree, Path(folder)) as container,
        ):
            state = container.wait_until_started()
            print(f"container: {state} after {time.monotonic() - began_s:.1f} s")
            failed = container.ask("systemctl", "--failed", "--no-legend", "--plain").stdout.strip()
            ready_s = container.ready_after_s()
            print(f"container: specular.service READY after {ready_s:.2f} s (at most {READY_MAX_S:g})")
            if failed:
                print(f"container: failed units: {failed}")
    except (CannotBuild, ContainerError) as error:
        print(f"container: {error}", file=sys.stderr)
        return 1
    return 0 if ready_s <= READY_MAX_S and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
