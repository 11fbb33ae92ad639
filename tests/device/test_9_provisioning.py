"""A device that nobody has provisioned, and one whose file cannot be taken."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.device_test.bench import BOOT_S, Bench, Started
from deploy.image.vm import VirtualMachine

Tell = Callable[[str], None]
BOOT_PARTITION = "/boot"
DAMAGED = """\
again = true
[ssh]
admin_keys = ["ssh-ed25519 AAAA mine"]
[network]
interface = "eth0"
adress = "10.0.2.15/24"
[configuration]
text = "profile = 'specular'"
"""


@pytest.fixture
def new_device(image: Path, short_folder: Path, busy_host: bool, tell: Tell) -> Iterator[Bench]:
    bench = Bench(image, short_folder / "new", tell, provisioned=False, busy_host=busy_host)
    try:
        yield bench
    finally:
        bench.machine.kill()


def test_without_a_file_it_starts_lets_nobody_in_and_says_what_is_missing(
    new_device: Bench, started: Started, tell: Tell
) -> None:
    began_s = time.monotonic()
    machine = new_device.machine
    machine.start()
    machine.wait_for_console(r"MISSING: specular-provision\.toml on the boot partition is not there", BOOT_S)
    machine.wait_for_console(r"open ports: none", BOOT_S)
    host_key = machine.wait_for_console(r"host key: (ssh-ed25519 \S+)", BOOT_S)[1]
    tell(f"not provisioned: says so after {time.monotonic() - began_s:.1f} s")
    assert "no network login, no examination" in machine.console_text()
    with suppress(OSError), socket.create_connection(("127.0.0.1", new_device.ssh_port), timeout=5) as connection:
        assert connection.recv(64) == b"", "nobody is let in"
    ours = re.search(r"host key: (ssh-ed25519 \S+)", started.console)
    assert ours is not None and ours[1] != host_key, "every device has its own"
    identity = new_device.read("machine-id")
    assert re.fullmatch(rb"[0-9a-f]{32}\n?", identity)
    tell("its host key is another than the first device's")


def test_a_damaged_file_is_told_by_its_keys_and_nothing_of_it_is_taken(machine: VirtualMachine) -> None:
    before = machine.run("sudo cat /data/config/system.toml /data/config/ssh/admin")
    machine.run(f"sudo mount -o remount,rw {BOOT_PARTITION}; sudo rm -f /data/config/provisioned")
    machine.ssh(f"sudo tee {BOOT_PARTITION}/specular-provision.toml >/dev/null", given=DAMAGED.encode())
    machine.ssh("sudo systemctl restart specular-provision", timeout_s=BOOT_S)
    machine.wait_for_console(r"specular-provision\.toml: .*adress", BOOT_S)
    assert machine.run("sudo cat /data/config/system.toml /data/config/ssh/admin") == before
