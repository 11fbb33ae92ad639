"""udev rules for devices that the configuration names by their USB identity.

They come after those for known identities (systemd/udev): the name and the service's group then go to that device and
to no other, also where stage and camera have the same converter.
"""

from __future__ import annotations

from collections.abc import Iterator

from firmware_app.config import Config
from firmware_app.device.openings import SERVICE_USER
from firmware_app.device.unit_limits import HEADER
from hw.usb_identity import UsbIdentity, parse_identity

STAGE, CAMERA = "specular-stage", "specular-camera"


def names_file(config: Config) -> str:
    """The rules file; without a rule where nothing is named by identity."""
    lines = [HEADER.rstrip("\n"), 'ACTION=="remove", GOTO="specular_configured_end"']
    if config.stage is not None:
        lines += _rules("tty", config.stage.port, STAGE)
    if config.camera is not None:
        subsystem = "video4linux" if config.camera.kind == "v4l2" else "tty"
        lines += _rules(subsystem, config.camera.port, CAMERA)
    return "\n".join([*lines, 'LABEL="specular_configured_end"', ""])


def _rules(subsystem: str, port: str, name: str) -> Iterator[str]:
    identity = parse_identity(port)
    if identity is None:
        return
    of_class, is_it = f'SUBSYSTEM=="{subsystem}"', f"ENV{{SPECULAR_{name.removeprefix('specular-').upper()}}}"
    yield ", ".join([of_class, f'SYMLINK-="{name}"'])
    yield ", ".join([of_class, *_device(subsystem, identity), f'{is_it}="1"'])
    # What one rule asks of parents it asks of one and the same: the interface, a parent of its own, has its own rule.
    interface = [f'KERNELS=="{identity.location}"'] if ":" in identity.location else []
    yield ", ".join([f'{is_it}=="1"', *interface, f'GROUP="{SERVICE_USER}"', 'MODE="0660"', f'SYMLINK+="{name}"'])


def _device(subsystem: str, identity: UsbIdentity) -> Iterator[str]:
    yield f'ATTRS{{idVendor}}=="{identity.vendor:04x}"'
    yield f'ATTRS{{idProduct}}=="{identity.product:04x}"'
    if identity.serial:
        yield f'ATTRS{{serial}}=="{_literal(identity.serial)}"'
    if identity.location:
        yield f'KERNELS=="{identity.location.partition(":")[0]}"'
    if subsystem == "video4linux":
        yield 'ATTR{index}=="0"'


def _literal(text: str) -> str:
    """For ==, which reads shell patterns; a quote would end the value."""
    return "".join(f"[{each}]" if each in "*?[" else "?" if each in '"\\|' else each for each in text)
