"""SOP specific conformance of each application entity: keys, attributes, statuses, policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firmware_app.config.declared_services import PRINT_ATTRIBUTES
from firmware_app.conformance.attributes import (
    PRESENCE_KEY,
    attribute_name,
    attribute_table,
    key_table,
    tag_words,
    uid_words,
    vr_of,
)
from firmware_app.conformance.document import Block, Bullets, Paragraph, Section, Table
from firmware_app.conformance.status_tables import (
    NORMALIZED_BEHAVIOUR,
    find_statuses,
    normalized_statuses,
    step_statuses,
    store_statuses,
)
from firmware_app.dicom.commitment import FAILURE_REASONS, MAX_INSTANCES, STORAGE_COMMITMENT_INSTANCE, Reaction
from firmware_app.dicom.print_statuses import TRANSIENT, WORDS
from firmware_app.net.patient_query import UNIQUE_KEYS
from firmware_app.profiles.profile import EntityName, PrintAttribute, Profile

KEY_LEGEND = Bullets(
    (
        "Matching: S, matched on one value; S+, on a value that the configuration gives to the station; *, with "
        "wildcards; empty, only returned. A date may be a day, today, or a range.",
        "Display: x marks what is shown on the screen; birth date and sex are always shown.",
        '">" stands before an attribute of a sequence\'s item.',
    )
)
CHARACTER_SET = (
    "of zero length where the keys are ASCII; otherwise the one that the server itself uses where it is among those of "
    "chapter 6, or the first of them that can hold the keys"
)
PRINT_COLUMNS = ("Attribute Name", "Tag", "VR", "Usage", "Possible values", "Configuration key")
REACTIONS: Mapping[Reaction, str] = {
    Reaction.STORE_AGAIN: "the instance is sent again, then commitment is asked for again",
    Reaction.ASK_LATER: "asked again after a back-off",
    Reaction.ASK_ANEW: "asked again at once under a new Transaction UID",
    Reaction.GIVE_UP: "kept as not committed with the reason until somebody decides",
}


def specific_conformance(profile: Profile, name: EntityName) -> tuple[Section, ...]:
    """The sections of one entity; the listener's is about what it takes."""
    chapters: dict[EntityName, Callable[[Profile], tuple[Section, ...]]] = {
        "verification": _verification,
        "worklist": _worklist,
        "patient_query": _patient_query,
        "storage": _storage,
        "mpps": _mpps,
        "commitment": _commitment,
        "print": _print,
        "listener": _listener,
    }
    return chapters[name](profile)


def _specific(what: str, *blocks: Block) -> Section:
    return Section(f"SOP Specific Conformance for {what}", blocks)


def _verification(profile: Profile) -> tuple[Section, ...]:
    return (
        _specific(
            "Verification",
            Paragraph("Status 0000H is success. Any other status is shown in words, and the verification has failed."),
        ),
    )


# ------------------------------------------------------------------------------------------------ queries


def _worklist(profile: Profile) -> tuple[Section, ...]:
    return (
        _specific(
            "Modality Worklist",
            key_table("Query keys of the worklist", profile.worklist_keys),
            KEY_LEGEND,
            _always_sent("every worklist query", (("SpecificCharacterSet", CHARACTER_SET),)),
            Paragraph(
                "A sequence is sent with one item that has the keys below it; without such keys it has zero length. "
                "Attributes that a worklist leaves out, or fills wrongly, do not lose its item: they are marked. After "
                "a failure the last good list stays, and is asked for again at the next interval."
            ),
            find_statuses("the worklist"),
        ),
    )


def _patient_query(profile: Profile) -> tuple[Section, ...]:
    models = tuple(
        (word, uid_words(model.abstract_syntax), model.abstract_syntax, model.level)
        for word, model in profile.patient_query_models.items()
    )
    columns = ("patient_query.model", "Information model", "Abstract Syntax UID", "Query/Retrieve Level")
    return (
        _specific(
            "Patient Query",
            Table("Information models, of which the configuration chooses one", columns, models),
            key_table("Query keys of the patient query", profile.patient_keys),
            KEY_LEGEND,
            _always_sent("every patient query", _patient_keys(profile)),
            find_statuses("patients"),
        ),
    )


