"""A booted image: start, wait, log in, snapshot, stop. What the tests of the device are made of."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.image.commands import environment
from deploy.image.machine import MachineSettings, UsbSerial, command
from deploy.image.qmp import Monitor, MonitorError

POLL_S = 0.2
COMMAND_S = 600.0  # a bound, not an expectation: emulated processors on a host that may be busy with anything
SSH_OPTIONS = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=120")  # fmt: skip
TERMINAL = re.compile(r"\x1b\[[0-9;?!]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[78=>c]|\r")


class MachineError(Exception):
    """The machine did not do what was waited for; the text has the last lines of its console."""


def turned_away(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Before anything was asked for: sshd does so for a while with an address whose logins were broken off or refused
    (PerSourcePenalties, sshd_config(5)), and every client of a virtual machine has the same one."""
    return done.returncode == 255 and b"kex_exchange_identification: Connection closed" in done.stderr


class VirtualMachine:
    """One QEMU process. `key` is the private key that its users know.

    `one_login`: the administrator's commands share a connection (an emulated login takes seconds). Who restarts the
    machine under it then calls `wait_for_ssh` before the next one.
    """

    def __init__(self, settings: MachineSettings, key: Path, ssh_port: int, *, one_login: bool = False) -> None:
        self.settings, self.key, self.ssh_port, self.one_login = settings, key, ssh_port, one_login
        self.monitor = Monitor(settings.monitor)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = settings.folder / "qemu.log"
        self._console_from = 0

    def start(self, *, snapshot: str = "", before_it_runs: Callable[[Monitor], None] | None = None) -> None:
        """Raises `MachineError` if QEMU does not come up. `snapshot`: from there instead of from the disk."""
        self.settings.monitor.unlink(missing_ok=True)
        self._console_from = len(self._console_octets())
        words = command(self.settings) + (["-loadvm", snapshot] if snapshot else [])
        words += ["-S"] if before_it_runs else []
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment()
            )
        self.monitor = Monitor(self.settings.monitor)
        try:
            self.monitor.connect(30.0)
        except MonitorError as error:
            self.kill()
            raise MachineError(f"QEMU: {error}: {self._errors.read_text(errors='replace')[-500:]}") from error

        if before_it_runs:
            before_it_runs(self.monitor)
            self.monitor.execute("cont")
        for serial in self.settings.serials:
            self.plug_in(serial)

    def plug_in(self, serial: UsbSerial) -> None:
        """The converter; what is at its socket's other end has a plug of its own."""
        self.monitor.execute(
            "device_add",
            driver="usb-serial",
            bus="usb.0",
            id=f"usb-{serial.name}",
            chardev=serial.name,
            serial=serial.serial_number,
        )

    def unplug(self, serial: UsbSerial) -> None:
        name = f"usb-{serial.name}"
        self.monitor.execute("device_del", id=name)
        self.monitor.wait_for_event(
            lambda event: event["event"] == "DEVICE_DELETED" and event["data"].get("device") == name, 30.0
        )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def console_text(self) -> str:
        """What it has said on its serial console since `start`, without a terminal's orders."""
        return TERMINAL.sub("", self._console_octets()[self._console_from :].decode(errors="replace"))

    def wait_for_console(self, pattern: str, timeout_s: float) -> re.Match[str]:
        """Raises `MachineError`."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            found = re.search(pattern, self.console_text())
            if found:
                return found
            self._still(give_up_s, f"{pattern!r} is not on the console after {timeout_s:.0f} s")

    def ssh(
        self, line: str | Sequence[str], *, user: str = "admin", given: bytes = b"", timeout_s: float = COMMAND_S
    ) -> subprocess.CompletedProcess[bytes]:
        """A command in the machine, or the console with user="service". Nothing is raised for its exit status."""
        words = [line] if isinstance(line, str) else list(line)
        give_up_s = time.monotonic() + timeout_s
        while True:
            done = subprocess.run(
                [*self.ssh_command(user), *words], input=given, capture_output=True, timeout=timeout_s, check=False
            )
            if not turned_away(done) or not self.is_running or time.monotonic() > give_up_s:
                return done
            time.sleep(1.0)

    def ssh_command(self, user: str) -> list[str]:
        shared = ["-o", f"ControlPath={self._login}"] if self.one_login and user == "admin" else []
        return ["ssh", "-i", str(self.key), "-p", str(self.ssh_port), *SSH_OPTIONS, *shared, f"{user}@127.0.0.1"]

    @property
    def _login(self) -> Path:
        return self.settings.folder / "login"

    def _log_in(self) -> bool:
        """A connection that stays, for the commands to come."""
        *words, where = self.ssh_command("admin")
        nothing = subprocess.DEVNULL
        command = [*words, "-M", "-N", "-f", where]
        return subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, check=False).returncode == 0

    def _log_out(self) -> None:
        if self._login.exists():
            *words, where = self.ssh_command("admin")
            subprocess.run([*words, "-O", "exit", where], capture_output=True, check=False)
            self._login.unlink(missing_ok=True)

    def run(self, line: str, *, timeout_s: float = COMMAND_S) -> str:
        """A command of the administrator that must succeed; what it printed. Raises `MachineError`."""
        done = self.ssh(line, timeout_s=timeout_s)
        if done.returncode:
            raise MachineError(f"{line!r} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-800:]}")
        return done.stdout.decode(errors="replace")

    def wait_for_ssh(self, timeout_s: float) -> float:
        """Seconds until a login succeeded. Raises `MachineError`."""
        began_s = time.monotonic()
        self._log_out()
        while True:
            succeeded = self._log_in() if self.one_login else self.ssh("true", timeout_s=timeout_s).returncode == 0
            if succeeded:
                return time.monotonic() - began_s
            self._still(began_s + timeout_s, f"no login over SSH within {timeout_s:.0f} s")

    def save(self, name: str) -> float:
        """A snapshot in the qcow2 disk, without converters and logins; seconds it took. The machine goes on."""
        self._log_out()
        for serial in self.settings.serials:
            self.unplug(serial)
        began_s = time.monotonic()
        self.monitor.human(f"savevm {name}")
        took_s = time.monotonic() - began_s
        for serial in self.settings.serials:
            self.plug_in(serial)
        return took_s

    def set_clock(self) -> None:
        """After a snapshot the guest's clock is that of the snapshot; ours is right."""
        self.run(f"sudo date --set=@{time.time():.3f} >/dev/null")

    def stop(self, timeout_s: float = 120.0) -> None:
        """By the power button; by force if that takes too long."""
        if self._process is None or not self.is_running:
            return
        self.monitor.execute("system_powerdown")
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """As a power cut."""
        self._log_out()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.monitor.close()

    def _console_octets(self) -> bytes:
        try:
            return self.settings.console.read_bytes()
        except FileNotFoundError:
            return b""

    def _still(self, give_up_s: float, words: str) -> None:
        if not self.is_running:
            raise MachineError(f"QEMU has ended: {self._errors.read_text(errors='replace')[-500:]}")
        if time.monotonic() > give_up_s:
            last = "\n    ".join(self.console_text().splitlines()[-15:])
            raise MachineError(f"{words}; its console's end:\n    {last}")
        time.sleep(POLL_S)
