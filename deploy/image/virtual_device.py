"""The device and all that is around it: simulated instrument, embedded hospital, cables, key pair, provisioning file.

with virtual_device(image, "amd64", folder) as device:
    device.machine.start()
    device.machine.wait_for_ssh(180)
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.image.machine import GUEST_ADDRESS, HOSPITAL_ADDRESS, SSH_PORT, Forward, MachineSettings, Peer, UsbSerial
from deploy.image.provisioned_disk import provisioned_disk
from deploy.image.vm import VirtualMachine
from firmware_app.demo.processes import Child, running
from hw.sim.optics import UM_PER_PX

HERE = Path(__file__).parent
ROOT = Path(__file__).resolve().parents[2]
DICOM_PORT = 64001  # where the device listens
STAGE_SERIAL, CAMERA_SERIAL = "STAGE-0001", "CAMERA-0001"
FTDI = "0403:6001"  # what QEMU's converter says it is
READY_S = 30.0


@dataclass(frozen=True, slots=True)
class VirtualDevice:
    """`hospital` and `instrument` take their commands on standard input, as their verbs' help says."""

    machine: VirtualMachine
    hospital: Child
    instrument: Child
    configuration: str
    hospital_ports: Mapping[str, Mapping[str, Any]]
    folder: Path


@dataclass(frozen=True, slots=True)
class Options:
    """`provisioned` False: the boot partition has no provisioning file. `camera` "serial" or "vivid"."""

    camera: str = "serial"
    provisioned: bool = True
    memory_mib: int = 768
    instrument: Sequence[str] = ()  # more words for `specular sim`
    files: Mapping[str, bytes] | None = None  # beside, or instead of, what is provisioned


@contextmanager
def virtual_device(
    image: Path, architecture: str, folder: Path, options: Options = Options()
) -> Iterator[VirtualDevice]:
    """`folder` has a short path, and is kept; the machine is not started yet, and is killed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.log").unlink(missing_ok=True)
    key = make_key(folder)
    ssh_port, dicom_port = free_ports(2)
    with ExitStack() as stack:
        hospital_words = ["hospital", "--out", str(folder / "archive"), "--station-port", str(dicom_port)]
        hospital = stack.enter_context(running("hospital", hospital_words, folder))
        sim_words = ["sim", "--link-dir", str(folder), *options.instrument]
        sim_words += ["--no-camera"] * (options.camera != "serial")
        instrument = stack.enter_context(running("instrument", sim_words, folder))
        ports = hospital.first_line(READY_S)
        nodes = {name: ports[name] for name in ("worklist", "archive", "printer")}
        text = configuration(instrument.first_line(READY_S), nodes, options.camera)
        files: dict[str, bytes] = {}
        if options.provisioned:
            files = {"specular.toml": text.encode(), "specular-provision.toml": provisioning(key).encode()}
        disk = provisioned_disk(image, architecture, folder, {**files, **(options.files or {})})
        serials = [UsbSerial("stage", folder / "usb-stage", STAGE_SERIAL)]
        if options.camera == "serial":
            serials.append(UsbSerial("camera", folder / "usb-camera", CAMERA_SERIAL))
        settings = MachineSettings(
            architecture=architecture,
            disk=disk,
            folder=folder,
            forwards=(Forward(ssh_port, SSH_PORT), Forward(dicom_port, DICOM_PORT)),
            peers=tuple(Peer(node["port"], node["port"]) for node in nodes.values()),
            serials=tuple(serials),
            relay=(sys.executable, "-I", str(HERE / "relay.py")),
            memory_mib=options.memory_mib,
        )
        for serial in serials:
            stack.enter_context(cable(folder / serial.name, serial.socket))
        machine = VirtualMachine(settings, key, ssh_port)
        stack.callback(machine.kill)
        yield VirtualDevice(machine, hospital, instrument, text, nodes, folder)


@contextmanager
def cable(link: Path, socket_path: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "deploy.image.cable", str(link.absolute()), str(socket_path.absolute())]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            yield
        finally:
            process.terminate()


def make_key(folder: Path) -> Path:
    key = folder / "id_ed25519"
    if not key.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "run-vm", "-f", str(key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return key


def provisioning(key: Path) -> str:
    """For the machine's network: the hospital's address is the only one in it."""
    public = json.dumps(key.with_suffix(".pub").read_text().strip())
    return f"""\
[ssh]
service_keys = [{public}]
admin_keys = [{public}]

[system]
host_name = "specular-vm"

[network]
interface = "eth0"
address = "{GUEST_ADDRESS}/24"

[configuration]
file = "specular.toml"
"""


def configuration(instrument: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], camera: str) -> str:
    """As a technician would write it for a trial: the instrument is a simulated one, the hospital a test hospital."""
    archive, worklist, printer = (_node(nodes[name]) for name in ("archive", "worklist", "printer"))
    cameras: dict[str, dict[str, object]] = {
        "serial": {"kind": "serial", "port": f"usb:{FTDI}:{CAMERA_SERIAL}", "bits_stored": 8, "um_per_px": UM_PER_PX},
        "vivid": {"kind": "v4l2", "port": "/dev/video0", "bits_stored": 8, "um_per_px": UM_PER_PX},
    }
    tables: dict[str, dict[str, object]] = {
        "instrument": {"institution_name": "Simulated Eye Clinic", "operator": "Demo^Technician", "port": DICOM_PORT},
        "network": {"interface": "eth0", "test_peers": [HOSPITAL_ADDRESS]},
        "worklist": {**worklist, "modality": "OP", "refresh_interval_s": 0},
        "storage": {**archive, "modality": "OP", "retry_first_s": 0.5},
        "patient_query": archive,
        "mpps": worklist,
        "commitment": {**archive, "report_timeout_s": 20},
        "print": {**printer, "layout": "2,1", "orientation": "LANDSCAPE"},
        "stage": {"port": f"usb:{FTDI}:{STAGE_SERIAL}", **instrument["stage_config"]},
        "camera": {**cameras[camera], "simulated": True},
    }
    lines = ['profile = "specular"']
    for name, keys in tables.items():
        # A JSON string, number, list or boolean is the same in TOML (v1.0.0, sections String and Array).
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def _node(node: Mapping[str, Any]) -> dict[str, object]:
    return {"ip_address": HOSPITAL_ADDRESS, "port": node["port"], "ae_title": node["ae_title"]}


def free_ports(count: int) -> list[int]:
    """Of 127.0.0.1, free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