def _patient_keys(profile: Profile) -> tuple[tuple[str, str], ...]:
    """The level, and the unique key that each level needs (PS3.4 C.4.1.2.1) where it is not in the table."""
    levels = tuple(dict.fromkeys(model.level for model in profile.patient_query_models.values()))
    known = {key.path for key in profile.patient_keys}
    unique = ((UNIQUE_KEYS[level], f"of zero length; only at the level {level}") for level in levels)
    return (
        ("SpecificCharacterSet", CHARACTER_SET),
        ("QueryRetrieveLevel", " or ".join(levels) + ", that of the information model"),
        *((keyword, words) for keyword, words in unique if keyword not in known),
    )


def _always_sent(what: str, rows: tuple[tuple[str, str], ...]) -> Table:
    return Table(
        f"Sent beside the keys in {what}",
        ("Attribute Name", "Tag", "VR", "Value"),
        tuple(_row(keyword, words) for keyword, words in rows),
    )


# ------------------------------------------------------------------------------------------------ storage


def _storage(profile: Profile) -> tuple[Section, ...]:
    rows = tuple(
        (
            setting,
            target.modality,
            profile.iod[target.iod].name,
            profile.iod[target.iod_above_8_bits or target.iod].name,
            profile.iod[target.report_iod or target.iod].name if "report" in profile.storage_pictures else "not sent",
            target.report_modality or target.modality,
        )
        for setting, target in profile.storage_modality.items()
    )
    columns = (
        "storage.modality",
        "Modality (0008,0060)",
        "Object of a frame",
        "Object of a frame above 8 bits",
        "Object of a report",
        "Modality of a report",
    )
    pictures = {"image": "camera frames", "report": "report pages"}
    sent = " and ".join(pictures[picture] for picture in profile.storage_pictures)
    return (
        _specific(
            "Storage",
            Paragraph(
                f"Sent are {sent}. Their attributes are in the annex, IOD contents. A file of anybody's that a person "
                "sends by hand (specular store) is proposed with its own SOP class and transfer syntax too, where the "
                "table of contexts has not got them, and such a class in both uncompressed syntaxes as well."
            ),
            Table("Objects by the setting of the storage modality", columns, rows),
            store_statuses(),
            Paragraph(
                "0111H after an attempt whose answer was lost is the answer that was lost: the peer has the instance. "
                "A connection that fails or is refused for the moment is tried again with back-off, without end; a "
                "refusal for good parks the instance with its reason. Nothing is deleted before it is committed; "
                "where commitment is not declared or not configured, nothing is deleted at all."
            ),
        ),
    )


# ------------------------------------------------------------------------------------------------ MPPS


def _mpps(profile: Profile) -> tuple[Section, ...]:
    if profile.mpps is None:
        return ()
    return (
        _specific(
            "Modality Performed Procedure Step",
            attribute_table("Attributes of the N-CREATE", profile.mpps.n_create.attributes),
            attribute_table("Attributes of the N-SET", profile.mpps.n_set.attributes),
            Paragraph(PRESENCE_KEY),
            Bullets(
                (
                    "Scheduled: one item of Scheduled Step Attributes Sequence for each order that the exam answers.",
                    "Unscheduled: the Study Instance UID is generated and is all that the item has.",
                    "Group case: one step and one item for each order; the study is that of the first.",
                    "Append case: a finished step is never changed; later images belong to a new step of the study.",
                    "DISCONTINUED carries a reason of CID 9301 (annex, coded terminology); instances that were already "
                    "made are listed.",
                )
            ),
            step_statuses("N-CREATE"),
            step_statuses("N-SET"),
            Paragraph(
                "After an attempt whose answer was lost the same message is sent again; 0111H to an N-CREATE and 0110H "
                "to an N-SET are then the answer that was lost. Messages go in order: an N-SET never before its "
                "N-CREATE, and nothing more of a step of which a message was refused for good."
            ),
        ),
    )


# ------------------------------------------------------------------------------------------------ commitment


