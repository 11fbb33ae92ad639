"""What hangs is started again: the service by systemd, the machine by its hardware watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable

from deploy.device_test.bench import ANSWER_S, BOOT_S, Bench, device_states, until
from deploy.device_test.stand_in import stand_in
from deploy.image.vm import VirtualMachine

Tell = Callable[[str], None]
WATCHDOG_S = 900.0  # its 20 s are the machine's, which is emulated
IDENTITY = "sudo cat /etc/machine-id /data/ssh/ssh_host_ed25519_key.pub"


def test_a_hung_service_is_started_again_and_its_exam_goes_on(
    bench: Bench, machine: VirtualMachine, tell: Tell
) -> None:
    stand_in(machine)
    bench.configure(bench.configuration)
    with bench.surroundings():
        with bench.console() as console:
            until(lambda: set(device_states(console.run("status")).values()) == {"ready"}, ANSWER_S, "devices ready")
            exam_id = console.run("exam unscheduled HANG-1 Hang^Test")["exam_id"]
            console.run("home")
            console.run("eye R")
            console.run("capture R")
        pid = machine.run("systemctl show -P MainPID specular").strip()
        began_s = time.monotonic()
        machine.run(f"sudo kill -STOP {pid}")
        until(lambda: machine.run("systemctl show -P NRestarts specular").strip() == "1", WATCHDOG_S, "started again")
        killed_s = time.monotonic() - began_s
        until(lambda: machine.ssh("systemctl is-active specular").returncode == 0, ANSWER_S, "active again")
        tell(f"hung: killed and restarted after {killed_s:.1f} s, READY after {time.monotonic() - began_s:.1f} s")
        assert "Watchdog timeout" in machine.run("sudo journalctl -b -u specular --no-pager -o cat")
        with bench.console() as console:
            assert console.run("status")["interrupted_exams"] == [exam_id]
            console.run(f"exam resume {exam_id}")
            assert console.run("exam show")["captured"] == ["R"]
            until(lambda: set(device_states(console.run("status")).values()) == {"ready"}, ANSWER_S, "devices ready")
            assert len(console.run("exam finish")["instances"]) > 0


def test_a_crashed_kernel_is_ended_by_the_hardware_watchdog(bench: Bench, machine: VirtualMachine, tell: Tell) -> None:
    """And the device is the same one after it: machine-id and host key are on its data partition."""
    before = machine.run(IDENTITY)
    machine.run("sudo sysctl -q kernel.panic=0")  # which would restart it by itself
    machine.run("sync; sudo systemd-run --quiet --no-block sh -c 'sleep 1; echo c >/proc/sysrq-trigger'")
    began_s = time.monotonic()
    machine.monitor.wait_for_event(lambda event: event["event"] == "WATCHDOG", WATCHDOG_S)
    machine.monitor.wait_for_event(lambda event: event["event"] == "RESET", WATCHDOG_S)
    reset_s = time.monotonic() - began_s
    machine.wait_for_ssh(BOOT_S)
    assert bench.settle() == "running"
    bench.wait_for_console()
    tell(
        f"kernel crashed: watchdog's reset after {reset_s:.1f} s, READY again after {time.monotonic() - began_s:.1f} s"
    )
    assert machine.run(IDENTITY) == before
