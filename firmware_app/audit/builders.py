"""The messages of PS3.15 A.5.3 that an instrument sends, each from what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_app.audit import messages as m
from firmware_app.audit.messages import AuditMessage, Code, Instances, Outcome, Participant, ParticipantObject


@dataclass(frozen=True, slots=True)
class Us:
    """The instrument as a process: A.5.2, UserID the process, AlternativeUserID its AE titles."""

    process_id: str
    ae_title: str
    address: str
    operator: str = ""

    def participant(self, *roles: Code, is_requestor: bool = False) -> Participant:
        return Participant(
            user_id=self.process_id,
            alternative_user_id=f"AETITLES={self.ae_title}",
            is_requestor=is_requestor,
            roles=roles,
            address=self.address,
        )

    def person(self, user_id: str = "", *, is_requestor: bool = True) -> tuple[Participant, ...]:
        """Whoever operates it, where that is known."""
        name = user_id or self.operator
        return (Participant(user_id=name, is_requestor=is_requestor),) if name else ()


@dataclass(frozen=True, slots=True)
class Peer:
    ae_title: str
    address: str

    def participant(self, *roles: Code) -> Participant:
        return Participant(
            user_id=self.ae_title,
            alternative_user_id=f"AETITLES={self.ae_title}",
            is_requestor=False,
            roles=roles,
            address=self.address,
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """The patient and the study that a message is about."""

    patient_id: str
    patient_name: str
    study_instance_uid: str = ""
    accession_numbers: tuple[str, ...] = ()
    mpps_uids: tuple[str, ...] = ()

    def patient(self, life_cycle: str = "") -> ParticipantObject:
        return ParticipantObject(
            object_id=self.patient_id,
            id_type=m.PATIENT_NUMBER,
            type_code="1",
            role="1",
            life_cycle=life_cycle,
            name=self.patient_name,
        )

    def study(self, instances: Sequence[Instances] = (), life_cycle: str = "") -> ParticipantObject:
        return ParticipantObject(
            object_id=self.study_instance_uid,
            id_type=m.STUDY_INSTANCE_UID,
            type_code="2",
            role="3",
            life_cycle=life_cycle,
            instances=tuple(instances),
            accession_numbers=self.accession_numbers,
            mpps_uids=self.mpps_uids,
        )


def application_activity(us: Us, at: str, *, starts: bool) -> AuditMessage:
    """A.5.3.1."""
    return AuditMessage(
        event=m.APPLICATION_ACTIVITY,
        types=(m.APPLICATION_START if starts else m.APPLICATION_STOP,),
        action="E",
        at=at,
        participants=(us.participant(m.APPLICATION),),
    )


def audit_log_used(us: Us, user_id: str, trail_uri: str, at: str) -> AuditMessage:
    """A.5.3.2."""
    log = ParticipantObject(
        object_id=trail_uri, id_type=m.URI, type_code="2", role="13", name="Security Audit Log", life_cycle="6"
    )
    reader = us.person(user_id) or (us.participant(is_requestor=True),)
    return AuditMessage(event=m.AUDIT_LOG_USED, action="R", at=at, participants=reader, objects=(log,))


def begin_transferring(us: Us, to: Peer, subject: Subject, instances: Sequence[Instances], at: str) -> AuditMessage:
    """A.5.3.3: one message for each patient."""
    return AuditMessage(
        event=m.BEGIN_TRANSFERRING,
        action="E",
        at=at,
        participants=(us.participant(m.SOURCE_ROLE, is_requestor=True), to.participant(m.DESTINATION_ROLE)),
        objects=(subject.study(instances), subject.patient()),
    )


def instances_transferred(
    us: Us, to: Peer, subject: Subject, instances: Sequence[Instances], at: str, outcome: Outcome, why: str = ""
) -> AuditMessage:
    """A.5.3.7: action C, because the receiver did not hold them before."""
    return AuditMessage(
        event=m.INSTANCES_TRANSFERRED,
        action="C",
        at=at,
        outcome=outcome,
        outcome_description=why,
        participants=(us.participant(m.SOURCE_ROLE, is_requestor=True), to.participant(m.DESTINATION_ROLE)),
        objects=(subject.study(instances), subject.patient()),
    )


def study_deleted(us: Us, subject: Subject, instances: Sequence[Instances], at: str) -> AuditMessage:
    """A.5.3.8."""
    return AuditMessage(
        event=m.STUDY_DELETED,
        action="D",
        at=at,
        participants=(us.participant(is_requestor=True),),
        objects=(subject.study(instances, "15"), subject.patient()),
    )


def export(
    us: Us, to: Peer, media: Code, subject: Subject, at: str, outcome: Outcome = "0", why: str = ""
) -> AuditMessage:
    """A.5.3.4: what leaves the security domain on a medium; a printed film is one."""
    destination = Participant(
        user_id=to.ae_title,
        is_requestor=False,
        roles=(m.DESTINATION_MEDIA,),
        address=to.address,
        media_type=media,
    )
    return AuditMessage(
        event=m.EXPORT,
        action="R",
        at=at,
        outcome=outcome,
        outcome_description=why,
        participants=(us.participant(m.SOURCE_ROLE, is_requestor=True), destination),
        objects=(subject.study(life_cycle="10"), subject.patient()),
    )


def patient_record(us: Us, subject: Subject, action: m.Action, at: str) -> AuditMessage:
    """The patient's own data as typed in or changed here."""
    participants = (*us.person(), us.participant(is_requestor=not us.operator))
    return AuditMessage(
        event=m.PATIENT_RECORD, action=action, at=at, participants=participants, objects=(subject.patient(),)
    )


