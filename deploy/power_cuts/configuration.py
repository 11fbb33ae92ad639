"""The service's configuration in the machine: an ordinary file whose devices and peers are simulated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PICTURES = "/pictures"  # what the camera plays
MEASURED = "/measured.pickle"  # what the analysis says of them
RUNTIME = Path("/tmp/around/run")
UM_PER_PX = 0.85


def configuration_text(
    state: Path, port: int, instrument: Mapping[str, Any], hospital: Mapping[str, Mapping[str, Any]]
) -> str:
    """`instrument` and `hospital` are the ready lines of simulator and hospital; the service listens on `port`.

    The camera is a folder: emulated processors are too slow to render an eye for each frame.
    """
    archive, information_system = _node(hospital["archive"]), _node(hospital["worklist"])
    tables: dict[str, dict[str, object]] = {
        "instrument": {"operator": "Power^Cut", "port": port},
        "network": {"interface": "lo"},
        "storage": {**archive, "modality": "OP", "retry_first_s": 0.5},
        "commitment": archive,
        "mpps": information_system,
        "stage": {"port": instrument["stage"], **instrument["stage_config"]},
        "camera": {"kind": "folder", "port": PICTURES, "simulated": True, "um_per_px": UM_PER_PX},
        "capture": {"burst": 2},
        "retention": {"min_free_percent": 0, "reserve_mb": 1},  # the disk has a hundred MB
        "paths": {"state": str(state), "runtime": str(RUNTIME)},
    }
    lines = ['profile = "specular"']
    for name, keys in tables.items():
        # A JSON string, number, list or boolean is the same in TOML (v1.0.0, sections String and Array).
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def _node(address: Mapping[str, Any]) -> dict[str, object]:
    return {"ip_address": address["ip"], "port": address["port"], "ae_title": address["ae_title"]}
