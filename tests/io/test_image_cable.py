"""The cable between a simulated device's pty and a virtual machine's converter: plugged in, pulled, plugged in."""

from __future__ import annotations

import os
import pty
import socket
import tty
from pathlib import Path

from deploy.image.virtual_device import cable

PATIENCE_S = 30.0


def test_pulled_and_plugged_in_again(tmp_path: Path) -> None:
    link, path = tmp_path / "stage", tmp_path / "converter"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as machine:
        machine.bind(str(path))
        machine.listen()
        machine.settimeout(PATIENCE_S)
        with cable(link, path):
            for octets in (b"first", b"second"):
                device, held = pty.openpty()
                tty.setraw(held)
                link.symlink_to(os.ttyname(held))
                converter, _ = machine.accept()
                with converter:
                    converter.settimeout(PATIENCE_S)
                    os.write(device, octets)
                    assert converter.recv(100) == octets
                    converter.sendall(octets[::-1])
                    assert os.read(device, 100) == octets[::-1]
                    link.unlink()
                    os.close(held)
                    os.close(device)
                    assert converter.recv(100) == b"", "the cable is pulled when the device is gone"
