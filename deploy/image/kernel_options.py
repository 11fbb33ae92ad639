"""What both boot loaders tell the kernel beside root and slot."""

from __future__ import annotations

from deploy.image.architecture import Architecture

COMMON = (
    "systemd.volatile=state",  # /var is a tmpfs; what lasts is on the data partition
    "net.ifnames=0",  # a device with one network interface: it is eth0, whatever the slot it is plugged into
    "ipv6.disable=1",
    "gpt",  # a power cut while the table grows may tear the first copy: then the one at the disk's end counts
    "panic=10",  # the initramfs, too, then restarts instead of waiting in a shell
    "systemd.gpt_auto=0",
    "quiet",
    "systemd.show_status=yes",
    "loglevel=4",
)


def kernel_options(architecture: Architecture) -> str:
    screen = ("console=tty0",) if architecture.debian == "amd64" else ()
    return " ".join([*screen, f"console={architecture.console},115200", *COMMON])
