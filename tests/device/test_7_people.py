"""Who may come over SSH, and to what; and what of the machine is written down of it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.device_test.bench import ANSWER_S, Bench
from deploy.image.vm import VirtualMachine, turned_away

Tell = Callable[[str], None]


def attempt(machine: VirtualMachine, user: str, *words: str, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """Asked again as long as sshd turns this address away for what was refused before."""
    command = machine.ssh_command(user)
    while True:
        done = subprocess.run(
            [*command[:-1], *options, command[-1], *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_S,
        )
        if not turned_away(done):
            return done.returncode, (done.stdout + done.stderr).decode(errors="replace")
        time.sleep(1.0)


def test_keys_only_and_never_root(machine: VirtualMachine) -> None:
    for user in ("root", "specular", "nobody"):
        status, said = attempt(machine, user, "true")
        assert status == 255 and "Permission denied (publickey)" in said, user
    for user in ("service", "admin"):
        options = ("-o", "PreferredAuthentications=password,keyboard-interactive", "-o", "PubkeyAuthentication=no")
        status, said = attempt(machine, user, "true", options=options)
        assert status == 255 and "Permission denied (publickey)" in said, user
    locked = machine.run("sudo cut -d: -f1,2 /etc/shadow")
    assert all(line.partition(":")[2].startswith(("!", "*")) for line in locked.splitlines()), "no password anywhere"


SHELL_TRICKS = ("id", "/bin/sh", "status; id", "scp -t /tmp", "/usr/lib/openssh/sftp-server", "$(id)")


def test_service_has_the_console_and_nothing_else(machine: VirtualMachine) -> None:
    status, said = attempt(machine, "service", "status")
    assert status == 0 and "own port" in said
    for trick in SHELL_TRICKS:
        status, said = attempt(machine, "service", trick)
        assert status != 0 and "uid=" not in said, trick
    for options in (("-W", "127.0.0.1:22"), ("-N", "-L", "127.0.0.1:0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes")):
        try:
            status, said = attempt(machine, "service", options=options)
        except subprocess.TimeoutExpired:
            continue  # -N with a local port waits for somebody to use it: that is refused then
        assert status != 0 and "SSH-2.0" not in said, options


def test_no_files_go_over_ssh_to_service(bench: Bench, machine: VirtualMachine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    command = machine.ssh_command("service")
    options = [word for word in command[1:-1] if word not in ("-p", str(bench.ssh_port))]
    done = subprocess.run(
        ["scp", "-P", str(bench.ssh_port), *options, str(tmp_path / "file"), f"{command[-1]}:/tmp/file"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=ANSWER_S,
    )
    assert done.returncode != 0
    assert machine.ssh("test -e /tmp/file").returncode != 0


def test_admin_has_a_shell_and_may_become_root(machine: VirtualMachine) -> None:
    assert machine.run("id -un; sudo id -un").split() == ["admin", "root"]


def test_sessions_are_in_the_audit_trail_with_their_address(machine: VirtualMachine, tell: Tell) -> None:
    machine.ssh("status", user="service")
    found: set[str] = set()
    for _ in range(20):  # the service takes the notes up every few seconds
        trail = machine.run("sudo cat /var/lib/specular/audit/*")
        found = {user for user in ("service", "admin") if re.search(rf'UserID=\\?"{user}\\?"', trail)}
        if found == {"service", "admin"} and re.search(r'NetworkAccessPointID=\\?"10\.0\.2\.2\\?"', trail):
            tell("audit trail: sessions of service and admin from 10.0.2.2")
            return
    pytest.fail(f"in the audit trail are the sessions of {found}")
