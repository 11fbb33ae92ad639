"""The demo's configuration: an ordinary file of the service, as a technician would write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.sim.optics import UM_PER_PX


@dataclass(frozen=True, slots=True)
class DemoPaths:
    """Everything one demo writes. `runtime` is short: the path of a Unix socket has at most 107 bytes."""

    out: Path
    runtime: Path

    @property
    def configuration(self) -> Path:
        return self.out / "specular.toml"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    @property
    def archive(self) -> Path:
        return self.out / "archive"

    @property
    def state(self) -> Path:
        return self.out / "state"

    @property
    def films(self) -> Path:
        return self.out / "films"

    @property
    def instances(self) -> Path:
        return self.out / "instances"

    @property
    def console(self) -> Path:
        return self.runtime / "console.sock"


def configuration_text(
    paths: DemoPaths, instrument: Mapping[str, Any], hospital: Mapping[str, Mapping[str, Any]], port: int
) -> str:
    """The file's text. `instrument` and `hospital` are their ready lines; `port` is where the service listens."""
    worklist, archive, printer = hospital["worklist"], hospital["archive"], hospital["printer"]
    return f"""\
# Written by `specular demo`: an ordinary configuration whose peers and devices happen to be simulated.
# Try it by hand with `specular demo --keep`. What is not here has its default; `specular check-config` checks it.
profile = "specular"

[instrument]
institution_name = "Simulated Eye Clinic"
station_name = "SPECULAR-DEMO"
device_serial_number = "SIMULATED"
operator = "Demo^Technician"
port = {_value(port)}                         # the archive reports on commitment here

[network]
interface = "lo"                    # a simulated instrument sends to nobody but this machine

[worklist]                          # the embedded hospital's information system
{_node(worklist)}
scheduled_station_ae_title = "TP_AM_SP1P_001"
modality = "OP"
refresh_interval_s = 0              # only when asked

[storage]                           # the embedded hospital's archive
{_node(archive)}
modality = "OP"
transfer_syntax = "explicit-vr-little-endian"
retry_first_s = 0.5

[patient_query]                     # the archive again
{_node(archive)}

[mpps]                              # the information system again
{_node(worklist)}

[commitment]                        # the archive again
{_node(archive)}
report_timeout_s = 20

[print]                             # the embedded hospital's printer
{_node(printer)}
layout = "2,1"                      # both eyes on one film
orientation = "LANDSCAPE"

[stage]
port = {_value(instrument["stage"])}
{_table(instrument["stage_config"])}

[camera]
port = {_value(instrument["camera"])}
kind = "serial"
simulated = true
bits_stored = 8
um_per_px = {_value(UM_PER_PX)}                   # on the cornea; a real instrument is calibrated for it

[retention]
min_free_percent = 0                # what you look at afterwards stays, on a disk that is nearly full as well

[paths]
state = {_value(str(paths.state))}
runtime = {_value(str(paths.runtime))}
"""


def _node(address: Mapping[str, Any]) -> str:
    return _table({"ip_address": address["ip"], "port": address["port"], "ae_title": address["ae_title"]})


def _table(keys: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {_value(value)}" for key, value in keys.items())


def _value(value: object) -> str:
    # A JSON string, number, list or boolean is the same in TOML (v1.0.0, sections String and Array).
    return json.dumps(value, ensure_ascii=False)
