"""Chapters 5 to 7: media, character sets, security."""

from __future__ import annotations

from firmware_app.audit import messages as m
from firmware_app.conformance.document import Block, Bullets, Paragraph, Section, Table
from firmware_app.net.tls import TLS_1_2_SUITES
from firmware_app.profiles.profile import Profile

# PS3.3 C.12.1.1.2: what the defined terms stand for.
REPERTOIRES = {
    "": "default repertoire",
    "ISO_IR 6": "default repertoire (ASCII)",
    "ISO_IR 13": "Japanese, half-width katakana",
    "ISO_IR 100": "Latin alphabet No. 1",
    "ISO_IR 101": "Latin alphabet No. 2",
    "ISO_IR 109": "Latin alphabet No. 3",
    "ISO_IR 110": "Latin alphabet No. 4",
    "ISO_IR 126": "Greek",
    "ISO_IR 127": "Arabic",
    "ISO_IR 138": "Hebrew",
    "ISO_IR 144": "Cyrillic",
    "ISO_IR 148": "Latin alphabet No. 5 (Turkish)",
    "ISO_IR 166": "Thai",
    "ISO_IR 192": "Unicode in UTF-8",
    "GB18030": "Chinese",
    "GBK": "Chinese",
    "ISO 2022 IR 6": "default repertoire",
    "ISO 2022 IR 13": "half-width katakana",
    "ISO 2022 IR 58": "simplified Chinese",
    "ISO 2022 IR 87": "Japanese kanji",
    "ISO 2022 IR 149": "Korean",
    "ISO 2022 IR 159": "supplementary Japanese kanji",
}


def media_interchange() -> Section:
    return Section("Media Interchange", (Paragraph("Media interchange is not supported."),))


def character_sets(profile: Profile) -> Section:
    rule = profile.character_sets
    rows = tuple(("\\".join(terms), _repertoire(terms)) for terms in rule.accepted)
    return Section(
        "Support of Character Sets",
        (
            Table("Specific Character Sets (0008,0005)", ("Value", "Repertoire"), rows),
            Paragraph(
                "Objects and messages keep the character set of the worklist item where it is one of these and can "
                "hold every value; otherwise they have none where ASCII is enough, and else the first of these, in "
                f"this order, that can hold every value. Where none can they have {chr(92).join(rule.fallback)}."
            ),
            Paragraph(
                "Values that are multiple are split at the octet 5CH before they are decoded: in ISO_IR 13 and ISO "
                "2022 IR 13 that octet is drawn as a yen sign. A value that its character set cannot explain, or a "
                "character set that is missing or unknown, is shown with a warning, and its octets are kept."
            ),
        ),
    )


def _repertoire(terms: tuple[str, ...]) -> str:
    words = [REPERTOIRES.get(term, term) for term in terms]
    return ", ".join(words) + (" (ISO 2022 code extension)" if len(terms) > 1 else "")


def security(profile: Profile) -> Section:
    accepts = "listener" in profile.application_entity
    measures = Bullets(
        (
            "Only configured AE titles and addresses may associate with our port, where the configuration names any."
            if accepts
            else "No association request is accepted: nobody listens.",
            "User identities of peers (PS3.7 D.3.3.7) are not checked. Objects are neither signed nor encrypted.",
            "The log names no patient unless the configuration says so.",
            "The instrument is to stand in a network that is protected by a firewall; "
            + ("nothing but its own port" if accepts else "nothing of it")
            + " has to be reached from outside.",
        )
    )
    return Section("Security", (Paragraph("Security profiles and measures."), _tls(profile), *_audit_trail(), measures))


# Which message is written when; those that a profile has no occasion for are never written.
AUDITED = (
    (m.APPLICATION_ACTIVITY, "the service has started, or ends"),
    (m.USER_AUTHENTICATION, "a console or an SSH session is opened, or closed"),
    (m.QUERY, "the worklist or patients were asked for; with the keys"),
    (m.PATIENT_RECORD, "a patient was typed in"),
    (m.PROCEDURE_RECORD, "an exam was begun, resumed, finished or abandoned, a measurement edited"),
    (m.BEGIN_TRANSFERRING, "instances of a study are about to be sent to a node"),
    (m.INSTANCES_TRANSFERRED, "a node has stored them, or refuses them for good"),
    (m.EXPORT, "films were printed"),
    (m.STUDY_DELETED, "an exam was removed from the instrument, after commitment"),
    (m.SECURITY_ALERT, "a node was refused (Node Authentication), or messages could not be kept"),
    (m.AUDIT_LOG_USED, "somebody has read the audit trail"),
)


def _audit_trail() -> tuple[Block, ...]:
    profiles = (
        "Audit trail message format profile (PS3.15 A.5): messages are kept on the instrument, each chained to the one "
        "before it. Audit trail message transmission profile, syslog over TLS (PS3.15 A.6, RFC 5425): where a receiver "
        "is configured."
    )
    rows = tuple((f"{code.value} {code.meaning}", when) for code, when in AUDITED)
    return Paragraph(profiles), Table("Audit messages", ("Event ID", "Written when"), rows)


def _tls(profile: Profile) -> Block:
    if not profile.tls:
        return Paragraph("Secure transport connections are not supported: TLS cannot be configured under this profile.")
    return Table(
        "Secure transport connection: BCP 195 TLS profile (PS3.15 B.12), for each node and for our port by itself",
        ("Item", "Value"),
        (
            ("Versions", "TLS 1.3, TLS 1.2"),
            ("Cipher suites of TLS 1.2, in OpenSSL's words", TLS_1_2_SUITES.replace(":", ", ")),
            ("Authentication", "both ends show a certificate; of peers on our port this can be left to them"),
            ("Trust of a peer", "an authority of the configured file and the peer's name; or a pinned certificate"),
            ("Port", "as configured; 2762 is registered for DICOM over TLS"),
        ),
    )
