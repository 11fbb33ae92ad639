"""The conformance statement of every profile: complete, deterministic, and the same in both renderings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args, get_origin
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace as replace_struct
from statement_reader import PrintedStatement, print_profile, printed_statement, text_of, tokens_of

from firmware_app import __version__
from firmware_app.cli import main
from firmware_app.config.declared_services import declared_findings
from firmware_app.config.keys import hints_of, table_in
from firmware_app.config.reading import default_config
from firmware_app.config.schema import Config, service_of
from firmware_app.conformance.document import (
    Bullets,
    Caption,
    Document,
    Exchange,
    Heading,
    Paragraph,
    Section,
    Table,
    lines,
)
from firmware_app.conformance.entities import WORDS
from firmware_app.conformance.html import render_html
from firmware_app.conformance.markdown import render_markdown
from firmware_app.conformance.parameters import DESCRIPTIONS
from firmware_app.conformance.statement import write_statement
from firmware_app.conformance.status_tables import find_statuses, normalized_statuses, step_statuses, store_statuses
from firmware_app.dicom.statuses import describe_status, find_category, normalized_category, store_category
from firmware_app.net.mpps import StepOperation, judge_failure
from firmware_app.profiles import Profile, load_profile
from firmware_app.profiles.loader import available_profiles

PROFILES = available_profiles()
XHTML = "{http://www.w3.org/1999/xhtml}"
NASTY = (
    "a|b \\ *c* _d_ `e` <f>&amp; [g](h) ![i] ~j~ $k$ \"l\" 'm' http://n.o {p} ^q L\\F \\* \\| \\\\ \\_ 100% #r é 山田"
)


def statement(profile: Profile) -> Document:
    return write_statement(profile, default_config(profile))


def html_text(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def body(table: ElementTree.Element) -> list[ElementTree.Element]:
    found = table.find(f"{XHTML}tbody")
    return [] if found is None else list(found)


# ------------------------------------------------------------------------------------------ every profile


@pytest.mark.parametrize("name", PROFILES)
def test_the_chapters_are_those_of_ps3_2(name: str) -> None:
    chapters = [text for text in printed_statement(name).headings if re.match(r"\d+ ", text)]
    assert chapters == [
        "1 Conformance Statement Overview",
        "2 Table of Contents",
        "3 Introduction",
        "4 Networking",
        "5 Media Interchange",
        "6 Support of Character Sets",
        "7 Security",
        "8 Annexes",
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_printing_twice_prints_the_same_and_says_what_it_is(name: str) -> None:
    first, second = (render_markdown(statement(load_profile(name))) for _ in range(2))
    assert first == second
    assert __version__ in first
    assert "Not for clinical use" in first.partition("## 1 ")[0]


@pytest.mark.parametrize("name", PROFILES)
def test_every_table_survives_markdown_and_html_cell_by_cell(name: str) -> None:
    document = statement(load_profile(name))
    tables = [line.block for line in lines(document) if isinstance(line, Caption) and isinstance(line.block, Table)]
    printed = [table for table in PrintedStatement(render_markdown(document)).tables if table.sections]
    by_caption = {table.caption: table for table in printed}
    page = ElementTree.fromstring(render_html(document).partition("\n")[2])
    shown = {html_text(caption).partition(" ")[2].partition(" ")[2]: table for caption, table in captions(page)}
    assert len({table.caption for table in tables}) == len(tables), "a caption names two tables"
    for table in tables:
        expected = [[" ".join(cell.split()) for cell in row] for row in table.rows]
        assert [list(row.values()) for row in by_caption[table.caption].rows] == expected
        cells = [[html_text(cell) for cell in row] for row in body(shown[table.caption])]
        assert [row + [""] * (len(table.columns) - len(row)) for row in cells] == [list(row) for row in table.rows]


def captions(page: ElementTree.Element) -> list[tuple[ElementTree.Element, ElementTree.Element]]:
    return [
        (caption, table)
        for table in page.iter(f"{XHTML}table")
        if (caption := table.find(f"{XHTML}caption")) is not None
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_the_html_page_needs_nothing_else_and_every_link_has_its_target_once(name: str) -> None:
    text = render_html(statement(load_profile(name)))
    page = ElementTree.fromstring(text.partition("\n")[2])
    targets = [element.get("id") for element in page.iter() if element.get("id")]
    links = [element.get("href", "") for element in page.iter(f"{XHTML}a")]
    assert len(targets) == len(set(targets))
    assert {link.removeprefix("#") for link in links} <= set(targets)
    assert len(links) > 40
    assert not re.search(r"(src|href)=\"(?!#)|@import|url\(|<script", text)


@pytest.mark.parametrize("name", PROFILES)
def test_the_contents_of_the_markdown_name_every_section_down_to_the_third_level(name: str) -> None:
    printed = printed_statement(name)
    inline = [token for token in tokens_of(printed.markdown) if token.type == "inline" and token.children]
    linked = [text_of(token) for token in inline if token.children and token.children[0].type == "link_open"]
    assert linked == [text for text in printed.headings if re.match(r"\d+(\.\d+){0,2} ", text)]


@pytest.mark.parametrize("name", PROFILES)
def test_a_service_that_is_not_declared_has_no_section_and_is_said_to_be_missing(name: str) -> None:
    profile = load_profile(name)
    for entity in profile.application_entity:
        others = {key: value for key, value in profile.application_entity.items() if key != entity}
        document = write_statement(replace_struct(profile, application_entity=others), default_config(profile))
        titles = [line.title for line in lines(document) if isinstance(line, Heading)]
        words = [line.text for line in lines(document) if isinstance(line, Paragraph)]
        assert WORDS[entity].title not in titles
        assert any(text.startswith("Not supported") and WORDS[entity].title in text for text in words)


def test_a_change_of_the_profile_is_a_change_of_the_statement() -> None:
    profile = load_profile()
    keys = tuple(replace_struct(key, matching="*") for key in profile.worklist_keys)
    entity = replace_struct(profile.application_entity["worklist"], implementation_version_name="OTHER_1")
    changed = replace_struct(
        profile, worklist_keys=keys, application_entity={**profile.application_entity, "worklist": entity}
    )
    printed = print_profile(changed)
    assert set(printed.table("Query keys of the worklist").column("Matching")) == {"*"}
    assert printed.pairs("Implementation of the Worklist AE")["Implementation Version Name"] == "OTHER_1"


@pytest.mark.parametrize("name", PROFILES)
def test_every_deviation_is_listed_with_its_reason(name: str) -> None:
    deviations = load_profile(name).statement.deviations
    listed = printed_statement(name).all("Deliberate deviations")
    assert [tuple(row.values()) for table in listed for row in table.rows] == [
        (each.clause, each.printed, each.ours, each.reason) for each in deviations
    ]
    assert all(each.reason for each in deviations)


@pytest.mark.parametrize(
    ("source", "words"), [("the SP-1P", "None from the SP-1P."), ("", "There is no printed statement.")]
)
def test_no_deviation_is_said_too(source: str, words: str) -> None:
    profile = load_profile("sp-1p")
    same = replace_struct(profile.statement, deviations=(), source=source)
    said = [line for line in lines(statement(replace_struct(profile, statement=same))) if isinstance(line, Paragraph)]
    assert [line.text for line in said].count(words) == 1


# ------------------------------------------------------------------------------------------ statuses


def step_category(operation: StepOperation) -> Callable[[int], str]:
    def category(status: int) -> str:
        if normalized_category(status) == "failure":
            return judge_failure(operation, status, None, in_doubt=False)
        return {"success": "done", "warning": "warning"}[normalized_category(status)]

    return category


@pytest.mark.parametrize(
    ("table", "category"),
    [
        (store_statuses(), store_category),
        (find_statuses("x"), find_category),
        (normalized_statuses("x"), normalized_category),
        (step_statuses("N-CREATE"), step_category("N-CREATE")),
        (step_statuses("N-SET"), step_category("N-SET")),
    ],
    ids=("store", "find", "normalized", "step-create", "step-set"),
)
def test_the_status_tables_say_of_each_status_what_the_code_does_with_it(
    table: Table, category: Callable[[int], str]
) -> None:
    said: dict[int, tuple[str, str]] = {}
    for codes, words, kind, _ in table.rows:
        if codes != "any other":
            first, last = (int(code.rstrip("H"), 16) for code in (codes.split(" - ") * 2)[:2])
            said.update(dict.fromkeys(range(first, last + 1), (words, kind)))
    (others,) = [kind for codes, _, kind, _ in table.rows if codes == "any other"]
    for status in range(0x10000):
        words, kind = said.get(status, ("unknown status", others))
        assert kind == category(status), f"{status:04X}H"
        assert describe_status(status) == f"{status:04X}H {words}"


# ------------------------------------------------------------------------------------------ configuration


def test_every_parameter_has_a_description_and_no_description_is_left_over() -> None:
    keys = set()
    for name, hint in hints_of(Config).items():
        struct = table_in(hint)
        for key, inner_hint in hints_of(struct).items() if struct else ():
            inner = table_in(inner_hint)
            keys |= {f"{name}.{key}.{each}" for each in hints_of(inner)} if inner else {f"{name}.{key}"}
    known = keys | {"profile"}
    known |= {f"NODE.{key.partition('.')[2]}" for key in keys}
    assert DESCRIPTIONS.keys() <= known


@pytest.mark.parametrize("name", PROFILES)
def test_defaults_are_those_that_hold_under_the_profile(name: str) -> None:
    profile = load_profile(name)
    printed = printed_statement(name)
    rows = {row["Parameter"]: row for table in printed.all("Parameters of [") for row in table.rows}
    for table, values in profile.configuration_defaults.items():
        for key, value in values.items():
            if f"{table}.{key}" in rows:
                expected = value if isinstance(value, str) else str(value).lower()
                assert rows[f"{table}.{key}"]["Default"] == (expected or "None")
    assert rows["instrument.port"]["Allowed"] == "a port number from 0 to 65535"
    tables = {row["Parameter"].partition(".")[0] for row in rows.values()}
    services = {service_of(table) for table in tables - {"instrument", "network", "NODE"}}
    assert services == set(profile.application_entity) - {"verification", "listener"}


@pytest.mark.parametrize("name", PROFILES)
def test_allowed_is_what_the_profile_does_not_refuse(name: str) -> None:
    profile = load_profile(name)
    rows = {row["Parameter"]: row for table in printed_statement(name).all("Parameters of [") for row in table.rows}
    compared = 0
    for parameter, row in rows.items():
        table, _, key = parameter.partition(".")
        hint = hints_of(table_in(hints_of(Config).get(table)) or Config).get(key)
        for choice in get_args(hint) if get_origin(hint) is Literal else ():
            default = default_config(profile)
            changed = replace_struct(default, **{table: replace_struct(getattr(default, table), **{key: choice})})
            refused = any(each.key == parameter for each in declared_findings(changed, profile, ()))
            if parameter != "storage.transfer_syntax" or not refused:  # which may be another modality's
                assert (f'"{choice}"' in row["Allowed"]) == (not refused), (parameter, choice)
            compared += 1
    assert compared > 8
    assert ("rle-lossless" in rows["storage.transfer_syntax"]["Allowed"]) == (name == "specular")
    copies = rows.get("print.copies")
    assert copies is None or copies["Allowed"] == ("only 1" if name == "kodakqc" else "a number of copies from 1 to 99")


def test_a_port_that_nobody_listens_on_is_said_to_be_none() -> None:
    printed = printed_statement("sp-1p")
    rows = {row["Parameter"]: row for row in printed.table("Parameters of [instrument]").rows}
    for key in ("port", "accepted_ae_titles", "accepted_addresses"):
        assert rows[f"instrument.{key}"]["Description"].startswith("without effect under this profile")
    assert "nobody listens" in printed.markdown
    for name in ("specular", "kodakqc"):
        assert "without effect" not in printed_statement(name).markdown
        assert "may associate with our port" in printed_statement(name).markdown


def test_what_is_queued_is_what_is_declared() -> None:
    assert "lost with the network: instances are queued on disk" in printed_statement("sp-1p").markdown
    assert "instances, requests of commitment and prints are queued" in printed_statement("kodakqc").markdown


# ------------------------------------------------------------------------------------------ renderers


def nasty_document() -> Document:
    table = Table(NASTY, ("A", NASTY), ((NASTY, "1. x"), ("- y", "> z"), ("", "+ w")))
    figure = Exchange(NASTY, ("P", NASTY), (("P", NASTY, NASTY), (NASTY, NASTY, "self")))
    blocks = (
        Paragraph(NASTY),
        Paragraph("# no heading"),
        Paragraph("1. no list"),
        Bullets((NASTY, "- z")),
        table,
        figure,
    )
    return Document(NASTY, (Paragraph(NASTY, strong=True),), (Section(NASTY, blocks, (Section("2) x"),)),))


def test_nothing_in_a_text_is_taken_for_markdown() -> None:
    printed = PrintedStatement(render_markdown(nasty_document()))
    assert printed.headings == (NASTY, f"1 {NASTY}", "1.1 2) x")
    (table,) = [each for each in printed.tables if each.columns[0] == "A"]
    assert table.columns == ("A", NASTY)
    assert [tuple(row.values()) for row in table.rows] == [(NASTY, "1. x"), ("- y", "> z"), ("", "+ w")]
    texts = [text_of(token) for token in tokens_of(printed.markdown) if token.type == "inline"]
    assert {"# no heading", "1. no list", "- z"} <= set(texts)


def test_nothing_in_a_text_is_taken_for_html() -> None:
    page = ElementTree.fromstring(render_html(nasty_document()).partition("\n")[2])
    (table,) = page.iter(f"{XHTML}table")
    assert [[html_text(cell) for cell in row] for row in body(table)] == [
        [NASTY, "1. x"],
        ["- y", "> z"],
        ["", "+ w"],
    ]
    assert html_text(next(page.iter(f"{XHTML}h1"))) == NASTY


def test_anchors_tell_4_1_11_from_4_11_1() -> None:
    parts = tuple(Section("p", parts=(Section("q"),)) for _ in range(11))
    chapters = (Section("c", parts=(Section("first", parts=parts), *parts)),)
    page = ElementTree.fromstring(render_html(Document("t", (), chapters)).partition("\n")[2])
    targets = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(targets) == len(set(targets)) > 40


def test_a_table_with_a_cell_too_few_is_no_table() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Table("t", ("a", "b"), (("x",),))


def test_a_message_to_nobody_is_no_exchange() -> None:
    with pytest.raises(ValueError, match="not a party"):
        Exchange("f", ("A", "B"), (("A", "C", "hello"),))


# ------------------------------------------------------------------------------------------ the verb


def test_the_verb_prints_the_statement_of_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--profile", "specular"]) == 0
    assert capsys.readouterr().out == printed_statement("specular").markdown


def test_the_verb_prints_an_installation_with_its_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "clinic.toml"
    file.write_text(
        '[storage]\nip_address = "192.0.2.30"\nport = 104\nae_title = "PACS_A"\n[instrument]\nport = 11112\n'
    )
    assert main(["--config", str(file), "conformance"]) == 0
    printed = PrintedStatement(capsys.readouterr().out)
    rows = {row["Parameter"]: row for row in printed.table("Parameters of [instrument]").rows}
    assert rows["instrument.port"]["Here"] == "11112"
    assert rows["instrument.port"]["Default"] != "11112"
    remote = {row["Table"]: row for row in printed.table("Remote AEs").rows}
    assert remote["storage"]["AE title"] == "PACS_A"
    assert remote["worklist"]["AE title"] == "not configured"
    assert printed.pairs("Local AE title and port")["TCP port"] == "11112"


@pytest.mark.parametrize(
    ("name", "option", "head"),
    [("s.html", [], "<!DOCTYPE"), ("s.md", [], "# DICOM"), ("s.txt", ["--format", "html"], "<!DOCTYPE")],
)
def test_the_verb_writes_a_file_in_the_format_of_its_name(
    tmp_path: Path, name: str, option: list[str], head: str
) -> None:
    file = tmp_path / name
    assert main(["conformance", "-o", str(file), *option]) == 0
    assert file.read_text(encoding="utf-8").startswith(head)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--profile", "nobody"], 2, "profile 'nobody' does not exist"),
        (["--profile", "specular", "--config", "x.toml"], 2, "exclude each other"),
        (["--config", "/nowhere/x.toml"], 2, "/nowhere/x.toml"),
        (["-o", "/nowhere/s.html"], 1, "/nowhere/s.html: cannot be written: No such file"),
    ],
)
def test_the_verb_says_in_one_line_why_it_cannot(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conformance", *arguments]) == status
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
