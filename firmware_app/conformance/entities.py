"""What each application entity is for, in words: the frame around its tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware_app.conformance.attributes import uid_words
from firmware_app.dicom.uids import (
    BASIC_FILM_BOX,
    BASIC_FILM_SESSION,
    BASIC_GRAYSCALE_IMAGE_BOX,
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META,
    PRINTER,
)
from firmware_app.profiles.profile import EntityName, PresentationContext, Profile

US, OPERATOR = "Instrument", "Operator"


@dataclass(frozen=True, slots=True)
class EntityWords:
    """`activity` is the real-world activity (PS3.2 A.4.1.1); `sequence` what goes to and fro in it, without peers.

    In `sequence` "OP" is the operator, "US" the instrument and "PEER" the remote entity, which `peer` names.
    """

    title: str
    activity: str
    peer: str
    flow: str
    function: str
    sequencing: str
    sequence: tuple[tuple[str, str, str], ...]


WORDS: dict[EntityName, EntityWords] = {
    "verification": EntityWords(
        "Verification AE",
        "Verify Connectivity",
        "Verification SCP",
        "issues a C-ECHO to verify the connection to a remote AE; asked for by the operator or the service engineer",
        "checks the connection by a C-ECHO. The answer says whether the peer took the association, how long the echo "
        "took and what the peer calls its implementation.",
        "A new association is opened for each request and released after the last answer.",
        (
            ("OP", "US", "asks for an echo"),
            ("US", "PEER", "A-ASSOCIATE, C-ECHO-RQ"),
            ("PEER", "US", "C-ECHO-RSP with status"),
            ("US", "PEER", "A-RELEASE"),
            ("US", "OP", "success, or the reason in words"),
        ),
    ),
    "worklist": EntityWords(
        "Worklist AE",
        "Query Modality Worklist",
        "Modality Worklist SCP",
        "queries a remote AE for scheduled procedure steps; asked for by the operator, and automatically at an "
        "interval",
        "sends the matching and return keys of its table in a C-FIND and shows the matching items. The last good list "
        "stays on the screen, with its age, when a query fails.",
        "One query at a time over one association, which is released when the list is complete. A list that is longer "
        "than the limit, or that nobody waits for any more, is ended by C-CANCEL.",
        (
            ("OP", "US", "asks for the list, or the interval is over"),
            ("US", "PEER", "A-ASSOCIATE, C-FIND-RQ with the keys"),
            ("PEER", "US", "C-FIND-RSP pending, one for each item"),
            ("PEER", "US", "C-FIND-RSP success"),
            ("US", "PEER", "A-RELEASE"),
            ("US", "OP", "items; characters that cannot be read are marked"),
        ),
    ),
    "patient_query": EntityWords(
        "Patient Query AE",
        "Query Patient Information",
        "Query/Retrieve SCP",
        "queries a remote AE for patients by name and ID; asked for by the operator",
        "sends the keys of its table in a C-FIND at the level of the configured information model and shows the "
        "patients found. One of them may be taken for an exam without an order.",
        "One query at a time over one association, which is released when the list is complete.",
        (
            ("OP", "US", "asks for patients by name or ID"),
            ("US", "PEER", "A-ASSOCIATE, C-FIND-RQ with the keys"),
            ("PEER", "US", "C-FIND-RSP pending, one for each patient"),
            ("PEER", "US", "C-FIND-RSP success"),
            ("US", "PEER", "A-RELEASE"),
            ("US", "OP", "patients"),
        ),
    ),
    "storage": EntityWords(
        "Storage AE",
        "Send Images",
        "Storage SCP",
        "sends the objects of a finished exam to a remote AE: automatically when the exam is accepted, or when the "
        "operator says so",
        "sends each queued instance by a C-STORE. The queue is on disk and outlives a power cut; an instance leaves it "
        "with a success or warning status of the peer and with nothing else.",
        "An instance is written to disk and queued before anyone is told that it exists. Queued instances go in order "
        "over one association, one C-STORE at a time.",
        (
            ("OP", "US", "accepts the exam, or asks to send"),
            ("US", "US", "objects on disk, queued"),
            ("US", "PEER", "A-ASSOCIATE"),
            ("US", "PEER", "C-STORE-RQ"),
            ("PEER", "US", "C-STORE-RSP with status"),
            ("US", "PEER", "A-RELEASE after the last instance"),
            ("US", "OP", "stored, or the reason and the next attempt"),
        ),
    ),
    "mpps": EntityWords(
        "Performed Procedure Step AE",
        "Acquire Images",
        "Modality Performed Procedure Step SCP",
        "tells a remote AE which procedure step is being performed and how it ended",
        "creates a Modality Performed Procedure Step when an exam begins, and brings it to its final state when the "
        "exam is finished or given up.",
        "The N-CREATE comes before the N-SET; both are queued on disk, in order, while the peer cannot be reached. "
        "Images that are added to a finished exam belong to a new step of the same study.",
        (
            ("OP", "US", "begins the exam"),
            ("US", "PEER", "N-CREATE-RQ, status IN PROGRESS"),
            ("PEER", "US", "N-CREATE-RSP with status"),
            ("OP", "US", "accepts the exam, or gives it up with a reason"),
            ("US", "PEER", "N-SET-RQ, status COMPLETED or DISCONTINUED"),
            ("PEER", "US", "N-SET-RSP with status"),
        ),
    ),
    "commitment": EntityWords(
        "Storage Commitment AE",
        "Request Storage Commitment",
        "Storage Commitment SCP",
        "asks a remote AE to take responsibility for instances that have been stored, and takes its report",
        "sends an N-ACTION for instances that were stored with success and keeps the result of each one in the "
        "database: committed, refused with the reason, or not yet known.",
        "The request goes over an association of its own, when nothing of the exam is left to be stored or a minute "
        "has passed. The report may come on that association or on one that the peer opens to our port, soon or days "
        "later.",
        (
            ("US", "US", "instances were stored"),
            ("US", "PEER", "N-ACTION-RQ, new Transaction UID"),
            ("PEER", "US", "N-ACTION-RSP with status"),
            ("PEER", "US", "N-EVENT-REPORT-RQ, on this or another association"),
            ("US", "PEER", "N-EVENT-REPORT-RSP"),
            ("US", "OP", "committed, or what was refused and why"),
        ),
    ),
    "print": EntityWords(
        "Print AE",
        "Print Images",
        "Print SCP",
        "prints pictures on film or paper by a remote printer: automatically when an exam is accepted, or when the "
        "operator says so",
        "creates a film session with film boxes, fills their image boxes and prints them; it asks for the printer's "
        "state before and takes its events while the association lasts.",
        "A job is queued on disk. One job at a time goes over one association, which ends with the job.",
        (
            ("OP", "US", "asks for a print, or accepts the exam"),
            ("US", "PEER", "N-GET of the printer"),
            ("US", "PEER", "N-CREATE film session, N-CREATE film box"),
            ("US", "PEER", "N-SET of each image box"),
            ("US", "PEER", "N-ACTION film box: print"),
            ("PEER", "US", "responses; N-EVENT-REPORT of the printer"),
            ("US", "PEER", "N-DELETE, A-RELEASE"),
        ),
    ),
    "listener": EntityWords(
        "Listener AE",
        "Be Verified and Take Reports",
        "Remote AE",
        "answers on our own port: verification, and the reports of storage commitment that were asked for",
        "answers a C-ECHO, takes an N-EVENT-REPORT of storage commitment, and nothing else.",
        "It listens from the start of the service to its end, whatever the operator does.",
        (
            ("PEER", "US", "A-ASSOCIATE"),
            ("PEER", "US", "C-ECHO-RQ, or N-EVENT-REPORT-RQ"),
            ("US", "PEER", "response with status"),
            ("PEER", "US", "A-RELEASE"),
        ),
    ),
}


# A Meta SOP Class is negotiated for all of its members (PS3.4 H.3.2.2.1).
MEMBERS = {
    BASIC_GRAYSCALE_PRINT_MANAGEMENT_META: (BASIC_FILM_SESSION, BASIC_FILM_BOX, BASIC_GRAYSCALE_IMAGE_BOX, PRINTER),
}


def class_rows(contexts: Iterable[PresentationContext]) -> tuple[tuple[str, str, str, str], ...]:
    """Name and UID of each SOP class, members of a meta class behind it, and whether we are SCU and SCP of it."""
    roles: dict[str, set[str]] = {}
    for context in contexts:
        for uid in (context.abstract_syntax, *MEMBERS.get(context.abstract_syntax, ())):
            roles.setdefault(uid, set()).add(context.role)
    return tuple(
        (uid_words(uid), uid, "Yes" if "SCU" in role else "No", "Yes" if "SCP" in role else "No")
        for uid, role in roles.items()
    )


def declared_entities(profile: Profile) -> tuple[EntityName, ...]:
    """Those of the profile, in the order of this chapter."""
    return tuple(name for name in WORDS if name in profile.application_entity)
