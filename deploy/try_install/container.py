"""One systemd-nspawn container, booted: commands run in it with nsenter, and it is off when its scope is left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.try_install.debian import CannotTry

BOOT_LIMIT_S = 60.0
COMMAND_LIMIT_S = 240.0
END_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    output: str  # stdout and stderr together


@dataclass(frozen=True, slots=True)
class Container:
    init: int
    boot_s: float
    state: str

    def run(self, command: str, limit_s: float = COMMAND_LIMIT_S) -> Done:
        """A shell command in it."""
        words = ["nsenter", f"--target={self.init}", "--all", "/bin/sh", "-c", command]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return Done(124, f"no end within {limit_s:g} s: {error.output!r}")
        return Done(done.returncode, done.stdout)


@contextmanager
def booted(tree: Path, binds: dict[Path, str]) -> Iterator[Container]:
    """`binds`: folders of the host, read-only, and where they are in the container. Raises `CannotTry`."""
    command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--console=passive"]
    command += [f"--bind-ro={source}:{target}" for source, target in binds.items()]
    with (tree.parent / f"{tree.name}.console").open("wb") as console:
        began_s = time.monotonic()
        try:
            process = subprocess.Popen(
                [*command, f"--directory={tree}", "--boot"], stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )
        except OSError as error:
            raise CannotTry(f"systemd-nspawn: {error.strerror or error}") from error
        try:
            init, state = _wait_until_up(process, began_s)
            yield Container(init, time.monotonic() - began_s, state)
        finally:
            process.terminate()  # SIGTERM: an orderly poweroff
            try:
                process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], began_s: float) -> tuple[int, str]:
    """The process that is the container's first, and in which state it is.

    systemd-nspawn's own first child only makes the container's first process and ends, so it is looked for anew.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    state = ""
    while time.monotonic() < began_s + BOOT_LIMIT_S:
        if process.poll() is not None:
            raise CannotTry(f"systemd-nspawn ended with {process.returncode}")
        for word in children.read_text().split():
            asked = ["nsenter", f"--target={word}", "--all", "systemctl", "is-system-running"]
            state = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
            if state in ("running", "degraded"):
                return int(word), state
        time.sleep(0.1)
    raise CannotTry(f"the container was not up after {BOOT_LIMIT_S:g} s, but {state or 'without an answer'}")
