"""Whether the TLS files have expired, or soon will: told at the start and once a day, as long as it is so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import trio

from firmware_app.config import Config
from firmware_app.config.tls_files import expiry_findings
from firmware_app.model import Event
from firmware_app.progress import idle

# A clinic's authority takes a week or two to issue a new one.
NOTICE = timedelta(days=30)
LOOK_S = 86400.0


async def watch_certificates(config: Config, now: Callable[[], datetime], publish: Callable[[Event], None]) -> None:
    while True:
        for finding in expiry_findings(config, now(), NOTICE):
            publish(Event("certificate.expiry", f"{finding.key}: {finding.text}", {"key": finding.key}, "warning"))
        with idle("the next day"):
            await trio.sleep(LOOK_S)
