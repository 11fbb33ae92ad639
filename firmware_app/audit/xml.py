"""The XML of an audit message: PS3.15 A.5.1, the schema's elements in its order."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

from firmware_app.audit.messages import AuditMessage, AuditSource, Code, Participant, ParticipantObject

# XML 1.0 2.2: what is no character of a document. Names come from outside and hold anything.
NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}\Z")
# RFC 5425 4.3.1: a receiver takes 8192 octets and should take more; a message of ours has a handful of objects.
VALUE_MAX = 1024


def message_xml(message: AuditMessage, source: AuditSource) -> str:
    """One document without a line break, ready to be carried by syslog."""
    root = ElementTree.Element("AuditMessage")
    _event(root, message)
    for participant in message.participants:
        _participant(root, participant)
    attributes = {"AuditEnterpriseSiteID": source.enterprise_site_id, "AuditSourceID": source.source_id}
    identification = _element(root, "AuditSourceIdentification", attributes, needed=("AuditSourceID",))
    _element(identification, "AuditSourceTypeCode", {"csd-code": source.type_code})
    for each in message.objects:
        _object(root, each)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def _event(root: ElementTree.Element, message: AuditMessage) -> None:
    attributes = {
        "EventActionCode": message.action,
        "EventDateTime": message.at,
        "EventOutcomeIndicator": message.outcome,
    }
    event = _element(root, "EventIdentification", attributes)
    _code(event, "EventID", message.event)
    for each in message.types:
        _code(event, "EventTypeCode", each)
    if message.outcome_description:
        _element(event, "EventOutcomeDescription").text = characters(message.outcome_description)


def _participant(root: ElementTree.Element, participant: Participant) -> None:
    attributes = {
        "UserID": participant.user_id,
        "AlternativeUserID": participant.alternative_user_id,
        "UserName": participant.user_name,
        "UserIsRequestor": "true" if participant.is_requestor else "false",
    }
    if participant.address:
        attributes["NetworkAccessPointID"] = participant.address
        attributes["NetworkAccessPointTypeCode"] = "2" if IPV4.match(participant.address) else "1"
    element = _element(root, "ActiveParticipant", attributes, needed=("UserID",))
    for role in participant.roles:
        _code(element, "RoleIDCode", role)
    if participant.media_type is not None:
        _code(_element(element, "MediaIdentifier"), "MediaType", participant.media_type)


def _object(root: ElementTree.Element, each: ParticipantObject) -> None:
    attributes = {
        "ParticipantObjectID": each.object_id,
        "ParticipantObjectTypeCode": each.type_code,
        "ParticipantObjectTypeCodeRole": each.role,
        "ParticipantObjectDataLifeCycle": each.life_cycle,
    }
    element = _element(root, "ParticipantObjectIdentification", attributes, needed=("ParticipantObjectID",))
    _code(element, "ParticipantObjectIDTypeCode", each.id_type)
    if each.query is not None:
        _element(element, "ParticipantObjectQuery").text = base64.b64encode(each.query).decode()
    else:
        _element(element, "ParticipantObjectName").text = token(each.name)
    for kind, value in each.details:
        _element(element, "ParticipantObjectDetail", {"type": kind, "value": base64.b64encode(value).decode()})
    if each.mpps_uids or each.accession_numbers or each.instances:
        _description(element, each)


def _description(element: ElementTree.Element, each: ParticipantObject) -> None:
    description = _element(element, "ParticipantObjectDescription")
    for uid in each.mpps_uids:
        _element(description, "MPPS", {"UID": uid})
    for number in each.accession_numbers:
        _element(description, "Accession", {"Number": number})
    for instances in each.instances:
        attributes = {"UID": instances.sop_class_uid, "NumberOfInstances": str(instances.count)}
        sop_class = _element(description, "SOPClass", attributes)
        for uid in instances.uids:
            _element(sop_class, "Instance", {"UID": uid})


def _code(parent: ElementTree.Element, name: str, code: Code) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.system, "originalText": code.meaning}
    _element(parent, name, attributes)


def _element(
    parent: ElementTree.Element, name: str, attributes: dict[str, str] | None = None, needed: tuple[str, ...] = ()
) -> ElementTree.Element:
    """Attributes without a value are left out, but for those that the schema needs."""
    values = {key: token(value) for key, value in (attributes or {}).items()}
    given = {key: value for key, value in values.items() if value or key in needed}
    return ElementTree.SubElement(parent, name, given)


def characters(text: str) -> str:
    """What a document may hold, bounded; anything else becomes U+FFFD."""
    return NO_CHARACTER.sub("\ufffd", text[:VALUE_MAX])


def token(text: str) -> str:
    """As xsd:token has it: no leading, trailing or repeated space. Base64 has no space, and may be long."""
    return " ".join(NO_CHARACTER.sub("\ufffd", text[: 64 * VALUE_MAX]).split())
