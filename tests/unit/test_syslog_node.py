"""From `[audit.syslog]` to the receiver that is connected to, and what is wrong with its files."""

from __future__ import annotations

import msgspec

from firmware_app.config import Config
from firmware_app.config.tls_files import tls_findings
from firmware_app.services.peers import syslog_node


def configured(**keys: object) -> Config:
    return msgspec.convert({"audit": {"syslog": keys}}, Config)


def test_the_receiver_is_always_spoken_to_over_tls() -> None:
    node = syslog_node(configured(host_name="audit.clinic.example", timeouts={"write_s": 7.0}).audit.syslog)
    assert (node.host, node.port, node.timeouts.write_s) == ("audit.clinic.example", 6514, 7.0)
    assert node.tls is not None
    assert node.tls.trusted == "/etc/specular/tls/trusted.pem"


def test_its_files_are_looked_at_where_it_is_configured() -> None:
    missing = {"certificate": "/nowhere/c.pem", "key": "/nowhere/k.pem", "trusted": "/nowhere/t.pem"}
    keys = [finding.key for finding in tls_findings(configured(host_name="audit.clinic.example", tls=missing))]
    assert keys
    assert all(key.startswith("audit.syslog.tls.") for key in keys)
    assert list(tls_findings(configured(tls=missing))) == []
