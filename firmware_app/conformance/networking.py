"""Chapter 4: implementation model, one section for each application entity, interfaces."""

from __future__ import annotations

from firmware_app.config.schema import Config
from firmware_app.conformance.attributes import uid_words
from firmware_app.conformance.configuration import configuration
from firmware_app.conformance.document import Block, Bullets, Exchange, Paragraph, Section, Table
from firmware_app.conformance.entities import OPERATOR, US, WORDS, class_rows, declared_entities
from firmware_app.conformance.specific import specific_conformance
from firmware_app.dicom.uids import APPLICATION_CONTEXT
from firmware_app.net.listener import ListenerLimits
from firmware_app.profiles.profile import ApplicationEntity, EntityName, Profile

CONTEXT_COLUMNS = (
    "Context",
    "Abstract Syntax Name",
    "Abstract Syntax UID",
    "Transfer Syntax Name",
    "Transfer Syntax UID",
    "Role",
    "Ext. Neg.",
)
QUEUED: dict[EntityName, str] = {
    "storage": "instances",
    "commitment": "requests of commitment",
    "mpps": "performed procedure steps",
    "print": "prints",
}
RELEASE = "What was answered stands, even if the release of the association fails afterwards."


def networking(profile: Profile, defaults: Config, here: Config | None) -> Section:
    entities = declared_entities(profile)
    return Section(
        "Networking",
        parts=(
            Section(
                "Implementation Model",
                parts=(_data_flow(entities), _functions(entities), _sequencing(entities)),
            ),
            Section("AE Specifications", parts=tuple(_entity(profile, name) for name in entities)),
            _interfaces(),
            configuration(profile, defaults, here),
        ),
    )


# ------------------------------------------------------------------------------------------------- 4.1


def _data_flow(entities: tuple[EntityName, ...]) -> Section:
    rows = tuple((WORDS[name].activity, WORDS[name].title, "⇄", WORDS[name].peer) for name in entities)
    return Section(
        "Application Data Flow",
        (
            Table(
                "Application data flow: local real-world activity, local AE, remote AE across the DICOM interface",
                ("Local real-world activity", "Local AE", "", "Remote AE"),
                rows,
            ),
            Bullets(tuple(f"The {WORDS[name].title} {WORDS[name].flow}." for name in entities)),
            Paragraph(
                "All of them share one AE title, one network interface and one service that runs from the start of the "
                "instrument to its end, whether somebody works at it or not. They work independently of each other: a "
                "peer that is down stops only the entity that needs it."
            ),
        ),
    )


def _functions(entities: tuple[EntityName, ...]) -> Section:
    return Section(
        "Functional Definitions of AEs",
        parts=tuple(
            Section(f"{WORDS[name].title}", (Paragraph(f"The {WORDS[name].title} {WORDS[name].function}"),))
            for name in entities
        ),
    )


def _sequencing(entities: tuple[EntityName, ...]) -> Section:
    """An exam from one service to the next, of those that there are."""
    steps: list[tuple[EntityName, str]] = [
        ("worklist", "find the order of the patient"),
        ("patient_query", "or find the patient where there is no order"),
        ("mpps", "tell that the step is in progress (N-CREATE)"),
        ("storage", "store the accepted objects"),
        ("commitment", "ask for their commitment, and take the report"),
        ("print", "print, where asked for"),
        ("mpps", "tell that the step is completed or discontinued (N-SET)"),
    ]
    messages = tuple((US, WORDS[name].peer, what) for name, what in steps if name in entities)
    parties = (US, *dict.fromkeys(peer for _, peer, _ in messages))
    blocks: list[Block] = []
    if messages:
        blocks.append(Exchange("One exam, from one service to the next", parties, messages))
    queued = [words for name, words in QUEUED.items() if name in entities]
    if queued:
        listed = " and ".join(filter(None, (", ".join(queued[:-1]), queued[-1])))
        blocks.append(
            Paragraph(
                f"No step waits for a later one, and none is lost with the network: {listed} are queued on disk and go "
                "on by themselves when the peer answers again."
            )
        )
    return Section("Sequencing of Real-World Activities", tuple(blocks))


# ------------------------------------------------------------------------------------------------- 4.2


def _entity(profile: Profile, name: EntityName) -> Section:
    """One application entity, clause by clause as in PS3.2 A.4.2."""
    entity, words = profile.application_entity[name], WORDS[name]
    classes = class_rows(entity.contexts)
    return Section(
        words.title,
        parts=(
            Section(
                "SOP Classes",
                (
                    Paragraph(f"The {words.title} provides standard conformance to these SOP classes:"),
                    Table(
                        f"SOP classes of the {words.title}", ("SOP Class Name", "SOP Class UID", "SCU", "SCP"), classes
                    ),
                ),
            ),
            Section("Association Policies", parts=_policies(entity, words.title)),
            Section("Association Initiation Policy", *_initiation(profile, name, entity)),
            Section("Association Acceptance Policy", *_acceptance(profile, name, entity)),
        ),
    )


