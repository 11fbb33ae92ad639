"""The printed statements of `sp-1p` and `kodakqc` against the figures of the two statements that they reproduce.

The figures that identify an application entity, and the size of every table, are typed here; row by row the tables are
compared with the text of the statements where that is at hand. What differs is a misprint that is listed here, and
then the printed deviations have to have it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from statement_reader import Path as TagPath
from statement_reader import PrintedStatement, PrintedTable, printed_statement
from statement_sources import SourceRow, between, flattened, rows

from firmware_app.conformance.entities import WORDS
from firmware_app.profiles.profile import EntityName

IMPLICIT, EXPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
TOPCON = "1.2.392.200106.1641.1"

# Profile, entity: implementation class UID, version name, abstract syntax, transfer syntaxes, clause.
ENTITIES: dict[tuple[str, EntityName], tuple[str, str, str, tuple[str, ...], str]] = {
    ("sp-1p", "verification"): (f"{TOPCON}.5", "TOPCON_SP1P_360", "1.2.840.10008.1.1", (IMPLICIT, EXPLICIT), "4.2.1"),
    ("sp-1p", "worklist"): (f"{TOPCON}.1", "TOPCON_SP1P_360", "1.2.840.10008.5.1.4.31", (IMPLICIT, EXPLICIT), "4.2.2"),
    ("sp-1p", "patient_query"): (
        f"{TOPCON}.6",
        "TOPCON_SP1P_360",
        "1.2.840.10008.5.1.4.1.2.2.1",  # the quirk: it is called Patient Root, and is the UID of Study Root
        (IMPLICIT, EXPLICIT),
        "4.2.3",
    ),
    ("sp-1p", "storage"): (
        f"{TOPCON}.2",
        "TOPCON_SP1P_360",
        "1.2.840.10008.5.1.4.1.1.7",
        (IMPLICIT, EXPLICIT, JPEG),
        "4.2.4",
    ),
    ("kodakqc", "storage"): ("1.2.3", "ver 1", "1.2.840.10008.5.1.4.1.1.1", (IMPLICIT,), "3"),
    ("kodakqc", "commitment"): ("1.2.3", "ver 1", "1.2.840.10008.1.20.1", (IMPLICIT,), "4"),
    ("kodakqc", "worklist"): ("1.2.840.113564.3.2", "not sent", "1.2.840.10008.5.1.4.31", (IMPLICIT,), "5"),
    ("kodakqc", "print"): ("1.2.3", "ver 1", "1.2.840.10008.5.1.1.9", (IMPLICIT,), "6"),
}
# Clause and name of each module table, and how many rows it has.
MODULES = {
    "sp-1p": (
        ("8.2.1", "Patient", 4),
        ("8.2.2", "General Study", 14),
        ("8.2.3", "General Series", 18),
        ("8.2.4", "General Equipment", 4),
        ("8.2.5", "General Image", 11),
        ("8.2.6", "Image Pixel", 10),
        ("8.2.7", "SOP Common", 5),
        ("8.2.8", "SC Equipment", 1),
        ("8.2.9", "SC Image", 1),
    ),
    "kodakqc": (
        ("10.1.1.1", "Patient", 7),
        ("10.1.1.2", "General Study", 17),
        ("10.1.1.3", "Patient Study", 6),
        ("10.1.1.4", "General Series", 35),
        ("10.1.1.5", "CR Series", 7),
        ("10.1.1.6", "General Equipment", 8),
        ("10.1.1.7", "General Image", 9),
        ("10.1.1.8", "Image Pixel", 13),
        ("10.1.1.9", "CR Image", 10),
        ("10.1.1.10", "Modality LUT", 8),
        ("10.1.1.11", "VOI LUT", 6),
        ("10.1.1.12", "SOP Common", 3),
    ),
}
# Clause, name of the row, what the statement has for its tag, and the right one.
MISPRINTS = {
    "8.2.4": ("Device Serial Number", "0008,1090", "0018,1000"),
    "10.1.1.4": ("Series Description", "0018,103E", "0008,103E"),
    "10.1.1.6": ("Institution Address", "0008,0080", "0008,0081"),
}
# Clause, and a row at the end of its table that the statement has not; a printed deviation names it.
ADDITIONS = {"8.2.5": (("0020,0062", "3"), "Image Laterality (0020,0062)")}
# What the KodakQC's column Assignment means for a row of ours.
ASSIGNMENTS = {r"Not set(?! when)": {"ABSENT", "EMPTY"}, r"Length=0": {"EMPTY"}}
TYPES = r"[123]C?\b"
KEY_COLUMNS = r"(?:(?:S\+|S|\*)(?=\s|$))?\s*(?:x(?=\s|$))?"


def context_table(printed: PrintedStatement, entity: EntityName) -> PrintedTable:
    (table,) = [each for each in printed.section(WORDS[entity].title) if "Transfer Syntax UID" in each.columns]
    return table


MODULE_TABLES = [(profile, *table) for profile, tables in MODULES.items() for table in tables]


def module_table(profile: str, name: str) -> PrintedTable:
    printed = printed_statement(profile)
    (table,) = [each for each in printed.all(f"{name} Module") if each.caption == f"{name} Module"]
    return table


# ------------------------------------------------------------------------------------------------ typed figures


@pytest.mark.parametrize(("profile", "entity"), list(ENTITIES))
def test_an_application_entity_introduces_itself_with_the_printed_figures(profile: str, entity: EntityName) -> None:
    class_uid, version, abstract_syntax, transfer_syntaxes, _ = ENTITIES[profile, entity]
    printed, title = printed_statement(profile), WORDS[entity].title
    implementation = printed.pairs(f"Implementation of the {title}")
    general = printed.pairs(f"Application context and PDU length of the {title}")
    table = context_table(printed, entity)
    assert implementation == {"Implementation Class UID": class_uid, "Implementation Version Name": version}
    assert general["Application Context Name"] == "1.2.840.10008.3.1.1.1"
    assert general["Maximum length of PDU received (octets)"] == "16384"
    assert set(table.column("Abstract Syntax UID")) == {abstract_syntax}
    assert table.column("Transfer Syntax UID") == list(transfer_syntaxes)
    assert set(table.column("Role")) == {"SCU"}
    assert printed.pairs(f"Associations of the {title}") == {"Maximum number of simultaneous associations": "1"}
    asynchronous = printed.pairs(f"Asynchronous nature of the {title}")
    assert list(asynchronous.values()) == ["1"]


def test_the_statements_have_these_services_and_no_others() -> None:
    services = {
        "sp-1p": {"Verification AE", "Worklist AE", "Patient Query AE", "Storage AE"},
        "kodakqc": {"Worklist AE", "Storage AE", "Storage Commitment AE", "Print AE", "Listener AE"},
    }
    titles = {words.title for words in WORDS.values()}
    for profile, expected in services.items():
        headings = {text.partition(" ")[2] for text in printed_statement(profile).headings}
        assert headings & titles == expected


@pytest.mark.parametrize(("profile", "clause", "name", "count"), MODULE_TABLES)
def test_a_module_table_has_as_many_rows_as_the_printed_one(profile: str, clause: str, name: str, count: int) -> None:
    assert len(module_table(profile, name).rows) == count + (clause in ADDITIONS)


def test_the_printed_parameters_and_their_defaults() -> None:
    def defaults(profile: str) -> dict[str, str]:
        tables = printed_statement(profile).all("Parameters of [")
        return {row["Parameter"]: row["Default"] for table in tables for row in table.rows}

    topcon = defaults("sp-1p")  # 4.7.2
    assert (topcon["instrument.port"], topcon["instrument.ae_title"]) == ("64001", "TP_AM_SP1P_001")
    assert (topcon["storage.modality"], topcon["storage.transfer_syntax"]) == ("SC", "implicit-vr-little-endian")
    assert {
        topcon[f"{node}.{key}"]
        for node in ("worklist", "storage", "patient_query")
        for key in ("ip_address", "ae_title")
    } == {"None"}
    assert {topcon[f"{node}.port"] for node in ("worklist", "storage", "patient_query")} == {"0"}
    kodak = defaults("kodakqc")  # 2.2.3, 4.3, 6.2.1.3, 6.2.1.5, 8.2
    assert (kodak["instrument.port"], kodak["storage.modality"]) == ("104", "CR")
    assert (kodak["print.copies"], kodak["print.priority"]) == ("1", "MED")
    assert (kodak["print.polarity"], kodak["print.crop"]) == ("NORMAL", "CROP")


def test_the_printed_character_sets() -> None:
    kodak = printed_statement("kodakqc").table("Specific Character Sets").column("Value")
    for term in (
        "ISO_IR 100",
        "GB18030",
        "\\ISO 2022 IR 87",
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        "ISO_IR 144",
        "ISO_IR 148",
    ):
        assert term in kodak
    topcon = printed_statement("sp-1p").table("Specific Character Sets").column("Value")
    assert "ISO_IR 6" in topcon
    assert "ISO_IR 192" not in topcon


@pytest.mark.parametrize(("clause", "misprint"), list(MISPRINTS.items()))
def test_a_misprint_is_among_the_printed_deviations(clause: str, misprint: tuple[str, str, str]) -> None:
    name, wrong, right = misprint
    profile = "sp-1p" if clause.startswith("8") else "kodakqc"
    (row,) = [
        row
        for row in printed_statement(profile).table("Deliberate deviations").rows
        if name in row["Printed"] and wrong in row["Printed"]
    ]
    assert clause in row["Clause"]
    assert right in row["Ours"]
    assert row["Reason"]


@pytest.mark.parametrize(("clause", "addition"), list(ADDITIONS.items()))
def test_an_addition_is_among_the_printed_deviations(clause: str, addition: tuple[tuple[str, str], str]) -> None:
    rows = printed_statement("sp-1p").table("Deliberate deviations").rows
    assert any(addition[1] in row["Ours"] and row["Reason"] for row in rows)


# ------------------------------------------------------------------------------------------------ row by row


def paths(found: Iterator[SourceRow]) -> Iterator[tuple[TagPath, SourceRow]]:
    around: list[str] = []
    for row in found:
        around = [*around[: row.depth], row.tag]
        yield tuple(around), row


@pytest.fixture(scope="module")
def texts(shared: Path) -> dict[str, str]:
    """From the module tables on, and the whole; the page heads of one statement are gone."""
    return {
        name: flattened((shared / "spec" / f"{name}-dicom-conformance.txt").read_text(encoding="utf-8"))
        for name in MODULES
    }


def module_text(text: str, profile: str, clause: str) -> str:
    tables = [(each, name) for each, name, _ in MODULES[profile]]
    index = [each for each, _ in tables].index(clause)

    def heading(each: str, name: str) -> str:
        if profile == "sp-1p":
            return f"{name} Module {each}"
        return next(found for found in (f"{each}.{name} Module", f"{each}. {name} Module") if found in text)

    start = heading(*tables[index])
    end = heading(*tables[index + 1]) if index + 1 < len(tables) else ""
    return between(text, start, end) if end else text[text.index(start) :]


@pytest.mark.shared_data
@pytest.mark.parametrize(("profile", "clause", "name", "count"), MODULE_TABLES)
def test_a_module_table_is_the_printed_one_row_by_row(
    texts: dict[str, str], profile: str, clause: str, name: str, count: int
) -> None:
    source = list(paths(rows(module_text(texts[profile], profile, clause), after=TYPES)))
    expected = [(path, row.column) for path, row in source]
    if clause in MISPRINTS:
        _, wrong, right = MISPRINTS[clause]
        place = max(index for index, (path, _) in enumerate(expected) if path == (wrong,))
        expected[place] = ((right,), expected[place][1])
    if clause in ADDITIONS:
        (tag, kind), _ = ADDITIONS[clause]
        expected.append(((tag,), kind))
    ours = module_table(profile, name).attributes()
    assert [(path, row["Type"]) for path, row in ours.items()] == expected
    for (path, _), (_, row) in zip(expected, source, strict=False):
        for words, presences in ASSIGNMENTS.items():
            if profile == "kodakqc" and re.match(words, row.words):
                assert ours[path]["Presence"] in presences, path


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("caption", "first", "last"),
    [
        ("Query keys of the worklist", "Scheduled Procedure Step Scheduled Procedure Step Sequence", "Tag: Tag Number"),
        ("Query keys of the patient query", "Patient Level Patient's Name", "Tag: Tag Number"),
    ],
)
def test_query_keys_are_the_printed_ones_row_by_row(texts: dict[str, str], caption: str, first: str, last: str) -> None:
    source = rows(between(texts["sp-1p"], first, last), after=KEY_COLUMNS)
    ours = printed_statement("sp-1p").table(caption)
    assert [(row["Tag"].strip("()"), f"{row['Matching']} {row['Display']}".strip()) for row in ours.rows] == [
        (row.tag, row.column) for row in source
    ]


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("caption", "first", "last"),
    [
        ("Attributes of the film session", "6.2.1.3.SOP-Specific", "6.2.1.4.SOP-Specific"),
        ("Attributes of the film box", "6.2.1.4.SOP-Specific", "6.2.1.5.SOP-Specific"),
        ("Attributes of the image box", "6.2.1.5.SOP-Specific", "6.3.Association"),
    ],
)
def test_print_tables_are_the_printed_ones_row_by_row(
    texts: dict[str, str], caption: str, first: str, last: str
) -> None:
    source = list(paths(rows(between(texts["kodakqc"], first, last), before="MC|M|U")))
    ours = printed_statement("kodakqc").table(caption).attributes()
    assert list(ours) == [path for path, _ in source]
    for path, row in source:
        # Polarity and Requested Decimate/Crop Behavior have no usage there: a printed deviation.
        assert ours[path]["Usage"] == (row.column or "U")
        said = row.words.replace("BIN_n (where n=1 to 5)", "BIN_1, BIN_2, BIN_3, BIN_4, BIN_5").replace("0000H", "0")
        for value in ours[path]["Possible values"].partition("; ")[0].split(", "):
            if value.isupper() or value[:1].isdigit():
                assert value.replace(" ", "") in said.replace(" ", ""), f"{path}: {value}"


@pytest.mark.shared_data
@pytest.mark.parametrize(("profile", "entity"), list(ENTITIES))
def test_the_typed_figures_are_those_of_the_text(texts: dict[str, str], profile: str, entity: EntityName) -> None:
    class_uid, version, abstract_syntax, transfer_syntaxes, _ = ENTITIES[profile, entity]
    text = texts[profile]
    for figure in (class_uid, abstract_syntax, *transfer_syntaxes):
        assert f" {figure} " in text, figure
    assert version in text or version == "not sent"
