"""Verification (PS3.4 Annex A)."""

from __future__ import annotations

from pynetdicom import evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from firmware_app.demo.scp import UNCOMPRESSED, Report, Service, association

SUCCESS = 0x0000


def verification(report: Report) -> Service:
    def on_echo(event: evt.Event) -> int:
        report("echo", **association(event))
        return SUCCESS

    return Service({Verification: UNCOMPRESSED}, {evt.EVT_C_ECHO: on_echo})
