"""The emulated machine that an image is booted in: QEMU without KVM, as its command line has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deploy.image.steps import CannotBuild

MEMORY_MIB = 768
OVMF_CODE = (Path("/usr/share/OVMF/OVMF_CODE_4M.fd"), Path("/usr/share/OVMF/OVMF_CODE.fd"))
OVMF_VARIABLES = (Path("/usr/share/OVMF/OVMF_VARS_4M.fd"), Path("/usr/share/OVMF/OVMF_VARS.fd"))
UBOOT = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
HOSPITAL_ADDRESS = "10.0.2.100"  # in the guest's network: the only peer there is
GUEST_ADDRESS = "10.0.2.15"
SSH_PORT = 22
# Its clock counts its instructions: on a host that is busy with other things it is slow as a whole, and no watchdog of
# it bites because the emulation had to wait. It costs the second processor, and with that half the speed.
INSTRUCTION_CLOCK = ("-icount", "shift=0")
BUSY_HOST_HELP = "the machine's clock counts its instructions: slower, but no watchdog bites because it had to wait"


@dataclass(frozen=True, slots=True)
class UsbSerial:
    """A serial converter that is plugged in as long as somebody is connected to its socket."""

    name: str
    socket: Path
    serial_number: str


@dataclass(frozen=True, slots=True)
class Forward:
    """A port of the guest that can be reached here, on 127.0.0.1 alone."""

    here: int
    guest: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A port of 127.0.0.1 that the guest reaches at the hospital's address."""

    guest: int
    here: int


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """`folder` holds the sockets and logs: its path is short, since a socket's has at most 107 bytes."""

    architecture: str
    disk: Path  # qcow2 or raw
    folder: Path
    forwards: tuple[Forward, ...] = ()
    peers: tuple[Peer, ...] = ()
    serials: tuple[UsbSerial, ...] = ()
    relay: tuple[str, ...] = ()  # the program that joins the guest to a Peer; its port is added
    memory_mib: int = MEMORY_MIB
    watchdog: bool = True
    disk_cache: str = "writeback"  # "unsafe": what the guest flushes is not waited for here
    more: tuple[str, ...] = field(default=())

    @property
    def monitor(self) -> Path:
        return self.folder / "qmp"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"


def command(settings: MachineSettings) -> list[str]:
    """QEMU's command line. Raises `CannotBuild` for firmware that is not here.

    The serial converters' sockets are there, the converters are not: QEMU makes no snapshot of a machine that has some,
    so that they are plugged in when it runs.
    """
    words = _amd64(settings) if settings.architecture == "amd64" else _arm64(settings)
    words += ["-m", str(settings.memory_mib), "-nodefaults", "-display", "none"]
    words += ["-chardev", f"file,id=console,path={settings.console},append=on", "-serial", "chardev:console"]
    words += ["-qmp", f"unix:{settings.monitor},server=on,wait=off"]
    kind = "qcow2" if settings.disk.suffix == ".qcow2" else "raw"
    words += ["-drive", f"file={settings.disk},format={kind},if=none,id=disk,cache={settings.disk_cache},discard=unmap"]
    words += ["-device", "virtio-blk-pci,drive=disk,bootindex=0"]
    words += ["-netdev", _network(settings), "-device", "virtio-net-pci,netdev=net,romfile="]
    words += ["-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb"]
    for serial in settings.serials:
        words += ["-chardev", f"socket,id={serial.name},path={serial.socket},server=on,wait=off"]
    if settings.watchdog:
        words += ["-device", "i6300esb", "-action", "watchdog=reset"]
    return [*words, *settings.more]


def _amd64(settings: MachineSettings) -> list[str]:
    """Nehalem has what numpy needs and, unlike `max`, never faulted under two emulated processors."""
    variables = settings.folder / "uefi-variables.fd"
    if not variables.exists():
        variables.write_bytes(_first(OVMF_VARIABLES, "ovmf").read_bytes())
    code = _first(OVMF_CODE, "ovmf")
    return [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,tb-size=256", "-cpu", "Nehalem,+rdrand", "-smp", "2",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
        # Part of a snapshot only if it is not raw; nothing in it changes after the first start.
        "-drive", f"if=pflash,format=raw,unit=1,readonly=on,file={variables}",
    ]  # fmt: skip


def _arm64(settings: MachineSettings) -> list[str]:
    return [
        "qemu-system-aarch64", "-machine", "virt", "-accel", "tcg,tb-size=256", "-cpu", "cortex-a72", "-smp", "2",
        "-bios", str(_first((UBOOT,), "u-boot-qemu")),
    ]  # fmt: skip


def _first(candidates: tuple[Path, ...], package: str) -> Path:
    for path in candidates:
        if path.exists():
            return path
    raise CannotBuild(f"{candidates[0]} is not here; on Debian: apt install --no-install-recommends {package}")


def _network(settings: MachineSettings) -> str:
    """Nothing but the hospital can be reached, and nothing but what is forwarded reaches the guest."""
    words = ["user", "id=net", "restrict=on", "ipv6=off"]
    words += [f"hostfwd=tcp:127.0.0.1:{forward.here}-{GUEST_ADDRESS}:{forward.guest}" for forward in settings.forwards]
    for peer in settings.peers:
        words.append(f"guestfwd=tcp:{HOSPITAL_ADDRESS}:{peer.guest}-cmd:{' '.join(settings.relay)} {peer.here}")
    return ",".join(words)
