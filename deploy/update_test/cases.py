"""What the product promises of updates, one case each. They go on from one another: the order is part of it."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.device_test.stand_in import stand_in
from deploy.image.qmp import MonitorError
from deploy.image.signing import SigningKeys
from deploy.image.vm import VirtualMachine
from deploy.update_test import releases
from deploy.update_test.device import Device, NotAsPromised, Records
from deploy.update_test.releases import Bundles, damaged

OLDER = "0.0.9"  # than the oldest that the image allows (deploy/image/updates.py)
MIGRATED, BROKEN, NO_INIT, HANGS, DIES = "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0"
EXAM = ("home", "exam unscheduled U1 Kept^Through^Updates", "eye R", "capture R", "exam finish")
COPYING_S = 120.0
FALL_BACK_S = 1800.0
ATTEMPTS = 3
TRIAL = "OnBootUSec=10min"  # specular-trial.timer


@dataclass
class Bench:
    """`machine` runs; `say` prints. `records`: what must still be there after everything."""

    machine: VirtualMachine
    device: Device
    bundles: Bundles
    other_keys: SigningKeys
    say: Callable[[str], None]
    records: Records = field(default_factory=lambda: Records(0, ()))
    first_version: str = ""

    def release(self, version: str, *changes: releases.Change) -> Path:
        return self.bundles.release(version, *changes, say=self.say)

    def expect(self, holds: bool, words: str) -> None:
        """Raises `NotAsPromised`."""
        if not holds:
            raise NotAsPromised(f"{words}; the last update's news: {self.device.news()!r}")

    def carry(self, bundle: Path) -> None:
        took_s = self.device.carry(bundle)
        self.say(f"{bundle.name}: carried to the device ({bundle.stat().st_size / 1e6:.0f} MB) in {took_s:.1f} s")

    def runs(self, slot: str, version: str) -> None:
        found = self.device.running()
        self.expect((found.slot, found.version) == (slot, version), f"not {version} in slot {slot} runs, but {found}")

    def install(self, bundle: Path) -> None:
        began_s = time.monotonic()
        status, words = self.device.install(bundle.name)
        if status:
            raise NotAsPromised(f"{bundle.name} was not installed: {words[-600:]}")
        self.say(f"{bundle.name}: installed in {time.monotonic() - began_s:.1f} s")

    def keeps_the_exam(self, schema: int) -> None:
        wanted = Records(schema, self.records.exams)
        found = self.device.records()
        self.expect(found == wanted, f"the database has {found}, not {wanted}")
        said = self.device.console("exams")
        self.expect(wanted.exams[0] in said, f"the console does not know the exam {wanted.exams[0]}: {said[-300:]}")


def an_exam_before(bench: Bench) -> None:
    """On the release that the device was made with; what its numbers are is nothing to an update."""
    stand_in(bench.machine)
    bench.machine.run("sudo systemctl restart specular")
    bench.device.wait_for_devices()
    bench.device.console(*EXAM)
    bench.records = bench.device.records()
    bench.first_version = bench.device.running().version
    bench.expect(len(bench.records.exams) == 1, f"the database has {bench.records}")
    bench.say(f"an exam is in the database of schema {bench.records.schema}")


def refused(bench: Bench) -> None:
    """Older than allowed, signed by somebody else: nothing is written, not even begun."""
    before = bench.device.running()
    older = bench.bundles.refused(OLDER, bench.bundles.keys, "older")
    foreign = bench.bundles.refused("9.0.0", bench.other_keys, "foreign")
    for bundle, reason in ((older, "version"), (foreign, "signature|certificate")):
        bench.device.copy(bundle)
        began_s = time.monotonic()
        status, words = bench.device.install(bundle.name)
        told = next((line for line in words.splitlines() if line.startswith("LastError:")), words[-300:])
        bench.expect(status != 0, f"{bundle.name} was installed")
        bench.expect(any(word in words.lower() for word in reason.split("|")), f"{bundle.name} was refused for {told}")
        bench.say(f"{bundle.name} was refused in {time.monotonic() - began_s:.1f} s: {told}")
    bench.expect(bench.device.running() == before, f"afterwards {bench.device.running()} instead of {before}")


def damaged_payload(bench: Bench) -> None:
    """Signed, then changed: found while it is copied. The slot that runs is not touched, the other not started."""
    whole = bench.release(MIGRATED, releases.migrates)
    bundle = damaged(whole, whole.with_name("damaged.raucb"))
    bench.carry(bundle)
    bundle.unlink()
    began_s = time.monotonic()
    status, words = bench.device.install("damaged.raucb")
    bench.expect(status != 0, "a damaged bundle was installed")
    found = bench.device.running()
    bench.expect(found.slot == "A" and not found.other_good, f"afterwards {found}")
    told = next((line for line in words.splitlines() if line.startswith("LastError:")), words[-300:])
    bench.say(f"damaged.raucb was refused in {time.monotonic() - began_s:.1f} s: {told}")
    bench.machine.run("rm /data/updates/damaged.raucb")


def interrupted(bench: Bench) -> None:
    """The power goes while the other slot is being written."""
    bundle = bench.bundles.folder / f"{MIGRATED}.raucb"
    bench.carry(bundle)
    began_s = time.monotonic()
    process = bench.device.start_install(bundle.name)
    words = _words_until(process, "Copying image to rootfs", COPYING_S)
    bench.say(f"power cut {time.monotonic() - began_s:.1f} s into the installation, at {words.strip()!r}")
    bench.machine.kill()
    process.wait()
    began_s = time.monotonic()
    bench.machine.start()
    bench.device.wait_until_up()
    bench.device.wait_for_news(rf"installation of {MIGRATED} in slot B was not finished")
    bench.runs("A", bench.first_version)
    bench.keeps_the_exam(bench.records.schema)
    bench.say(f"started again in {time.monotonic() - began_s:.0f} s, and says: {bench.device.news()}")


def _words_until(process: subprocess.Popen[bytes], wanted: str, timeout_s: float) -> str:
    """The line in which `wanted` was said. Raises `NotAsPromised`."""
    assert process.stdout is not None
    give_up_s = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        said = b""
        while wanted.encode() not in said:
            if not selector.select(max(0.0, give_up_s - time.monotonic())):
                raise NotAsPromised(f"{wanted!r} was not said within {timeout_s:.0f} s: {said.decode()[-300:]}")
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise NotAsPromised(f"the installation ended before {wanted!r}: {said.decode()[-300:]}")
            said += chunk
    return next(line for line in said.decode(errors="replace").splitlines() if wanted in line)


def dies(bench: Bench) -> None:
    """A release that cannot start: three attempts, each ended by the kernel; the release before is back by itself."""
    resets = _falls_back(bench, DIES, releases.dies_at_init)
    bench.expect(resets == 0, f"the watchdog ended {resets} starts that the kernel should have ended")


def not_bootable(bench: Bench) -> None:
    """A release without an init: the initramfs waits in a shell until the hardware watchdog bites."""
    _ended_by_the_watchdog(bench, _falls_back(bench, NO_INIT, releases.has_no_init))


def hangs(bench: Bench) -> None:
    """One that neither starts nor fails is ended by the hardware watchdog."""
    _ended_by_the_watchdog(bench, _falls_back(bench, HANGS, releases.hangs_at_init))


def _ended_by_the_watchdog(bench: Bench, resets: int) -> None:
    bench.expect(resets >= ATTEMPTS, f"the watchdog ended {resets} starts, not {ATTEMPTS}")


def _falls_back(bench: Bench, version: str, change: releases.Change) -> int:
    """Returns how often the watchdog bit."""
    before = bench.device.running()
    bundle = bench.release(version, change)
    bench.carry(bundle)
    bundle.unlink()
    bench.install(bundle)
    other = "B" if before.slot == "A" else "A"
    from_start = len(bench.device.starts())
    began_s = time.monotonic()
    bench.device.reboot()
    wanted = [other] * ATTEMPTS + [before.slot]
    while (starts := bench.device.starts()[from_start:]) != wanted:
        if time.monotonic() - began_s > FALL_BACK_S or starts != wanted[: len(starts)]:
            raise NotAsPromised(f"the boot loader started {starts}, not {wanted}")
        time.sleep(1)
    bench.say(f"{version}: {ATTEMPTS} attempts of slot {other} in {time.monotonic() - began_s:.0f} s")
    bench.device.wait_until_up()
    bench.device.wait_for_news(f"fell back from {version} in slot {other}: it did not start")
    bench.runs(before.slot, before.version)
    bench.say(f"{version}: back after {time.monotonic() - began_s:.0f} s, and says: {bench.device.news()}")
    return _watchdog_resets(bench.machine)


def _watchdog_resets(machine: VirtualMachine) -> int:
    """Since events were last cleared."""
    try:
        machine.monitor.execute("query-status")  # what QEMU has told meanwhile is read before the answer
    except MonitorError as error:
        raise NotAsPromised(f"QEMU: {error}") from error
    return sum(event.get("event") == "WATCHDOG" for event in machine.monitor.events)


def migrates_and_crashes(bench: Bench) -> None:
    """It migrates the database and dies, again and again: left in time, and the release before reads what it left."""
    before = bench.device.running()
    bundle = bench.release(BROKEN, releases.migrates, releases.crashes)
    bench.carry(bundle)
    bundle.unlink()
    bench.install(bundle)
    began_s = time.monotonic()
    bench.device.reboot()
    bench.device.wait_until_up()
    bench.say(f"{BROKEN}: answers after {time.monotonic() - began_s:.0f} s, and says: {bench.device.news()}")
    restarts = bench.device.wait_for_restarts(2)
    timer = bench.device.end_of_trial()
    bench.expect("active" in timer.split() and TRIAL in timer, f"the end of the trial is {timer!r}, not {TRIAL}")
    # What the timer starts, without waiting for it.
    bench.machine.monitor.events.clear()
    bench.machine.run("sudo systemctl --no-block start specular-trial.service")
    bench.device.wait_for_reset()
    bench.say(f"{BROKEN}: left after {time.monotonic() - began_s:.0f} s, its service restarted {restarts} times")
    bench.device.wait_until_up()
    bench.device.wait_for_news(f"fell back from {BROKEN} .* did not come into working order in time: specular.service")
    bench.runs(before.slot, before.version)
    bench.keeps_the_exam(bench.records.schema + 1)
    bench.say(f"{BROKEN}: back after {time.monotonic() - began_s:.0f} s, and says: {bench.device.news()}")
    bench.say(f"the exam is in the database of schema {bench.records.schema + 1}, which {before.version} reads")


def kept(bench: Bench) -> None:
    """A good release: on trial, and kept after a minute in working order."""
    before = bench.device.running()
    bundle = bench.release(MIGRATED, releases.migrates)
    bench.carry(bundle)
    bench.install(bundle)
    other = "B" if before.slot == "A" else "A"
    bench.runs(before.slot, before.version)
    began_s = time.monotonic()
    bench.device.reboot()
    up_s = bench.device.wait_until_up()
    bench.runs(other, MIGRATED)
    bench.say(f"{MIGRATED}: answers in slot {other} after {up_s:.0f} s, and says: {bench.device.news()}")
    bench.device.wait_for_news(f"{MIGRATED} in slot {other} is kept")
    found = bench.device.running()
    bench.expect(found.other_good, f"the slot before is not there to go back to: {found}")
    bench.keeps_the_exam(bench.records.schema + 1)
    bench.say(f"{MIGRATED}: kept {time.monotonic() - began_s:.0f} s after the restart, the exam is there")


def back_by_hand(bench: Bench) -> None:
    """As README says: the slot before is made the active one."""
    before = bench.device.running()
    began_s = time.monotonic()
    bench.machine.run("sudo rauc status mark-active other", timeout_s=120)
    bench.device.reboot()
    bench.device.wait_until_up()
    bench.runs("B" if before.slot == "A" else "A", bench.first_version)
    bench.keeps_the_exam(bench.records.schema + 1)
    bench.say(f"back by hand in {time.monotonic() - began_s:.0f} s")


Case = Callable[[Bench], None]
SHORT: tuple[Case, ...] = (an_exam_before, refused, damaged_payload, dies, kept)
LONG: tuple[Case, ...] = (
    an_exam_before, refused, damaged_payload, interrupted, dies, not_bootable, migrates_and_crashes, kept, back_by_hand,
    hangs,
)  # fmt: skip