def _policies(entity: ApplicationEntity, title: str) -> tuple[Section, ...]:
    return (
        Section(
            "General",
            (
                Table(
                    f"Application context and PDU length of the {title}",
                    ("Item", "Value"),
                    (
                        ("Application Context Name", APPLICATION_CONTEXT),
                        ("Maximum length of PDU received (octets)", str(entity.max_pdu_length)),
                    ),
                ),
            ),
        ),
        Section(
            "Number of Associations",
            (
                _count(
                    f"Associations of the {title}",
                    "Maximum number of simultaneous associations",
                    entity.max_associations,
                ),
            ),
        ),
        Section(
            "Asynchronous Nature",
            (
                Paragraph(
                    "Asynchronous operations are not supported and the window is not negotiated."
                    if entity.max_outstanding_operations == 1
                    else "The asynchronous operations window is negotiated."
                ),
                _count(
                    f"Asynchronous nature of the {title}",
                    "Maximum number of outstanding asynchronous transactions",
                    entity.max_outstanding_operations,
                ),
            ),
        ),
        Section(
            "Implementation Identifying Information",
            (
                Table(
                    f"Implementation of the {title}",
                    ("Item", "Value"),
                    (
                        ("Implementation Class UID", entity.implementation_class_uid),
                        ("Implementation Version Name", entity.implementation_version_name or "not sent"),
                    ),
                ),
            ),
        ),
    )


def _count(caption: str, what: str, count: int) -> Table:
    return Table(caption, ("Item", "Value"), ((what, str(count)),))


def _initiation(
    profile: Profile, name: EntityName, entity: ApplicationEntity
) -> tuple[tuple[Block, ...], tuple[Section, ...]]:
    words = WORDS[name]
    if name == "listener":
        return (Paragraph(f"The {words.title} does not initiate associations."),), ()
    return (), (
        Section(
            f"Activity - {words.activity}",
            parts=(
                Section(
                    "Description and Sequencing of Activities",
                    (Paragraph(words.sequencing), _sequence(name), Paragraph(RELEASE)),
                ),
                Section(
                    "Proposed Presentation Contexts",
                    (
                        *([_proposal(entity)] if name == "storage" else []),
                        _contexts(f"Proposed presentation contexts for activity {words.activity}", entity),
                    ),
                ),
                *specific_conformance(profile, name),
            ),
        ),
    )


def _proposal(entity: ApplicationEntity) -> Paragraph:
    own = "; each transfer syntax has a context of its own, so that the peer can choose none that changes the instance"
    has_own = all(len(context.transfer_syntaxes) == 1 for context in entity.contexts)
    return Paragraph(
        f"Of these contexts those of the SOP classes are proposed that are to be sent{own if has_own else ''}."
    )


def _sequence(name: EntityName) -> Exchange:
    words = WORDS[name]
    names = {"OP": OPERATOR, "US": US, "PEER": words.peer}
    used = {party for message in words.sequence for party in message[:2]}
    return Exchange(
        f"Sequence of activity {words.activity}",
        tuple(shown for party, shown in names.items() if party in used),
        tuple((names[sender], names[receiver], what) for sender, receiver, what in words.sequence),
    )


def _contexts(caption: str, entity: ApplicationEntity) -> Table:
    return Table(
        caption,
        CONTEXT_COLUMNS,
        tuple(
            (
                str(number),
                uid_words(context.abstract_syntax),
                context.abstract_syntax,
                uid_words(syntax),
                syntax,
                context.role,
                "None",
            )
            for number, context in enumerate(entity.contexts, start=1)
            for syntax in context.transfer_syntaxes
        ),
    )


def _acceptance(
    profile: Profile, name: EntityName, entity: ApplicationEntity
) -> tuple[tuple[Block, ...], tuple[Section, ...]]:
    title = WORDS[name].title
    if name != "listener":
        where = f" The {WORDS['listener'].title} does." if "listener" in profile.application_entity else ""
        return (Paragraph(f"The {title} does not accept association requests.{where}"),), ()
    limits = ListenerLimits()
    return (
        Paragraph(
            "Associations are accepted on the configured port for the configured AE title, from the AE titles and "
            "addresses that the configuration allows (from everybody where it names none)."
        ),
        _contexts("Acceptable presentation contexts; the role is ours", entity),
        Bullets(
            (
                "Any other abstract syntax is refused in its context (abstract syntax not supported); an association "
                "without one acceptable context is accepted without any, and serves for nothing.",
                "Rejected: a called AE title that is not ours (permanent, called AE title not recognized), a caller "
                "that is not allowed (permanent, calling AE title not recognized), and one association too many "
                f"(transient, local limit exceeded; there may be {entity.max_associations}).",
                f"A connection without an A-ASSOCIATE-RQ ends after {limits.first_pdu_s:g} s, an association without "
                f"a message after {limits.idle_s:g} s.",
                "Any other operation is answered with 0211H, unrecognized operation.",
            )
        ),
    ), specific_conformance(profile, name)


# ------------------------------------------------------------------------------------------------- 4.3


def _interfaces() -> Section:
    return Section(
        "Network Interfaces",
        (Paragraph("DICOM over TCP/IP as in PS3.8, by the TCP/IP stack of Linux."),),
        (
            Section(
                "Physical Network Interface",
                (
                    Paragraph(
                        "One network interface, which the configuration names; Ethernet 1000BASE-T or 100BASE-TX as "
                        "the computer has it. Every connection is made from its address and accepted on it."
                    ),
                ),
            ),
            Section(
                "Additional Protocols",
                (
                    Paragraph(
                        "A host name is resolved by the DNS of the operating system, at each connection. DHCP and NTP "
                        "are the operating system's. Neither is needed where addresses are given."
                    ),
                ),
            ),
            Section(
                "IPv4 and IPv6 Support", (Paragraph("Only IPv4. A host name is resolved to IPv4 addresses only."),)
            ),
        ),
    )
