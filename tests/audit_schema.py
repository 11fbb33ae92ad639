"""The schema of PS3.15 A.5.1 as tables, and a validator: the standard prints it in RELAX NG compact form.

Written from the standard's text and not from our writer: each element with its children in order and how often they
come, each attribute with what its value may be.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

Check = Callable[[str], bool]


def token(text: str) -> bool:
    return text == " ".join(text.split())


def anything(text: str) -> bool:
    return True


def boolean(text: str) -> bool:
    return text in ("true", "false", "0", "1")


def integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", text) is not None


def date_time(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", text) is not None and bool(
        datetime.fromisoformat(text)
    )


def base64_binary(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True) is not None
    except ValueError:
        return False


def one_of(*values: str) -> Check:
    return lambda text: text in values


def numbers(last: int) -> Check:
    return one_of(*(str(number) for number in range(1, last + 1)))


@dataclass(frozen=True)
class Element:
    """`children` in order: name, and "1", "?", "*" or "+". Attributes: name to check, and `needed`."""

    attributes: dict[str, Check]
    needed: tuple[str, ...] = ()
    children: tuple[tuple[str, str], ...] = ()
    text: Check | None = None


CODED_VALUE = Element(
    {"csd-code": token, "codeSystemName": token, "displayName": token, "originalText": token},
    ("csd-code", "codeSystemName", "originalText"),
)
SCHEMA: dict[str, Element] = {
    "AuditMessage": Element(
        {},
        children=(
            ("EventIdentification", "1"),
            ("ActiveParticipant", "+"),
            ("AuditSourceIdentification", "1"),
            ("ParticipantObjectIdentification", "*"),
        ),
    ),
    "EventIdentification": Element(
        {
            "EventActionCode": one_of("C", "R", "U", "D", "E"),
            "EventDateTime": date_time,
            "EventOutcomeIndicator": one_of("0", "4", "8", "12"),
        },
        ("EventDateTime", "EventOutcomeIndicator"),
        (("EventID", "1"), ("EventTypeCode", "*"), ("EventOutcomeDescription", "?")),
    ),
    "EventID": CODED_VALUE,
    "EventTypeCode": CODED_VALUE,
    "EventOutcomeDescription": Element({}, text=anything),
    "ActiveParticipant": Element(
        {
            "UserID": anything,
            "AlternativeUserID": anything,
            "UserName": anything,
            "UserIsRequestor": boolean,
            "NetworkAccessPointID": token,
            "NetworkAccessPointTypeCode": numbers(5),
        },
        ("UserID", "UserIsRequestor"),
        (("RoleIDCode", "*"), ("MediaIdentifier", "?")),
    ),
    "RoleIDCode": CODED_VALUE,
    "MediaIdentifier": Element({}, children=(("MediaType", "1"),)),
    "MediaType": CODED_VALUE,
    "AuditSourceIdentification": Element(
        {"AuditEnterpriseSiteID": token, "AuditSourceID": token}, ("AuditSourceID",), (("AuditSourceTypeCode", "*"),)
    ),
    "AuditSourceTypeCode": Element(
        {"csd-code": token, "codeSystemName": token, "displayName": token, "originalText": token}, ("csd-code",)
    ),
    "ParticipantObjectIdentification": Element(
        {
            "ParticipantObjectID": token,
            "ParticipantObjectTypeCode": numbers(4),
            "ParticipantObjectTypeCodeRole": numbers(26),
            "ParticipantObjectDataLifeCycle": numbers(15),
            "ParticipantObjectSensitivity": token,
        },
        ("ParticipantObjectID",),
        (
            ("ParticipantObjectIDTypeCode", "1"),
            ("ParticipantObjectName|ParticipantObjectQuery", "1"),
            ("ParticipantObjectDetail", "*"),
            ("ParticipantObjectDescription", "*"),
        ),
    ),
    "ParticipantObjectIDTypeCode": CODED_VALUE,
    "ParticipantObjectName": Element({}, text=token),
    "ParticipantObjectQuery": Element({}, text=base64_binary),
    "ParticipantObjectDetail": Element({"type": token, "value": base64_binary}, ("type", "value")),
    "ParticipantObjectDescription": Element(
        {},
        children=(
            ("MPPS", "*"),
            ("Accession", "*"),
            ("SOPClass", "*"),
            ("ParticipantObjectContainsStudy", "?"),
            ("Encrypted", "?"),
            ("Anonymized", "?"),
        ),
    ),
    "MPPS": Element({"UID": token}, ("UID",)),
    "Accession": Element({"Number": token}, ("Number",)),
    "SOPClass": Element({"UID": token, "NumberOfInstances": integer}, ("NumberOfInstances",), (("Instance", "*"),)),
    "Instance": Element({"UID": token}, ("UID",)),
}


def problems(document: str) -> list[str]:
    """What of the document the schema does not allow; empty: it is valid."""
    root = ElementTree.fromstring(document)
    return [f"the root is {root.tag}"] if root.tag != "AuditMessage" else _problems(root)


def _problems(element: ElementTree.Element) -> list[str]:
    rule = SCHEMA.get(element.tag)
    if rule is None:
        return [f"no element {element.tag}"]
    found = [f"{element.tag} without {name}" for name in rule.needed if name not in element.attrib]
    for name, value in element.attrib.items():
        if name not in rule.attributes or not rule.attributes[name](value):
            found.append(f"{element.tag} {name}={value!r}")
    if rule.text is None and (element.text or "").strip():
        found.append(f"{element.tag} has text")
    if rule.text is not None and not rule.text(element.text or ""):
        found.append(f"{element.tag} has the text {element.text!r}")
    found += _order(element, rule)
    for child in element:
        found += _problems(child)
    return found


def _order(element: ElementTree.Element, rule: Element) -> list[str]:
    """RELAX NG `,` is order; the content as one regular expression over the names."""
    pattern = "".join(
        f"(?:(?:{'|'.join(f'<{each}>' for each in names.split('|'))}){'' if often == '1' else often})"
        for names, often in rule.children
    )
    content = "".join(f"<{child.tag}>" for child in element)
    return [] if re.fullmatch(pattern, content) else [f"{element.tag} holds {content or 'nothing'}"]
