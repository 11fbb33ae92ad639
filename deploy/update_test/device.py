"""What an administrator does to the device, and what it tells him."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.image.qmp import MonitorError
from deploy.image.vm import SSH_OPTIONS, MachineError, VirtualMachine

INCOMING = "/data/updates"
STICK = "/dev/disk/by-id/usb-QEMU_QEMU_HARDDISK_STICK-0:0"
STATE = "/data/specular"
OS_RELEASE = "/usr/lib/os-release"
# Bounds, not expectations: emulated processors on a host that may be busy with anything.
START_S, INSTALL_S, KEPT_S, COPY_S, ANSWER_S = 1800.0, 1800.0, 1800.0, 900.0, 900.0
# GRUB says it on both of its terminals, which are one line of ours.
STARTED = re.compile(r"specular: starting slot ([AB]),.*")
QUERY = f"""
import json, sqlite3
records = sqlite3.connect("file:{STATE}/records.sqlite3?mode=ro", uri=True)
exams = [row[0] for row in records.execute("SELECT exam_id FROM exams ORDER BY started_at")]
print(json.dumps({{"schema": records.execute("PRAGMA user_version").fetchone()[0], "exams": exams}}))
"""
DEVICES = ("stage", "camera")


class NotAsPromised(Exception):
    """The device did something else than the product promises; the text says what."""


@dataclass(frozen=True, slots=True)
class Running:
    """What runs in the device."""

    slot: str
    version: str
    other_good: bool


@dataclass(frozen=True, slots=True)
class Records:
    """What the database has."""

    schema: int
    exams: tuple[str, ...]


class Device:
    """A booted machine; `admin` and `service` have the same key here."""

    def __init__(self, machine: VirtualMachine) -> None:
        self.machine = machine

    def wait_until_up(self) -> float:
        """Seconds until somebody can log in; the clock is set, which a snapshot or an emulated day may have wrong."""
        took_s = self.machine.wait_for_ssh(START_S)
        self.machine.set_clock()
        return took_s

    def running(self) -> Running:
        said = self.machine.run(f"sudo rauc status --output-format=json; echo; cat {OS_RELEASE}", timeout_s=ANSWER_S)
        status, _, release = said.partition("\n")
        found = json.loads(status)
        slots = {each["bootname"]: each for entry in found["slots"] for each in entry.values() if each["bootname"]}
        others = [each for name, each in slots.items() if name != found["booted"]]
        version = re.search(r'^IMAGE_VERSION="(.+)"$', release, re.MULTILINE)
        return Running(found["booted"], version[1] if version else "?", others[0]["boot_status"] == "good")

    def copy(self, bundle: Path) -> float:
        """By scp, as README says; seconds."""
        began_s = time.monotonic()
        words = ["scp", "-i", str(self.machine.key), "-P", str(self.machine.ssh_port), *SSH_OPTIONS, str(bundle)]
        done = subprocess.run(
            [*words, f"admin@127.0.0.1:{INCOMING}/{bundle.name}"], capture_output=True, timeout=COPY_S, check=False
        )
        if done.returncode:
            raise NotAsPromised(f"scp of {bundle.name}: {done.stderr.decode(errors='replace')[-300:]}")
        return time.monotonic() - began_s

    def carry(self, bundle: Path) -> float:
        """On a USB stick, which is faster than a login emulated: seconds. Raises `NotAsPromised`."""
        began_s = time.monotonic()
        monitor, target = self.machine.monitor, f"{INCOMING}/{bundle.name}"
        file = {"driver": "file", "filename": str(bundle.resolve()), "read-only": True}
        size = bundle.stat().st_size
        try:
            monitor.execute("blockdev-add", **{"driver": "raw", "node-name": "stick", "read-only": True, "file": file})
            monitor.execute("device_add", driver="usb-storage", id="stick", bus="usb.0", drive="stick", serial="STICK")
            wait = f"until [ -b {STICK} ]; do sleep 1; done"
            self.machine.run(f"{wait}; sudo head -c {size} {STICK} >{target} && sync {target}", timeout_s=COPY_S)
            monitor.events.clear()
            monitor.execute("device_del", id="stick")
            monitor.wait_for_event(lambda event: event.get("event") == "DEVICE_DELETED", ANSWER_S)
            monitor.execute("blockdev-del", **{"node-name": "stick"})
        except MonitorError as error:
            raise NotAsPromised(f"{bundle.name} on a USB stick: {error}") from error
        return time.monotonic() - began_s

    def install(self, name: str) -> tuple[int, str]:
        """Status and words of `rauc install`."""
        done = self.machine.ssh(f"sudo rauc install {INCOMING}/{name} 2>&1", timeout_s=INSTALL_S)
        return done.returncode, done.stdout.decode(errors="replace")

    def start_install(self, name: str) -> subprocess.Popen[bytes]:
        words = [*self.machine.ssh_command("admin"), f"sudo rauc install {INCOMING}/{name}"]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def reboot(self) -> None:
        """Returns when the machine was reset. Raises `NotAsPromised`."""
        self.machine.monitor.events.clear()
        self.machine.ssh("sudo systemctl reboot", timeout_s=60)
        self.wait_for_reset()

    def wait_for_reset(self) -> None:
        """Raises `NotAsPromised`."""
        try:
            self.machine.monitor.wait_for_event(lambda event: event.get("event") == "RESET", START_S)
        except MonitorError as error:
            raise NotAsPromised(f"the machine was not started again: {error}") from error

    def starts(self) -> list[str]:
        """The slots that the boot loader has started since QEMU was."""
        return STARTED.findall(self.machine.console_text())

    def news(self) -> str:
        """Of the last update, as the console shows it at each start."""
        return self.machine.run("cat /data/update/news 2>/dev/null || true", timeout_s=ANSWER_S).strip()

    def wait_for_news(self, pattern: str) -> None:
        """Said on the serial console, where waiting costs the device nothing, and kept. Raises `NotAsPromised`."""
        try:
            self.machine.wait_for_console(pattern, KEPT_S)
        except MachineError as error:
            raise NotAsPromised(str(error)) from error
        if not re.search(pattern, self.news()):
            raise NotAsPromised(f"the device says {pattern!r} on its console, but keeps {self.news()!r}")

    def wait_for_restarts(self, count: int) -> int:
        """Of the service since the start. Raises `NotAsPromised`."""
        give_up_s = time.monotonic() + KEPT_S
        while (
            found := int(
                self.machine.run("systemctl show specular.service --property=NRestarts --value", timeout_s=ANSWER_S)
            )
        ) < count:
            if time.monotonic() > give_up_s:
                raise NotAsPromised(f"the service was restarted {found} times, not {count}")
            time.sleep(1)
        return found

    def end_of_trial(self) -> str:
        """As systemd has it scheduled: "active" and after which time."""
        asked = "systemctl show specular-trial.timer --property=ActiveState,TimersMonotonic --value"
        return " ".join(self.machine.run(asked, timeout_s=ANSWER_S).split())

    def console(self, *lines: str) -> str:
        """What `service` types. Raises `MachineError`."""
        done = self.machine.ssh([], user="service", given="\n".join([*lines, ""]).encode(), timeout_s=ANSWER_S)
        if done.returncode:
            text = (done.stdout + done.stderr).decode(errors="replace")
            raise MachineError(f"{'; '.join(lines)}: {done.returncode}: {text[-600:]}")
        return done.stdout.decode(errors="replace")

    def wait_for_devices(self) -> None:
        """Until stage and camera are plugged in and ready. Raises `NotAsPromised`."""
        give_up_s = time.monotonic() + START_S
        while self.console("status").count(" ready") < len(DEVICES):
            if time.monotonic() > give_up_s:
                raise NotAsPromised(f"{' and '.join(DEVICES)} are not ready: {self.console('status')}")
            time.sleep(2)

    def records(self) -> Records:
        """Read beside the service."""
        found = json.loads(self.machine.run(f"sudo python3 -c {shlex.quote(QUERY)}", timeout_s=ANSWER_S))
        return Records(found["schema"], tuple(found["exams"]))
