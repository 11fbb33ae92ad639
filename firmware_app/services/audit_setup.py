"""The audit trail of a configuration: where it is kept, who reports, and who receives it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from firmware_app.audit.builders import Peer, Us
from firmware_app.audit.messages import AuditSource
from firmware_app.audit.syslog import Sender
from firmware_app.config import Config
from firmware_app.model import Event
from firmware_app.records.audit_trail import AuditTrail
from firmware_app.records.store import Records
from firmware_app.services.audit import AuditService, process_id, trail_folder
from firmware_app.services.audit_sending import AuditSending
from firmware_app.services.backoff import BackoffPolicy
from firmware_app.services.peers import syslog_node


def audit_of(
    config: Config, records: Records, address: str, publish: Callable[[Event], None], now: Callable[[], datetime]
) -> tuple[AuditService, AuditSending]:
    """Who writes the trail, and who sends it."""
    instrument, receiver = config.instrument, config.audit.syslog
    trail = AuditTrail(trail_folder(Path(config.paths.state)), config.audit.keep_mib << 20)
    source_id = instrument.station_name or instrument.ae_title
    sending = AuditSending(
        trail,
        syslog_node(receiver) if receiver.host_name else None,
        address,
        Sender(source_id, "specular", str(os.getpid())),
        publish,
        BackoffPolicy(first_s=receiver.retry_first_s, max_s=receiver.retry_max_s),
    )
    audit = AuditService(
        trail,
        records,
        Us(process_id(), instrument.ae_title, address, instrument.operator),
        AuditSource(source_id, instrument.institution_name),
        {name: Peer(node.ae_title, node.host) for name, node in config.nodes().items()},
        publish,
        now,
        sending.wake,
    )
    return audit, sending