def procedure_record(us: Us, subject: Subject, action: m.Action, at: str, detail: str = "") -> AuditMessage:
    """An exam begun (C), read again (R), changed or closed (U)."""
    participants = (*us.person(), us.participant(is_requestor=not us.operator))
    return AuditMessage(
        event=m.PROCEDURE_RECORD,
        action=action,
        at=at,
        outcome_description=detail,
        participants=participants,
        objects=(subject.study(), subject.patient()),
    )


def query(
    us: Us,
    of: Peer,
    sop_class_uid: str,
    octets: bytes,
    transfer_syntax: str,
    at: str,
    outcome: Outcome = "0",
    why: str = "",
) -> AuditMessage:
    """A.5.3.10: the identifier as DICOM encodes it, and in which transfer syntax."""
    asked = ParticipantObject(
        object_id=sop_class_uid,
        id_type=m.SOP_CLASS_UID,
        type_code="2",
        role="3",
        query=octets,
        details=(("TransferSyntax", transfer_syntax.encode()),),
    )
    return AuditMessage(
        event=m.QUERY,
        action="E",
        at=at,
        outcome=outcome,
        outcome_description=why,
        participants=(us.participant(m.SOURCE_ROLE, is_requestor=True), of.participant(m.DESTINATION_ROLE)),
        objects=(asked,),
    )


def security_alert(
    us: Us,
    kind: Code,
    description: str,
    at: str,
    outcome: Outcome,
    performer: Participant | None = None,
    node: str = "",
) -> AuditMessage:
    """A.5.3.11: what happened in `description`, of the node where it is about one."""
    subject = ParticipantObject(
        object_id=node or us.process_id,
        id_type=m.NODE_ID,
        type_code="2",
        role="13",
        name=node or us.process_id,
        details=(("Alert Description", description.encode()),),
    )
    return AuditMessage(
        event=m.SECURITY_ALERT,
        types=(kind,),
        action="E",
        at=at,
        outcome=outcome,
        participants=(us.participant(is_requestor=performer is None), *([performer] if performer else [])),
        objects=(subject,),
    )


def user_authentication(
    us: Us, user_id: str, user_name: str, at: str, *, comes: bool, address: str = ""
) -> AuditMessage:
    """A.5.3.12: the operating system has authenticated whoever opens a console or an SSH session."""
    return AuditMessage(
        event=m.USER_AUTHENTICATION,
        types=(m.LOGIN if comes else m.LOGOUT,),
        action="E",
        at=at,
        participants=(
            Participant(user_id=user_id, user_name=user_name, is_requestor=True, address=address),
            us.participant(),
        ),
    )
