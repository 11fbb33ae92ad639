"""Comparisons of what came over the wire with tables of a printed statement; each fails by an AssertionError."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from statement_reader import Path as TagPath
from statement_reader import PrintedStatement
from wire_peer import FILM_BOX, FILM_SESSION, IMAGE_BOX
from wire_recorder import Wire

from firmware_app.conformance.entities import WORDS
from firmware_app.profiles import Profile

ALWAYS_PRESENT = {"ALWAYS", "VNAP", "EMPTY"}
KEYS = {
    "worklist": ("Query keys of the worklist", "Sent beside the keys in every worklist query"),
    "patient_query": ("Query keys of the patient query", "Sent beside the keys in every patient query"),
}


def printed_contexts(printed: PrintedStatement, service: str) -> list[tuple[str, tuple[str, ...]]]:
    (table,) = [table for table in printed.section(WORDS[service].title) if "Transfer Syntax UID" in table.columns]  # type: ignore[index]
    contexts: dict[str, tuple[str, tuple[str, ...]]] = {}
    for row in table.rows:
        _, syntaxes = contexts.get(row["Context"], ("", ()))
        contexts[row["Context"]] = (row["Abstract Syntax UID"], (*syntaxes, row["Transfer Syntax UID"]))
        assert row["Ext. Neg."] == "None"
    return list(contexts.values())


def check_requests(printed: PrintedStatement, wire: Wire) -> None:
    """Every A-ASSOCIATE-RQ as its application entity is printed."""
    for service, requests in wire.requests.items():
        title = WORDS[service].title  # type: ignore[index]
        ours = printed.pairs(f"Implementation of the {title}")
        general = printed.pairs(f"Application context and PDU length of the {title}")
        contexts = printed_contexts(printed, service)
        assert requests
        for request in requests:
            assert request.calling == printed.pairs("Local AE title and port")["AE title"]
            assert request.application_context == general["Application Context Name"]
            assert request.max_pdu_length == int(general["Maximum length of PDU received (octets)"])
            assert request.implementation_class_uid == ours["Implementation Class UID"]
            version = request.implementation_version_name
            assert ("not sent" if version is None else version) == ours["Implementation Version Name"]
            # Neither roles nor an asynchronous window nor anything else: "None", one transaction, SCU.
            assert request.other_items == []
            # Of storage and of the query models only what this association is for, in the printed order.
            classes = {abstract_syntax for abstract_syntax, _ in request.contexts}
            assert request.contexts == [pair for pair in contexts if pair[0] in classes]
            if service not in ("storage", "patient_query"):
                assert request.contexts == contexts
        proposed = {pair for request in requests for pair in request.contexts}
        assert proposed == set(contexts), f"{service}: printed, and never proposed"


def check_keys(printed: PrintedStatement, wire: Wire, service: str, captions: tuple[str, str]) -> None:
    keys = printed.table(captions[0]).attributes()
    beside = printed.table(captions[1]).attributes()
    matched: set[TagPath] = set()
    for message in wire.messages(service, "C-FIND"):
        level = message.data_set.get("QueryRetrieveLevel")
        expected = set(keys) | {
            path for path, row in beside.items() if "level" not in row["Value"] or str(level) in row["Value"]
        }
        values = dict(walk(message.data_set))
        assert set(values) == expected
        for path, row in keys.items():  # one item with the keys below it, or zero length
            if row["VR"] == "SQ":
                assert values[path] == (1 if any(other[:-1] == path for other in keys) else 0), path
        matched |= {path for path, value in values.items() if value and path in keys}
    assert {path for path in matched if len(keys[path]["VR"]) and keys[path]["VR"] != "SQ"} <= {
        path for path, row in keys.items() if row["Matching"]
    }
    assert matched & set(keys), "nothing was asked for"


def walk(data_set: Dataset, around: TagPath = ()) -> Iterator[tuple[TagPath, object]]:
    """Every attribute at every depth, and its value; of a sequence whether it has items."""
    for element in data_set:
        path = (*around, f"{element.tag.group:04X},{element.tag.element:04X}")
        assert not element.tag.is_private
        if element.VR == "SQ":
            yield path, len(element.value)
            for item in element.value:
                yield from walk(item, path)
        else:
            yield path, element.value


def check_attributes(
    data_set: Dataset, rows: dict[TagPath, dict[str, str]], setting: str = "", around: TagPath = ()
) -> None:
    """No attribute that is not printed, none missing that is printed as always there, none there that is never sent."""
    present = {f"{element.tag.group:04X},{element.tag.element:04X}": element for element in data_set}
    here = {path[-1]: row for path, row in rows.items() if path[:-1] == around and is_meant(row, setting)}
    assert set(present) <= set(here), f"sent and not printed, in {around}: {sorted(set(present) - set(here))}"
    for tag, row in here.items():
        element = present.get(tag)
        where = f"{row['Attribute Name']} {tag}"
        if row["Presence"] in ALWAYS_PRESENT:
            assert element is not None, f"{where} is printed as {row['Presence']} and is not there"
        if row["Presence"] == "ABSENT":
            assert element is None, f"{where} is never sent, and is there"
        if element is None:
            continue
        assert row["VR"] == element.VR or {element.VR, row["VR"]} <= {"OB", "OW", "OB or OW", "US", "US or SS"}, where
        if row["Presence"] == "ALWAYS" or row["Type"] == "1":
            assert not element.is_empty, f"{where} has no value"
        if row["Presence"] == "EMPTY":
            assert element.is_empty, f"{where} has a value"
        for item in element.value if element.VR == "SQ" else ():
            check_attributes(item, rows, setting, (*around, tag))


def is_meant(row: dict[str, str], setting: str) -> bool:
    found = re.search(r"only where storage\.modality is ([A-Z]{2}(?:(?:, | or )[A-Z]{2})*)", row["Value or source"])
    return found is None or setting in re.findall(r"[A-Z]{2}", found[1])


def iod_attributes(printed: PrintedStatement, name: str) -> dict[TagPath, dict[str, str]]:
    """Of every module of an object; where two modules have an attribute the later one holds."""
    rows: dict[TagPath, dict[str, str]] = {}
    for module in printed.table(f"Modules of the {name}").column("Module"):
        (table,) = [table for table in printed.all(f"{module} Module") if table.caption == f"{module} Module"]
        rows.update(table.attributes())
    return rows


def check_objects(printed: PrintedStatement, wire: Wire, profile: Profile) -> None:
    names = {
        row["SOP Class UID"]: table.caption.removeprefix("SOP class of the ")
        for table in printed.all("SOP class of the ")
        for row in table.rows
    }
    chosen = {row["storage.modality"]: row for row in printed.table("Objects by the setting").rows}
    for stored in wire.stored:
        name, data_set = names[stored.message.about], stored.message.data_set
        row = chosen[stored.setting]
        assert name in row.values()
        assert data_set.Modality in (row["Modality (0008,0060)"], row["Modality of a report"])
        check_attributes(data_set, iod_attributes(printed, name), stored.setting)
        check_fixed_values(printed, data_set, profile, name)
    assert {stored.message.about for stored in wire.stored} == set(names), "objects that are printed and never made"


def check_fixed_values(printed: PrintedStatement, data_set: Dataset, profile: Profile, name: str) -> None:
    """What a table gives the value of is printed so and sent so."""
    rows = iod_attributes(printed, name)
    (definition,) = [each for each in profile.iod.values() if each.name == name]
    values = {row.path: row for use in definition.modules for row in profile.module[use.module].attributes}
    for path, row in values.items():
        if row.value and not row.parent and row.keyword in data_set:
            said = rows[(tag_words(row.keyword),)]["Value or source"]
            value = data_set[row.keyword].value
            sent = "\\".join(map(str, value if data_set[row.keyword].VM > 1 else [value]))
            assert said == sent or said.startswith(f"{sent} "), path


def tag_words(keyword: str) -> str:
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{tag.group:04X},{tag.element:04X}"


def check_steps(printed: PrintedStatement, wire: Wire) -> None:
    for operation in ("N-CREATE", "N-SET"):
        rows = printed.table(f"Attributes of the {operation}").attributes()
        messages = wire.messages("mpps", operation)
        assert len(messages) >= 4
        for message in messages:
            check_attributes(message.data_set, rows)


def check_commitment(printed: PrintedStatement, wire: Wire) -> None:
    rows = printed.table("The request").attributes()
    (message,) = wire.messages("commitment", "N-ACTION")
    assert {path for path, _ in walk(message.data_set)} == set(rows)
    assert len(message.data_set.ReferencedSOPSequence) == 2


def check_films(printed: PrintedStatement, wire: Wire) -> None:
    tables = {
        FILM_SESSION: ("N-CREATE", "Attributes of the film session"),
        FILM_BOX: ("N-CREATE", "Attributes of the film box"),
        IMAGE_BOX: ("N-SET", "Attributes of the image box"),
    }
    for about, (operation, caption) in tables.items():
        rows = printed.table(caption).attributes()
        messages = wire.messages("print", operation, about)
        assert messages
        sent: set[TagPath] = set()
        for message in messages:
            values = dict(walk(message.data_set))
            sent |= set(values)
            assert set(values) <= set(rows), f"sent and not printed: {set(values) - set(rows)}"
            missing = {path for path, row in rows.items() if row["Usage"] == "M"} - set(values)
            assert not missing, f"mandatory and not sent: {missing}"
            for path, value in values.items():
                assert is_printed_value(rows[path]["Possible values"], value), f"{path}: {value!r}"
        never = set(rows) - sent
        # Aspect ratio: conditional; smoothing has CUBIC beside it, which was chosen.
        assert {rows[path]["Usage"] for path in never} <= {"MC"}, f"printed and never sent: {never}"


def is_printed_value(allowed: str, value: object) -> bool:
    """`BLACK, WHITE, 0 - 400`; what is no list of values, or goes on with a note, is not judged."""
    words = [word for word in allowed.partition("; ")[0].split(", ") if not word.startswith("only with")]
    bounds = re.fullmatch(r"(\d+) - (\d+)", words[-1]) if words else None
    literal = [word for word in words if re.fullmatch(r"[A-Z0-9_.\\ ]+", word)]
    if len(literal) + bool(bounds) < len(words) or not words:
        return True
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return text in literal or (bounds is not None and text.isdigit() and int(bounds[1]) <= int(text) <= int(bounds[2]))
