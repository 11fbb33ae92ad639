"""An audit message as values: PS3.15 A.5.1, in the words of its schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["C", "R", "U", "D", "E"]
# EventOutcomeIndicator: nominal success, minor, serious, major failure.
Outcome = Literal["0", "4", "8", "12"]


@dataclass(frozen=True, slots=True)
class Code:
    """CodedValueType: `csd-code`, `codeSystemName` and `originalText`."""

    value: str
    meaning: str
    system: str = "DCM"


# PS3.16 CID 400, Audit Event ID.
APPLICATION_ACTIVITY = Code("110100", "Application Activity")
AUDIT_LOG_USED = Code("110101", "Audit Log Used")
BEGIN_TRANSFERRING = Code("110102", "Begin Transferring DICOM Instances")
INSTANCES_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
STUDY_DELETED = Code("110105", "DICOM Study Deleted")
EXPORT = Code("110106", "Export")
PATIENT_RECORD = Code("110110", "Patient Record")
PROCEDURE_RECORD = Code("110111", "Procedure Record")
QUERY = Code("110112", "Query")
SECURITY_ALERT = Code("110113", "Security Alert")
USER_AUTHENTICATION = Code("110114", "User Authentication")

# CID 401, Audit Event Type Code.
APPLICATION_START = Code("110120", "Application Start")
APPLICATION_STOP = Code("110121", "Application Stop")
LOGIN = Code("110122", "Login")
LOGOUT = Code("110123", "Logout")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")
AUDIT_RECORDING_STOPPED = Code("110133", "Audit Recording Stopped")
AUDIT_RECORDING_STARTED = Code("110134", "Audit Recording Started")

# CID 402, Audit Active Participant Role ID Code.
APPLICATION = Code("110150", "Application")
DESTINATION_ROLE = Code("110152", "Destination Role ID")
SOURCE_ROLE = Code("110153", "Source Role ID")
DESTINATION_MEDIA = Code("110154", "Destination Media")

# CID 404, Audit Participant Object ID Type Code; and those of RFC 3881 5.5.4.
STUDY_INSTANCE_UID = Code("110180", "Study Instance UID")
SOP_CLASS_UID = Code("110181", "SOP Class UID")
NODE_ID = Code("110182", "Node ID")
PATIENT_NUMBER = Code("2", "Patient Number", "RFC-3881")
URI = Code("12", "URI", "RFC-3881")

# CID 405, Media Type Code.
FILM = Code("110010", "Film")


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """ActiveParticipant: a person or a process. `address` is an IPv4 address, or a machine's name."""

    user_id: str
    is_requestor: bool
    roles: tuple[Code, ...] = ()
    alternative_user_id: str = ""
    user_name: str = ""
    address: str = ""
    media_type: Code | None = None


@dataclass(frozen=True, slots=True)
class Instances:
    """SOPClass of ParticipantObjectDescription."""

    sop_class_uid: str
    count: int
    uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantObject:
    """ParticipantObjectIdentification; exactly one of `name` and `query` is written, `query` where it is not None."""

    object_id: str
    id_type: Code
    type_code: Literal["", "1", "2", "3", "4"]
    role: str = ""  # ParticipantObjectTypeCodeRole, A.5.1.2.2
    life_cycle: str = ""  # ParticipantObjectDataLifeCycle, A.5.1.2.3
    name: str = ""
    query: bytes | None = None
    details: tuple[tuple[str, bytes], ...] = ()  # type and value
    instances: tuple[Instances, ...] = ()
    accession_numbers: tuple[str, ...] = ()
    mpps_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """`at` is ISO 8601 with its offset."""

    event: Code
    action: Action
    at: str
    participants: tuple[Participant, ...]
    outcome: Outcome = "0"
    outcome_description: str = ""
    types: tuple[Code, ...] = ()
    objects: tuple[ParticipantObject, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditSource:
    """AuditSourceIdentification: who reports. The type is 2, data acquisition device or instrument (A.5.1.2.1)."""

    source_id: str
    enterprise_site_id: str = ""
    type_code: str = "2"