def _commitment(profile: Profile) -> tuple[Section, ...]:
    reasons = tuple(
        (f"{reason:04X}H", words, REACTIONS[reaction]) for reason, (words, reaction) in FAILURE_REASONS.items()
    )
    return (
        _specific(
            "Storage Commitment Push Model",
            Table(
                "The request",
                ("Attribute Name", "Tag", "VR", "Value"),
                (
                    _row("TransactionUID", "generated for each request, never used twice"),
                    _row("ReferencedSOPSequence", f"one item for each instance, at most {MAX_INSTANCES}"),
                    _row("ReferencedSOPSequence.ReferencedSOPClassUID", "of the stored instance"),
                    _row("ReferencedSOPSequence.ReferencedSOPInstanceUID", "of the stored instance"),
                ),
            ),
            Bullets(
                (
                    f"Action Type ID 1 on the well-known instance {STORAGE_COMMITMENT_INSTANCE}.",
                    "Asked for what was stored with a success or warning status, on a new association.",
                    "The report is taken on the association of the request, for which commitment."
                    "same_association_wait_s waits, and on any association that the peer opens to our port, also after "
                    "a restart.",
                    "A report is believed for the instances of its request and for no others; one that comes twice "
                    "changes nothing; an unknown Transaction UID is refused with 0115H.",
                    "Without a report within commitment.report_timeout_s commitment is asked for again under a new "
                    "Transaction UID; a report for the old one still counts.",
                    "No instance is deleted from the instrument before a peer has committed to it.",
                )
            ),
            Table("Failure reasons (0008,1197) in a report", ("Reason", "Meaning", "Behaviour"), reasons),
            normalized_statuses(
                "N-ACTION",
                {**NORMALIZED_BEHAVIOUR, "failure": "the transaction is dead: asked again later under a new UID"},
            ),
        ),
    )


def _listener(profile: Profile) -> tuple[Section, ...]:
    return (
        _specific(
            "Verification and Storage Commitment",
            Bullets(
                (
                    "C-ECHO is answered with 0000H.",
                    "N-EVENT-REPORT of storage commitment is answered with 0000H after the result has been written to "
                    "the database; with 0115H where its Transaction UID was never issued or it names no instance; with "
                    "0118H and 0112H where it is of another SOP class or instance; with 0113H where its event type "
                    "does not exist; with 0110H where it cannot be read or kept.",
                )
            ),
        ),
    )


def _row(path: str, value: str) -> tuple[str, str, str, str]:
    return (attribute_name(path), tag_words(path.rpartition(".")[2]), vr_of(path), value)


# ------------------------------------------------------------------------------------------------ print


def _print(profile: Profile) -> tuple[Section, ...]:
    if profile.print is None:
        return ()
    transient = "tried again after a back-off"
    final = "the job is parked with the status until somebody decides; nothing of this film was printed"
    statuses = tuple(
        (f"{status:04X}H", words, _print_behaviour(status, transient, final)) for status, words in WORDS.items()
    )
    return (
        _specific("Basic Film Session", _print_table("Attributes of the film session", profile.print.film_session)),
        _specific("Basic Film Box", _print_table("Attributes of the film box", profile.print.film_box)),
        _specific("Basic Grayscale Image Box", _print_table("Attributes of the image box", profile.print.image_box)),
        _specific(
            "Printer",
            Paragraph(
                "The printer's status is read by N-GET before a job. Its N-EVENT-REPORTs are taken while the "
                "association lasts: NORMAL, WARNING and FAILURE are shown, and a FAILURE ends the job before its film "
                "is printed. A film whose images are not all taken is deleted and not printed. A film that the printer "
                "was told to print and that it has not answered for is never printed again by itself: a person looks."
            ),
            Table("Statuses that only a printer answers with", ("Status", "Meaning", "Behaviour"), statuses),
            normalized_statuses("N-CREATE, N-SET, N-ACTION, N-GET and N-DELETE"),
        ),
    )


def _print_behaviour(status: int, transient: str, final: str) -> str:
    if status & 0xF000 == 0xB000:
        return "printed; the warning is shown"
    return transient if status in TRANSIENT else final


def _print_table(caption: str, rows: tuple[PrintAttribute, ...]) -> Table:
    keys = {keyword: f"print.{key}" for key, keyword in PRINT_ATTRIBUTES.items()} | {
        "ImageDisplayFormat": "print.layout"
    }
    return Table(
        caption,
        PRINT_COLUMNS,
        tuple(
            (
                attribute_name(row.path),
                tag_words(row.path.rpartition(".")[2]),
                vr_of(row.path),
                row.usage,
                print_values(row),
                keys.get(row.path, ""),
            )
            for row in rows
        ),
    )


def print_values(row: PrintAttribute) -> str:
    """Such as `BLACK, WHITE, 0 - 400`, and what goes with it."""
    values = list(row.values)
    if row.low is not None and row.high is not None:
        values.append(f"{row.low} - {row.high}")
    words = [", ".join(values)] if values else []
    if row.only_with:
        keyword, _, value = row.only_with.partition("=")
        words.append(f"only with {attribute_name(keyword)} {value}")
    if row.note:
        words.append(row.note)
    return "; ".join(words) or ("" if vr_of(row.path) == "SQ" else "any")
