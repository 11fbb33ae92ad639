"""Cover, chapter 1 (overview with the table of network services), 2 (contents) and 3 (introduction)."""

from __future__ import annotations

from firmware_app import __version__
from firmware_app.conformance.document import Block, Bullets, Contents, Paragraph, Section, Table
from firmware_app.conformance.entities import WORDS, class_rows, declared_entities
from firmware_app.dicom.uids import VERIFICATION
from firmware_app.profiles.profile import EntityName, Profile

NOT_FOR_CLINICAL_USE = "Not for clinical use. This software is no medical device and has been cleared by nobody."
SERVICE_COLUMNS = ("SOP Class Name", "SOP Class UID", "User of Service (SCU)", "Provider of Service (SCP)")
# The headings of PS3.2 table A.1-1, by the entity whose contexts stand under them.
GROUPS: dict[str, tuple[EntityName, ...]] = {
    "Verification": ("verification", "listener"),
    "Transfer": ("storage",),
    "Query/Retrieve": ("patient_query",),
    "Workflow Management": ("worklist", "mpps", "commitment"),
    "Print Management": ("print",),
}
ABBREVIATIONS = (
    ("AE", "Application Entity"),
    ("AET", "Application Entity Title"),
    ("DIMSE", "DICOM Message Service Element"),
    ("IOD", "Information Object Definition"),
    ("MPPS", "Modality Performed Procedure Step"),
    ("MWL", "Modality Worklist"),
    ("PDU", "Protocol Data Unit"),
    ("PPS", "Performed Procedure Step"),
    ("SC", "Secondary Capture"),
    ("SCP", "Service Class Provider"),
    ("SCU", "Service Class User"),
    ("SOP", "Service-Object Pair"),
    ("SPS", "Scheduled Procedure Step"),
    ("TLS", "Transport Layer Security"),
    ("UID", "Unique Identifier"),
    ("VR", "Value Representation"),
)


def cover(profile: Profile) -> tuple[Paragraph | Table, ...]:
    reproduces = profile.statement.source or "none: this is the statement of the product itself"
    return (
        Paragraph(NOT_FOR_CLINICAL_USE, strong=True),
        Table(
            "",
            ("", ""),
            (
                ("Product", profile.statement.product),
                ("Software", f"Specular {__version__}"),
                ("Profile", f"{profile.name}: {profile.title}"),
                ("Printed statement that the profile reproduces", reproduces),
                ("Standard", "DICOM PS3, structured after PS3.2"),
            ),
        ),
        Paragraph(
            "Every table of this statement is written by the software from the data that drive it, and is compared "
            "with what goes over the wire by tests."
        ),
    )


def overview(profile: Profile) -> Section:
    missing = [WORDS[name].title for name in WORDS if name not in profile.application_entity]
    blocks: list[Block] = [
        Paragraph(profile.statement.overview),
        Table("Network services", SERVICE_COLUMNS, _services(profile)),
        Paragraph("Media interchange is not supported."),
    ]
    if missing:
        blocks.append(Paragraph(f"Not supported under this profile: {', '.join(missing)}."))
    return Section("Conformance Statement Overview", tuple(blocks))


def _services(profile: Profile) -> tuple[tuple[str, str, str, str], ...]:
    """By the headings of PS3.2; what the listener takes reports of stands where it is asked for."""
    rows: list[tuple[str, str, str, str]] = []
    for group, entities in GROUPS.items():
        contexts = [
            context
            for name in entities
            for context in (profile.application_entity[name].contexts if name in profile.application_entity else ())
            if name != "listener" or context.abstract_syntax == VERIFICATION
        ]
        if contexts:
            rows += [(group, "", "", ""), *class_rows(contexts)]
    return tuple(rows)


def contents() -> Section:
    return Section("Table of Contents", (Contents(),))


def introduction(profile: Profile) -> Section:
    entities = ", ".join(WORDS[name].title for name in declared_entities(profile))
    return Section(
        "Introduction",
        parts=(
            Section(
                "Revision History",
                (
                    Table(
                        "Revision history",
                        ("Software version", "Description"),
                        ((__version__, f"Written by Specular {__version__} for the profile {profile.name}"),),
                    ),
                ),
            ),
            Section(
                "Audience",
                (
                    Paragraph(
                        "Hospital staff, health system integrators, software designers and service engineers with a "
                        "basic knowledge of DICOM."
                    ),
                ),
            ),
            Section(
                "Remarks",
                (
                    Paragraph(
                        "A conformance statement does not replace validation with the other equipment. Comparing two "
                        "statements is the first step; a test on site is the second."
                    ),
                    Paragraph(NOT_FOR_CLINICAL_USE, strong=True),
                ),
            ),
            Section(
                "Terms and Definitions",
                (Paragraph(f"The terms of PS3.2 are used. Application entities of this statement: {entities}."),),
            ),
            Section(
                "Abbreviations",
                (Table("Abbreviations", ("Abbreviation", "Meaning"), ABBREVIATIONS),),
            ),
            Section(
                "References",
                (
                    Bullets(
                        (
                            "Digital Imaging and Communications in Medicine (DICOM), NEMA PS3 / ISO 12052, 2024",
                            *(["RFC 9325 (BCP 195), Secure Use of TLS and DTLS"] if profile.tls else []),
                            *((profile.statement.source,) if profile.statement.source else ()),
                        )
                    ),
                ),
            ),
        ),
    )
