"""How syslog carries an audit message: RFC 5424 for the message, RFC 5425 for its frame over TLS; PS3.15 A.6.

An octet count before each message (RFC 5425 4.3) and not a line feed behind it: an XML document may hold one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

# Facility 10, security and authorisation (PS3.15 A.6); severity by EventOutcomeIndicator, notice for success.
FACILITY = 10
SEVERITIES = {"0": 5, "4": 4, "8": 3, "12": 2}
MESSAGE_ID = "DICOM+RFC3881"
UTF8_BOM = b"\xef\xbb\xbf"
NILVALUE = "-"
# RFC 5424 6: PRINTUSASCII of at most so many characters.
HOSTNAME_MAX, APP_NAME_MAX, PROCESS_ID_MAX = 255, 48, 128
OUTCOME = re.compile(r'EventOutcomeIndicator="(\d+)"')


@dataclass(frozen=True, slots=True)
class Sender:
    host_name: str
    application: str
    process_id: str


def frame(sender: Sender, at: str, message: str) -> bytes:
    """`MSG-LEN SP SYSLOG-MSG`. `at` is ISO 8601 with its offset."""
    found = OUTCOME.search(message)
    priority = FACILITY * 8 + SEVERITIES.get(found[1] if found else "0", 5)
    head = " ".join(
        (
            f"<{priority}>1",
            timestamp(at),
            printable(sender.host_name, HOSTNAME_MAX),
            printable(sender.application, APP_NAME_MAX),
            printable(sender.process_id, PROCESS_ID_MAX),
            MESSAGE_ID,
            NILVALUE,  # no structured data
        )
    )
    octets = head.encode("ascii") + b" " + UTF8_BOM + message.encode("utf-8")
    return str(len(octets)).encode("ascii") + b" " + octets


def timestamp(at: str) -> str:
    """RFC 5424 6.2.3: at most six digits of a second, and an offset."""
    moment = datetime.fromisoformat(at)
    return moment.isoformat(timespec="milliseconds") if moment.tzinfo else NILVALUE


def printable(text: str, maximum: int) -> str:
    """PRINTUSASCII without a space; what is nothing then is the nil value."""
    kept = "".join(each if "!" <= each <= "~" else "_" for each in text.strip())
    return kept[:maximum] or NILVALUE
