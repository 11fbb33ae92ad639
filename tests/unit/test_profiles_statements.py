"""The profiles of the two printed statements against the figures in them and the deviations that they list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from printed_statements import (
    KODAKQC_CHARACTER_SETS,
    KODAKQC_ENTITIES,
    KODAKQC_FILM_BOX,
    KODAKQC_FILM_SESSION,
    KODAKQC_IMAGE_BOX,
    KODAKQC_MODULES,
    SP_1P_ENTITIES,
    SP_1P_IOD,
    SP_1P_MODULES,
    SP_1P_PARAMETERS,
    SP_1P_PATIENT_KEYS,
    SP_1P_WORKLIST_KEYS,
    PrintedEntity,
    PrintedRow,
    rows_of,
)
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID, UID_dictionary

from firmware_app.config.reading import default_config
from firmware_app.profiles import Profile, QueryKey, load_profile
from firmware_app.profiles.loader import available_profiles
from firmware_app.profiles.profile import Attribute, PrintAttribute
from firmware_app.profiles.sources import ITEM_SOURCE_WORDS, ITEM_SOURCES, SOURCES

SP_1P, KODAKQC, SPECULAR = load_profile("sp-1p"), load_profile("kodakqc"), load_profile("specular")
PROFILES = [SP_1P, KODAKQC, SPECULAR]
MODULES = [
    *((SP_1P, name, table) for name, table in SP_1P_MODULES.items()),
    *((KODAKQC, name, table) for name, table in KODAKQC_MODULES.items()),
]
# Where a table of ours is not the printed one: profile, module, number of the row, and the tag that it should have had.
MISPRINTS = {
    ("sp-1p", "general_equipment", 2): "0018,1000",
    ("kodakqc", "general_series", 8): "0008,103E",
    ("kodakqc", "general_equipment", 2): "0008,0081",
}
NOT_SENT = {("kodakqc", "image_pixel", "0028,0034")}
ADDED = {("sp-1p", "general_image"): ["0020,0062"]}


def tag_of(keyword: str) -> str:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return f"{tag >> 16:04X},{tag & 0xFFFF:04X}"


def expected(profile: Profile, name: str, table: str) -> list[PrintedRow]:
    """The printed rows with what our deviations change."""
    rows = []
    for number, row in enumerate(rows_of(table)):
        tag = MISPRINTS.get((profile.name, name, number), row.tag)
        assignment = "-" if (profile.name, name, row.tag) in NOT_SENT else row.assignment
        rows.append(PrintedRow(row.depth, tag, row.type, assignment))
    return rows


def rows_in(profile: Profile, name: str) -> list[Attribute]:
    extra = ADDED.get((profile.name, name), [])
    return [row for row in profile.module[name].attributes if tag_of(row.keyword) not in extra]


def words_of(row: Attribute, parents: dict[str, Attribute]) -> str:
    if row.parent:
        inner = ITEM_SOURCES[parents[row.parent].source]
        return inner.get(row.source) or ITEM_SOURCE_WORDS[row.source]
    return SOURCES.get(row.source) or ITEM_SOURCE_WORDS[row.source]


@pytest.mark.parametrize(("profile", "name", "table"), MODULES, ids=[f"{one[0].name}-{one[1]}" for one in MODULES])
def test_a_module_has_the_printed_attributes_with_their_types(profile: Profile, name: str, table: str) -> None:
    found = [(row.path.count("."), tag_of(row.keyword), row.type) for row in rows_in(profile, name)]
    assert found == [(row.depth, row.tag, row.type) for row in expected(profile, name, table)]


@pytest.mark.parametrize(("profile", "name", "table"), MODULES, ids=[f"{one[0].name}-{one[1]}" for one in MODULES])
def test_a_module_assigns_values_as_printed(profile: Profile, name: str, table: str) -> None:
    rows = rows_in(profile, name)
    parents = {row.path: row for row in rows}
    for row, printed in zip(rows, expected(profile, name, table), strict=True):
        if printed.assignment.startswith("="):
            assert row.value == printed.assignment[1:], row.path
        elif printed.assignment == "-":
            assert row.source in ("none", "none.items"), row.path
        elif printed.assignment == "0":
            assert row.source == "empty", row.path
        else:
            assert row.value or row.source not in ("none", "none.items", "empty"), row.path
        if printed.assignment == "mwl":
            assert "MWL" in words_of(row, parents), row.path


def test_no_module_beside_the_printed_ones() -> None:
    assert list(SP_1P.module) == list(SP_1P_MODULES)
    assert list(KODAKQC.module) == list(KODAKQC_MODULES)


def test_what_is_not_as_printed_is_listed() -> None:
    told = {
        profile.name: " ".join(
            f"{one.printed} {one.ours} {one.reason}" for one in profile.statement.deviations if one.clause != "-"
        )
        for profile in PROFILES
    }
    for (name, _, _), tag in MISPRINTS.items():
        assert f"({tag})" in told[name]
    for (name, _), tags in ADDED.items():
        assert all(f"({tag})" in told[name] for tag in tags)
    assert "Pixel Aspect Ratio" in told["kodakqc"]
    for name in ("sp-1p", "kodakqc"):  # whatever the profile displays, these two are (services.query_columns)
        assert "irth date and sex" in told[name]
    assert len(SP_1P.application_entity["storage"].contexts) == 3 and "A context for each of them" in told["sp-1p"]


def test_the_objects_have_the_printed_modules() -> None:
    (image,) = SP_1P.iod.values()
    assert image.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    assert [(use.entity, use.module, use.usage) for use in image.modules] == SP_1P_IOD
    (radiograph,) = KODAKQC.iod.values()
    assert radiograph.sop_class_uid == "1.2.840.10008.5.1.4.1.1.1"
    assert [use.module for use in radiograph.modules] == list(KODAKQC_MODULES)
    assert (radiograph.bits_stored, radiograph.grey_only) == (12, True)


@pytest.mark.parametrize(("profile", "printed"), [(SP_1P, SP_1P_ENTITIES), (KODAKQC, KODAKQC_ENTITIES)])
def test_entities_introduce_themselves_and_propose_as_printed(
    profile: Profile, printed: dict[str, PrintedEntity]
) -> None:
    found = {
        name: (
            entity.implementation_class_uid,
            entity.implementation_version_name,
            frozenset(
                (context.abstract_syntax, syntax, context.role)
                for context in entity.contexts
                for syntax in context.transfer_syntaxes
            ),
        )
        for name, entity in profile.application_entity.items()
    }
    assert found == {
        name: (one.implementation_class_uid, one.implementation_version_name, one.proposed)
        for name, one in printed.items()
    }


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_entity_has_one_association_one_operation_and_16384(profile: Profile) -> None:
    for name, entity in profile.application_entity.items():
        assert entity.max_associations == (4 if name == "listener" else 1)  # no statement says how many are accepted
        assert (entity.max_outstanding_operations, entity.max_pdu_length) == (1, 16384)


def test_queries_of_the_sp_1p_are_one_context_with_both_syntaxes() -> None:
    for name in ("verification", "worklist", "patient_query"):
        (context,) = SP_1P.application_entity[name].contexts
        assert context.transfer_syntaxes == ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")


def test_query_keys_are_exactly_the_printed_ones() -> None:
    assert keys_of(SP_1P.worklist_keys) == SP_1P_WORKLIST_KEYS
    assert keys_of(SP_1P.patient_keys) == SP_1P_PATIENT_KEYS


def keys_of(keys: tuple[QueryKey, ...]) -> list[tuple[int, str, str, bool]]:
    return [(key.path.count("."), tag_of(key.path.rpartition(".")[2]), key.matching, key.display) for key in keys]


def test_the_sp_1ps_patient_root_is_study_root_at_the_level_patient() -> None:
    assert set(SP_1P.patient_query_models) == {"patient-root"}
    model = SP_1P.patient_query_models["patient-root"]
    assert UID_dictionary[model.abstract_syntax][0] == "Study Root Query/Retrieve Information Model - FIND"
    assert model.level == "PATIENT"


def test_the_kodakqc_asks_a_worklist_for_what_annex_a_takes_from_it() -> None:
    asked = {key.path for key in KODAKQC.worklist_keys}
    assert {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"} <= asked
    assert {"ReferringPhysicianName", "AccessionNumber", "RequestedProcedureDescription"} <= asked
    assert any(one.clause == "5" and one.printed.startswith("No keys") for one in KODAKQC.statement.deviations)


@pytest.mark.parametrize(
    ("table", "printed"),
    [
        ("film_session", KODAKQC_FILM_SESSION),
        ("film_box", KODAKQC_FILM_BOX),
        ("image_box", KODAKQC_IMAGE_BOX),
    ],
)
def test_print_tables_are_the_printed_ones(
    table: str, printed: list[tuple[int, str, str, list[str], tuple[int, int] | None]]
) -> None:
    assert KODAKQC.print is not None
    rows: tuple[PrintAttribute, ...] = getattr(KODAKQC.print, table)
    assert [
        (
            row.path.count("."),
            tag_of(row.path.rpartition(".")[2]),
            row.usage,
            list(row.values),
            None if row.low is None else (row.low, row.high),
        )
        for row in rows
    ] == [(depth, tag, usage or "U", values, numbers) for depth, tag, usage, values, numbers in printed]
    assert [row.path for row in rows if row.only_with] == (["SmoothingType"] if table == "film_box" else [])


def test_character_sets_are_the_printed_ones() -> None:
    assert set(KODAKQC.character_sets.accepted) == KODAKQC_CHARACTER_SETS
    assert KODAKQC.character_sets.fallback in KODAKQC_CHARACTER_SETS
    beyond = [terms for terms in SP_1P.character_sets.accepted if terms != ("ISO_IR 6",)]
    assert ("ISO_IR 6",) in SP_1P.character_sets.accepted
    assert all(any(term in ("ISO_IR 13", "ISO 2022 IR 87") for term in terms) for terms in beyond)


def test_modality_says_what_is_printed() -> None:
    assert {name: one.modality for name, one in SP_1P.storage_modality.items()} == {
        "SC": "SC",
        "OP": "VL",
        "XC": "VL",
        "OT": "VL",
    }
    assert {name: one.modality for name, one in KODAKQC.storage_modality.items()} == {"CR": "CR"}


def test_case_of_op_is_the_setting() -> None:
    only = {row.keyword: row.settings for module in SP_1P.module.values() for row in module.attributes if row.settings}
    assert only == {
        "Laterality": ("SC", "XC", "OT"),
        "ImageLaterality": ("OP",),
        "AcquisitionNumber": ("OP",),
        "AcquisitionDateTime": ("OP",),
    }


def test_parameters_have_the_printed_defaults() -> None:
    config = default_config(SP_1P)
    assert {(table, key): getattr(getattr(config, table), key) for table, key in SP_1P_PARAMETERS} == SP_1P_PARAMETERS
    other = default_config(KODAKQC)
    assert (other.instrument.port, other.storage.modality) == (104, "CR")
    assert other.storage.transfer_syntax == "implicit-vr-little-endian"
    assert (other.storage.automatic, other.print.automatic) == (True, True)
    assert other.worklist.refresh_interval_s == 0  # 5.2.1.1: only when the user says so
    assert config.worklist.refresh_interval_s > 0  # SP-1P 4.1.1: "an operator request and an automatic request"


def test_neither_statement_has_tls() -> None:
    assert {profile.name: profile.tls for profile in PROFILES} == {"sp-1p": False, "kodakqc": False, "specular": True}


def test_services_are_those_that_a_statement_specifies() -> None:
    assert "mpps" not in SP_1P.application_entity
    assert "listener" not in SP_1P.application_entity
    assert not {"verification", "patient_query", "mpps"} & set(KODAKQC.application_entity)


def test_every_deviation_is_told_whole_and_once() -> None:
    for profile in PROFILES:
        told = [(one.clause, one.printed) for one in profile.statement.deviations]
        assert len(told) == len(set(told))
        for one in profile.statement.deviations:
            assert all((one.clause, one.printed, one.ours, one.reason))
            assert one.reason.endswith((".", "?"))


def test_specular_lists_every_defect_of_both_statements() -> None:
    told = [one.clause.split()[0] for one in SPECULAR.statement.deviations]
    assert (told.count("SP-1P"), told.count("KodakQC")) == (15, 5)


# ------------------------------------------------------------------------------------------------ every profile


@pytest.mark.parametrize("name", available_profiles())
def test_a_profile_has_the_name_of_its_file_and_allowed_defaults(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert default_config(profile).profile == name


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_keyword_is_in_the_data_dictionary(profile: Profile) -> None:
    rows = [row for module in profile.module.values() for row in module.attributes]
    if profile.mpps:
        rows += [*profile.mpps.n_create.attributes, *profile.mpps.n_set.attributes]
    for row in rows:
        is_sequence = dictionary_VR(row.keyword) == "SQ"
        assert is_sequence == (row.source in ITEM_SOURCES), row.path
    paths = [key.path for key in (*profile.worklist_keys, *profile.patient_keys)]
    if profile.print:
        tables = (profile.print.film_session, profile.print.film_box, profile.print.image_box)
        paths += [row.path for table in tables for row in table]
    for path in paths:
        above = path.split(".")[:-1]
        assert tag_for_keyword(path.rpartition(".")[2]) is not None, path
        assert all(dictionary_VR(keyword) == "SQ" for keyword in above), path
        assert not above or ".".join(above) in paths, path


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_uid_is_one_of_the_standard_or_well_formed(profile: Profile) -> None:
    for entity in profile.application_entity.values():
        assert UID(entity.implementation_class_uid).is_valid
        for context in entity.contexts:
            assert UID_dictionary[context.abstract_syntax][1] in ("SOP Class", "Meta SOP Class")
            assert all(UID_dictionary[uid][1] == "Transfer Syntax" for uid in context.transfer_syntaxes)
    stored = {context.abstract_syntax for context in profile.application_entity["storage"].contexts}
    assert {definition.sop_class_uid for definition in profile.iod.values()} == stored
    asked = {model.abstract_syntax for model in profile.patient_query_models.values()}
    entity_of_query = profile.application_entity.get("patient_query")
    assert asked == {context.abstract_syntax for context in entity_of_query.contexts} if entity_of_query else not asked


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_module_is_used_and_every_setting_has_its_objects(profile: Profile) -> None:
    assert {use.module for definition in profile.iod.values() for use in definition.modules} == set(profile.module)
    assert {name for target in profile.storage_modality.values() for name in target.iods} == set(profile.iod)


# ------------------------------------------------------------------------------------------------ the texts themselves

ROW = re.compile(r"\(([0-9A-F]{4}), ?([0-9A-F]{4})\) (1C|2C|1|2|3)(?: (Not set|Length=0)\s*\n)?")
KEY = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\) *(S\+|S|\*)? *(x)? *$", re.MULTILINE)
USAGE = re.compile(r"(MC|M|U)?\s*\(([0-9A-F]{4}), ?([0-9A-F]{4})\)")


@pytest.fixture(scope="module")
def sp_1p_text(shared: Path) -> str:
    return (shared / "spec" / "sp-1p-dicom-conformance.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def kodakqc_text(shared: Path) -> str:
    return (shared / "spec" / "kodakqc-dicom-conformance.txt").read_text(encoding="utf-8")


def between(text: str, first: str, last: str) -> str:
    return text[text.index(first) : text.index(last, text.index(first))]


def typed(tables: dict[str, str]) -> list[PrintedRow]:
    return [row for table in tables.values() for row in rows_of(table)]


@pytest.mark.shared_data
def test_the_typed_module_tables_are_those_of_the_texts(sp_1p_text: str, kodakqc_text: str) -> None:
    for text, tables in (
        (sp_1p_text[sp_1p_text.index("8.2 Module lists") :], SP_1P_MODULES),
        (kodakqc_text[kodakqc_text.index("10.1.1.1.Patient Module") :], KODAKQC_MODULES),
    ):
        printed = ROW.findall(text)
        assert [(f"{group},{element}", kind) for group, element, kind, _ in printed] == [
            (row.tag, row.type) for row in typed(tables)
        ]
        for (_, _, _, assignment), row in zip(printed, typed(tables), strict=True):
            if assignment:
                assert row.assignment == {"Not set": "-", "Length=0": "0"}[assignment], row


@pytest.mark.shared_data
def test_the_typed_query_keys_are_those_of_the_text(sp_1p_text: str) -> None:
    for first, keys in (
        ("Scheduled Procedure Step Sequence (0040,0100)", SP_1P_WORKLIST_KEYS),
        ("Patient Level", SP_1P_PATIENT_KEYS),
    ):
        text = between(sp_1p_text, first, "Tag: Tag Number")
        assert [(f"{group},{element}", matching, bool(x)) for group, element, matching, x in KEY.findall(text)] == [
            (tag, matching, display) for _, tag, matching, display in keys
        ]


@pytest.mark.shared_data
def test_the_typed_print_tables_are_those_of_the_text(kodakqc_text: str) -> None:
    text = between(kodakqc_text, "6.2.1.3.SOP-Specific", "6.3.Association")
    rows = [*KODAKQC_FILM_SESSION, *KODAKQC_FILM_BOX, *KODAKQC_IMAGE_BOX]
    assert [(usage, f"{group},{element}") for usage, group, element in USAGE.findall(text)] == [
        (usage, tag) for _, tag, usage, _, _ in rows
    ]
    text = " ".join(text.split())
    for _, _, _, values, _ in rows:
        assert all(value in text or value.startswith(("BIN_", "0")) for value in values), values


@pytest.mark.shared_data
def test_the_typed_implementations_are_those_of_the_texts(sp_1p_text: str, kodakqc_text: str) -> None:
    uid = re.compile(r"Implementation Class UID:? +([\d.]+)")
    version = re.compile(r"Implementation Version Name:? +(\S[^\n]*?) *\n")
    order = ("verification", "worklist", "patient_query", "storage")
    assert uid.findall(sp_1p_text) == [SP_1P_ENTITIES[name].implementation_class_uid for name in order]
    assert set(version.findall(sp_1p_text)) == {"TOPCON_SP1P_360"}
    order = ("storage", "commitment", "worklist", "print")
    assert uid.findall(kodakqc_text) == [KODAKQC_ENTITIES[name].implementation_class_uid for name in order]
    assert version.findall(kodakqc_text) == ["ver 1", "ver 1", "not specified", "ver 1"]
