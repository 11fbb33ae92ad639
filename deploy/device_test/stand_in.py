"""The device's service without what takes emulated processors a minute for each picture: numbers made on the host."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from deploy.image.vm import MachineError, VirtualMachine
from firmware_app.endothelium.measure import measure
from hw.sim.mosaic import Window, build_mosaic
from hw.sim.optics import COLUMNS, ROWS, UM_PER_PX

SERVICE = Path(__file__).resolve().parents[2] / "tests" / "stand_in_service.py"
PLACE = "/run/specular-stand-in"
DROP_IN = "/run/systemd/system/specular.service.d/60-stand-in.conf"
COUNT, SEED, BORDER_UM, BITS = 2, 6, 1.5, 8


def stand_in(machine: VirtualMachine, synchronous: str = "FULL") -> None:
    """From its next start on: the same unit, with tests/stand_in_service.py as its program. Raises `MachineError`."""
    lines = f"[Service]\nExecStart=\nExecStart=/opt/specular/bin/python3 -I {PLACE}/stand_in_service.py {synchronous} "
    lines += f"{PLACE}/measured.pickle run --config /etc/specular/specular.toml\n"
    files = {f"{PLACE}/stand_in_service.py": SERVICE.read_bytes(), f"{PLACE}/measured.pickle": measurements(),
             DROP_IN: lines.encode()}  # fmt: skip
    machine.run(f"sudo mkdir -p {PLACE} {DROP_IN.rpartition('/')[0]}")
    for name, content in files.items():
        done = machine.ssh(f"sudo tee {name} >/dev/null", given=content)
        if done.returncode:
            raise MachineError(f"{name} cannot be written: {done.stderr.decode(errors='replace')}")
    machine.run("sudo systemctl daemon-reload")


def measurements() -> bytes:
    """Of places of one rendered cornea; pickled."""
    cornea = build_mosaic(SEED)
    found = []
    for number in range(COUNT):
        window = Window(number * 200 * UM_PER_PX, 0.0, ROWS, COLUMNS, UM_PER_PX)
        pixels = (60 + 130 * (1 - np.exp(-cornea.border_distance_um(window) / BORDER_UM))).astype(np.uint8)
        found.append(measure(pixels, BITS, UM_PER_PX))
    return pickle.dumps(found)
