"""One device that was booted once: each case begins at its snapshot, with an instrument and a hospital of its own."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from deploy.device_test.console import Console, relayed
from deploy.image.commands import output, run
from deploy.image.layout import partitions
from deploy.image.machine import (
    GUEST_ADDRESS,
    HOSPITAL_ADDRESS,
    INSTRUCTION_CLOCK,
    SSH_PORT,
    Forward,
    MachineSettings,
    Peer,
    UsbSerial,
)
from deploy.image.provisioned_disk import provisioned_disk
from deploy.image.qmp import Monitor
from deploy.image.virtual_device import (
    CAMERA_SERIAL,
    DICOM_PORT,
    STAGE_SERIAL,
    cable,
    configuration,
    free_ports,
    make_key,
    provisioning,
)
from deploy.image.vm import MachineError, VirtualMachine
from firmware_app.demo.processes import Child, running
from hw.sim.settings import SimSettings
from hw.sim.stage_kinds import stage_config

RELAY = Path(__file__).resolve().parents[1] / "image" / "relay.py"
SNAPSHOT = "ready"
KEPT = "bench.json"
# Bounds, not expectations: emulated processors on a host that may be busy with anything.
BOOT_S, ANSWER_S, SURROUNDINGS_S = 1800.0, 900.0, 300.0
BOOTS = 2  # emulation has failed a boot in thirty; a second one is told, and is no secret
NODES = {"worklist": "WORKLIST", "archive": "ARCHIVE", "printer": "PRINTER"}
# Unless told so, the service keeps the last 500 MB for an exam that is open, which is more than there is here.
SMALL_DISK = "\n[retention]\nmin_free_percent = 0\nreserve_mb = 1\n"
GROWTH_BYTES = 256 << 20  # what the disk has beyond the image, for the exams of the cases
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Around:
    """What stands beside the machine in one case; each takes its commands on standard input."""

    hospital: Child
    instrument: Child

    def pull(self, device: str) -> None:
        _type(self.instrument, f"unplug {device}")

    def plug(self, device: str) -> None:
        _type(self.instrument, f"replug {device}")


@dataclass(frozen=True, slots=True)
class Started:
    """What was found when everything had started."""

    state: str  # of systemd
    failed: str  # units
    console: str  # serial
    exposure: str
    ready_s: float  # of the service, from its start


class Kept(msgspec.Struct, frozen=True):
    """A snapshot is of no use without the ports that the machine was given, for another image or another machine."""

    image: str
    ports: tuple[int, ...]
    started: Started


def _type(child: Child, line: str) -> None:
    assert child.process.stdin is not None
    child.process.stdin.write(f"{line}\n".encode())
    child.process.stdin.flush()


class Bench:
    """`folder` has a short path: a socket's has at most 107 bytes."""

    def __init__(
        self, image: Path, folder: Path, tell: Tell, *, provisioned: bool = True, busy_host: bool = False
    ) -> None:
        """Raises `CannotBuild`. `busy_host`: the machine's clock is its own."""
        self.folder, self.tell, self._image, self._busy_host = folder, tell, image, busy_host
        folder.mkdir(parents=True, exist_ok=True)
        self.key = make_key(folder)
        self.started: Started | None = None
        kept = self._kept()
        self.ssh_port, self.dicom_port, *peers = kept.ports if kept else free_ports(2 + len(NODES))
        self.peers = dict(zip(NODES, peers, strict=True))
        self.configuration = configuration(
            {"stage_config": stage_config(SimSettings())},
            {name: {"port": port, "ae_title": NODES[name]} for name, port in self.peers.items()},
            "serial",
        )
        self.configuration += SMALL_DISK
        files = {
            "specular.toml": self.configuration.encode(),
            "specular-provision.toml": provisioning(self.key).encode(),
        }
        self.disk = folder / "disk.qcow2"
        if kept:
            self.started = kept.started
        else:
            size = image.stat().st_size + GROWTH_BYTES
            provisioned_disk(image, "amd64", folder, files if provisioned else {}, size)
        self.settings = self._settings()
        self.machine = VirtualMachine(self.settings, self.key, self.ssh_port, one_login=True)

    def _settings(self) -> MachineSettings:
        return MachineSettings(
            architecture="amd64",
            disk=self.disk,
            folder=self.folder,
            forwards=(Forward(self.ssh_port, SSH_PORT), Forward(self.dicom_port, DICOM_PORT)),
            peers=tuple(Peer(port, port) for port in self.peers.values()),
            serials=(
                UsbSerial("stage", self.folder / "usb-stage", STAGE_SERIAL),
                UsbSerial("camera", self.folder / "usb-camera", CAMERA_SERIAL),
            ),
            relay=(sys.executable, "-I", str(RELAY)),
            # No test outlives this host; and a log of writes has each flush at the moment at which it is asked for.
            disk_cache="unsafe",
            more=INSTRUCTION_CLOCK if self._busy_host else (),
        )

    def _kept(self) -> Kept | None:
        """Of an earlier run in the same folder, with the same image."""
        try:
            kept = msgspec.json.decode((self.folder / KEPT).read_bytes(), type=Kept)
        except FileNotFoundError:
            return None
        return kept if kept.image == self._image_mark() else None

    def _image_mark(self) -> str:
        return f"{self._image} {self._image.stat().st_mtime_ns}{' busy host' * self._busy_host}"

    # ------------------------------------------------------------------------------------------- from power to READY

    def boot(self) -> float:
        """Seconds until everything that starts at power-on has started. Raises `MachineError`."""
        for attempt in range(1, BOOTS + 1):
            began_s = time.monotonic()
            try:
                self.machine.start()
                self.machine.wait_for_ssh(BOOT_S)
                self.settle()
                return time.monotonic() - began_s
            except MachineError as error:
                self.machine.kill()
                self.tell(f"boot {attempt} of {BOOTS} failed: {error}")
        raise MachineError(f"{BOOTS} boots failed")

    def settle(self) -> str:
        """Until systemd has nothing left to start; what it says then. Raises `MachineError`."""
        give_up_s = time.monotonic() + BOOT_S
        while True:
            said = self.machine.ssh("systemctl is-system-running", timeout_s=BOOT_S).stdout.decode().strip()
            if said in ("running", "degraded"):
                return said
            if time.monotonic() > give_up_s:
                raise MachineError(f"not everything has started within {BOOT_S:.0f} s: {said}")
            time.sleep(1.0)

    def start(self) -> Started:
        """From power-on to a snapshot, or what an earlier run found then. Raises `MachineError`."""
        if self.started is None:
            self.tell(f"booted, all units started, after {self.boot():.1f} s")
            self.wait_for_console()
            self.started = self.look()
            self.tell(f"snapshot made in {self.save():.1f} s")
            kept = Kept(self._image_mark(), (self.ssh_port, self.dicom_port, *self.peers.values()), self.started)
            (self.folder / KEPT).write_bytes(msgspec.json.encode(kept))
        return self.started

    def look(self) -> Started:
        """Raises `MachineError`."""
        ask = self.machine.run
        began, ready = (
            int(ask(f"systemctl show -P {name} specular"))
            for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        )
        return Started(
            state=self.settle(),
            failed=ask("systemctl --failed --no-legend --plain").strip(),
            console=self.machine.console_text(),
            exposure=ask("systemd-analyze security --no-pager specular.service | tail -1", timeout_s=ANSWER_S).strip(),
            ready_s=(ready - began) / 1e6,
        )

    def save(self) -> float:
        """What the cases begin with; the machine is off then."""
        took_s = self.machine.save(SNAPSHOT)
        self.machine.kill()
        return took_s

    # ------------------------------------------------------------------------------------------- one case

    @contextmanager
    def case(self, before_it_runs: Callable[[Monitor], None] | None = None) -> Iterator[VirtualMachine]:
        """The machine as it was when it had just started, at today's time, and off afterwards."""
        began_s = time.monotonic()
        self.machine.start(snapshot=SNAPSHOT, before_it_runs=before_it_runs)
        try:
            self.machine.wait_for_ssh(ANSWER_S)
            self.machine.set_clock()
            self.tell(f"snapshot restored, answers after {time.monotonic() - began_s:.1f} s")
            yield self.machine
        finally:
            self.machine.kill()

    @contextmanager
    def surroundings(self, *sim_words: str) -> Iterator[Around]:
        """An instrument on the machine's USB and a hospital as its peer, both new. Raises `DemoFailed`."""
        archive = self.folder / "archive"
        shutil.rmtree(archive, ignore_errors=True)
        ports = [word for name, port in self.peers.items() for word in (f"--{name}-port", str(port))]
        with ExitStack() as stack:
            words = ["hospital", "--out", str(archive), "--station-port", str(self.dicom_port), *ports]
            hospital = stack.enter_context(running("hospital", words, self.folder))
            words = ["sim", "--link-dir", str(self.folder), *sim_words]
            instrument = stack.enter_context(running("instrument", words, self.folder))
            hospital.first_line(SURROUNDINGS_S)
            instrument.first_line(SURROUNDINGS_S)
            for serial in self.settings.serials:
                stack.enter_context(cable(self.folder / serial.name, serial.socket))
            yield Around(hospital, instrument)

    @contextmanager
    def console(self) -> Iterator[Console]:
        """The service's console with its answers as data, through the administrator's SSH."""
        with relayed(self.machine.ssh_command("admin")) as console:
            yield console

    def wait_for_console(self, timeout_s: float = ANSWER_S) -> None:
        """Until the service answers at its console, as the people there see it. Raises `MachineError`."""
        give_up_s = time.monotonic() + timeout_s
        while self.machine.ssh("status", user="service", timeout_s=timeout_s).returncode:
            if time.monotonic() > give_up_s:
                raise MachineError(f"the service does not answer within {timeout_s:.0f} s")

    def configure(self, text: str) -> None:
        """Another configuration, taken as a technician does it: rules first, then the service anew."""
        take = "sudo tee /data/config/specular.toml >/dev/null && sudo systemctl reload specular-rules"
        done = self.machine.ssh(f"{take} && sudo systemctl restart specular", given=text.encode(), timeout_s=ANSWER_S)
        if done.returncode:
            raise MachineError(f"the configuration was not taken: {done.stderr.decode(errors='replace')[-800:]}")

    def forward(self, guest_port: int) -> int:
        """A port of 127.0.0.1 that leads to one of the machine, in this case only."""
        (here,) = free_ports(1)
        self.machine.monitor.human(f"hostfwd_add net tcp:127.0.0.1:{here}-{GUEST_ADDRESS}:{guest_port}")
        return here

    def read(self, name: str) -> bytes:
        """A file of the data partition of the machine, which is off then, without a mount."""
        self.machine.stop(ANSWER_S)
        self.machine.kill()
        raw = self.folder / "read.img"
        run(["qemu-img", "convert", "-O", "raw", self.disk, raw], self.folder / "disk.log")
        start = next(part.start for part in partitions("amd64") if part.name == "data")
        try:
            partition = f"{raw}?offset={start}"
            run(["debugfs", "-w", "-R", "journal_run", partition], self.folder / "disk.log")  # as a mount would
            return output(["debugfs", "-R", f"cat {name}", partition]).encode()
        finally:
            raw.unlink()

    @property
    def nodes(self) -> Mapping[str, tuple[str, int]]:
        return {name: (HOSPITAL_ADDRESS, port) for name, port in self.peers.items()}


def device_states(status: Mapping[str, Any]) -> dict[str, str]:
    return {device["name"]: device["state"] for device in status["devices"]}


def ports_of(status: Mapping[str, Any]) -> dict[str, str]:
    """Device -> its port, of those that are ready."""
    found = {device["name"]: re.search(r"/dev/\w+", device["detail"]) for device in status["devices"]}
    return {name: match[0] for name, match in found.items() if match}


def until(is_so: Callable[[], bool], timeout_s: float, what: str) -> float:
    """Seconds until it was so. Raises `MachineError`."""
    began_s = time.monotonic()
    while not is_so():
        if time.monotonic() > began_s + timeout_s:
            raise MachineError(f"not {what} within {timeout_s:.0f} s")
        time.sleep(0.2)
    return time.monotonic() - began_s
